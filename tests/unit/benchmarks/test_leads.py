"""The benchmark of hints: where a bug is wrong, what repairs it, and how orders are compared."""

import ast
from pathlib import Path

import pytest

from atra.war_room.case import Case, regions_of
from benchmarks import room_bugs
from benchmarks.cases import Known
from benchmarks.leads import changed, repair_of, totals_of


@pytest.mark.parametrize(
    ("original", "wrong", "lines"),
    [
        pytest.param("a\nb\nc", "a\nx\nc", [2], id="another line"),
        pytest.param("a\nb\nc", "a\nx\ny\nc", [2, 3], id="more lines"),
        pytest.param("a\nb\nc", "a\nc", [2], id="a missing line"),
    ],
)
def test_where_a_text_is_wrong(original: str, wrong: str, lines: list[int]):
    """Lines of the wrong text are told; of what is missing, the line that stands there now."""
    assert changed(original, wrong) == lines


def test_a_bug_of_our_own_knows_its_repair():
    """The tree is the original's, and the wrong statement begins in the region that holds the bug."""
    bug = room_bugs.read_all()[0]
    path = bug.truth.partition("::")[0]
    regions = regions_of({path: bug.files[path]})
    known = Known(bug.id, bug.package, "own", bug.truth, bug.change, Case("", regions, (), sources=bug.files))

    repair = repair_of(known, {})

    region = next(region for region in regions if region.id == bug.truth)
    assert repair.tree == ast.dump(ast.parse(bug.original))
    assert all(region.first <= line <= region.last and line in repair.near for line in repair.starts)


def test_a_mutant_is_repaired_by_its_distribution(tmp_path: Path):
    """The original is read from the package, the line from what the mutation tool said."""
    (tmp_path / "some.py").write_text("def f(a):\n    return (\n        a + 1\n    )\n")
    case = Case("", (), (), sources={"some.py": "def f(a):\n    return (\n        a - 1\n    )\n"})
    known = Known("one", "some-1.0", "mutant", "some.py::f", "core/Add_Sub at some.py:3", case)

    repair = repair_of(known, {"some-1.0": tmp_path})

    assert (repair.path, repair.starts) == ("some.py", {2})
    assert repair.tree == ast.dump(ast.parse((tmp_path / "some.py").read_text()))


def test_orders_are_compared_on_what_any_of_them_reached():
    """What one order does not bring counts as the most; what none brings is left out."""
    rows = [{"nobody": 10, "room": 4}, {"nobody": 8, "room": None}, {"nobody": None, "room": None}]

    nobody, room = totals_of(rows, 100)

    assert (nobody["found"], nobody["mean"], nobody["median"]) == (2, 9, 9)
    assert (room["found"], room["mean"], room["fewer"], room["more"]) == (1, 52, 1, 1)
