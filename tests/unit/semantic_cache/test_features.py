"""What tells two questions apart is seen, whichever of them comes first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.semantic_cache.features import NAMES, Weights, features

WEIGHTS = Weights({"what": 0.5, "is": 0.3}, 6.0)
TEXTS = st.text(max_size=80) | st.lists(
    st.sampled_from(["What", "is", "not", "the", "first", "2", "Paris", "London", "older", "July", "km", "vs", "how"])
).map(" ".join)


def compared(one: str, two: str) -> dict[str, float]:
    return dict(zip(NAMES, features(one, two, 0.9, WEIGHTS), strict=True))


@given(one=TEXTS, two=TEXTS, cosine=st.floats(-1, 1))
def test_the_order_of_the_two_questions_does_not_matter(one: str, two: str, cosine: float):
    """Whatever they are, and every number is one."""
    found = features(one, two, cosine, WEIGHTS)

    assert found == features(two, one, cosine, WEIGHTS)
    assert len(found) == len(NAMES)
    assert all(abs(number) < 1e6 for number in found)


@given(one=TEXTS)
def test_a_question_has_nothing_that_tells_it_from_itself(one: str):
    """No word, number, name or order."""
    found = compared(one, one)

    assert all(not found[name] for name in NAMES if name.endswith(("alone", "apart")))
    assert (found["opposites"], found["same_words"], found["asks_another"]) == (0, 1, 0)


@pytest.mark.parametrize(
    ("name", "one", "two"),
    [
        ("numbers_alone", "Who won in 2018?", "Who won in 2022?"),
        ("numbers_alone", "Three facts about Rome", "4 facts about Rome"),
        ("negations_apart", "Why does it start?", "Why doesn't it start?"),
        ("opposites", "How do I enable logging?", "How do I disable logging?"),
        ("degrees_apart", "Which city is largest?", "Which city is smallest?"),
        ("most_names_alone", "Where was Marie Curie born?", "Where was Alan Turing born?"),
        ("asks_another", "Who invented the camera?", "When was the camera invented?"),
        ("asks_another", "How many people live there?", "How long do people live there?"),
        ("turned_round", "Can a lion kill a tiger?", "Can a tiger kill a lion?"),
        ("times_apart", "What happened in March?", "What happened in June?"),
        ("signs_apart", "What does && mean in C?", "What does || mean in C?"),
        ("units_apart", "How heavy is it in pounds?", "How heavy is it in tons?"),
    ],
)
def test_what_turns_an_answer_round_is_seen(name: str, one: str, two: str):
    """Each by the number that is made for it."""
    assert compared(one, two)[name] > 0
    assert compared(one, one)[name] == 0


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("What's the best way?", "what is the best way"),
        ("Why can't I do it?", "Why can not I do it"),
        ("Two weeks", "2 week"),
        ("She studies, he studied", "she study he study"),
    ],
)
def test_another_spelling_is_the_same_words(one: str, two: str):
    """Contractions, case, marks, numbers in words, common endings."""
    assert compared(one, two)["same_words"] == 1
