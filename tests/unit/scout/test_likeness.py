"""Likeness: equal parts of two sketches are about what two texts share."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.scout.likeness import SIZE, bands, likeness, sketch

WORDS = [f"word{number}" for number in range(3000)]


def shared(one: list[str], other: list[str]) -> float:
    a, b = ({tuple(words[start : start + 3]) for start in range(len(words) - 2)} for words in (one, other))
    return len(a & b) / len(a | b)


def test_a_text_is_like_itself_whatever_its_form():
    """Case, commas and spaces are nothing."""
    text = " ".join(WORDS[:50])

    assert sketch(text) == sketch(text.upper().replace(" ", ",  "))
    assert likeness(sketch(text), sketch(text)) == 1.0


@pytest.mark.parametrize("words", [20, 60, 300])
def test_likeness_is_what_is_shared(words: int):
    """On average over many pairs, to a few hundredths."""
    rng = random.Random(words)
    errors = []
    for _ in range(150):
        one = rng.sample(WORDS, words)
        other = one[:]
        for place in rng.sample(range(words), rng.randrange(0, words // 4)):
            other[place] = rng.choice(WORDS)
        errors.append(likeness(sketch(" ".join(one)), sketch(" ".join(other))) - shared(one, other))

    assert abs(sum(errors) / len(errors)) < 0.05


def test_near_texts_share_a_band_and_others_do_not():
    """One word of sixty changed is found by an index; two other texts are not."""
    rng = random.Random(7)
    near = far = 0
    for _ in range(100):
        one = rng.sample(WORDS, 60)
        changed = [*one[:30], "changed", *one[31:]]
        near += bool(set(bands(sketch(" ".join(one)))) & set(bands(sketch(" ".join(changed)))))
        far += bool(set(bands(sketch(" ".join(one)))) & set(bands(sketch(" ".join(rng.sample(WORDS, 60))))))

    assert near >= 97
    assert far == 0


def test_short_texts_are_like_none():
    """A few words are shared by too many."""
    assert sketch("read more on our site") == ()
    assert bands(()) == ()
    assert likeness((), ()) == 0.0


@given(st.text(max_size=400))
def test_sketches_fit_into_columns(text: str):
    """Whatever the text, numbers that PostgreSQL's integer holds."""
    made = sketch(text)

    assert len(made) in (0, SIZE)
    assert all(0 <= number < 2**31 for number in (*made, *bands(made)))
