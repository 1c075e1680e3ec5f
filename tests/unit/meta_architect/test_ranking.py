"""Which plausible patch is verified first, and how far it is trusted."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.core.edits import Edit
from atra.meta_architect.ranking import choose, confidence, judge
from atra.meta_architect.records import Candidate, Choice, Plausible, Reproduction
from atra.sandbox.reports import TestResult

TEXT = """def price(amount, rate, limit):
    total = amount * rate
    if total > limit:
        total = limit
    return total
"""
SOURCES = {"a.py": TEXT}
FACTS = Reproduction(
    failing=(TestResult("t.py::test", "failed", 0.1, "AssertionError", "assert 3 == 417"),), passing=()
)


def patch(old: str, new: str, rank: int = 1, score: float = 0.1, template: str = "template") -> Plausible:
    """Replace the one occurrence of a text."""
    assert TEXT.count(old) == 1
    start = TEXT.index(old)
    edit = Edit("a.py", start, start + len(old), new)
    return Plausible(Candidate((edit,), template, "a.py", 1, score), rank)


HONEST = patch("total > limit", "total >= limit")


@pytest.mark.parametrize(
    ("item", "sign"),
    [
        (patch("amount * rate", "amount"), "unused"),
        (patch("total > limit", "1 > 2"), "constant"),
        (patch("return total", "return 417"), "literal"),
        (patch("        total = limit\n", "        pass\n    if 0 < total:\n        return 5\n"), "early-exit"),
        (patch("    if total > limit:\n        total = limit\n", ""), "deleted"),
        (patch("    if total", "    return rate\n    if total"), "dead"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_suspicious_patch_shows_its_sign(item: Plausible, sign: str) -> None:
    """Each anti-pattern is seen, and puts the patch behind one without any, however early it was found."""
    late = Plausible(HONEST.candidate, 999)

    assert sign in judge(item, SOURCES, ["417"]).signs
    assert judge(HONEST, SOURCES, ["417"]).signs == ()
    assert choose([item, late], SOURCES, FACTS).ranked[0] == late


def test_the_smaller_change_goes_first() -> None:
    """Between patches without a sign the one that changes fewer nodes wins, whatever the score says."""
    larger = patch("amount * rate", "amount * rate + rate - amount", rank=1, score=0.9)
    smaller = patch("amount * rate", "amount / rate", rank=2, score=0.1)

    assert choose([larger, smaller], SOURCES, FACTS).ranked == (smaller, larger)


def test_the_likelier_change_goes_first_among_equals() -> None:
    """Signs and size being equal, the stream's score decides."""
    one = patch("amount * rate", "amount / rate", rank=1, score=0.1)
    other = patch("amount * rate", "amount % rate", rank=2, score=0.2)

    assert choose([one, other], SOURCES, FACTS).ranked == (other, one)


def test_patches_that_behave_alike_speak_for_each_other() -> None:
    """Two that behave alike outweigh a likelier one that stands alone, a third of one's template adds nothing."""
    alone = replace(patch("amount * rate", "amount / rate", rank=1, score=0.15), behaviour=("a", "b"))
    first = replace(patch("amount * rate", "amount % rate", rank=2, score=0.1), behaviour=("a", "c"))
    second = replace(patch("amount * rate", "amount - rate", rank=3, score=0.09, template="b"), behaviour=("a", "c"))
    third = replace(patch("amount * rate", "amount // rate", rank=4, score=0.08), behaviour=("a", "c"))

    choice = choose([alone, second, third, first], SOURCES, FACTS)

    assert choice.ranked == (first, second, third, alone)
    assert choice.groups == (0, 0, 0, 1)
    assert choice.share == pytest.approx(0.19 / 0.34)


def test_what_speaks_against_a_patch_while_it_runs_counts_too() -> None:
    """A sign seen in what a patch does puts it behind one without."""
    odd = replace(patch("amount * rate", "amount / rate", rank=1, score=0.5), signs=("type",))
    plain = patch("amount * rate", "amount % rate", rank=2, score=0.1)

    choice = choose([odd, plain], SOURCES, FACTS)

    assert choice.ranked == (plain, odd)
    assert choice.signs == ((), ("type",))


def test_patches_with_one_result_count_once() -> None:
    """White space and brackets make no second patch; the one found first stands for both."""
    first, second = patch("total > limit", "total >= limit", 3), patch("total > limit", "(total>=limit)", 7)

    assert choose([second, first], SOURCES, FACTS).ranked == (first,)


def test_a_patch_of_a_file_that_is_not_there_is_no_choice() -> None:
    """What cannot be applied or read is left out."""
    stray = Plausible(Candidate((Edit("b.py", 3, 4, "x"),), "template", "b.py", 1, 1.0), 1)
    broken = patch("total > limit", "total >")

    assert choose([stray, broken], SOURCES, FACTS) == Choice(())


@given(
    st.permutations([HONEST, *(patch("amount * rate", f"amount {sign} rate", n) for n, sign in enumerate("/%-+", 2))])
)
def test_the_order_of_arrival_has_no_influence(items: list[Plausible]) -> None:
    """Shards end in any order; the choice is the same."""
    assert choose(items, SOURCES, FACTS) == choose(sorted(items, key=lambda item: item.rank), SOURCES, FACTS)


def test_confidence_falls_with_rivals_and_rank() -> None:
    """One early patch without a rival is trusted most, and nothing is trusted without a patch."""
    rival = replace(patch("amount * rate", "amount / rate", 5), behaviour=("b",))
    alike = replace(HONEST, behaviour=("a",))
    alone = confidence(choose([alike], SOURCES, FACTS))
    assert alone == confidence(choose([alike, replace(rival, behaviour=("a",))], SOURCES, FACTS))
    rivals = confidence(choose([alike, rival], SOURCES, FACTS))
    late = confidence(Choice((Plausible(HONEST.candidate, 2000),)))

    assert confidence(Choice(())) == 0
    assert 0 < late < rivals < alone < 0.95


def test_new_files_and_files_that_are_no_python_are_weighed_too() -> None:
    """A patch that makes a file is a larger change than one that alters a line; text counts by its lines."""
    text = patch("total > limit", "total >= limit", 1).candidate.patch
    made = Plausible(Candidate((*text, Edit("b.py", 0, 0, "RATE = 3\n")), "one-shot", "a.py", 1, 0.1), 1)
    data = Plausible(Candidate((*text, Edit("b.json", 0, 0, "[1]\n")), "one-shot", "a.py", 1, 0.1), 2)

    assert choose([made, data, HONEST], SOURCES, FACTS).ranked == (HONEST, data, made)
    assert judge(made, SOURCES).size > judge(HONEST, SOURCES).size
