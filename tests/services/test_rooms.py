"""Ballots and decisions in the real database: votes count once, late ones are kept as late, one decision counts."""

import threading

import pytest

from atra.core.runs import Ending, Plan, Run, new_id
from atra.core.settings import Settings
from atra.storage.database import connect
from atra.storage.rooms import RoomStore
from atra.storage.runs import RunStore
from atra.war_room.calibration import Record
from atra.war_room.consensus import decide
from atra.war_room.records import Ballot, Decision, Evidence, Option

OPTIONS = (Option("a", "one way"), Option("b", "the other"))


@pytest.fixture
def address(settings: Settings) -> str:
    return settings.database_url.get_secret_value()


@pytest.fixture
def runs(address: str) -> RunStore:
    return RunStore(connect(address))


@pytest.fixture
def rooms(address: str) -> RoomStore:
    return RoomStore(connect(address))


def room(runs: RunStore, deadline_s: float = 60) -> Run:
    return runs.open(new_id("w"), Plan("war_room", (("hear", 1),), frozenset({"hear"}), deadline_s), {})


def ballot(expert: str = "history", first: str = "a", **more: object) -> Ballot:
    evidence = (Evidence("changed yesterday", "shop/cart.py:3"),)
    return Ballot(expert, "history", "evidence", (first,), 0.8, evidence, **more)  # type: ignore[arg-type]


def test_a_ballot_comes_back_as_it_was_cast(runs: RunStore, rooms: RoomStore):
    """With its evidence, and with the instant of the database."""
    open_room = room(runs)
    kept = rooms.cast(open_room.id, ballot(vetoes={"b": "it touches payments"}))

    assert rooms.ballots(open_room.id) == [kept]
    assert (kept.ranking, kept.vetoes, kept.late) == (("a",), {"b": "it touches payments"}, False)
    assert kept.cast_at is not None


def test_an_expert_votes_once_a_round(runs: RunStore, rooms: RoomStore):
    """A task that is delivered twice changes nothing; the next round has its own ballot."""
    open_room = room(runs)
    rooms.cast(open_room.id, ballot(first="a"))
    rooms.cast(open_room.id, ballot(first="b"))
    rooms.cast(open_room.id, ballot(first="b", round=2))

    assert [(one.round, one.ranking) for one in rooms.ballots(open_room.id)] == [(1, ("a",)), (2, ("b",))]


def test_a_person_may_change_their_mind_while_the_room_is_open(runs: RunStore, rooms: RoomStore):
    """After the decision the counted ballot stays as it was."""
    open_room = room(runs)
    for first in ("a", "b"):
        rooms.cast(open_room.id, Ballot("ada", "person", "person", (first,)))
    rooms.decide(open_room.id, lambda ballots: decide(OPTIONS, ballots, 1))
    rooms.cast(open_room.id, Ballot("ada", "person", "person", ("a",)))

    assert [(one.ranking, one.late) for one in rooms.ballots(open_room.id)] == [(("b",), False)]


@pytest.mark.parametrize("why", ["deadline", "decision", "end"])
def test_what_comes_too_late_is_kept_as_late(runs: RunStore, rooms: RoomStore, why: str):
    """It is on record, and counts nowhere."""
    open_room = room(runs, deadline_s=0.000001 if why == "deadline" else 60)
    if why == "decision":
        rooms.decide(open_room.id, lambda _: decide(OPTIONS, [], 3))
    if why == "end":
        runs.cancel(open_room.id)

    assert rooms.cast(open_room.id, ballot()).late
    assert decide(OPTIONS, rooms.ballots(open_room.id), 1).outcome == "no_consensus"


def test_one_decision_counts_whoever_comes_first(runs: RunStore, rooms: RoomStore, address: str):
    """Several reducers at once: all learn the same decision."""
    open_room = room(runs)
    wanted = [decide(OPTIONS, [ballot(first=first)], 1) for first in ("a", "b", "a", "b")]
    learned = []
    threads = [
        threading.Thread(
            target=lambda one=one: learned.append(RoomStore(connect(address)).decide(open_room.id, lambda _: one))
        )
        for one in wanted
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(learned) == 4
    assert set(map(str, learned)) == {str(rooms.decision(open_room.id))}


def test_a_ballot_is_counted_or_late(runs: RunStore, rooms: RoomStore):
    """One that is cast while the decision is made waits for it, and is told that it came too late."""
    open_room = room(runs)
    late = []
    vote = threading.Thread(target=lambda: late.append(rooms.cast(open_room.id, ballot("person:ann")).late))

    def reduce(ballots: list[Ballot]) -> Decision:
        vote.start()
        vote.join(0.3)  # long enough for a ballot that does not wait
        return decide(OPTIONS, ballots, 1)

    decision = rooms.decide(open_room.id, reduce)
    vote.join(20)

    assert (decision.tally.counted, late) == (0, [True])


def test_records_are_sums_of_what_was_judged(runs: RunStore, rooms: RoomStore):
    """Judging a room twice counts it once; other kinds of task are apart."""
    for truth in (True, False, False):
        judged = room(runs)
        for _ in range(2):
            rooms.judge(judged.id, "code", {"history": truth, "absent": True}, [ballot()], options=4)
    rooms.judge(room(runs).id, "free", {"history": True}, [ballot()], options=2)

    assert rooms.records("code") == {"history": Record(3, 1, pytest.approx(0.04 + 2 * 0.64), pytest.approx(0.75))}
    assert rooms.records("free")["history"].judged == 1
    assert rooms.records("else") == {}


def test_an_unknown_room_takes_no_ballot_in_time(rooms: RoomStore, runs: RunStore):
    """The end of a run is the end of its room."""
    open_room = room(runs)
    claim = runs.claim(open_room.id, "hear", 0, owner="me", lease_s=9, max_attempts=1)
    runs.settle(claim, None, Ending("decided", "a"))  # type: ignore[arg-type]

    assert rooms.cast(open_room.id, ballot()).late
