"""The stack behind `atra up` and `atra repair`: it comes up, mends itself, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from pydantic import SecretStr

from atra.cli.doctor import doctor
from atra.cli.stack import Crew, StackInfo, addressed, environment_of, running_stack, temporary_stack
from atra.core.settings import ModelSettings, RepositorySettings, Settings
from atra.embedded.keeper import Home, read
from tests.services.watching import eventually, processes_of

UP = """
import sys
from pathlib import Path
from atra.cli.stack import Crew, up
from atra.core.settings import Settings
up(Settings(home=Path(sys.argv[1])), Crew(workers=1), lambda sentence: print(sentence, flush=True))
"""

INTRUDER = "import pathlib; pathlib.Path(__file__).with_name('imported').touch()"


class Up:
    """A process that does what `atra up` does, started in the folder of somebody's repository."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.repository = folder / "repository"
        for module in ("workers/__init__.py", "celeryconfig.py", "atra.py"):
            file = self.repository / module
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(INTRUDER)
        self.process = self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the process; a second one is for tests of what it says."""
        return subprocess.Popen(
            [sys.executable, "-P", "-c", UP, str(self.home)],
            cwd=self.repository,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def info(self) -> StackInfo:
        """Return what other commands find, as soon as they do."""
        eventually(lambda: running_stack(self.home) is not None)
        info = running_stack(self.home)
        assert info is not None
        return info

    def worker(self) -> psutil.Process:
        """Return the worker's main process."""
        children = psutil.Process(self.process.pid).children()
        return next(child for child in children if "worker" in child.cmdline())

    def answering(self) -> bool:
        """Say whether a worker runs tasks, by asking it."""
        settings = self.info().settings(Settings(home=self.home))
        command = [sys.executable, "-P", "-m", "celery", "-A", "workers.app", "inspect", "ping", "-t", "2"]
        environment = {**os.environ, **environment_of(settings)}
        return not subprocess.run(command, env=environment, cwd=self.home, capture_output=True, check=False).returncode

    def end(self) -> None:
        """End it, whatever a test made of it."""
        self.process.kill()
        self.process.communicate()
        eventually(lambda: not processes_of(self.home))


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One stack for the tests that leave it as whole as they found it."""
    running = Up(tmp_path_factory.mktemp("stack"))
    yield running
    running.end()


@pytest.fixture
def own_up(tmp_path: Path) -> Iterator[Up]:
    """A stack for one test that ends it."""
    running = Up(tmp_path)
    yield running
    running.end()


def listening(redis_url: str) -> int:
    """Return how many workers have opened a mailbox on this broker."""
    with redis.Redis.from_url(redis_url) as client:
        return int(client.scard("atra:_kombu.binding.celery.pidbox"))


def test_a_temporary_stack_is_up_within_seconds(tmp_path: Path) -> None:
    """From an empty home: services and tables at once, a worker soon after; all is gone within 10 s of the end."""
    began = time.monotonic()
    with temporary_stack(Settings(home=tmp_path), Crew(workers=1)) as running:
        answered_s = time.monotonic() - began
        eventually(lambda: listening(running.info.redis_url) == 1)
        listening_s = time.monotonic() - began
        running.check()
        ending = time.monotonic()
    stopped_s = time.monotonic() - ending

    assert answered_s < 5
    assert listening_s < 10  # 3 s on an idle machine with two cores; other tests may run beside this one
    assert stopped_s < 10
    assert processes_of(tmp_path) == []


def test_other_commands_find_the_stack(up: Up) -> None:
    """Its record is for the owner alone, and its addresses are used instead of a stack of one's own."""
    info = up.info()
    with addressed(Settings(home=up.home)) as found:
        url = found.database_url

    assert url is not None
    assert url.get_secret_value() == info.database_url
    assert (up.home / "stack.json").stat().st_mode & 0o777 == 0o600


def test_there_is_one_stack_per_home(up: Up) -> None:
    """A second one says so and does not disturb the first."""
    up.info()
    said, _ = up.start().communicate(timeout=30)

    assert b"runs already" in said
    assert running_stack(up.home) is not None


def test_the_doctor_sees_everything_at_work(up: Up) -> None:
    """Workers answer and beat ticks; nothing needed is missing."""
    info = up.info()
    eventually(lambda: listening(info.redis_url) == 1)
    with redis.Redis.from_url(info.redis_url) as client:
        eventually(lambda: bool(client.exists("atra:beat-seen")), 60)
    parts = {part.part: part for part in doctor(Settings(home=up.home))}

    assert [part for part in parts.values() if part.needed and part.state != "ok"] == []
    assert {"python", "git", "sandbox", "disk", "database", "redis", "workers", "beat"} <= set(parts)
    assert parts["beat"].state == "ok"


@pytest.mark.parametrize("victim", ["worker", "keeper"])
def test_what_is_killed_comes_back(up: Up, victim: str) -> None:
    """SIGKILL of the worker, or of the keeper of both services: soon a worker answers again."""
    eventually(up.answering)
    served = read(Home(up.home))
    assert served is not None
    os.kill(up.worker().pid if victim == "worker" else served.keeper.pid, signal.SIGKILL)
    time.sleep(1)

    eventually(up.answering, 60)


def test_code_of_the_current_folder_is_never_imported(up: Up) -> None:
    """A repository with a `workers`, a `celeryconfig` or an `atra` of its own is safe to stand in."""
    eventually(up.answering)

    assert list(up.repository.rglob("imported")) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything_within_ten_seconds(own_up: Up, number: signal.Signals) -> None:
    """In order: exit code 0, no process, no record."""
    info = own_up.info()
    eventually(lambda: listening(info.redis_url) == 1)
    began = time.monotonic()
    own_up.process.send_signal(number)
    code = own_up.process.wait(20)

    assert (code, time.monotonic() - began < 10) == (0, True)
    assert processes_of(own_up.home) == []
    assert running_stack(own_up.home) is None
    assert not (own_up.home / "stack.json").exists()


def test_nothing_survives_a_killed_supervisor(own_up: Up) -> None:
    """SIGKILL of the stack's own process ends workers and services, and the next start finds nothing in its way."""
    info = own_up.info()
    eventually(lambda: listening(info.redis_url) == 1)
    own_up.process.kill()
    own_up.process.wait()

    eventually(lambda: not processes_of(own_up.home))
    assert running_stack(own_up.home) is None
    with addressed(Settings(home=own_up.home)) as found:
        assert found.redis_url is not None


def test_children_get_the_very_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting goes through the environment and comes back equal, wherever the child runs."""
    repository = RepositorySettings(path=tmp_path, test_command="pytest -q", protected=("*.sql",))
    model = ModelSettings(provider="openai", model="gpt-x", api_key=SecretStr("canary"), input_usd=1.5)
    settings = Settings(
        home=tmp_path,
        message_key="k" * 20,
        lease_s=3.5,
        repositories={"shop": repository},
        models={"main": model},
        experts={"law": {"department": "Law", "prompt": "Look for what is forbidden."}},
        war_room={"question": ("ml", "risk", "law"), "quiet_hours": (22, 6)},
    )
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir("/")

    assert json.loads(environment_of(settings)["ATRA_REPOSITORIES"])["shop"]["protected"] == ["*.sql"]
    assert Settings() == settings
