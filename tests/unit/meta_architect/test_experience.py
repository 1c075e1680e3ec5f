"""What repairs teach: what repaired before is likelier, and what bears nothing out is not taken."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.meta_architect.experience import LEAST, learn
from atra.meta_architect.stream import shares_of
from atra.meta_architect.templates import TEMPLATES

NAMES = [one.name for one in TEMPLATES]


def test_what_repairs_here_gains_at_the_cost_of_the_rest() -> None:
    found = learn(["scale"] * 15 + ["scale, off-by-one", "gone, gone"])

    assert (found.repairs, found.counts, found.taken) == (16, {"scale": 16, "off-by-one": 1}, True)
    assert found.factors["scale"] > 5
    assert 1 < found.factors["off-by-one"] < found.factors["scale"]
    assert found.factors["wrapped"] == found.factors["variable"] < 1


@given(st.lists(st.sampled_from([*NAMES, "scale, number", "none of these"]), max_size=60))
def test_shares_stay_shares(repairs: list[str]) -> None:
    """Whatever was counted, the shares have the same sum, none is nothing, and only what is taken changes one."""
    found = learn(repairs)

    before, after = dict(shares_of(TEMPLATES, {})), dict(shares_of(TEMPLATES, found.factors))
    assert sum(before[one] * found.factors.get(one.name, 1.0) for one in TEMPLATES) == pytest.approx(1)
    assert before.keys() == after.keys()
    assert found.taken == bool(found.factors) == (found.repairs >= LEAST and found.gain > found.error)


def test_repairs_as_the_shares_have_them_teach_little() -> None:
    """By chance some are taken; the gain that they promise is then near nothing."""
    chance, shares = Random(7), [one.share for one in TEMPLATES]
    found = [learn(chance.choices(NAMES, shares, k=40)) for _ in range(200)]

    assert sum(one.taken for one in found) <= 20
    assert max(one.gain for one in found) < 0.3


def test_a_factor_is_of_a_template_or_of_a_family_never_of_both() -> None:
    assert not set(NAMES) & {one.family for one in TEMPLATES}
