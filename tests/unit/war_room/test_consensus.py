"""Consensus: laws that hold for any ballots, and the cases a room meets."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.war_room.consensus import changed_votes, decide, needs_exchange, quorum, tally
from atra.war_room.records import Ballot, Option

IDS = ("a", "b", "c", "d")
OPTIONS = tuple(Option(one, f"option {one}") for one in IDS)


def ballot(expert: str, ranking: str, **more: object) -> Ballot:
    return Ballot(expert, f"department of {expert}", "evidence", tuple(ranking), **more)  # type: ignore[arg-type]


def ballots(*rankings: str) -> list[Ballot]:
    return [ballot(f"e{number}", ranking) for number, ranking in enumerate(rankings)]


rankings = st.lists(st.sampled_from(IDS), max_size=4, unique=True).map("".join)
rooms = st.lists(rankings, min_size=1, max_size=5).map(lambda said: ballots(*said))
weights = st.fixed_dictionaries({f"e{number}": st.sampled_from([0.05, 0.5, 1.0, 1.5, 2.0]) for number in range(5)})


@given(rooms, weights, st.randoms(use_true_random=False))
def test_the_order_of_ballots_and_options_is_nothing(
    room: list[Ballot], weigh: dict[str, float], chance: random.Random
):
    """Who comes first is not who wins."""
    shuffled, turned = chance.sample(room, len(room)), chance.sample(OPTIONS, len(OPTIONS))

    assert tally(turned, shuffled, 5, weigh) == tally(OPTIONS, room, 5, weigh)


@given(rooms, weights, st.permutations(IDS))
def test_names_of_options_are_nothing(room: list[Ballot], weigh: dict[str, float], names: list[str]):
    """Renaming the options renames the result, up to the order among the tied."""
    renamed = dict(zip(IDS, names, strict=True))
    other = [replace(one, ranking=tuple(renamed[id_] for id_ in one.ranking)) for one in room]
    before, after = tally(OPTIONS, room, 5, weigh), tally(OPTIONS, other, 5, weigh)

    assert {renamed[one] for one in before.tied} == set(after.tied)
    assert {renamed[one]: score for one, score in before.scores.items()} == pytest.approx(dict(after.scores))
    assert before.margin == pytest.approx(after.margin) or len(before.tied) > 1


@given(rooms, weights)
def test_what_all_prefer_stands_before(room: list[Ballot], weigh: dict[str, float]):
    """Where everybody who has an opinion ranks one option above another, so does the room (Pareto)."""
    told = [one.ranking for one in room if one.ranking]
    found = tally(OPTIONS, room, 5, weigh).order
    for one in IDS:
        for other in IDS:
            if told and all(one in said and other not in said[: said.index(one)] for said in told) and one != other:
                assert found.index(one) < found.index(other)


@given(rooms, weights)
def test_who_beats_every_other_wins(room: list[Ballot], weigh: dict[str, float]):
    """An option preferred to each other one by more weight stands first, and alone (Condorcet)."""
    found = tally(OPTIONS, room, 5, weigh)
    if found.margin > 1e-6:
        assert found.tied == (found.order[0],)
        assert found.scores[found.order[0]] == 1.0


@given(rooms, weights, st.integers(0, 4))
def test_more_support_does_not_hurt(room: list[Ballot], weigh: dict[str, float], place: int):
    """A winner that one voter moves to the top is still the winner (monotonicity)."""
    found = tally(OPTIONS, room, 5, weigh)
    winner, voter = found.order[0], place % len(room)
    raised = (winner, *(one for one in room[voter].ranking if one != winner))
    moved = [replace(one, ranking=raised) if number == voter else one for number, one in enumerate(room)]
    if len(found.tied) == 1 and room[voter].ranking:
        assert tally(OPTIONS, moved, 5, weigh).order[0] == winner


@pytest.mark.parametrize(("seats", "needed"), [(1, 1), (2, 1), (3, 2), (4, 3), (5, 3), (6, 4)])
def test_a_quorum_is_about_two_thirds(seats: int, needed: int):
    """Two of five may be missing, three may not."""
    assert quorum(seats) == needed


def test_a_clear_majority_decides_and_dissent_is_named():
    """Who disagreed stands beside the decision, with what they would rather have had."""
    decision = decide(OPTIONS, ballots("ab", "ab", "ac", "ab", "ba"), 5)

    assert (decision.outcome, decision.option, decision.settled_by) == ("decided", "a", "vote")
    assert [(one.expert, one.preferred) for one in decision.dissent] == [("e4", "b")]


def test_two_of_five_may_be_missing():
    """A quorum decides and says who was not heard."""
    decision = decide(OPTIONS, [*ballots("ab", "ab", "ab"), ballot("e3", "", abstained="no evidence")], 5)

    assert decision.option == "a"
    assert "2 of 5 seats gave none" in decision.reason


def test_three_of_five_missing_decide_nothing():
    """Too few opinions change nothing."""
    decision = decide(OPTIONS, ballots("ab", "ab"), 5)

    assert (decision.outcome, decision.option) == ("no_consensus", None)
    assert "2 of 5 experts gave an opinion, 3 are needed" in decision.reason


def test_a_tie_is_for_a_judge_or_for_nobody():
    """Without a judge a tie changes nothing; a judge may only choose among the tied."""
    tied = ballots("ab", "ba")

    assert decide(OPTIONS[:2], tied, 2).outcome == "no_consensus"
    assert decide(OPTIONS[:2], tied, 2, judged="b").option == "b"
    assert decide(OPTIONS, tied, 2, judged="d").option is None


def test_a_veto_stops_the_first_option_only_from_who_may():
    """A veto of the winner asks a person; one from a seat without that right is only recorded."""
    room = [*ballots("ab", "ab"), ballot("risk", "ba", vetoes={"a": "it touches payments"})]

    assert decide(OPTIONS, room, 3, vetoers=frozenset({"risk"})).reason == "a is vetoed: risk: it touches payments"
    assert decide(OPTIONS, room, 3).option == "a"


def test_what_is_proved_stands_above_the_vote():
    """Tests decide; among several proved options the vote does."""
    room = ballots("abc", "abc", "acb")

    assert decide(OPTIONS, room, 3, proved=["c"]).option == "c"
    assert decide(OPTIONS, room, 3, proved=["c", "b"]).option == "b"
    assert decide(OPTIONS, room, 3, proved=["c"]).settled_by == "tests"


def test_a_small_margin_calls_for_one_exchange():
    """Close votes are talked over; clear ones, vetoed ones and those without quorum are not."""
    close, clear = ballots("ab", "ab", "ba"), ballots("ab", "ab", "ab")
    vetoed = [replace(close[0], vetoes={"b": "no"}), *close[1:]]
    asked = [
        needs_exchange(tally(OPTIONS, room, 3), room, frozenset({"e0"})) for room in (close, clear, vetoed, close[:1])
    ]

    assert asked == [True, False, False, False]


def test_late_and_unknown_votes_do_not_count():
    """A ballot after the deadline is kept by others; an id that is no option is nothing."""
    room = [*ballots("ab", "zb"), ballot("late", "b", late=True)]

    assert tally(OPTIONS, room, 3).counted == 2
    assert tally(OPTIONS, [ballot("e0", "zz")], 3).counted == 0


def test_weights_move_the_result_and_a_liar_does_not():
    """Two weak voices do not outvote one that has been right."""
    room = ballots("ab", "ba", "ba")

    assert tally(OPTIONS, room, 3).order[0] == "b"
    assert tally(OPTIONS, room, 3, {"e0": 2.0, "e1": 0.5, "e2": 0.5}).order[0] == "a"


def test_the_second_ballot_replaces_the_first_and_is_counted_as_a_change():
    """Only the latest opinion of an expert counts; how many moved is measured."""
    room = [*ballots("ab", "ba", "ba"), ballot("e0", "ba", round=2), ballot("e1", "bc", round=2)]

    assert tally(OPTIONS, room, 3).order[0] == "b"
    assert changed_votes(room) == 1
    assert decide(OPTIONS, room, 3).rounds == 2
