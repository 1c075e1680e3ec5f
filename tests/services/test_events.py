"""The journal of a step in the real database: order, fences, and what a takeover leaves."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from atra.core.errors import LeaseLost
from atra.core.runs import Claim, Plan, Run, new_id
from atra.core.settings import Settings
from atra.storage.database import connect
from atra.storage.events import EventStore
from atra.storage.runs import RunStore


@pytest.fixture
def runs(settings: Settings) -> RunStore:
    return RunStore(connect(settings.database_url.get_secret_value()))


@pytest.fixture
def events(settings: Settings) -> EventStore:
    return EventStore(connect(settings.database_url.get_secret_value()))


@pytest.fixture
def run(runs: RunStore) -> Run:
    return runs.open(new_id("r"), Plan("self_repair", (("agent", 2),)), {})


def claim(runs: RunStore, run: Run, shard: int = 0, *, lease_s: float = 30) -> Claim:
    taken = runs.claim(run.id, "agent", shard, owner="me", lease_s=lease_s, max_attempts=5)
    assert isinstance(taken, Claim)
    return taken


def test_events_come_back_in_order_and_by_shard(runs: RunStore, events: EventStore, run: Run):
    """Each shard counts for itself, from 0."""
    first, second = claim(runs, run, 0), claim(runs, run, 1)

    positions = [events.append(first, {"n": n}) for n in range(3)] + [events.append(second, {"n": 9})]

    assert positions == [0, 1, 2, 0]
    assert [(one.shard, one.event["n"]) for one in events.of(run.id)] == [(0, 0), (0, 1), (0, 2), (1, 9)]
    assert [one.event["n"] for one in events.of(run.id, "agent", 1)] == [9]
    assert events.of(run.id, "other") == []


def test_who_lost_the_step_writes_nothing_more(runs: RunStore, events: EventStore, run: Run):
    """After a takeover the first owner's events are refused, so two owners' events never interleave."""
    slow = claim(runs, run, lease_s=0.05)
    events.append(slow, {"by": "slow"})
    time.sleep(0.1)
    quick = claim(runs, run)
    events.append(quick, {"by": "quick"})

    with pytest.raises(LeaseLost):
        events.append(slow, {"by": "slow"})

    assert [one.event["by"] for one in events.of(run.id, "agent")] == ["slow", "quick"]


def test_a_settled_step_keeps_its_journal_as_it_is(runs: RunStore, events: EventStore, run: Run):
    """What is over is not added to."""
    taken = claim(runs, run)
    events.append(taken, {"n": 0})
    runs.settle(taken, {})

    with pytest.raises(LeaseLost):
        events.append(taken, {"n": 1})

    assert len(events.of(run.id)) == 1


def test_threads_of_one_owner_leave_no_gap(runs: RunStore, events: EventStore, run: Run):
    """Events written at the same time take turns."""
    taken = claim(runs, run)

    with ThreadPoolExecutor(8) as pool:
        positions = list(pool.map(lambda n: events.append(taken, {"n": n}), range(40)))

    assert sorted(positions) == list(range(40))
    assert sorted(one.event["n"] for one in events.of(run.id)) == list(range(40))
