"""Which questions are answered ahead."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.precache.ranking import PRIOR, Budget, Known, chance, choose, rank
from atra.precache.records import Candidate, Story, Tally


def candidate(
    question: str = "What is new in X?", *, template: str = "new", subject: str = "X", story: str = "1"
) -> Candidate:
    return Candidate(question, template, subject, Story(story, "", ""))


def different(one: Candidate, other: Candidate) -> bool:
    return one.question == other.question


def test_what_was_never_tried_is_expected_as_the_prior_says() -> None:
    """One in twenty-five."""
    assert chance(candidate(), Known()) == pytest.approx(PRIOR.asked / (PRIOR.asked + PRIOR.wasted))


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_a_question_that_was_asked_makes_the_next_likelier_and_a_wasted_one_less(asked: int, wasted: int) -> None:
    """The law of the counts; and a probability it stays."""

    def of(tally: Tally) -> float:
        return chance(candidate(), Known({"new": tally}, {("new", "x"): tally}))

    now = of(Tally(asked, wasted))
    assert 0 < of(Tally(asked, wasted + 1)) < now < of(Tally(asked + 1, wasted)) < 1


def test_a_hot_subject_and_near_questions_count_like_hits() -> None:
    """Interest lifts, and the two add up."""
    plain, hot = chance(candidate(), Known()), chance(candidate(), Known(heat={"x": 1.0}))
    assert plain < hot < chance(candidate(), Known(heat={"x": 1.0}), near=1.0)


def test_the_worthiest_come_first_and_what_costs_more_than_it_saves_is_below_nothing() -> None:
    """Worth is probability times saving less cost."""
    known = Known({"news": Tally(asked=20)})
    ranked = rank([candidate(), candidate("News of X?", template="news")], known, Budget(5, 1.0, 0.01, 0.02))
    assert [one.candidate.template for one in ranked] == ["news", "new"]
    assert ranked[0].worth_usd == pytest.approx(ranked[0].probability * 0.02 - 0.01)
    assert ranked[1].worth_usd < 0


def test_budgets_and_shares_of_stories_and_subjects_hold() -> None:
    """Four of a story, three of a subject, none twice, and no more than the budget."""
    many = [candidate(f"{n}?", subject=f"S{n % 2}", story=str(n % 3)) for n in range(30)]
    ranked = rank(many, Known(), Budget(30))
    assert len(choose(ranked, Budget(30), different)) == 6
    assert len(choose(ranked, Budget(2), different)) == 2
    assert len(choose(ranked, Budget(30, usd=0.03, answer_usd=0.01), different)) == 3
    assert len(choose([ranked[0], replace(ranked[0])], Budget(9), different)) == 1
