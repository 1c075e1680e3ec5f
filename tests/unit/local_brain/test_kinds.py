"""What questions a brain was measured on, and which are others."""

from itertools import islice, product
from string import ascii_lowercase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.local_brain.kinds import kind_of, shape_of

SUMS = [f"What is {one} plus {other}?" for one in range(10) for other in range(10)]
CHAINS = [f"{one}+{other}*{one}" for one in range(10) for other in range(10)]
CITIES = ["What is the capital of France?", "Who was the first king of Spain?", "Where does the Rhine rise?"]


@pytest.mark.parametrize(
    ("questions", "question", "holds"),
    [
        (SUMS, "what is 123 plus 456", False),
        (SUMS, "what is 123 plus 456?", True),
        (SUMS, "What is 1 plus 2 plus 3?", False),
        (SUMS, "What is the capital of France?", False),
        (CHAINS, "9+8*7", True),
        (CHAINS, "9+8*7+6*5+4", False),
        (SUMS + CITIES, "What is 7 plus 7?", True),
        (CITIES, "What was the capital of Spain?", True),
        (CITIES, "7+7", False),
        ([], "What is 7 plus 7?", False),
    ],
    ids=["no mark", "other numbers", "longer", "another", "chain", "long chain", "mixed", "city", "sum", "none"],
)  # fmt: skip
def test_a_question_is_of_the_kind_that_was_measured(questions: list[str], question: str, holds: bool):
    """By its words and signs; numbers count alike. A uniform set is strict, a mixed one is not."""
    assert kind_of(questions).holds(question) is holds


@given(st.lists(st.text(max_size=30), min_size=1, max_size=60))
def test_most_of_a_set_is_of_its_own_kind(questions: list[str]):
    """Shapes stand there once; whatever was measured is of the kind, if it has a word or a sign at all."""
    kind = kind_of(questions)

    assert len(set(kind.shapes)) == len(kind.shapes)
    assert 0 <= kind.least <= 1
    assert all(kind.holds(question) for question in questions if shape_of(question))


def test_a_large_set_is_kept_small():
    """A sample of its shapes stands for all of them."""
    words = list(islice(map("".join, product(ascii_lowercase, repeat=3)), 2500))

    kind = kind_of(f"why {word}?" for word in words)

    assert len(kind.shapes) == 834
    assert kind.least == 0.5
    assert kind.holds("why zzz?")
    assert not kind.holds("how zzz?")


def test_writing_without_spaces_has_words_too():
    """Every character is one; a question that shares none of them is of another kind."""
    kind = kind_of(["地球有多大?", "月球有多大?", "太阳有多大?", "火星有多大?"])

    assert kind.least > 0
    assert kind.holds("木星有多大?")
    assert not kind.holds("What dose of this should I take?")


def test_a_question_that_shares_nothing_is_of_no_kind():
    """Also where the questions known share nothing with one another."""
    assert not kind_of(["one", "two", "three"]).holds("four")
