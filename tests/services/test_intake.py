"""When a reported failure starts a repair, and when it does not."""

from pathlib import Path

import pytest

from atra.core.clock import utc_now
from atra.core.records import to_json
from atra.core.runs import Ending, new_id
from atra.core.settings import Settings
from atra.meta_architect.records import Target
from atra.self_repair.records import Report, ReportFrame
from atra.wiring import Wiring
from workers.intake import _why_not_now, take_in
from workers.pipelines import self_repair

TARGET = Target(repository="shop", path="/shop", revision="a" * 40)
OTHER = Target(repository="shop", path="/shop", revision="b" * 40)


@pytest.fixture
def wired(settings: Settings, tmp_path: Path) -> Wiring:
    return Wiring(settings.model_copy(update={"max_open_runs": 2, "max_attempts": 2}))


@pytest.fixture
def failure(wired: Wiring):
    report = Report("shop", "KeyError", "'x'", (), "KeyError: 'x'", "celery", utc_now())
    return wired.failures.record(report, "f" * 64, "repair", "a mistake in the code")


def run_of(wired: Wiring, failure_id: str | None, outcome: str | None = None) -> str:
    """Open a run at the target's revision and, with an outcome, end it."""
    run = wired.runs.open(new_id("r"), self_repair(1), to_json(TARGET), failure_id)
    if outcome:
        claim = wired.runs.claim(run.id, "reproduce", 0, owner="me", lease_s=30, max_attempts=5)
        wired.runs.settle(claim, None, Ending(outcome, outcome))
    return run.id


def test_a_failure_is_tried_once_per_revision(wired: Wiring, failure):
    """What was tried at this revision is not tried again there, and is at the next one."""
    run_id = run_of(wired, failure.id, "not_fixed")

    assert run_id in _why_not_now(wired, failure, TARGET)
    assert _why_not_now(wired, failure, OTHER) == ""


def test_a_run_that_ended_in_an_error_is_no_try_but_not_for_ever(wired: Wiring, failure):
    """An outage does not forfeit the repair; what ends in an error again and again is left."""
    run_of(wired, failure.id, "error")
    assert _why_not_now(wired, failure, TARGET) == ""

    run_of(wired, failure.id, "error")
    assert "2 runs" in _why_not_now(wired, failure, TARGET)


def test_many_failures_at_once_do_not_open_a_run_each(wired: Wiring, failure):
    """Beyond the limit of open runs a failure is counted and no repair is started."""
    run_of(wired, None)
    assert _why_not_now(wired, failure, TARGET) == ""

    run_of(wired, None)
    assert "ATRA_MAX_OPEN_RUNS" in _why_not_now(wired, failure, TARGET)


def test_a_report_for_a_repository_that_is_not_configured_waits_for_nothing(wired: Wiring):
    """It is kept, for who sent it cannot be told; and nobody reads that a repair is on its way."""
    frames = (ReportFrame("shop/cart.py", 6, "total", in_app=True),)

    taken = take_in(wired, Report("nope", "TypeError", "'x'", frames, "TypeError: 'x'", "celery", utc_now()))

    assert taken.run is None
    assert (taken.failure.path, taken.failure.reason) == ("report", "No repository named nope is configured.")
    assert wired.failures.get(taken.failure.id) == taken.failure
