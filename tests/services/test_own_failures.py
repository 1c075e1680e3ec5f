"""ATRA repairs itself: a worker that runs a copy of ATRA with a bug in it finds, and mends, the bug on a branch."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from atra.cli.stack import environment_of
from atra.core.clock import utc_now
from atra.core.errors import BadInput
from atra.core.records import to_json
from atra.core.settings import RepositorySettings, Settings
from atra.self_repair.records import Report
from atra.wiring import Wiring
from tests.services.watching import eventually
from tests.targets import git
from workers.app import make_app
from workers.own_failures import Storm, own_failure

ROOT = Path(__file__).parents[2]
TESTS = "tests/unit/self_repair/test_triage.py"
SUSPECT = "atra/self_repair/triage.py"
RIGHT = 'return Decision("repair", f"the test {report.test} fails with {own[0]}")'
PLANTED = 'first = own[1]\n        return Decision("repair", f"the test {report.test} fails with {first}")'


def copy_of_atra(root: Path) -> Path:
    """Make a repository of ATRA's code as it is here, with a bug that shows when a failing test is reported."""
    for folder in ("atra", "workers", "migrations"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (root / TESTS).parent.mkdir(parents=True)
    for path in ("celeryconfig.py", "setup.cfg", TESTS):
        shutil.copy(ROOT / path, root / path)
    text = (root / SUSPECT).read_text()
    assert RIGHT in text
    (root / SUSPECT).write_text(text.replace(RIGHT, PLANTED))
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "First state")
    return root


@contextmanager
def worker(copy: Path, settings: Settings, log: Path) -> Iterator[None]:
    """Run a worker from the copy's code, which is ahead of the installed one."""
    environment = {**os.environ, **environment_of(settings), "PYTHONPATH": str(copy)}
    command = (sys.executable, "-m", "celery", "-A", "workers.app", "worker", "-Q", "repair,maintenance", "-c", "2")
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=copy, env=environment, stdout=out, stderr=out)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def test_a_bug_in_atra_is_repaired_on_a_branch_and_goes_no_further(settings: Settings, tmp_path: Path):
    """The task that fails is a real one; `merge` is configured, and what was checked out stays as it was."""
    copy = copy_of_atra(tmp_path / "copy")
    entry = RepositorySettings(path=copy, test_command=f"pytest {TESTS}", policy="merge", allowed=("**",))
    settings = settings.model_copy(update={"repositories": {"atra": entry}})
    before = git(copy, "rev-parse", "main")
    reported = Report("shop", "KeyError", "'x'", (), "KeyError", "pytest", utc_now(), test="tests/test_a.py::test_a")
    runs, log = Wiring(settings).runs, tmp_path / "worker.log"

    with worker(copy, settings, log):
        make_app(settings).send_task("self_repair.receive", (to_json(reported),), ignore_result=True)
        eventually(lambda: bool(runs.recent(5)), 60)
        run = runs.recent(5)[0]
        eventually(lambda: runs.get(run.id).state == "ended", 120)

    run = runs.get(run.id)
    assert (run.outcome, run.input["repository"]) == ("fixed", "atra"), log.read_text()[-5000:]
    assert [one.kind for one in runs.recent(5)] == ["self_repair"]
    assert git(copy, "diff", "--name-only", "main", f"atra/repair-{run.id}") == SUSPECT
    assert git(copy, "rev-parse", "main") == before
    failure = Wiring(settings).failures.get(run.failure_id or "")
    assert (failure.repository, failure.error_type, failure.state) == ("atra", "IndexError", "repaired")


def failed(error: Exception) -> tuple[Exception, object]:
    try:
        raise error
    except Exception as raised:
        return raised, raised.__traceback__


@pytest.fixture
def wired(settings: Settings, tmp_path: Path) -> Wiring:
    """A process that is to repair ATRA, whose checkout is not there: what is reported is counted, no run is started."""
    return Wiring(settings.model_copy(update={"repositories": {"atra": RepositorySettings(path=tmp_path / "gone")}}))


def test_what_atra_raises_on_purpose_is_not_its_bug(wired: Wiring):
    """A wrong input is its giver's; an error without a traceback tells of no code."""
    assert own_failure(wired, *failed(BadInput("x")), task="author.plan") is None
    assert own_failure(wired, KeyError("x"), None, task="author.plan") is None
    assert own_failure(wired, *failed(KeyError("own")), task="author.plan")


def test_nothing_is_reported_unless_the_repository_atra_is_configured(settings: Settings):
    """Somebody who has no checkout of ATRA hears of its bugs by its log."""
    wired = Wiring(settings)

    assert own_failure(wired, *failed(KeyError("unconfigured")), task="author.plan") is None
    assert wired.failures.recent(5) == []


def test_a_storm_is_one_report(wired: Wiring):
    """The same failure a thousand times is taken in once, and again when a while has passed."""
    raised, trace = failed(ZeroDivisionError("storm"))
    ids = [own_failure(wired, raised, trace, task="author.plan") for _ in range(1000)]

    assert [known for known in ids if known] == ids[:1]
    assert [failure.count for failure in wired.failures.recent(5)] == [1]


def test_a_kind_that_was_held_back_is_counted():
    """Each kind by itself, and the first after the while tells how many there were."""
    storm = Storm(every_s=60)

    assert [storm.held("a", 0.0), storm.held("a", 1.0), storm.held("b", 1.0), storm.held("a", 59.0)] == [
        0,
        None,
        0,
        None,
    ]
    assert storm.held("a", 60.0) == 2
