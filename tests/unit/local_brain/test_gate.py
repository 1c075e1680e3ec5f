"""The gate: exact figures, laws, and that an equal model seldom passes."""

import math
import random
from itertools import product
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.local_brain.gate import Answered, Pairs, Rules, alpha_of, gain_bound, judge, mcnemar, pair


def answers(right: list[bool], **more: object) -> list[Answered]:
    return [Answered(f"item {number}", one, **more) for number, one in enumerate(right)]  # type: ignore[arg-type]


def models(items: int, gained: int, lost: int) -> tuple[list[Answered], list[Answered]]:
    """Two models of which the first alone is right on `gained` items and the second alone on `lost`."""
    both = items - gained - lost
    return (
        answers([True] * gained + [False] * lost + [True] * both),
        answers([False] * gained + [True] * lost + [True] * both),
    )


@pytest.mark.parametrize(
    ("gained", "lost", "p_value"),
    [(0, 0, 1.0), (1, 0, 0.5), (5, 0, 1 / 32), (0, 5, 1.0), (8, 2, 56 / 1024), (10, 10, 0.588099)],
)
def test_the_p_value_is_the_exact_binomial_tail(gained: int, lost: int, p_value: float):
    """Counted by hand where that is short."""
    assert mcnemar(gained, lost) == pytest.approx(p_value, abs=1e-6)


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_p_value_counts_outcomes(gained: int, lost: int):
    """The same as summing the binomial coefficients, and never out of range."""
    n = gained + lost
    assert mcnemar(gained, lost) == pytest.approx(sum(math.comb(n, k) for k in range(gained, n + 1)) / 2**n)


def test_thousands_of_items_do_not_underflow():
    """Large counts give small numbers, not nonsense."""
    assert 0 < mcnemar(1100, 900) < 1e-5
    assert mcnemar(1000, 1000) == pytest.approx(0.509, abs=0.001)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 400))
def test_the_bound_lies_below_what_was_seen(gained: int, lost: int, both: int):
    """A bound is below the gain, and one gained item more never lowers it."""
    seen = Pairs(gained + lost + both, gained, lost)
    more = Pairs(seen.items, gained + 1, lost)
    assert -1 <= gain_bound(seen, 0.95) <= seen.gain + 1e-9
    assert gain_bound(more, 0.95) >= gain_bound(seen, 0.95) - 1e-9


@pytest.mark.parametrize("items", [10, 50, 400])
def test_without_a_difference_the_bound_is_wilsons(items: int):
    """Where no item differs, inverting the score test gives z^2 / (n + z^2), as for one share (by hand from Tango)."""
    z = NormalDist().inv_cdf(0.95)

    assert gain_bound(Pairs(items, 0, 0), 0.95) == pytest.approx(-(z**2) / (items + z**2), abs=1e-9)


def test_all_tries_together_spend_alpha():
    """However often it is tried, the levels sum to no more than alpha, and none is nothing."""
    levels = [alpha_of(tries, 0.05) for tries in range(2000)]

    assert 0.049 < sum(levels) < 0.05
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == pytest.approx(0.0304, abs=1e-4)


def test_a_better_model_passes():
    """Plainly better, no worse elsewhere, as fast, with its traces: promoted, and every check is told."""
    verdict = judge(models(500, 80, 20), {"other": models(1000, 10, 10)}, Rules())

    assert verdict.promote
    assert [check.name for check in verdict.checks] == [
        "contamination", "gain", "significance", "no worse at other", "traces of other", "time of other",
        "traces of target", "time of target",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("contamination", {"contaminated": 1}),
        ("significance", {"target": models(100, 8, 4)}),
        ("gain", {"target": models(10_000, 150, 50)}),
        ("no worse at other", {"regressions": {"other": models(1000, 10, 60)}}),
        ("no worse at other", {"regressions": {"other": models(50, 1, 1)}}),
        ("traces of target", {"target": (answers([True] * 90 + [False] * 10, trace="empty"), answers([False] * 100))}),
        ("time of target", {"target": (answers([True] * 100, seconds=3.0), answers([False] * 100, seconds=1.0))}),
        ("significance", {"target": models(200, 14, 4), "tries": 30}),
    ],
    ids=["contaminated", "by chance", "too little", "worse elsewhere", "too few items to know", "traces gone", "slow",
         "the thirty-first try"],
)  # fmt: skip
def test_one_failing_check_is_enough(name: str, change: dict[str, object]):
    """Each check alone holds a candidate back, and says so under its name."""
    given_: dict[str, object] = {"target": models(500, 80, 20), "regressions": {}, **change}
    verdict = judge(given_.pop("target"), given_.pop("regressions"), Rules(), **given_)  # type: ignore[arg-type]

    assert not verdict.promote
    assert [check.name for check in verdict.checks if not check.passed] == [name]


@pytest.mark.parametrize(
    ("one", "other"),
    [([], []), ([True], []), ([True, False], [True])],
)
def test_models_answer_the_same_items(one: list[bool], other: list[bool]):
    """A set that one of them has not answered in full compares nothing."""
    with pytest.raises(ValueError, match="the same items"):
        pair(answers(one), answers(other))
    with pytest.raises(ValueError, match="the same items"):
        pair([*answers([True]), *answers([True])], answers([True]))


def test_an_equal_model_passes_seldom():
    """Of equal models, at most one in twenty is called better (seeded; the benchmark has the curves)."""
    chance = random.Random(7)
    passed = 0
    for _ in range(2000):
        pairs = [chance.random() for _ in range(40)]  # the differing items of a set of 200, each way equally likely
        gained = sum(one < 0.5 for one in pairs)
        passed += mcnemar(gained, 40 - gained) < alpha_of(0, 0.05)

    assert passed / 2000 <= 0.05


def test_the_bound_keeps_its_level():
    """Where the truth is exactly the margin, the bound clears it in about one of twenty tries, for few items too."""
    chance = random.Random(11)
    for items, differing in product((100, 400), (0.1, 0.3)):
        gained_share = (differing - 0.05) / 2  # a true gain of -0.05
        cleared = 0
        for _ in range(1000):
            draws = [chance.random() for _ in range(items)]
            gained = sum(one < gained_share for one in draws)
            lost = sum(gained_share <= one < differing for one in draws)
            cleared += gain_bound(Pairs(items, gained, lost), 0.95) > -0.05
        assert cleared / 1000 <= 0.075
