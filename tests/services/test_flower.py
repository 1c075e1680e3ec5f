"""Flower against the real broker: workers, queues and arguments that a person can read."""

import base64
import json
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from atra.cli.stack import StackInfo, running_stack
from atra.core.records import to_json
from atra.core.runs import Plan, new_id
from atra.core.settings import Settings
from atra.repository import Repository
from atra.wiring import Wiring
from tests.faults.test_broker_outage import free_port
from tests.targets import make_repository
from workers.app import make_app
from workers.targets import make_target


class Flower:
    """Flower's API."""

    def __init__(self, port: int, user: str) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._user = base64.b64encode(user.encode()).decode()

    def get(self, path: str) -> Any:
        request = urllib.request.Request(self._base + path, headers={"Authorization": f"Basic {self._user}"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)


def eventually(asked, holds, within_s: float = 45.0) -> Any:
    until = time.monotonic() + within_s
    while True:
        try:
            if holds(found := asked()):
                return found
        except OSError:
            found = None
        assert time.monotonic() < until, found
        time.sleep(0.3)


UP = """
import sys
from pathlib import Path
from atra.cli.stack import Crew, up
from atra.core.settings import Settings
up(Settings(home=Path(sys.argv[1])), Crew(workers=2, beat=False, flower=True, flower_port=int(sys.argv[2])))
"""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StackInfo]:
    """A stack with Flower, as `atra up --flower` runs it."""
    home = tmp_path / "home"
    process = subprocess.Popen((sys.executable, "-c", UP, str(home), str(free_port())))
    try:
        yield eventually(lambda: running_stack(home), bool)
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_flower_shows_workers_queues_and_readable_arguments(stack: StackInfo, tmp_path: Path):
    """A run's tasks appear with run and shard, its worker with its queues; without the password there is nothing."""
    address = urllib.parse.urlsplit(stack.flower_url)
    flower = Flower(address.port, f"{address.username}:{address.password}")
    repository = make_repository(tmp_path / "green", {"test_a.py": "def test_a():\n    pass\n"})
    workers = eventually(lambda: flower.get("/api/workers?refresh=1"), bool)
    settings = stack.settings(Settings(_env_file=None, home=tmp_path / "home"))
    plan = Plan("self_repair", (("reproduce", 1), ("try", 2)))
    target = make_target(Repository.open(repository), settings, budget_s=60)
    wired = Wiring(settings)
    run = wired.runs.open(new_id("r"), plan, to_json(target))

    make_app(settings).send_task("maintenance.send", (run.id,), ignore_result=True)
    shown = eventually(
        lambda: flower.get("/api/tasks?limit=50"),
        lambda tasks: any(t["name"] == "self_repair.reproduce" and t["state"] == "SUCCESS" for t in tasks.values()),
    )

    told = [task["args"] for task in shown.values() if task["name"].startswith("self_repair.")]
    queues = {queue["name"] for worker in workers.values() for queue in worker["active_queues"]}
    assert told
    assert all(f"run={run.id}" in one for one in told)
    assert queues >= {"repair", "urgent", "maintenance"}
    with pytest.raises(urllib.error.HTTPError):
        Flower(address.port, "atra:wrong").get("/api/workers")
