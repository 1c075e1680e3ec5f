"""Which path a reported failure takes, what is started for it, and what is kept of the choice."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Thread

import pytest
from celery import Signature
from sqlalchemy import text

from atra.core.clock import utc_now
from atra.core.records import from_json, to_json
from atra.core.runs import Ending, Plan, Run, new_id
from atra.core.settings import ModelSettings, RepositorySettings, Settings, WarRoomSettings
from atra.meta_architect.records import Target
from atra.repository import Repository
from atra.self_repair.records import Report, ReportFrame
from atra.war_room.seats import HINTS, asked_of
from atra.wiring import use
from tests.targets import git, small_shop
from workers.app import app
from workers.intake import Taken, take_in
from workers.orchestrator import escalating, rules_of
from workers.pipelines import canvas, self_repair
from workers.rooms import room_after
from workers.targets import make_target
from workers.task import run_step

FRAMES = (ReportFrame("shop/pricing.py", 6, "share_off", in_app=True),)
REPORT = Report("shop", "ValueError", "too few", FRAMES, "ValueError: too few", "celery", utc_now())
ROOM = Plan("war_room", (("convene", 1),))


class Shop:
    """A configured repository, and a stack of which only the workers are missing."""

    def __init__(self, settings: Settings, root: Path) -> None:
        self.root = small_shop(root)
        known = {"shop": RepositorySettings(path=self.root)}
        self.settings = settings.model_copy(update={"repositories": known, "max_open_runs": 2, "max_attempts": 2})
        self.wired = use(self.settings)

    def configure(self, **war_room: object) -> None:
        told = {"war_room": WarRoomSettings.model_validate(war_room)}
        self.settings = self.settings.model_copy(update=told)
        self.wired = use(self.settings)

    def report(self, **changes: object) -> Taken:
        return take_in(self.wired, replace(REPORT, **{"id": new_id("i"), **changes}))

    def target(self) -> Target:
        return make_target(Repository.open(self.root), self.settings, budget_s=60)

    def end(self, run: Run | None, outcome: str) -> Run:
        """End an open run at its first step."""
        assert run
        name = self.wired.runs.steps(run.id)[0].name
        claim = self.wired.runs.claim(run.id, name, 0, owner="me", lease_s=30, max_attempts=5)
        self.wired.runs.settle(claim, None, Ending(outcome, outcome))
        return self.wired.runs.get(run.id)

    def ran(self, failure_id: str | None, outcome: str, plan: Plan | None = None, **given: object) -> Run:
        """Open a run at the checked out revision, and end it."""
        opened = self.wired.runs.open(
            new_id("r"), plan or self_repair(1), {**to_json(self.target()), **given}, failure_id
        )
        return self.end(opened, outcome)

    def move_on(self) -> None:
        (self.root / "notes.txt").write_text(f"{new_id('n')}\n")
        git(self.root, "add", "-A")
        git(self.root, "commit", "-q", "-m", "Go on")

    def hours_pass(self, hours: int) -> None:
        """Let all that has happened have happened so much earlier, by the database's clock."""
        moved = {"failures": ["first_seen_at"], "reports": ["received_at"], "runs": ["created_at", "ended_at"]}
        with self.wired.engine.begin() as db:
            for table, columns in moved.items():
                for column in columns:
                    db.execute(text(f"UPDATE {table} SET {column} = {column} - interval '{hours} hours'"))

    def paths(self, taken: Taken) -> list[tuple[str, str | None]]:
        return [(one.name, one.run_id) for one in self.wired.paths.of(taken.failure.id)]


@pytest.fixture
def shop(settings: Settings, redis_url: str, tmp_path: Path) -> Iterator[Shop]:
    """The shop, in a process that can speak to the real broker."""
    before = app.conf.broker_url
    app.conf.broker_url = redis_url
    yield Shop(settings, tmp_path / "shop")
    app.conf.broker_url = before


def test_a_new_failure_is_repaired_and_the_reason_kept(shop: Shop):
    """The choice stands with the run, and with what was known."""
    taken = shop.report()

    assert taken.run
    assert (taken.run.kind, taken.run.failure_id) == ("self_repair", taken.failure.id)
    kept = shop.wired.paths.of_run(taken.run.id)
    assert kept
    assert (kept.name, kept.failure_id, kept.reasons) == ("repair", taken.failure.id, (taken.why,))
    assert (kept.situation.reports, kept.situation.triaged, kept.situation.open_run) == (1, "repair", None)


def test_an_urgent_failure_is_for_more_than_one(shop: Shop):
    """A room is opened on it at the revision that is checked out, its decision starts a repair, and it is sent."""
    taken = shop.report(urgent=True)

    assert taken.run
    assert (taken.run.kind, taken.run.failure_id) == ("war_room", taken.failure.id)
    assert (taken.run.id[0], shop.wired.runs.get(taken.run.id).dispatches) == ("m", 1)
    asked = asked_of(taken.run.input)
    assert asked.repair
    assert "ValueError: too few" in asked.question
    assert {seat.kind for seat in asked.seats} == {"evidence"}
    assert from_json(Target, taken.run.input).revision == git(shop.root, "rev-parse", "HEAD")
    assert "it is urgent" in taken.why
    assert shop.paths(taken) == [("war_room", taken.run.id)]


def test_what_an_urgent_failure_starts_waits_in_a_queue_of_its_own(shop: Shop):
    """Each step of it, those of a chord too; what is not urgent waits with its kind."""
    queues = {}
    for urgent in (True, False):
        taken = shop.report(urgent=urgent, error_type="KeyError" if urgent else "ValueError")
        assert taken.run
        links = canvas(app, taken.run, shop.wired.runs.steps(taken.run.id))
        assert links is not None
        queues[urgent] = {one.options.get("queue") for one in every_task(links)}

    assert queues == {True: {"urgent"}, False: {None}}


def every_task(links: Signature) -> Iterator[Signature]:
    """Yield the tasks of a canvas, however they are nested."""
    parts = [*getattr(links, "tasks", ()), *filter(None, [getattr(links, "body", None)])]
    if not parts:
        yield links
    for part in parts:
        yield from every_task(part)


def test_a_failure_that_comes_again_and_again_is_for_more_than_one(shop: Shop):
    """From the configured number of reports within the window on; the repair that was tried is no hindrance."""
    shop.configure(recurrences=3, unresolved=9)
    first = shop.report()
    shop.end(first.run, "not_fixed")
    second = shop.report()

    third = shop.report()

    assert second.run is None
    assert first.run
    assert first.run.id in second.why
    assert third.run
    assert third.run.kind == "war_room"
    assert [name for name, _ in shop.paths(third)] == ["war_room", "wait", "repair"]


def test_what_came_before_the_window_is_over(shop: Shop):
    """The third report within two days is the first within one: it is repaired at the next revision."""
    shop.configure(recurrences=3, unresolved=1)
    first = shop.report()
    shop.report()
    shop.end(first.run, "not_fixed")
    shop.hours_pass(25)
    shop.move_on()

    taken = shop.report()

    assert taken.run
    assert taken.run.kind == "self_repair"


def test_a_repair_that_resolved_nothing_leads_to_a_room(shop: Shop):
    """At the next revision, too; one that was followed by a fix does not."""
    taken = shop.report()
    shop.end(taken.run, "not_fixed")
    shop.move_on()
    shop.ran(taken.failure.id, "fixed")
    shop.move_on()
    repaired = shop.report()
    shop.end(repaired.run, "not_fixed")
    shop.move_on()
    convened = shop.report()

    assert repaired.run
    assert convened.run
    assert (repaired.run.kind, convened.run.kind) == ("self_repair", "war_room")
    assert "a repair within 24 h ended without a fix" in convened.why


def test_two_reports_at_once_start_one_run(shop: Shop):
    """Whoever comes second waits, and both decisions are kept."""
    barrier, taken = Barrier(2), []

    def come() -> None:
        barrier.wait()
        taken.append(shop.report(urgent=True))

    threads = [Thread(target=come) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    runs = [one.run for one in taken if one.run]
    assert len(taken) == 2
    assert [run.kind for run in runs] == ["war_room"]
    assert sorted(name for name, _ in shop.paths(taken[0])) == ["wait", "war_room"]
    assert any(runs[0].id in one.why for one in taken if one.run is None)


def test_who_comes_while_a_room_is_under_way_waits(shop: Shop):
    """One fingerprint has one open run of any kind."""
    room = shop.report(urgent=True)
    taken = shop.report(urgent=True)

    assert room.run
    assert taken.run is None
    assert f"run {room.run.id} works on it" in taken.why
    assert shop.paths(taken) == [("wait", None), ("war_room", room.run.id)]


def test_a_room_is_convened_once_a_revision_and_then_a_repair_tried(shop: Shop):
    """What neither of them settled is for a person, whom the failure tells; the next revision is looked at anew."""
    room = shop.report(urgent=True)
    shop.end(room.run, "no_consensus")
    repair = shop.report()
    shop.end(repair.run, "not_fixed")

    last = shop.report()

    assert repair.run
    assert repair.run.kind == "self_repair"
    assert last.run is None
    assert last.failure.path == "report"
    assert "a war-room at this revision is over, too" in last.failure.reason
    shop.hours_pass(2)
    shop.move_on()
    again = shop.report()
    assert again.run
    assert again.run.kind == "war_room"


def test_a_room_that_was_cancelled_was_not_held(shop: Shop):
    """Nobody was heard, whether a person called it off or no broker could be told: the next report convenes another."""
    first = shop.report(urgent=True)
    assert first.run
    shop.wired.runs.cancel(first.run.id)

    second = shop.report()

    assert second.run
    assert second.run.kind == "war_room"


@pytest.mark.parametrize(("day_usd", "models"), [(20.0, True), (0.5, False)])
def test_models_sit_in_a_room_that_the_day_can_pay(shop: Shop, day_usd: float, models: bool):
    """Where the day has less left than a room may cost, evidence alone is heard, and that is said."""
    given = {"provider": "openai-compatible", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    main = ModelSettings.model_validate({**given, "input_usd": 2.0, "output_usd": 8.0})
    shop.settings = shop.settings.model_copy(update={"models": {"main": main}, "day_usd": day_usd})
    shop.configure(room_usd=1.0)

    taken = shop.report(urgent=True)

    assert taken.run
    assert any(seat.kind == "model" for seat in asked_of(taken.run.input).seats) == models
    assert ("0.50 USD are left today" in taken.why) != models


def test_rooms_keep_a_distance(shop: Shop):
    """Within the cool-down the next revision is repaired at once, without a room."""
    shop.configure(cool_down_s=3600)
    shop.end(shop.report(urgent=True).run, "no_consensus")
    shop.move_on()

    taken = shop.report(urgent=True)

    assert taken.run
    assert taken.run.kind == "self_repair"
    assert "a room on it ended" in taken.why


def test_quiet_hours_are_those_of_the_settings(shop: Shop):
    """All day long here: what is not urgent is repaired, what is urgent is not held back."""
    shop.configure(recurrences=1, quiet_hours=(0, 24))
    quiet = shop.report()
    urgent = shop.report(urgent=True, message="far too many", error_type="KeyError")

    assert quiet.run
    assert urgent.run
    assert (quiet.run.kind, urgent.run.kind) == ("self_repair", "war_room")
    assert "quiet hours (00-24 UTC)" in quiet.why


def test_rules_are_those_of_the_settings(shop: Shop):
    """Each setting of `[war_room]` reaches the decision, and so do the limits of runs."""
    shop.configure(window_s=60, recurrences=7, unresolved=3, cool_down_s=5, quiet_hours=(22, 6), room_usd=0.25)
    rules = rules_of(shop.settings)

    assert (rules.window, rules.cool_down) == (timedelta(minutes=1), timedelta(seconds=5))
    assert (rules.recurrences, rules.unresolved, rules.quiet_hours, rules.room_usd) == (7, 3, (22, 6), 0.25)
    assert (rules.most_open_runs, rules.most_errors) == (2, 2)


def test_a_room_that_cannot_be_filled_costs_no_report(shop: Shop):
    """Experts that nobody knows are a mistake in the settings: the failure is repaired without them, which is told."""
    shop.configure(code=["nobody", "no one", "none"])

    taken = shop.report(urgent=True)

    assert taken.run
    assert taken.run.kind == "self_repair"
    assert "no room can be convened: " in taken.why
    kept = shop.wired.paths.of_run(taken.run.id)
    assert kept
    assert "nobody" in kept.situation.no_room


def test_a_failure_is_tried_once_per_revision(shop: Shop):
    """What was tried at this revision is not tried again there, and is at the next one."""
    shop.configure(unresolved=9)
    taken = shop.report()
    run = shop.end(taken.run, "not_fixed")
    same = shop.report()
    shop.move_on()
    other = shop.report()

    assert (same.run, run.id in same.why) == (None, True)
    assert other.run
    assert other.run.kind == "self_repair"


def test_a_run_that_ended_in_an_error_is_no_try_but_not_for_ever(shop: Shop):
    """An outage does not forfeit the repair; what ends in an error again and again is left."""
    shop.end(shop.report().run, "error")
    again = shop.report()
    shop.end(again.run, "error")
    left = shop.report()

    assert again.run
    assert left.run is None
    assert "2 runs at this revision ended without a result" in left.why


@pytest.mark.parametrize("urgent", [False, True])
def test_many_failures_at_once_do_not_open_a_run_each(shop: Shop, urgent: bool):
    """Beyond the limit of open runs a failure is counted and nothing is started, however urgent it is."""
    for name in ("KeyError", "IndexError"):
        assert shop.report(error_type=name).run

    taken = shop.report(urgent=urgent)

    assert taken.run is None
    assert "2 runs are open already (ATRA_MAX_OPEN_RUNS)" in taken.why
    assert shop.paths(taken) == [("wait", None)]


def test_a_report_for_a_repository_that_is_not_configured_waits_for_nothing(shop: Shop):
    """It is kept, for who sent it cannot be told; and nobody reads that a repair is on its way."""
    taken = shop.report(repository="nope", urgent=True)

    assert taken.run is None
    assert (taken.failure.path, taken.failure.reason) == ("report", "No repository named nope is configured.")
    assert shop.wired.failures.get(taken.failure.id) == taken.failure
    assert shop.paths(taken) == [("report", None)]


def test_what_is_not_the_codes_fault_starts_nothing(shop: Shop):
    """Unless it is urgent or comes again and again; what triage said of it stays said."""
    refused = {"error_type": "ConnectionRefusedError", "message": "no route"}
    once, urgent = shop.report(**refused), shop.report(**refused, urgent=True)

    assert once.run is None
    assert (once.failure.path, shop.paths(once)[-1]) == ("report", ("report", None))
    assert urgent.run
    assert urgent.run.kind == "war_room"


def repairing(shop: Shop, failure_id: str | None, outcome: str, **given: object) -> Run:
    """Carry out a repair whose step ends it like this, as a worker does."""
    run = shop.wired.runs.open(new_id("r"), self_repair(1), {**to_json(shop.target()), **given}, failure_id)
    run_step("reproduce", run.id, 0, escalating(lambda work: (None, Ending(outcome, "no patch held"))))
    return shop.wired.runs.get(run.id)


@pytest.fixture
def failure_id(shop: Shop) -> str:
    """A failure whose first repair was called off."""
    taken = shop.report()
    assert taken.run
    shop.wired.runs.cancel(taken.run.id)
    return taken.failure.id


def test_a_repair_that_fixed_nothing_is_followed_by_a_room(shop: Shop, failure_id: str):
    """It opens as the repair ends, at the same revision, with the reasons; a report that comes now waits for it."""
    run = repairing(shop, failure_id, "not_fixed")

    room = shop.wired.runs.get(room_after(run.id))
    assert (run.outcome, room.kind, room.state, room.failure_id) == ("not_fixed", "war_room", "open", failure_id)
    assert room.input["revision"] == run.input["revision"]
    assert asked_of(room.input).repair
    told = shop.wired.paths.of_run(room.id)
    assert told
    assert told.reasons == ("no patch held", "a repair within 24 h ended without a fix")
    assert (told.situation.unresolved, told.situation.open_run) == (1, None)
    assert room.id in shop.report().why


def test_a_repair_with_hints_escalates_no_further(shop: Shop, failure_id: str):
    """A person is asked, and told what was tried."""
    shop.ran(failure_id, "decided", ROOM)
    shop.hours_pass(2)

    repairing(shop, failure_id, "not_fixed", **{HINTS: {}})

    failure = shop.wired.failures.get(failure_id)
    assert (failure.path, failure.reason) == (
        "report",
        "a war-room and the repair with its hints ended without a fix",
    )
    assert [run for run in shop.wired.runs.recent(9, failure_id=failure_id) if run.state == "open"] == []
    assert shop.wired.paths.of(failure_id)[0].name == "report"


@pytest.mark.parametrize("outcome", ["fixed", "nothing_to_repair", "error"])
def test_only_what_was_not_fixed_escalates(shop: Shop, failure_id: str, outcome: str):
    """The other endings are endings."""
    run = repairing(shop, failure_id, outcome)

    assert run.outcome == outcome
    assert [one for one in shop.wired.runs.recent(9) if one.kind == "war_room"] == []


def test_a_repair_that_nobody_reported_escalates_to_nobody(shop: Shop):
    """Who asked for it by hand reads the outcome."""
    run = repairing(shop, None, "not_fixed")

    assert [one.id for one in shop.wired.runs.recent(9)] == [run.id]


@pytest.mark.parametrize("lost", ["failures", "paths"])
def test_an_orchestrator_in_trouble_costs_no_repair_its_end(shop: Shop, failure_id: str, lost: str):
    """The outcome is written down as it is."""
    shop.wired.__dict__[lost] = None  # whatever is asked of it fails

    run = repairing(shop, failure_id, "not_fixed")

    assert (run.state, run.outcome, run.reason) == ("ended", "not_fixed", "no patch held")


def test_in_quiet_hours_nobody_is_woken_by_a_repair(shop: Shop, failure_id: str):
    """The choice is kept all the same, and the next report out of these hours finds a room."""
    shop.configure(quiet_hours=(0, 24))
    repairing(shop, failure_id, "not_fixed")
    waited = shop.wired.paths.of(failure_id)[0]
    shop.configure()

    taken = shop.report()

    assert (waited.name, waited.run_id) == ("wait", None)
    assert "these are quiet hours (00-24 UTC)" in waited.reasons
    assert taken.run
    assert taken.run.kind == "war_room"
