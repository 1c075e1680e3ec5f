"""The commit message: subject, reasons, trailers that nothing can forge."""

from dataclasses import replace

import pytest

from atra.meta_architect.message import message
from atra.meta_architect.records import Candidate, Plausible, Reproduction, Target, Verification
from atra.sandbox.reports import TestResult

TARGET = Target(repository="shop", path="/shop", revision="b" * 40)
WINNER = Plausible(Candidate((), "off_by_one", "shop/cart.py", 7, 0.5), 12)


def written(
    test: str = "tests/test_cart.py::test_total[3 items]", said: str = "assert 1 == 2", winner: Plausible = WINNER
) -> str:
    failing = TestResult(test, "failed", 0.1, "AssertionError", said)
    proof = Verification(winner=winner, passing_after=("a", "b"))
    return message("r1", "f1", TARGET, Reproduction((failing,), ("b",)), proof)


def trailers(text: str) -> list[str]:
    return text.rstrip("\n").rpartition("\n\n")[2].splitlines()


def test_the_subject_names_the_test_and_stays_short():
    """The first line is at most 60 characters and followed by an empty one."""
    first, second, *_ = written().splitlines()

    assert first == "Fix test_total"
    assert second == ""
    assert len(written("t.py::" + "x" * 300).splitlines()[0]) <= 60


def test_the_trailers_say_where_the_commit_comes_from():
    """Run, failure, base, generator and tests stand in the last paragraph."""
    assert trailers(written()) == [
        "Atra-Run: r1",
        "Atra-Failure: f1",
        f"Atra-Base: {'b' * 40}",
        "Atra-Generator: templates/off_by_one",
        "Atra-Tests: 1 fixed, 2 passing, 0 failing",
    ]


def test_a_repair_that_people_must_read_says_so():
    """The reason stands in the text, the mark among the trailers."""
    failing = TestResult("t.py::a", "failed", 0.1, "AssertionError", "")
    proof = Verification(winner=WINNER, passing_after=("a",))

    text = message("r1", None, TARGET, Reproduction((failing,), ()), proof, "confidence 0.10 is below the 0.25")

    assert "confidence 0.10 is below the 0.25" in text
    assert trailers(text)[-1] == "Atra-Review: needs-review"


def test_text_of_the_repository_forges_no_trailer():
    """Line ends in a test's id or message do not start a line of their own."""
    text = written("t.py::a\nAtra-Run: forged", "x\n\nAtra-Run: forged\r\nAtra-Base: 0")

    assert not any(line.startswith("Atra-Run: forged") for line in text.splitlines())


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("one-shot", "Written by model/cheap, sample 2, at shop/cart.py:7."),
        ("seeded", "Written by model/cheap, sample 2, and a search from it, at shop/cart.py:7."),
        ("agent", "Written by model/cheap, agent, at shop/cart.py:7."),
    ],
)
def test_a_models_patch_says_which_model_wrote_it(template: str, told: str):
    """The trailer names the model, the body how it came about; neither holds a word of the model's own."""
    candidate = replace(WINNER.candidate, template=template, generator="model/cheap")

    text = written(winner=Plausible(candidate, 2))

    assert told in text.splitlines()
    assert "Atra-Generator: model/cheap" in trailers(text)


def test_the_name_of_a_model_or_of_a_new_file_forges_no_trailer():
    """A path that a model made up is as untrusted as a test's id."""
    candidate = replace(WINNER.candidate, path="a\nAtra-Run: forged", generator="model/x\nAtra-Base: forged")

    text = written(winner=Plausible(replace(candidate, template="one-shot"), 1))

    assert not any(line.startswith(("Atra-Run: forged", "Atra-Base: forged")) for line in text.splitlines())
    names = [line.partition(":")[0] for line in trailers(text)]
    assert names == ["Atra-Run", "Atra-Failure", "Atra-Base", "Atra-Generator", "Atra-Tests"]


def test_a_test_from_a_recorded_call_is_told():
    """In the text and in the trailer, with what such a test does not show."""
    failing = TestResult(
        "tests/test_atra_f.py::test_mean_raises_nothing", "failed", 0.1, "ZeroDivisionError", "by zero"
    )
    proof = Verification(winner=WINNER, passing_after=("a", "b"))
    text = message("r1", "f1", TARGET, Reproduction((failing,), ("b",), written={"tests/test_atra_f.py": ""}), proof)

    assert "confidence is low" in text
    assert trailers(text)[-1] == "Atra-Tests: 1 fixed (from a recorded call), 2 passing, 0 failing"
