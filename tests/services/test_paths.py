"""What the orchestrator decided is kept with all it knew, and what it asks goes by the database's clock."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from atra.core.clock import utc_now
from atra.core.runs import Ending, Opening, new_id
from atra.core.settings import Settings
from atra.orchestrator.paths import Path, Situation
from atra.self_repair.records import Report
from atra.storage.paths import row_of
from atra.wiring import Wiring
from workers.pipelines import delivery

REPORT = Report("shop", "KeyError", "'x'", (), "KeyError: 'x'", "celery", datetime(2031, 1, 1, tzinfo=UTC))
SITUATION = Situation(utc_now(), "repair", "KeyError came up", urgent=True, room_ended_at=utc_now())
WAIT = Path("wait", ("KeyError came up", "run r7 works on it"))
DAY = timedelta(days=1)


@pytest.fixture
def wired(settings: Settings) -> Wiring:
    return Wiring(settings)


def reported(wired: Wiring, count: int, *, ids: bool) -> str:
    """Record so many reports of one failure, each with an id of its own or none with any; return the failure's id."""
    for _ in range(count):
        report = replace(REPORT, id=new_id("i") if ids else "")
        failure = wired.failures.record(report, "f" * 64, "repair", "KeyError came up")
    return failure.id


def age(wired: Wiring, table: str, column: str, hours: int, where: str = "true") -> None:
    with wired.engine.begin() as db:
        db.execute(text(f"UPDATE {table} SET {column} = {column} - interval '{hours} hours' WHERE {where}"))


def test_a_decision_comes_back_as_it_was_taken(wired: Wiring):
    """With every reason and every fact, the newest first, and by the run that it started."""
    failure_id = reported(wired, 1, ids=True)
    run = wired.runs.open(new_id("d"), delivery(), {}, failure_id)
    wired.paths.take(failure_id, WAIT, SITUATION)
    wired.paths.take(failure_id, Path("war_room", ("it is urgent",)), SITUATION, run.id)

    newest, oldest = wired.paths.of(failure_id)
    assert (newest.name, newest.reasons, newest.run_id) == ("war_room", ("it is urgent",), run.id)
    assert (oldest.name, oldest.reasons, oldest.run_id) == ("wait", WAIT.reasons, None)
    assert oldest.situation == SITUATION
    assert wired.paths.of_run(run.id) == newest
    assert wired.paths.of_run("r7") is None
    assert wired.paths.of(failure_id, limit=1) == [newest]


def test_a_decision_stands_or_falls_with_the_run_that_it_starts(wired: Wiring):
    """It is kept in the transaction that opens the run, once, and not at all where another run was first."""
    failure_id = reported(wired, 1, ids=True)
    decided = row_of(Path("repair", ("KeyError came up",)), SITUATION)
    run_id = new_id("r")

    for _ in range(2):
        wired.runs.open(run_id, delivery(), {}, failure_id, decided=decided)
    with pytest.raises(Exception, match="already being worked on"):
        wired.runs.open(new_id("r"), delivery(), {}, failure_id, decided=decided)

    assert [(one.name, one.run_id) for one in wired.paths.of(failure_id)] == [("repair", run_id)]


def test_a_run_that_follows_another_brings_its_decision(wired: Wiring):
    """The ending of the one, the opening of the other and the decision for it are one transaction."""
    failure_id = reported(wired, 1, ids=True)
    run = wired.runs.open(new_id("d"), delivery(), {}, failure_id)
    decided = row_of(Path("war_room", ("a repair ended without a fix",)), SITUATION)
    claim = wired.runs.claim(run.id, "deliver", 0, owner="me", lease_s=30, max_attempts=5)
    room = Opening(new_id("m"), delivery(), {}, failure_id, decided)

    wired.runs.settle(claim, None, Ending("not_fixed", "nothing passed", room))

    told = wired.paths.of_run(room.run_id)
    assert told
    assert (told.name, told.failure_id, told.situation) == ("war_room", failure_id, SITUATION)


def test_what_started_nothing_is_forgotten_in_the_end(wired: Wiring):
    """Of decisions to wait the newest 200 of a failure stay; those that started a run stay all."""
    failure_id = reported(wired, 1, ids=True)
    run = wired.runs.open(new_id("d"), delivery(), {}, failure_id)
    wired.paths.take(failure_id, Path("repair", ("first",)), SITUATION, run.id)
    for number in range(203):
        wired.paths.take(failure_id, Path("wait", (str(number),)), SITUATION)

    kept = wired.paths.of(failure_id, 1000)
    assert [one.reasons[0] for one in kept] == [str(number) for number in range(202, 2, -1)] + ["first"]


@pytest.mark.parametrize("ids", [True, False])
def test_reports_of_a_young_failure_all_count(wired: Wiring, ids: bool):
    """Whether they have ids or not: it was seen first within the window."""
    failure_id = reported(wired, 3, ids=ids)

    assert wired.paths.lately(failure_id, DAY)[1] == 3


def test_of_an_older_failure_only_reports_with_an_id_and_a_time_count(wired: Wiring):
    """One without an id has no time of its own, and what came before the window is over."""
    failure_id = reported(wired, 4, ids=True)
    reported(wired, 5, ids=False)
    age(wired, "failures", "first_seen_at", 30)
    assert wired.paths.lately(failure_id, DAY)[1] == 4

    first = "id = (SELECT min(id) FROM reports)"
    age(wired, "reports", "received_at", 25, first)
    assert wired.paths.lately(failure_id, DAY)[1] == 3
    assert wired.paths.lately(failure_id, 2 * DAY)[1] == 9

    age(wired, "reports", "received_at", 25)
    assert wired.paths.lately(failure_id, DAY)[1] == 1


def test_time_is_the_databases(wired: Wiring):
    """When something failed by the clock of where it did, five years on here, changes nothing."""
    failure_id = reported(wired, 2, ids=True)
    with wired.engine.begin() as db:
        before = db.execute(text("SELECT clock_timestamp()")).scalar_one()

    at, count = wired.paths.lately(failure_id, timedelta(minutes=1))

    assert before <= at < before + timedelta(minutes=1)
    assert count == 2
