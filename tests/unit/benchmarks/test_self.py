"""The benchmark of ATRA on itself: what takes part, what counts, and what is as it was."""

from dataclasses import asdict
from pathlib import Path

import pytest

from atra.repository import OWN, protected
from benchmarks.planted import Row, killed, likeness, resumed, total
from benchmarks.results import ROOT, write
from benchmarks.self import TESTED

ORIGINAL = "def f(a):\n    return a + 1  # one more\n"


def row(status: str, **more: object) -> Row:
    return Row("", "atra/core/texts.py", 3, "NumberReplacer", 0, "", status, **more)


@pytest.mark.parametrize(("module", "tests"), TESTED.items())
def test_each_module_has_tests_and_may_be_repaired(module: str, tests: str):
    """A module that no repair may touch would count as a miss."""
    assert Path(ROOT, module).is_file()
    assert Path(ROOT, tests).is_file()
    assert not protected(module, OWN)


@pytest.mark.parametrize(
    ("written", "like"),
    [
        (ORIGINAL, "text"),
        ("def f(a):\n    return (a + 1)\n", "tree"),
        ("def f(a):\n    return 1 + a  # one more\n", "different"),
    ],
)
def test_a_repair_is_compared_with_what_stood_there(written: str, like: str):
    """Layout and comments do not count; that something else means the same does not help it."""
    assert likeness(ORIGINAL, written) == like


def test_a_mutant_that_no_test_kills_is_counted_apart():
    """Medians are over what was repaired."""
    rows = [
        row("survived"),
        row("fixed", seconds=4.0, rank=1, tried=3, same="text", confidence=0.85),
        row("fixed", seconds=8.0, rank=9, tried=20, same="different", confidence=0.3),
        row("not_fixed", seconds=60.0, tried=500),
        row("error"),
    ]

    sums = total(rows)

    assert len(killed(rows)) == 4
    assert (sums["mutants"], sums["survived_the_tests"], sums["errors"]) == (4, 1, 1)
    assert (sums["fixed"], sums["same_text"], sums["different"], sums["not_fixed"]) == (2, 1, 1, 1)
    assert (sums["median_seconds"], sums["median_rank"], sums["candidates_tried"]) == (6.0, 5.0, 523)
    counts = [(one["repairs"], one["correct"]) for one in sums["reliability"]]
    assert counts == [(0, 0), (1, 0), (0, 0), (0, 0), (1, 1)]


def test_a_run_that_was_broken_off_goes_on_only_where_nothing_has_changed(tmp_path: Path):
    """Rows of another commit are no rows of this one; when they were made does not matter."""
    file = tmp_path / "rows.json"
    facts = {"date": "today", "commit": "abc", "changed_since_commit": False, "seed": 0}
    write(file, facts, {}, [asdict(row("fixed", rank=3))])

    assert resumed(file, {**facts, "date": "tomorrow", "changed_since_commit": True}) == [row("fixed", rank=3)]
    assert resumed(file, {**facts, "commit": "def"}) == []
    assert resumed(tmp_path / "none.json", facts) == []
