"""A worker that is killed by SIGKILL at any moment of any step costs time and nothing else."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from atra.cli.stack import environment_of
from atra.core.records import to_json
from atra.core.runs import new_id
from atra.core.settings import Settings
from atra.repository import Repository
from atra.wiring import Wiring
from tests.targets import git, small_shop
from workers.app import make_app
from workers.pipelines import self_repair
from workers.targets import make_target

STEPS = ("reproduce", "diagnose", "propose", "try", "choose", "verify", "commit")
MOMENTS = ("claimed", "unsettled", "settled")


class Workers:
    """Keeps one worker running, as a supervisor does, until it is told to stop."""

    def __init__(self, settings: Settings, log: Path, **environment: str) -> None:
        self.starts = 0
        self._log = log
        self._environment = {**os.environ, **environment_of(settings), **environment, "PYTHONPATH": os.getcwd()}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep)

    def _keep(self) -> None:
        command = (sys.executable, "-m", "celery", "-A", "tests.faults.killer", "worker")
        options = ("-Q", "repair,maintenance", "-c", "2", "-B", "-s", str(self._log.with_name("beat")))
        while not self._over.is_set():
            self.starts += 1
            with self._log.open("ab") as log:
                worker = subprocess.Popen((*command, *options), env=self._environment, stdout=log, stderr=log)
            while worker.poll() is None and not self._over.wait(0.1):
                pass
            worker.terminate()
            worker.wait()

    def __enter__(self) -> "Workers":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_at_every_moment_of_a_step_costs_only_time(step: str, settings: Settings, tmp_path: Path):
    """After kills on claiming, before settling and after settling, the run ends with one commit, made once."""
    repository = small_shop(tmp_path / "shop")
    before = git(repository, "status", "--porcelain"), git(repository, "rev-parse", "HEAD")
    settings = settings.model_copy(update={"lease_s": 1.5, "sweep_s": 0.5, "patience_s": 1.0, "shards": 2})
    runs, app = Wiring(settings).runs, make_app(settings)
    target = make_target(Repository.open(repository), settings, budget_s=120)
    marks = tmp_path / "marks"
    marks.mkdir()
    moments = MOMENTS[:-1] if step == "commit" else MOMENTS
    kills = {"KILL_STEP": step, "KILL_MOMENTS": ",".join(MOMENTS), "KILL_MARKS": str(marks)}

    with Workers(settings, tmp_path / "worker.log", **kills):
        run = runs.open(new_id("r"), self_repair(settings.shards), to_json(target))
        app.send_task("maintenance.send", (run.id,), ignore_result=True)
        until = time.monotonic() + 400
        while run.state == "open" and time.monotonic() < until:
            time.sleep(0.2)
            run = runs.get(run.id)

    assert (run.state, run.outcome) == ("ended", "fixed"), (tmp_path / "worker.log").read_text()[-5000:]
    assert {mark.name for mark in marks.iterdir()} >= {f"{step}-{moment}" for moment in moments}
    assert (
        git(repository, "for-each-ref", "--format=%(refname)", "refs/heads/atra") == f"refs/heads/atra/repair-{run.id}"
    )
    assert git(repository, "rev-list", "--count", f"HEAD..atra/repair-{run.id}") == "1"
    assert (git(repository, "status", "--porcelain"), git(repository, "rev-parse", "HEAD")) == before
