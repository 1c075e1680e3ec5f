"""Why a repair is as it is, from what its steps put out."""

from dataclasses import replace
from typing import Any

import pytest

from atra.cli.explain import SIGNS, explained, print_explanation
from atra.core.records import to_json
from atra.core.runs import Step
from atra.meta_architect.records import Candidate, Choice, Diagnosis, Place, Plausible, Search, Verification

TEXT = "def price(n):\n    if n > 10:\n        return 9 * n\n    return 10 * n\n"
TAKEN = Plausible(Candidate((), "comparison-operator", "shop.py", 2, 0.1), 4)
REFUSED = Plausible(Candidate((), "number", "shop.py", 2, 0.05), 9)
LATE = Plausible(Candidate((), "inserted-guard, number", "shop.py", 1, 0.01), 70)
DIAGNOSIS = Diagnosis((Place("shop.py", 2, 0.8, ("run by 1 of 1 failing and 0 passing tests",)),))
SEARCH = Search((TAKEN, REFUSED), 120, 1.0, {"failed": 110, "hung": 10}, best=LATE, best_fixed=1)
CHOICE = Choice((REFUSED, TAKEN, LATE), (0, 1, 0), ((), (), ("early-exit",)))
PROOF = Verification(TAKEN, refused=("number at shop.py:2 (rank 9): t.py::b passed before and is failed now",))


def step(name: str, output: Any) -> Step:
    return Step("r1", name, 0, 0, False, "settled", 1, 1, None, None, None, to_json(output), None, None, None)


STEPS = [step("diagnose", DIAGNOSIS), step("try", SEARCH), step("choose", CHOICE), step("verify", PROOF)]


def test_place_edit_and_rivals_are_told() -> None:
    """The place with its reasons and its line marked, what the template does, and what became of each patch."""
    told = explained(STEPS, {"shop.py": TEXT}.get)

    assert told is not None
    assert (told.place, told.suspicion, told.reasons) == ("shop.py:2", 0.8, DIAGNOSIS.places[0].reasons)
    assert [number for number, _, marked in told.lines if marked] == [2]
    assert told.lines[1][1] == "    if n > 10:"
    assert told.edit.startswith("comparison-operator: `a < b` -> `a <= b`")
    assert told.tried == {"failed": 110, "hung": 10}
    assert [(row.template, row.behaviour, row.outcome) for row in told.rows] == [
        ("number", "a", "t.py::b passed before and is failed now"),
        ("comparison-operator", "b", "taken"),
        ("inserted-guard, number", "a", "not needed"),
    ]


def test_a_search_without_a_find_tells_where_it_looked_and_what_came_nearest() -> None:
    """The most suspect place stands for the patch's, and nothing is said of an edit."""
    told = explained([*STEPS[:2], step("choose", Choice(()))], lambda path: None)

    assert told is not None
    assert (told.place, told.edit, told.lines, told.rows) == ("shop.py:2", "", (), ())
    assert told.nearest == "inserted-guard, number at shop.py:1 (rank 70), with which 1 failing test passed"


@pytest.mark.parametrize("steps", [[], [step("reproduce", DIAGNOSIS)]], ids=["no-steps", "not-so-far"])
def test_what_looked_for_no_place_is_not_explained(steps: list[Step]) -> None:
    """A run that ended before its diagnosis has nothing to tell."""
    assert explained(steps, lambda path: None) is None


def test_people_read_it_with_the_line_marked(capsys: pytest.CaptureFixture[str]) -> None:
    """Signs against a patch are told in words, and text of the repository steers no terminal."""
    hostile = TEXT.replace("> 10", "> 10  # \x1b[31m[bold]")

    print_explanation(explained(STEPS, {"shop.py": hostile}.get))
    said = capsys.readouterr().out

    assert ">     2      if n > 10  # " in said
    assert "\x1b[31m" not in said
    assert "[bold]" in said
    assert " ".join(SIGNS["early-exit"].split()[:3]) in " ".join(said.split())


def test_a_place_that_nobody_suspected_is_told_as_such() -> None:
    """A model may change what the diagnosis did not name."""
    elsewhere = replace(TAKEN, candidate=replace(TAKEN.candidate, line=4, template="one-shot", generator="model/own"))

    told = explained([STEPS[0], step("verify", replace(PROOF, winner=elsewhere))], {"shop.py": TEXT}.get)

    assert told is not None
    assert (told.place, told.suspicion, told.edit) == ("shop.py:4", 0.0, "one-shot, written by model/own")
