"""Which traces a data set takes: each drop for its one reason, and nothing lost between dropped and taken."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.distillation.curation import Agreement, Bounds, Expected
from atra.distillation.duplicates import Evaluation
from atra.distillation.policy import Rule, policy_of
from atra.distillation.screening import Screen
from atra.distillation.traces import OWN, Origin, Permission, Trace
from tests.unit.distillation.given import curation, trace

GOOD = trace()
LOCAL = GOOD.origin
GERMAN = "Die Tests schlugen fehl, weil der Warenkorb den Rabatt nicht vor der Steuer abzog und niemand es bemerkte."


@pytest.mark.parametrize(
    ("given_one", "reason"),
    [
        (replace(GOOD, revoked_at=datetime(2030, 1, 1, tzinfo=UTC)), "revoked"),
        (replace(GOOD, origin=Origin("openai", "gpt-5"), permission=Permission(True, "once")), "not_allowed"),
        (replace(GOOD, origin=replace(LOCAL, finish="refusal")), "refused"),
        (replace(GOOD, origin=replace(LOCAL, refusal="reasoning_extraction")), "refused"),
        (replace(GOOD, origin=replace(LOCAL, finish="length")), "cut_off"),
        (replace(GOOD, answer=" "), "empty"),
        (replace(GOOD, prompt=""), "empty"),
        (replace(GOOD, kind="none", reasoning=""), "no_reasoning"),
        (replace(GOOD, origin=Origin(OWN, source="repair")), "unproved"),
        (replace(GOOD, reasoning="so", answer="4"), "too_short"),
        (replace(GOOD, reasoning="because " * 5000), "too_long"),
        (replace(GOOD, reasoning=GERMAN * 2, answer="Ja."), "language"),
        (replace(GOOD, answer=f"Set it to ghp_{'Ab3' * 12}."), "secret"),
        (replace(GOOD, prompt="Why does bob.miller@corp.io get no mail?"), "personal"),
        (replace(GOOD, prompt="How many r are in the word strawberry, counted with care?"), "contaminated"),
        (replace(GOOD, prompt="What is 2+2?"), "contaminated"),
    ],
    ids=lambda given_one: given_one if isinstance(given_one, str) else "",
)
def test_each_fault_has_its_reason(given_one: Trace, reason: str):
    """What was permitted when it was kept is asked again; a fault is counted once, under the first that is found."""
    evaluation = Evaluation(["How many R are in the word 'strawberry', counted with care?", "what is 2 + 2"])
    made = curation(looks=Screen(["en"]), evaluation=evaluation)

    assert list(made.rows([given_one])) == []
    assert made.dropped == {reason: 1}


def test_a_good_trace_is_taken_and_its_copies_are_not():
    """Word for word, and with a word changed in a hundred."""
    long = trace(3, reasoning=trace(4).reasoning * 3)
    near = replace(long, answer=f"{long.answer} Indeed.")
    made = curation()
    rows = list(made.rows([long, replace(long, prompt=long.prompt.upper()), near, trace(5)]))

    assert [row.trace for row in rows] == [long, trace(5)]
    assert made.dropped == {"duplicate": 1, "near_duplicate": 1}


def test_one_question_is_answered_so_often_and_no_more():
    """By the words of the question, whatever its signs."""
    many = [replace(trace(number), prompt="Why is it so" + "?" * number) for number in range(6)]
    made = curation(bounds=Bounds(per_question=4))

    assert [row.trace for row in made.rows(many)] == many[:4]
    assert made.dropped == {"too_many_of_one_question": 2}


@given(st.lists(st.integers(1, 3000)), st.floats(0.05, 1))
def test_long_rows_are_at_most_their_share(sizes: list[int], share: float):
    """Where there are short ones; nothing short goes, and no long one more than needed."""
    bounds = Bounds(long_tokens=1000, long_share=share)
    made = curation(bounds=bounds)
    gone = made.surplus(sizes)
    left = [size for number, size in enumerate(sizes) if number not in gone]
    long = sum(size > 1000 for size in left)

    assert all(sizes[number] > 1000 for number in gone)
    assert made.dropped.total() == len(gone)
    if any(size <= 1000 for size in sizes):
        assert long <= share * len(left) + 1e-9
        assert not gone or (long + 1) > share * (len(left) + 1) - 1e-9
    else:
        assert not gone


@given(st.lists(st.sampled_from([trace(number) for number in range(4)] + [replace(GOOD, answer="")]), max_size=12))
def test_every_trace_is_taken_or_dropped(given_ones: list[Trace]):
    """Each once; choosing among the chosen drops nothing more."""
    made = curation()
    rows = [row.trace for row in made.rows(given_ones)]
    again = curation()

    assert len(rows) + made.dropped.total() == len(given_ones)
    assert [row.trace for row in again.rows(rows)] == rows


def test_a_permission_that_was_taken_back_counts_at_the_next_building():
    """Though the trace was kept as allowed."""
    denied = policy_of((Rule("local", "*", "*", False, "the licence says no"),))
    made = curation(policy=denied)

    assert list(made.rows([replace(GOOD, permission=Permission(True, "weights of one's own"))])) == []
    assert made.dropped == {"not_allowed": 1}


def test_an_expected_answer_is_compared_without_signs_and_capitals():
    """And nothing is said of questions that nobody knows the answer to."""
    known = Expected([("What is 6 * 7?", "42"), ("Who?", "The cart")])

    assert known.right(replace(GOOD, prompt="what is 6*7", answer=" 42. ")) is True
    assert known.right(replace(GOOD, prompt="Who?", answer="the stock")) is False
    assert known.right(GOOD) is None


def test_what_most_answers_say_alike_is_right():
    """Three voices are needed, and more than half of them; a long answer has no voice, and saying it again is none."""

    def said(answer: str, question: str = "Who?", model: str = "") -> Trace:
        return replace(
            GOOD, prompt=question, answer=answer, origin=replace(GOOD.origin, model=model or GOOD.origin.model)
        )

    agreement = Agreement(
        [
            *(said("Cart", model="a"), said("the cart", model="b"), said("cart!", model="b"), said("cart", model="c")),
            *(said("A", "Two?", "a"), said("A", "Two?", "b"), said("A", "Two?", "b"), said("A!", "Two?", "a")),
        ]
    )

    assert agreement.right(said("cart")) is True
    assert agreement.right(said("stock")) is False
    assert agreement.right(said("stock " * 20)) is None
    assert agreement.right(said("B", "Two?")) is None
