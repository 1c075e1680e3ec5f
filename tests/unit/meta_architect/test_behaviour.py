"""Which plausible patches are taken to do the same."""

import pytest

from atra.meta_architect.behaviour import groups, signs
from atra.meta_architect.records import Candidate, Plausible


def item(*behaviour: str) -> Plausible:
    return Plausible(Candidate((), "t", "a.py", 1, 1.0), 1, behaviour)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([item("a", "b"), item("a", "c"), item("a", "c")], [0, 1, 1]),
        ([item("a", "!x"), item("a", "!y"), item("a", "c")], [0, 0, 0]),
        ([item("a", "b"), item("a", "!y"), item("a", "b")], [0, 1, 0]),
        ([item("a", "b"), item("a"), item("a", "b")], [0, 1, 0]),
        ([item(), item("a"), item(), item("a")], [0, 1, 2, 1]),
        ([], []),
    ],
    ids=["told-apart", "calls-that-most-refuse", "one-that-refuses", "cut-short", "nobody-looked", "none"],
)
def test_patches_that_make_the_same_of_the_same_calls_are_one_group(
    items: list[Plausible], expected: list[int]
) -> None:
    """Calls that fewer than half return from tell nothing; who was not looked at stands alone."""
    assert groups(items) == expected


@pytest.mark.parametrize(
    ("base", "words", "expected"),
    [
        (["1 f bool", "!e"], ["1 f bool", "2 f NoneType"], ("type",)),
        (["1 f bool", "2 f NoneType"], ["1 f bool", "2 f NoneType"], ()),
        (["!e", "!e"], ["2 f NoneType", "!e"], ()),
        (["1 f bool", "1 g NoneType"], ["1 f NoneType", "1 g NoneType"], ("type",)),
        (["1 f bool", "!e"], ["1 f bool", "!e"], ()),
    ],
    ids=["falls-off-its-end", "as-before", "nothing-known", "of-another-function", "raises"],
)
def test_a_type_that_was_not_there_before_is_a_sign(
    base: list[str], words: list[str], expected: tuple[str, ...]
) -> None:
    """A patch speaks against itself where a function returns a type that the unchanged one never did."""
    assert signs(base, words) == expected
