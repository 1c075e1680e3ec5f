"""Weights: from what proved right, shrunk to 1, and never from how sure an expert says it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.war_room.calibration import LEAST, MOST, Record, added, judge, weight
from atra.war_room.records import Ballot


def record(judged: int, right: int, probability: float = 0.5, options: int = 10) -> Record:
    return Record(judged, right, right * (1 - probability) ** 2 + (judged - right) * probability**2, judged / options)


def ballot(expert: str, *ranking: str, **more: object) -> Ballot:
    return Ballot(expert, expert, "evidence", ranking, **more)  # type: ignore[arg-type]


def test_nobody_knows_an_expert_yet():
    """Without a record, and with one ballot, the weight is about 1."""
    assert weight(None) == weight(Record()) == 1.0
    assert 0.7 < weight(record(1, 0)) < 1 < weight(record(1, 1)) < 1.4


def test_a_liar_is_not_heard():
    """Sure and wrong ballots leave nearly nothing, thirty of them the least there is; no weight is negative."""
    assert weight(record(20, 0, 0.95)) < 0.05
    assert weight(record(30, 0, 0.95)) == LEAST


def test_blind_choice_weighs_little():
    """An expert that is right as often as chance tells nothing."""
    assert weight(record(200, 20)) < 0.1


def test_who_is_right_weighs_more():
    """The more often right, the heavier; the bound stays."""
    found = [weight(record(50, right)) for right in (5, 15, 25, 40, 50)]

    assert found == sorted(found)
    assert found[0] < 1 < found[2]
    assert found[-1] <= MOST


@given(st.integers(1, 300), st.data(), st.floats(0, 1), st.integers(1, 500))
def test_weights_keep_their_bounds(judged: int, data: st.DataObject, probability: float, options: int):
    """Whatever the record, consensus gets a weight that it can use."""
    right = data.draw(st.integers(0, judged))

    assert LEAST <= weight(record(judged, right, probability, options)) <= MOST


def test_of_two_as_often_right_the_one_who_knows_weighs_more():
    """Being sure when wrong costs; being sure when right pays."""
    assert weight(record(40, 10, 0.25)) > weight(record(40, 10, 0.95))


def test_a_boast_changes_no_weight_before_it_is_judged():
    """What a ballot says of itself is no part of the record."""
    humble, sure = ballot("e", "a", probability=0.1), ballot("e", "a", probability=0.99)

    assert weight(None) == 1.0
    assert [one.right for one in judge([humble], frozenset("a"), 4)] == [
        one.right for one in judge([sure], frozenset("a"), 4)
    ]


def test_the_blind_ballot_is_judged():
    """An expert that came round in the exchange is judged by what it said alone; who was late or silent is not."""
    said = [
        ballot("b", "x", "y"),
        ballot("b", "y", "x", round=2),
        ballot("a", "y"),
        ballot("c", abstained="nothing"),
        ballot("d", "y", late=True),
    ]

    assert [(one.expert, one.right, one.options) for one in judge(said, frozenset("y"), 2)] == [
        ("a", True, 2),
        ("b", False, 2),
    ]


def test_nothing_proved_judges_nobody():
    """A room whose question stayed open teaches nothing."""
    assert judge([ballot("a", "x")], frozenset(), 2) == []


def test_a_record_grows():
    """Counts, squared errors and chances add up."""
    grown: Record | None = None
    for one in judge([ballot("a", "x", probability=0.8)], frozenset("x"), 4) * 2:
        grown = added(grown, one)

    assert grown is not None
    assert (grown.judged, grown.right, grown.chance) == (2, 2, 0.5)
    assert grown.brier == pytest.approx(0.08)
