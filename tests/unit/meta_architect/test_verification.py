"""The last proof: what refuses a patch, and what the winner carries."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from atra.core.edits import Edit
from atra.core.errors import ProtectedPath
from atra.meta_architect.records import Candidate, Choice, Plausible, Reproduction, Verification
from atra.meta_architect.verification import HASH_SEEDS, verify
from atra.sandbox.reports import TestResult, standing
from tests.fakes import ScriptedRunner

SOURCES = {"shop.py": "TOTAL = 0\n", "ci.py": "TOTAL = 0\n"}
REPRODUCTION = Reproduction(failing=(TestResult("bad", "failed", 0.1),), passing=("good",))


def plausible(rank: int, text: str, path: str = "shop.py") -> Plausible:
    return Plausible(Candidate((Edit(path, 8, 9, text),), "literal", path, 1, 1.0), rank)


@pytest.fixture
def prove(tmp_path: Path):
    count = iter(range(1000))

    @contextmanager
    def patched(after: Mapping[str, str]) -> Iterator[str]:
        tree = tmp_path / str(next(count))
        tree.mkdir()
        for path, text in {**SOURCES, **after}.items():
            (tree / path).write_text(text)
        yield str(tree)

    def run(runner: ScriptedRunner, *ranked: Plausible, **options: float) -> Verification:
        return verify(
            REPRODUCTION,
            Choice(ranked),
            SOURCES,
            runner,
            patched,
            lambda path: path == "ci.py",
            confidence=0.9,
            **options,
        )

    return run


def by_total(outcomes: Mapping[str, Mapping[str, str]]):
    """A runner whose tests depend on what the patch wrote."""
    return ScriptedRunner(lambda tree, seed: outcomes[(tree / "shop.py").read_text().split()[-1]])


def test_the_first_choice_that_holds_wins(prove):
    """A choice that breaks the suite is refused with its reason, and the next one is proved."""
    runner = by_total(
        {
            "1": {"bad": "passed", "good": "failed"},
            "2": {"bad": "passed", "good": "passed"},
            "0": {"bad": "failed", "good": "passed"},
        }
    )

    proof = prove(runner, plausible(1, "1"), plausible(2, "2"))

    assert proof.winner == plausible(2, "2")
    assert proof.files == {"shop.py": "TOTAL = 2\n"}
    assert "-TOTAL = 0\n+TOTAL = 2\n" in proof.diff
    assert "good passed before and is failed now" in proof.refused[0]


def test_a_new_file_is_part_of_the_proof(prove):
    """What the base does not have stands in the tree that is proved, in the files, and in the diff as new."""
    runner = ScriptedRunner(
        lambda tree, seed: {"bad": "passed" if (tree / "tax.py").exists() else "failed", "good": "passed"}
    )
    made = Candidate((Edit("tax.py", 0, 0, "RATE = 3\n"),), "one-shot", "tax.py", 1, 1.0, "model/cheap")

    proof = prove(runner, Plausible(made, 1))

    assert proof.files == {"tax.py": "RATE = 3\n"}
    assert "new file mode 100644\n--- /dev/null\n+++ b/tax.py\n" in proof.diff


def test_the_suite_runs_under_every_hash_seed(prove):
    """A patch that holds under one hash seed only is refused."""
    runner = ScriptedRunner(
        lambda tree, seed: {"bad": "failed" if seed == HASH_SEEDS[-1] else "passed", "good": "passed"}
    )

    proof = prove(runner, plausible(1, "1"))

    assert proof.winner is None
    assert f"hash seed {HASH_SEEDS[-1]}" in proof.refused[0]


@pytest.mark.parametrize("outcome", ["skipped", "xfailed", "hung", "error"])
def test_only_passing_counts_as_fixed(prove, outcome: str):
    """A failing test that is skipped or expected to fail after the patch is not fixed."""
    proof = prove(by_total({"1": {"bad": outcome, "good": "passed"}}), plausible(1, "1"))

    assert proof.winner is None


def test_a_test_that_was_not_run_counts_against_the_patch(prove):
    """A passing test that vanishes from the report refuses the patch."""
    runner = by_total({"1": {"bad": "passed"}, "0": {"bad": "failed", "good": "passed"}})

    assert prove(runner, plausible(1, "1")).winner is None


def test_a_test_that_fails_without_the_patch_too_is_flaky(prove):
    """A passing test that fails on a rerun of the base revision is set aside and does not refuse the patch."""
    runner = ScriptedRunner(
        lambda tree, seed: {
            "bad": "passed" if "1" in (tree / "shop.py").read_text() else "failed",
            "good": "failed" if seed == 1 else "passed",
        }
    )

    proof = prove(runner, plausible(1, "1"))

    assert proof.winner is not None
    assert list(proof.aside) == ["good"]


def test_the_deadline_ends_the_proof(prove):
    """What is not proved within the budget is not proved, and the reason says so."""
    runner = by_total({"1": {"bad": "passed", "good": "passed"}})

    proof = prove(runner, plausible(1, "1"), plausible(2, "2"), deadline_s=0.0)

    assert proof.winner is None
    assert proof.refused == ("2 more were not looked at: the budget ended",)
    assert runner.asked == []


def test_a_patch_that_replaces_the_runner_is_refused(prove):
    """A suite that passes because the patch replaced a function of the runner proves nothing."""
    runner = by_total({"1": {"bad": "passed", "good": "passed"}})
    runner.tampered = ("builtins.AssertionError",)

    proof = prove(runner, plausible(1, "1"))

    assert proof.winner is None
    assert "builtins.AssertionError" in proof.refused[0]


def test_a_protected_path_is_never_proved(prove):
    """A patch of a protected file is an error, not a candidate."""
    with pytest.raises(ProtectedPath):
        prove(by_total({}), plausible(1, "1", path="ci.py"))


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ({}, "not run"),
        ({"tests/test_a.py::test_one": "passed", "tests/test_a.py::test_two": "skipped"}, "passed"),
        ({"tests/test_a.py::test_one": "passed", "tests/test_a.py::test_two": "hung"}, "hung"),
        ({"tests/test_a.py::test_one": "skipped", "tests/test_a.pyx::test_two": "passed"}, "not run"),
        ({"tests/test_a.py": "error"}, "error"),
    ],
)
def test_a_whole_file_stands_for_all_that_is_in_it(outcomes: Mapping[str, str], expected: str):
    """It has passed when something in it has, and nothing in it failed."""
    assert standing("tests/test_a.py", outcomes) == expected
    assert standing("tests/test_a.py::test_three", outcomes) == "not run"
