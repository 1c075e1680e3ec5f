"""What judged hits of an entry change: laws of `believed`."""

from hypothesis import given
from hypothesis import strategies as st

from atra.semantic_cache.evidence import believed

SHARES = st.floats(0, 1)
COUNTS = st.integers(0, 10_000)


@given(said=SHARES)
def test_an_entry_without_judgements_is_believed_as_the_model_says(said: float):
    """To the last digits."""
    assert abs(believed(said, 0, 0) - said) < 1e-12


@given(said=SHARES, right=COUNTS, wrong=COUNTS)
def test_right_hits_never_lower_it_and_wrong_ones_never_raise_it(said: float, right: int, wrong: int):
    """And it stays a probability."""
    before = believed(said, right, wrong)

    assert 0 <= before <= 1
    assert believed(said, right + 1, wrong) >= before
    assert believed(said, right, wrong + 1) <= before


@given(right=COUNTS, wrong=COUNTS, said=SHARES, more=SHARES)
def test_an_entry_keeps_the_order_of_the_model(right: int, wrong: int, said: float, more: float):
    """Of two questions for one entry the likelier stays the likelier."""
    low, high = sorted((said, more))

    assert believed(low, right, wrong) <= believed(high, right, wrong)


@given(right=COUNTS)
def test_no_number_of_right_hits_makes_an_unlikely_one_likely(right: int):
    """They came from other questions."""
    assert believed(0.3, right, 0) < 0.7


def test_one_wrong_hit_puts_an_entry_below_the_first_threshold():
    """A hit that was as sure as the promise of two in a hundred asks is not sure any more."""
    assert believed(0.99, 0, 1) < 0.98
    assert believed(0.99, 6, 0) > 0.99
