"""Runs and steps in the real database: claims, leases, fences, settling, and what the sweeper takes."""

import threading
import time

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from atra.core.clock import utc_now
from atra.core.errors import AmbiguousRun, LeaseLost, RunConflict, UnknownRun
from atra.core.runs import Claim, Ending, Opening, Plan, Refusal, new_id
from atra.core.settings import Settings
from atra.self_repair.records import Report
from atra.storage.database import connect, transaction
from atra.storage.failures import FailureStore
from atra.storage.runs import RunStore

PLAN = Plan("self_repair", (("first", 1), ("try", 2), ("last", 1)))


@pytest.fixture
def store(settings: Settings) -> RunStore:
    return RunStore(connect(settings.database_url.get_secret_value()), patience_s=0.3)


@pytest.fixture
def run(store: RunStore):
    return store.open(new_id("r"), PLAN, {"path": "/shop"})


@pytest.fixture
def failure_id(settings: Settings) -> str:
    report = Report("shop", "KeyError", "'x'", (), "KeyError: 'x'", "celery", utc_now())
    failures = FailureStore(connect(settings.database_url.get_secret_value()))
    return failures.record(report, new_id("fingerprint-"), "repair", "a bug").id


def claim(store: RunStore, run, name: str = "first", shard: int = 0, *, lease_s: float = 30, attempts: int = 5):
    return store.claim(run.id, name, shard, owner="me", lease_s=lease_s, max_attempts=attempts)


def do(store: RunStore, run, name: str, shard: int = 0, output: object = None) -> None:
    taken = claim(store, run, name, shard)
    assert isinstance(taken, Claim)
    store.settle(taken, output)


def test_a_run_opens_with_all_its_steps(store: RunStore, run):
    """Each shard of each step is there from the start, ready, in order."""
    steps = store.steps(run.id)

    assert [(step.name, step.shard, step.position, step.state) for step in steps] == [
        ("first", 0, 0, "ready"), ("try", 0, 1, "ready"), ("try", 1, 1, "ready"), ("last", 0, 2, "ready")
    ]  # fmt: skip


def test_opening_twice_changes_nothing(store: RunStore, run):
    """The same id opened again gives the run as it is."""
    do(store, run, "first")

    again = store.open(run.id, PLAN, {"path": "/other"})

    assert again.input == {"path": "/shop"}
    assert [step.state for step in store.steps(run.id)].count("settled") == 1


def test_only_one_of_many_claims_succeeds(store: RunStore, run):
    """Of eight workers that claim a step at once, one gets it."""
    taken: list[object] = []
    together = threading.Barrier(8)

    def worker() -> None:
        together.wait()
        taken.append(claim(store, run))

    threads = [threading.Thread(target=worker) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(isinstance(one, Claim) for one in taken) == 1
    assert sum(one == Refusal("leased") for one in taken) == 7


def test_a_step_waits_for_those_before_it(store: RunStore, run):
    """A step is refused as early until every shard before it is settled."""
    assert claim(store, run, "last") == Refusal("early")
    do(store, run, "first")
    do(store, run, "try", 0)

    assert claim(store, run, "last") == Refusal("early")
    do(store, run, "try", 1)
    assert isinstance(claim(store, run, "last"), Claim)


def test_a_settled_step_is_refused_as_settled(store: RunStore, run):
    """A copy that comes later has nothing to do, and the output is kept."""
    do(store, run, "first", output={"n": 1})

    assert claim(store, run) == Refusal("settled")
    assert store.outputs(run.id, "first") == [{"n": 1}]


def test_a_stale_fence_can_neither_settle_nor_beat(store: RunStore, run):
    """A worker whose lease ran out and whose step was taken over writes nothing any more."""
    slow = claim(store, run, lease_s=0.1)
    time.sleep(0.2)
    quick = claim(store, run)
    assert isinstance(slow, Claim)
    assert isinstance(quick, Claim)

    with pytest.raises(LeaseLost):
        store.settle(slow, {"by": "slow"})
    assert not store.heartbeat(slow, 30).held
    store.settle(quick, {"by": "quick"})
    assert store.outputs(run.id, "first") == [{"by": "quick"}]


def test_a_heartbeat_extends_the_lease_and_keeps_the_progress(store: RunStore, run):
    """A step whose worker is heard of is not given away."""
    taken = claim(store, run, lease_s=0.4)
    for _ in range(4):
        time.sleep(0.2)
        assert store.heartbeat(taken, 0.4, {"tried": 7}).held

    assert claim(store, run) == Refusal("leased")
    assert store.steps(run.id)[0].progress == {"tried": 7}


def test_a_step_that_kills_its_workers_is_poison(store: RunStore, run):
    """After the attempts allowed, the run ends with a reason instead of being tried for ever."""
    for _ in range(2):
        assert isinstance(claim(store, run, lease_s=0.05, attempts=2), Claim)
        time.sleep(0.1)

    assert claim(store, run, attempts=2) == Refusal("poison")
    ended = store.get(run.id)
    assert (ended.state, ended.outcome) == ("ended", "error")
    assert "first" in (ended.reason or "")
    assert claim(store, run) == Refusal("ended")


def test_a_poisoned_run_says_what_went_wrong_the_last_time(store: RunStore, run):
    """A step that gave itself back with an error leaves that error in the run's reason."""
    taken = claim(store, run, attempts=1)
    store.release(taken, {"type": "BoxFailed", "error": "no space left"})

    assert claim(store, run, attempts=1) == Refusal("poison")

    assert "no space left" in (store.get(run.id).reason or "")


def test_an_ending_is_written_with_the_output(store: RunStore, run):
    """The step that ends the run does both in one transaction, and what follows is refused as ended."""
    store.settle(claim(store, run), {"green": True}, Ending("nothing_to_repair", "all tests pass"))

    ended = store.get(run.id)
    assert (ended.state, ended.outcome, ended.reason) == ("ended", "nothing_to_repair", "all tests pass")
    assert ended.ended_at is not None
    assert claim(store, run, "try", 0) == Refusal("ended")


def test_output_that_postgresql_cannot_keep_does_not_cost_the_step(store: RunStore, run):
    """A test's text may hold a NUL or half a character: they are marked, and what only looks like them is kept."""
    do(store, run, "first", output={"said": "a\0b \ud800 \\u0000", "\0": 1})

    assert store.outputs(run.id, "first") == [{"said": "a\ufffdb ? \\u0000", "\ufffd": 1}]


def test_a_reason_that_postgresql_cannot_keep_ends_the_run_all_the_same(store: RunStore, run):
    """An error's text may come from the code that is repaired."""
    store.fail(claim(store, run), {"error": "nul \0"}, Ending("error", "nul \0"))

    assert store.get(run.id).reason == "nul \ufffd"


def test_a_statement_that_fails_does_not_list_what_it_was_given(store: RunStore):
    """What stands in a statement may be a secret, and errors are logged."""
    with pytest.raises(ProgrammingError) as caught, transaction(store._engine) as db:
        db.execute(text("SELECT no_such_column\nWHERE :given = 'x'"), {"given": "canary"})

    assert "canary" not in str(caught.value)


def test_a_released_step_can_be_claimed_at_once(store: RunStore, run):
    """A transient failure gives the step back and keeps the error."""
    store.release(claim(store, run), {"type": "BoxFailed", "error": "broken pipe"})

    again = claim(store, run)
    assert isinstance(again, Claim)
    assert again.attempt == 2


def test_a_run_nobody_works_on_is_due_and_one_with_a_lease_is_not(store: RunStore):
    """The sweeper takes what was sent and not heard of, and leaves alone what is held."""
    waiting = store.open(new_id("r"), PLAN, {})
    held = store.open(new_id("r"), PLAN, {})
    store.mark_sent(waiting.id)
    store.mark_sent(held.id)
    assert isinstance(claim(store, held), Claim)
    assert not {waiting.id, held.id} & {due.id for due in store.take_due()}

    time.sleep(0.5)

    taken = {due.id for due in store.take_due()}
    assert waiting.id in taken
    assert held.id not in taken
    assert waiting.id not in {due.id for due in store.take_due()}


def test_a_killed_workers_run_is_due_when_its_lease_ends(store: RunStore, run):
    """Recovery waits for the lease and not for the patience of sending."""
    patient = RunStore(store._engine, patience_s=60)
    patient.mark_sent(run.id)
    assert isinstance(claim(patient, run, lease_s=0.2), Claim)

    time.sleep(0.3)

    assert run.id in {due.id for due in patient.take_due()}


def test_what_a_dead_owner_held_is_free_at_once(store: RunStore, run):
    """And nothing else: the run is due, the step can be claimed, and the dead one's fence settles nothing."""
    do(store, run, "first")
    living, dead = claim(store, run, "try", 0), claim(store, run, "try", 1)
    other = store.claim(run.id, "try", 1, owner="other", lease_s=30, max_attempts=5)
    with transaction(store._engine) as db:
        db.execute(text("UPDATE steps SET owner = 'the dead one' WHERE name = 'try' AND shard = 1"))

    assert (other, store.forfeit(lambda owner: owner == "the dead one")) == (Refusal("leased"), 1)
    assert [one.id for one in store.take_due()] == [run.id]
    assert claim(store, run, "try", 0) == Refusal("leased")
    assert isinstance(claim(store, run, "try", 1), Claim)
    with pytest.raises(LeaseLost):
        store.settle(dead, None)
    store.settle(living, None)
    assert store.forfeit(lambda owner: True) == 1
    assert store.forfeit(lambda owner: True) == 0


@pytest.mark.parametrize("what", ["settle", "heartbeat", "release", "fail", "forfeit"])
def test_nobody_holds_a_step_while_waiting_for_its_run(store: RunStore, run, what: str):
    """The sweeper locks runs before steps; whoever did it the other way round would wait for it in a circle."""
    mine = claim(store, run)
    work = {
        "settle": lambda: store.settle(mine, None),
        "heartbeat": lambda: store.heartbeat(mine, 30),
        "release": lambda: store.release(mine, {}),
        "fail": lambda: store.fail(mine, {}, Ending("error", "no idea")),
        "forfeit": lambda: store.forfeit(lambda owner: True),
    }[what]
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with transaction(store._engine) as sweeper:
        sweeper.execute(text("SELECT id FROM runs WHERE id = :id FOR NO KEY UPDATE"), {"id": run.id})
        worker = threading.Thread(target=work)
        worker.start()
        until, waits = time.monotonic() + 10, 0
        while not waits and time.monotonic() < until:
            with transaction(store._engine) as eye:  # what one transaction sees of others' waiting stays as it was
                waits = eye.execute(text(waiting)).scalar_one()
        assert waits
        sweeper.execute(text("SELECT name FROM steps WHERE run_id = :id FOR UPDATE NOWAIT"), {"id": run.id})
    worker.join(10)
    assert not worker.is_alive()


def test_a_run_opens_the_next_one_with_its_end(store: RunStore, run, failure_id: str):
    """Both or neither: a stale fence opens nothing, and an open run on the same failure is enough."""

    def ending() -> Ending:
        return Ending("not_fixed", "no idea", Opening(next_id, PLAN, {"asked": 1}, failure_id))

    next_id, taken = new_id("m"), claim(store, run, lease_s=0.1)
    time.sleep(0.2)
    mine = claim(store, run)
    with pytest.raises(LeaseLost):
        store.settle(taken, None, ending())
    with pytest.raises(UnknownRun):
        store.get(next_id)

    store.settle(mine, None, ending())

    assert (store.get(run.id).state, store.get(next_id).failure_id) == ("ended", failure_id)
    assert len(store.steps(next_id)) == 4
    another, next_id = store.open(new_id("r"), PLAN, {}), new_id("m")
    store.settle(claim(store, another), None, ending())
    assert store.get(another.id).outcome == "not_fixed"
    with pytest.raises(UnknownRun):
        store.get(next_id)


def test_a_dead_shard_is_not_hidden_by_one_that_lives(store: RunStore, run):
    """Its lease's end makes the run due though another shard is heard of; after a sending there is patience again."""
    do(store, run, "first")
    assert isinstance(claim(store, run, "try", 0, lease_s=0.2), Claim)
    living = claim(store, run, "try", 1)
    assert isinstance(living, Claim)
    assert run.id not in {due.id for due in store.take_due()}

    time.sleep(0.3)
    store.heartbeat(living, 30)

    assert run.id in {due.id for due in store.take_due()}
    store.heartbeat(living, 30)
    assert run.id not in {due.id for due in store.take_due()}
    assert isinstance(claim(store, run, "try", 0), Claim)


def test_each_sending_waits_longer_than_the_last(store: RunStore, run):
    """A run that lies in a long queue is sent again ever more rarely."""
    waits = []
    for _ in range(4):
        before = time.time()
        store.mark_sent(run.id)
        waits.append(store.get(run.id).due_at.timestamp() - before)

    assert waits == sorted(waits)
    assert waits[3] > 4 * waits[0]


def test_cancelling_ends_an_idle_run_and_tells_a_held_one(store: RunStore, run):
    """A run nobody holds ends at once; one that is held learns of it by heartbeat."""
    idle = store.open(new_id("r"), PLAN, {})
    taken = claim(store, run)

    store.cancel(idle.id)
    store.cancel(run.id)

    assert store.get(idle.id).outcome == "cancelled"
    assert store.get(run.id).state == "open"
    assert store.heartbeat(taken, 30).cancelled


def test_ids_are_found_by_their_beginning_and_only_if_it_is_one(store: RunStore, run):
    """A prefix finds its run; none or several is an error; a wildcard is not taken for one."""
    other = store.open(new_id("r"), PLAN, {})

    assert store.find(run.id[:9]).id == run.id
    for wrong in ("nowhere", "%"):
        with pytest.raises(UnknownRun):
            store.find(wrong)
    for several in ("", "r"):
        with pytest.raises(AmbiguousRun, match=f"'{several}' of a run's id is ambiguous: {other.id}, {run.id}"):
            store.find(several)


def test_of_many_runs_that_could_be_meant_the_newest_are_named(store: RunStore):
    """As many as fit into a sentence."""
    ids = [store.open(new_id("r"), PLAN, {}).id for _ in range(7)]

    with pytest.raises(AmbiguousRun) as caught:
        store.find("r")

    assert f": {', '.join(reversed(ids[2:]))}, …" in str(caught.value)


def test_one_failure_has_at_most_one_open_run(store: RunStore, failure_id: str):
    """A second run of the same failure is refused with the first one's id; after it ended, another may open."""
    first = store.open(new_id("r"), PLAN, {}, failure_id)

    with pytest.raises(RunConflict) as caught:
        store.open(new_id("r"), PLAN, {}, failure_id)
    assert first.id in str(caught.value)

    store.cancel(first.id)
    assert store.open(new_id("r"), PLAN, {}, failure_id).state == "open"
