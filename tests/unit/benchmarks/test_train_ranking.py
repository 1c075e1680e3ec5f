"""Fitting the order of candidates: made-up bugs are repaired by a proposal, and what repairs gains weight."""

from pathlib import Path
from random import Random

from atra.meta_architect.stream import shares_of
from atra.meta_architect.templates import TEMPLATES
from benchmarks.train_ranking import Bug, _make, fit, places

MODULE = (
    """def top(items, limit):
    best = items[0]
    for item in items[1:]:
        if item > best and item < limit:
            best = item
    return best
"""
    + "\n" * 20
)


def chosen(right: str, other: str) -> Bug:
    return Bug("number", ({other: 1.0}, {right: 1.0}), (0.0, 0.0), (1,))


def test_what_repairs_bugs_comes_first_on_others() -> None:
    """A feature that the right proposals show gains on one that the wrong ones do; a rare one gets no weight."""
    weights = fit([chosen("good", "bad")] * 12 + [chosen("rare", "bad")] * 2)

    assert weights["good"] > 0 > weights["bad"]
    assert "rare" not in weights
    assert places([chosen("good", "bad")], weights)["median"] == 1
    assert places([chosen("bad", "good")], weights)["median"] == 2


def test_a_made_up_bug_has_its_repair_among_the_proposals(tmp_path: Path) -> None:
    """The same seed makes the same bug; the repair is named by a template of the registry."""
    (tmp_path / "module.py").write_text(MODULE)
    shares = shares_of(TEMPLATES, {})

    made = [
        next(bug for _ in range(50) if (bug := _make(tmp_path / "module.py", shares, chance)))
        for chance in (Random(1), Random(1))
    ]

    assert made[0] == made[1]
    assert made[0].right
    assert made[0].repair in {template.name for template in TEMPLATES}
    assert len(made[0].features) == len(made[0].priors) > 50
