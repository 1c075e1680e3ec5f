"""Steps that a run can go on without: late, failed and poisoned ones settle as excused, and who was slow has lost."""

import time

import pytest

from atra.core.errors import LeaseLost
from atra.core.records import from_json
from atra.core.runs import Claim, Ending, Excused, Plan, Refusal, Run, new_id
from atra.core.settings import Settings
from atra.storage.database import connect
from atra.storage.runs import RunStore


@pytest.fixture
def store(settings: Settings) -> RunStore:
    return RunStore(connect(settings.database_url.get_secret_value()), patience_s=30)


def opened(store: RunStore, deadline_s: float | None) -> Run:
    plan = Plan("war_room", (("convene", 1), ("hear", 3), ("settle", 1)), frozenset({"hear"}), deadline_s)
    run = store.open(new_id("r"), plan, {})
    store.settle(claim(store, run, "convene"), None)
    return run


def claim(store: RunStore, run: Run, name: str, shard: int = 0, attempts: int = 5, lease_s: float = 30) -> Claim:
    taken = store.claim(run.id, name, shard, owner="me", lease_s=lease_s, max_attempts=attempts)
    assert isinstance(taken, Claim)
    return taken


def heard(store: RunStore, run: Run) -> list[Excused | str]:
    return [from_json(Excused | str, output) for output in store.outputs(run.id, "hear")]


def test_a_deadline_excuses_who_is_late(store: RunStore):
    """What is settled stays, the rest is excused, the run is due at once, and the slow one's work is refused."""
    run = opened(store, 0.5)
    store.settle(claim(store, run, "hear", 0), "an opinion")
    slow = claim(store, run, "hear", 1)
    until = time.monotonic() + 10
    while not store.excuse_overdue() and time.monotonic() < until:
        time.sleep(0.05)

    assert heard(store, run) == ["an opinion", *[Excused("the deadline passed")] * 2]
    assert [one.id for one in store.take_due()] == [run.id]
    with pytest.raises(LeaseLost):
        store.settle(slow, "too late")


def test_without_a_deadline_nobody_is_excused(store: RunStore):
    """A run waits for its steps unless it said how long."""
    run = opened(store, None)

    assert store.excuse_overdue() == 0
    assert heard(store, run) == []


def test_a_failed_step_is_excused_and_the_run_goes_on(store: RunStore):
    """The reason is kept; the step after it can be claimed."""
    run = opened(store, 60)
    for shard in range(3):
        store.excuse(claim(store, run, "hear", shard), f"no {shard}")

    assert heard(store, run) == [Excused("no 0"), Excused("no 1"), Excused("no 2")]
    assert claim(store, run, "settle")
    assert store.get(run.id).state == "open"


def test_poison_is_excused_too(store: RunStore):
    """A step that kills every worker costs the run that step, not the run."""
    run = opened(store, 60)
    claim(store, run, "hear", 0, attempts=1, lease_s=0.001)
    again = store.claim(run.id, "hear", 0, owner="me", lease_s=1, max_attempts=1)

    assert again == Refusal("settled")
    assert heard(store, run) == [Excused("it ended without a result 1 times")]


def test_after_the_deadline_no_step_is_given_out(store: RunStore):
    """A copy of the message that comes late finds the step excused; the run's end may still be claimed."""
    run = opened(store, 0.001)
    late = [store.claim(run.id, "hear", shard, owner="me", lease_s=1, max_attempts=5) for shard in range(3)]
    store.settle(claim(store, run, "settle"), None, Ending("decided", "nobody came"))

    assert late == [Refusal("settled")] * 3
    assert store.excuse_overdue() == 0


def test_two_sweepers_do_not_excuse_twice(store: RunStore, settings: Settings):
    """What one has excused is not there for the other."""
    opened(store, 0.001)
    other = RunStore(connect(settings.database_url.get_secret_value()))

    assert (store.excuse_overdue(), other.excuse_overdue()) == (1, 0)
