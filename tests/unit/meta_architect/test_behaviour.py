"""Which plausible patches are taken to do the same."""

import pytest

from atra.meta_architect.behaviour import groups, signs
from atra.meta_architect.records import Candidate, Plausible


def item(*behaviour: str) -> Plausible:
    return Plausible(Candidate((), "t", "a.py", 1, 1.0), 1, behaviour)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([item("a", "b"), item("a", "c"), item("a", "c")], [1, 0, 0]),
        ([item("a", "!x"), item("a", "!y"), item("a", "c")], [0, 0, 0]),
        ([item("a", "b"), item("a", "!y"), item("a", "b")], [0, 1, 0]),
        ([item("a", "b"), item("a"), item("a", "b")], [0, 1, 0]),
        ([item(), item("a"), item(), item("a")], [1, 0, 2, 0]),
        ([], []),
    ],
    ids=["the-largest-first", "calls-that-most-refuse", "one-that-refuses", "cut-short", "nobody-looked", "none"],
)
def test_patches_that_make_the_same_of_the_same_calls_are_one_group(
    items: list[Plausible], expected: list[int]
) -> None:
    """Calls that fewer than half return from tell nothing; who was not looked at stands alone."""
    assert groups(items) == expected


@pytest.mark.parametrize(
    ("base", "words", "expected"),
    [
        (["1 bool", "!e"], ["1 bool", "2 NoneType"], ("none",)),
        (["1 bool", "2 NoneType"], ["1 bool", "2 NoneType"], ()),
        (["!e", "!e"], ["2 NoneType", "!e"], ()),
        (["1 bool", "!e"], ["1 bool", "!e"], ()),
    ],
    ids=["falls-off-its-end", "as-before", "nothing-known", "raises"],
)
def test_none_where_there_was_none_before_is_a_sign(base: list[str], words: list[str], expected: tuple[str]) -> None:
    """A patch that returns None speaks against itself where the unchanged code returned other things only."""
    assert signs(base, words) == expected
