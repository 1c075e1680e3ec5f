"""Sureness: what it is worth on items that were not learned from, and how large an error it lets pass."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.local_brain.confidence import Calibration, Tier, calibrate

seen = st.lists(st.tuples(st.floats(-5, 0), st.booleans()), max_size=200)


def model(chance: random.Random, items: int, worst: float) -> list[tuple[float, bool]]:
    """A brain whose chance of being wrong grows from 0 to `worst` as it is less sure."""
    drawn = [chance.random() for _ in range(items)]
    return [(-one, chance.random() >= worst * one**3) for one in drawn]


@pytest.mark.parametrize(
    ("seen", "max_error", "threshold"),
    [
        ([], 0.1, None),
        ([(-0.1, True)] * 35, 0.1, None),
        ([(-0.1, True)] * 36, 0.1, -0.1),
        ([(-0.1, False)] * 36, 0.1, None),
        ([(-0.1, True)] * 36 + [(-0.2, False)] * 36, 0.1, -0.1),
        ([(-0.1, True)] * 71, 0.05, None),
        ([(-0.1, True)] * 72, 0.05, -0.1),
    ],
    ids=[
        "never asked",
        "too few to know",
        "enough",
        "wrong",
        "wrong when unsure",
        "too few for less",
        "enough for less",
    ],
)
def test_it_may_be_believed_from_where_it_was_shown_to_be(
    seen: list[tuple[float, bool]], max_error: float, threshold: float | None
):
    """0.9^36 < 0.1 / 4 and 0.95^72 < 0.1 / 4: so many right answers without a wrong one are the fewest that show it."""
    assert calibrate(seen).threshold(max_error) == threshold


@given(seen)
def test_surer_is_never_less_likely(given_: list[tuple[float, bool]]):
    """Shares of right answers rise with sureness and lie between 0 and 1; below what was seen nothing is said."""
    calibration = calibrate(given_)
    told = [calibration.probability(one) for one, _ in sorted(given_)]

    assert all(before <= after for before, after in pairwise(told))
    assert all(0 <= one <= 1 for one in told)
    assert calibration.probability(-6.0) is None


@given(seen)
def test_tiers_count_everything_once(given_: list[tuple[float, bool]]):
    """They grow from the surest to all, and items that are equally sure stand in one."""
    tiers = calibrate(given_).tiers

    assert len(tiers) <= 20
    for tier in tiers:
        inside = [right for confidence, right in given_ if confidence >= tier.confidence]
        assert tier == Tier(tier.confidence, len(inside), inside.count(False))
    assert [tier.items for tier in tiers[-1:]] == [len(given_)] * bool(given_)


def test_pooling_is_isotonic_regression():
    """By hand: shares 1/2, 1, 0 out of order pool to 3/4 and 0."""
    calibration = Calibration((Tier(-1, 2, 1), Tier(-2, 4, 1), Tier(-3, 6, 3)))

    assert [calibration.probability(one) for one in (-0.5, -1, -2, -3)] == [0.75, 0.75, 0.75, 0.0]


def test_the_promise_about_errors_holds():
    """Among fresh questions above the bound, more than the accepted share is wrong in at most a tenth of all cases."""
    chance = random.Random(3)
    broken = found = 0
    for _ in range(300):
        threshold = calibrate(model(chance, 300, 0.5)).threshold(0.1)
        if threshold is not None:
            found += 1
            broken += 0.5 * (-threshold) ** 3 / 4 > 0.1  # the mean error from 0 to the bound
    assert found > 290
    assert broken / 300 <= 0.1
