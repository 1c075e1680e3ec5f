"""Repairs of two edits: what is built upon, in which order, and that a bug in two places is found that way."""

import time
from collections.abc import Callable, Mapping

import pytest

from atra.core.edits import Edit, Patch, apply, by_path
from atra.meta_architect.records import Candidate, Diagnosis, Place
from atra.meta_architect.search import LocalHorizon, search
from atra.meta_architect.second_edits import Partial, best, places_after, second_edits
from atra.meta_architect.stream import candidates
from atra.sandbox.runner import Trial
from tests.fakes import ScriptedWorkshop

SHOP = """def price(amount, rate):
    return amount + rate


def fee(amount):
    if amount > 100:
        return 0
    return 5
"""
SOURCES = {"shop.py": SHOP}
DIAGNOSIS = Diagnosis((Place("shop.py", 6, 0.8), Place("shop.py", 2, 0.7), Place("shop.py", 7, 0.5)))
TESTS: tuple[Callable[[dict[str, Callable[..., int]]], bool], ...] = (
    lambda shop: shop["price"](3, 4) == 12,
    lambda shop: shop["price"](5, 6) + shop["fee"](100) == 30,
    lambda shop: shop["fee"](99) == 5,
)
"""The first two fail; each needs an edit of its own, the second both."""


def patched(patch: Patch, sources: Mapping[str, str] = SOURCES) -> str:
    """Return the shop with the patch made."""
    return apply(sources["shop.py"], by_path(patch).get("shop.py", []))


def judged(patch: Patch, scale: float) -> Trial:
    """Run the tests on the patched shop, the failing ones first."""
    shop: dict[str, Callable[..., int]] = {}
    try:
        exec(patched(patch), shop)  # the text is this test's own, changed by templates
        green = [test(shop) for test in TESTS]
    except Exception:  # what a candidate raises is a failure
        return Trial("failed")
    fixed = next((n for n, good in enumerate(green[:2]) if not good), 2)
    return Trial("plausible" if all(green) else "failed" if fixed < 2 else "broke", fixed)


def near(line: int, rank: int, fixed: int = 1, *, broke: bool = False) -> Partial:
    return Partial(Candidate((Edit("shop.py", rank, rank, "#"),), "t", "shop.py", line, 1.0), rank, fixed, broke)


def test_a_bug_in_two_places_is_found_edit_by_edit() -> None:
    """Where no single edit repairs all, what one edit mends is built upon; without that the search finds nothing."""

    def run(further: bool) -> list[str]:
        found = search(
            candidates(SOURCES, DIAGNOSIS),
            ScriptedWorkshop(judged),
            LocalHorizon(),
            deadline_s=time.monotonic() + 30,
            further=(lambda partial: second_edits(partial, SOURCES, DIAGNOSIS)) if further else None,
        )
        return [patched(plausible.candidate.patch) for plausible in found.plausible]

    alone, together = run(False), run(True)

    assert alone == []
    assert SHOP.replace("amount + rate", "amount * rate").replace("> 100", "> 99") in together


@pytest.mark.parametrize("shards", [1, 3])
def test_ranks_of_second_edits_come_behind_and_are_unique(shards: int) -> None:
    """A shard's second edits stand behind all that it tried before, at ranks that no other shard gives."""
    ranks: list[int] = []
    for shard in range(shards):
        single = iter([near(1, n).candidate for n in range(1, 10)])
        found = search(
            single,
            ScriptedWorkshop(lambda patch, scale: Trial("plausible" if len(patch) > 1 else "failed", 1)),
            LocalHorizon(),
            shard=shard,
            shards=shards,
            deadline_s=time.monotonic() + 30,
            further=lambda partial: iter([Candidate((*one.candidate.patch,) * 2, "t", "", 1, 1.0) for one in partial]),
        )
        ranks += [plausible.rank for plausible in found.plausible]

    assert len(set(ranks)) == 9
    assert min(ranks) > 9 - shards


def test_what_breaks_nothing_and_mends_most_is_built_upon_first() -> None:
    """Then the likelier goes first, and no line has more than three."""
    partial = [near(1, 1, broke=True, fixed=2), *(near(2, n) for n in range(2, 8)), near(3, 9, fixed=2)]

    assert [one.rank for one in best(partial)] == [9, 2, 3, 4, 1]


def test_the_first_edits_take_turns() -> None:
    """No first edit waits until another one is used up."""
    start = SHOP.index("+")
    other = SHOP.index("> 100")
    first = Candidate((Edit("shop.py", start, start + 1, "*"),), "one", "shop.py", 2, 1.0)
    second = Candidate((Edit("shop.py", other, other + 1, ">="),), "two", "shop.py", 6, 1.0)

    found = second_edits([Partial(first, 1, 1), Partial(second, 2, 1)], SOURCES, DIAGNOSIS)

    names = [next(found).template.partition(",")[0] for _ in range(6)]
    assert names == ["one", "two"] * 3


def test_places_move_with_the_lines() -> None:
    """Lines behind an insertion are suspected where they stand now, with the changed line and without the lost one."""
    after = SHOP.replace("    return amount + rate\n", "    rate = rate\n    return rate\n")

    places = places_after(SOURCES, {"shop.py": after}, DIAGNOSIS, 0.5, "changed")

    assert [(place.line, place.score) for place in places] == [(2, 0.5), (3, 0.5), (7, 0.8), (8, 0.5)]
