"""Regions: every function once, the rest of a file as its module level, odd text as nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.core.records import from_json, to_json
from atra.war_room.case import MODULE, Case, by_line, options_of, regions_of
from tests.unit.war_room.cases import CASE, INIT, LINES, ROUNDED, SOURCES, TEST, TOTAL

TWICE = """import functools

class Point:
    @property
    def x(self):
        return self._x

    @x.setter
    def x(self, value):
        def inner():
            return value
        self._x = inner()

if True:
    def late():
        pass
"""


def test_functions_and_the_rest():
    """Methods have their class's name, a second one of a name its number, decorators and inner functions belong."""
    found = [(region.name, region.first, region.last) for region in regions_of({"p.py": TWICE})]

    assert found == [(MODULE, 1, 16), ("Point.x", 4, 6), ("Point.x:2", 8, 12), ("late", 15, 16)]


def test_the_options_are_what_failing_tests_ran():
    """A function that none ran is no option; the module level of a file they ran is."""
    assert [region.id for region in options_of(regions_of(SOURCES), LINES)] == [
        f"shop/cart.py::{MODULE}",
        INIT,
        TOTAL,
        f"shop/money.py::{MODULE}",
        ROUNDED,
    ]


@pytest.mark.parametrize(
    "text",
    [
        "def broken(:",
        "x = '\0'",
        "(" * 3000,
        "\ufeff" * 3,
        "match = -" + "-" * 100_000 + "1",
        "def f():\n\tx\n        y",
    ],
    ids=["syntax", "nul", "brackets", "marks", "minus", "tabs"],
)
def test_what_is_no_python_has_no_region(text: str):
    """A file that cannot be read is left out, and the others are not."""
    assert {region.path for region in regions_of({"odd.py": text, "good.py": "x = 1\n"})} == {"good.py"}


@given(st.text())
def test_no_text_raises(text: str):
    """Whatever a file holds, each of its lines is in one region at most."""
    regions = regions_of({"a.py": text})

    assert all(region.first <= line <= region.last for (_, line), region in by_line(regions).items())


def test_a_line_belongs_to_the_innermost_region():
    """A function takes its lines out of the module level."""
    where = by_line(regions_of(SOURCES))

    assert where["shop/cart.py", 3].name == MODULE
    assert where["shop/cart.py", 12].id == TOTAL


def test_who_ran_what():
    """Lines of failing tests are told by region."""
    assert CASE.ran[TOTAL] == {11: frozenset({TEST}), 12: frozenset({TEST})}
    assert [CASE.share(region) for region in CASE.regions] == [0, 1, 1, 0, 1]


def test_a_case_travels_as_json():
    """A worker keeps the case it made, and every expert reads the same."""
    assert from_json(Case, to_json(CASE)) == CASE
