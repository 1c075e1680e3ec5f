"""One sample: what is asked, what comes of each kind of reply, and that a second look is taken once."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from atra.core.edits import Edit
from atra.core.errors import BudgetSpent, ModelRejected, ModelUnavailable
from atra.llm.records import Reply, Usage
from atra.llm.scripted import ScriptedModel
from atra.meta_architect.one_shot import Question, Sample, sample
from atra.meta_architect.records import Candidate, Plausible, Reproduction
from atra.meta_architect.screening import Bench, candidate_of
from atra.sandbox.reports import Outcome, TestResult
from tests.fakes import ScriptedRunner

SOURCES = {"shop.py": "TOTAL = 0\nRATE = 0\n", "ci.yml": "run: tests\n"}
REPRODUCTION = Reproduction(
    failing=(TestResult("bad", "failed", 0.1), TestResult("worse", "failed", 0.1)), passing=("good",)
)
QUESTION = Question("what failed", "n0nce", 3, seed=7)


def edit(search: str, replace: str, path: str = "shop.py") -> str:
    return f"The cause.\n\nFILE: {path}\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"


def says(tree: Path, seed: int) -> Mapping[str, Outcome]:
    """A suite that wants a total of 1 and a rate of 2, and no rate of 3."""
    text = (tree / "shop.py").read_text()
    return {
        "bad": "passed" if "TOTAL = 1" in text else "failed",
        "worse": "passed" if "RATE = 2" in text or "RATE = 3" in text else "failed",
        "good": "failed" if "RATE = 3" in text else "passed",
    }


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    count = iter(range(100))

    @contextmanager
    def patched(after: Mapping[str, str]) -> Iterator[str]:
        tree = tmp_path / str(next(count))
        tree.mkdir()
        for path, text in {**SOURCES, **after}.items():
            (tree / path).write_text(text)
        yield str(tree)

    return Bench(REPRODUCTION, ScriptedRunner(says), SOURCES.get, patched, lambda path: path == "ci.yml")


def asked(bench: Bench, *replies: Reply | str | Exception) -> tuple[Sample, ScriptedModel]:
    model = ScriptedModel(replies, name="cheap")
    return sample(model, QUESTION, bench), model


RIGHT = edit("TOTAL = 0\nRATE = 0", "TOTAL = 1\nRATE = 2")


def test_a_patch_that_passes_the_tests_is_plausible(bench: Bench) -> None:
    """Its candidate says which model wrote it and where; the record holds the diff and what it cost."""
    reply = Reply(RIGHT, "stop", usage=Usage(100, 20), cost_usd=0.25)

    proposals = asked(bench, reply)[0].proposals

    patch = (Edit("shop.py", 0, 19, "TOTAL = 1\nRATE = 2\n"),)
    assert proposals.plausible == (Plausible(Candidate(patch, "one-shot", "shop.py", 1, 1.0, "model/cheap"), 3),)
    assert (proposals.made[0].verdict, proposals.made[0].fixed) == ("plausible", 2)
    assert "+TOTAL = 1" in proposals.made[0].diff
    assert (proposals.calls, proposals.tokens, proposals.cost_usd) == (1, 120, 0.25)


def test_the_failing_tests_are_run_first_and_alone(bench: Bench) -> None:
    """A patch that leaves one red costs no whole suite."""
    asked(bench, edit("TOTAL = 0", "TOTAL = 1"))
    first = list(bench.runner.asked)  # type: ignore[attr-defined]
    asked(bench, RIGHT)

    assert [tests for tests, _, _ in first] == [("bad", "worse")]
    assert [tests for tests, _, _ in bench.runner.asked[1:]] == [("bad", "worse"), ()]  # type: ignore[attr-defined]


def test_the_model_is_asked_with_the_context_and_the_samples_seed(bench: Bench) -> None:
    """The rules come as the system's turn, the repository's text as the user's."""
    model = asked(bench, RIGHT)[1]

    system, user = model.requests[0].messages
    assert (system.role, user.role, user.text, model.requests[0].seed) == ("system", "user", "what failed", 7)
    assert "[n0nce begin" in system.text


VERDICTS: dict[str, tuple[str | Reply, str, str]] = {
    "refusal": (Reply("No.", "refusal"), "empty", "refused"),
    "prose": ("I would change the total.", "empty", "no change"),
    "cut off": (Reply("The cause is", "length"), "empty", "cut off"),
    "nothing new": (edit("TOTAL = 0", "TOTAL = 0"), "empty", "changes nothing"),
    "protected": (edit("run: tests", "run: true", "ci.yml"), "outside", "ci.yml"),
    "protected among others": (RIGHT + edit("", "x", "ci.yml"), "outside", "ci.yml"),
    "one red": (edit("TOTAL = 0", "TOTAL = 1"), "failed", "worse"),
    "breaks": (edit("TOTAL = 0\nRATE = 0", "TOTAL = 1\nRATE = 3"), "broke", "good"),
}


@pytest.mark.parametrize(("reply", "verdict", "why"), VERDICTS.values(), ids=VERDICTS.keys())
def test_what_is_no_repair_has_its_verdict(bench: Bench, reply: str | Reply, verdict: str, why: str) -> None:
    """Each is recorded with why, in one call, and nothing of it is plausible."""
    proposals = asked(bench, reply)[0].proposals

    assert (proposals.made[0].verdict, proposals.plausible, proposals.calls) == (verdict, (), 1)
    assert why in proposals.made[0].why


@pytest.mark.parametrize(
    "unusable",
    [
        edit("TOTAL = 9", "TOTAL = 1"),
        edit("TOTAL = 0", "TOTAL ="),
        RIGHT.removesuffix(">>>>>>> REPLACE\n"),
        edit("TOTAL = 0\nRATE = 0", "TOTAL = 1\nRATE = [redacted]"),
    ],
    ids=["fits nowhere", "no Python", "no end", "what was masked"],
)
def test_what_does_not_apply_goes_back_once(bench: Bench, unusable: str) -> None:
    """The model hears what was wrong, in a frame, and its second answer counts; there is no third."""
    better, model = asked(bench, unusable, RIGHT)
    worse, again = asked(bench, unusable, unusable, RIGHT)

    assert better.proposals.made[0].verdict == "plausible"
    assert [message.role for message in model.requests[1].messages] == ["system", "user", "assistant", "user"]
    assert "[n0nce begin complaint]" in model.requests[1].messages[-1].text
    assert (worse.proposals.made[0].verdict, worse.proposals.calls, len(again.requests)) == ("unapplied", 2, 2)


@pytest.mark.parametrize(
    ("text", "red"),
    [(edit("TOTAL = 0", "TOTAL = 1"), ("worse",)), (edit("TOTAL = 0\nRATE = 0", "TOTAL = 1\nRATE = 3"), ("good",))],
    ids=["one of two", "all but one that passed"],
)
def test_a_near_miss_is_handed_on(bench: Bench, text: str, red: tuple[str, ...]) -> None:
    """A patch that turns a failing test green says what stays red; one that helps nothing is no near miss."""
    near = asked(bench, text)[0].near

    assert near is not None
    assert near.red == red
    assert asked(bench, edit("TOTAL = 0", "TOTAL = 5"))[0].near is None


def test_money_that_is_used_up_ends_the_sample_with_a_reason(bench: Bench) -> None:
    """Before the first answer nothing was written; before the second what was paid for is counted."""

    class Spent(ScriptedModel):
        def reply(self, request, **options):  # type: ignore[no-untyped-def]
            if len(self.requests) == 1:
                raise BudgetSpent("run r1", "$1.00", "$1.00", "$0.10")
            return super().reply(request, **options)

    proposals = sample(Spent([Reply(edit("no", "no"), "stop", cost_usd=0.5)]), QUESTION, bench).proposals

    assert proposals.skipped.startswith("The budget of run r1 is spent")
    assert (proposals.made[0].verdict, proposals.calls, proposals.cost_usd) == ("unapplied", 1, 0.5)


def test_a_model_that_will_not_take_the_request_is_recorded_and_one_that_is_away_is_not(bench: Bench) -> None:
    """What comes again the same way is a result; what may pass is left to whoever tries again."""
    rejected = asked(bench, ModelRejected("cheap", "too long"))[0].proposals

    assert (rejected.made[0].verdict, "too long" in rejected.made[0].why) == ("unanswered", True)
    with pytest.raises(ModelUnavailable):
        asked(bench, ModelUnavailable("cheap", "overloaded"))


def test_an_empty_new_file_is_part_of_the_patch():
    """A package's `__init__.py` may be empty, and may be all that is missing."""
    made = candidate_of({"pkg/__init__.py": ""}, lambda path: None, model="m", template="t")
    assert made.patch == (Edit("pkg/__init__.py", 0, 0, ""),)


def test_both_questions_have_the_time_that_is_left(bench: Bench) -> None:
    """The second one's time-out is shorter by what the first took."""
    hurried = replace(bench, deadline_s=time.monotonic() + 60)
    model = ScriptedModel([edit("nothing like it", "x"), RIGHT], name="cheap")
    sample(model, QUESTION, hurried)

    first, second = (request.timeout_s for request in model.requests)
    assert 55 < second < first <= 60
