"""New code for tests that are given: what the model is told, when the goal is reached, and what the commit says.

Writing is the agent's work, and proving is that of a repair, with the given tests in place of the failing ones.
"""

import ast
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from atra.core.errors import BadInput
from atra.llm.prompting import framed
from atra.meta_architect.agent import TestsSaid
from atra.meta_architect.agent_repair import report_text
from atra.meta_architect.context import tokens_in
from atra.meta_architect.message import one_line
from atra.meta_architect.records import Target, Verification
from atra.meta_architect.verification import HASH_SEEDS
from atra.sandbox.reports import GREEN, TestReport, TestResult

LARGEST_SPEC = 60_000
"""Characters of a specification."""


@dataclass(frozen=True)
class OutlineFile:
    """A file that is to be made or changed, and what it holds."""

    path: str
    holds: str


@dataclass(frozen=True)
class Outline:
    """How the model means to go about it, before it writes anything."""

    approach: str
    files: tuple[OutlineFile, ...]


@dataclass(frozen=True)
class Brief:
    """What was found before the writing: the tests that pass, what the given ones say, and the model's outline.

    `outline` is None where the model gave none that can be read; `note` says why.
    """

    passing: tuple[str, ...]
    said: str
    tampered: tuple[str, ...] = ()
    outline: Outline | None = None
    note: str = ""
    calls: int = 0
    tokens: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True)
class Given:
    """How the given tests stand in one run: their results, and which of their files have none."""

    results: tuple[TestResult, ...]
    silent: tuple[str, ...]

    @property
    def green(self) -> bool:
        """Whether every given file has tests, and all of them passed."""
        return not self.silent and bool(self.results) and all(one.outcome in GREEN for one in self.results)


def check_tests(path: str, text: str) -> None:
    """Look at a given test file before anything is started.

    Raises:
        BadInput: it is empty, is no Python, or has no test in it.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise BadInput(f"{path} is no Python: {getattr(error, 'msg', error)}") from error
    names = [getattr(node, "name", "") for node in ast.walk(tree)]
    if not any(name.startswith(("test", "Test")) for name in names):
        raise BadInput(f"{path} has no test in it")


def given(report: TestReport, paths: Sequence[str]) -> Given:
    """Return how the given files' tests stand in this run."""
    results = tuple(result for result in report.results if result.id.partition("::")[0] in paths)
    told = {result.id.partition("::")[0] for result in results}
    return Given(results, tuple(path for path in paths if path not in told))


def said(report: TestReport, brief: Brief, target: Target) -> TestsSaid:
    """Return what a run tells the one who writes; the goal is the given tests green and none lost."""
    now = given(report, target.tests)
    told = report.by_id()
    lost = [test for test in brief.passing if test not in told or told[test].outcome != "passed"]
    if replaced := sorted(set(report.tampered) - set(brief.tampered)):
        return TestsSaid(False, f"the code replaces {', '.join(replaced)} while the tests run")
    if now.green and not lost:
        return TestsSaid(True, f"all {len(now.results)} given tests pass, and no other is lost")
    red = [result.id for result in now.results if result.outcome not in GREEN]
    head = f"{len(now.results) - len(red)} given tests pass, {len(red)} do not"
    missing = [f"{path} could not be collected" for path in now.silent]
    gone = [f"{len(lost)} tests that passed before do not"] if lost else []
    return TestsSaid(False, report_text("; ".join([head, *missing, *gone]), [*red, *lost], report))


def task(target: Target, brief: Brief, files: Sequence[str], *, nonce: str, tokens: int) -> str:
    """Return what the writer is told: the specification, the tests, what they say now, and what there is.

    Args:
        files: paths of the repository's files.
        tokens: about how many it may be; the list of files is cut first, then the specification.
    """
    tests = [framed(nonce, f"the given tests, {path}", target.added[path]) for path in target.tests]
    outline = [_outlined(brief.outline)] if brief.outline else []
    parts = [*tests, framed(nonce, "what they say now", brief.said[:6000]), *outline]
    room = max(2000, 3 * tokens - sum(map(len, parts)))
    spec = target.spec if len(target.spec) <= room // 2 else f"{target.spec[: room // 2]}\n… the rest has no room here"
    listed: list[str] = []
    for path in sorted(files):
        if sum(map(len, listed)) + len(path) > room // 4:
            listed.append(f"… and {len(files) - len(listed)} more")
            break
        listed.append(path)
    return "\n".join(
        [
            framed(nonce, "the specification", spec),
            *parts,
            framed(nonce, "the files there are", "\n".join(listed) or "none"),
        ]
    )


def fits(target: Target, tokens: int) -> bool:
    """Return whether the given tests have room in a conversation of so many tokens."""
    return sum(tokens_in(target.added[path]) for path in target.tests) < tokens // 2


def spec_hash(spec: str) -> str:
    """Return the specification's SHA-256, as the commit's trailer names it."""
    return hashlib.sha256(spec.encode()).hexdigest()


def message(run_id: str, target: Target, proof: Verification) -> str:
    """Return the message for the commit of new code that was proved."""
    assert proof.winner is not None
    tests = [result for result in proof.passing_after if result.partition("::")[0] in target.tests]
    names = [one_line(path) for path in sorted(proof.files)]
    title = next((line.strip("# ").strip() for line in target.spec.splitlines() if line.strip("# ").strip()), "")
    subject = one_line(f"Add {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else ""))
    return "\n".join(
        [
            subject[:60],
            "",
            *([f"Asked for as: {one_line(title)[:200]}"] if title else []),
            f"Written by {one_line(proof.winner.candidate.generator)}, in these files:",
            *(f"  {name}" for name in names),
            "The tests were given:",
            *(f"  {one_line(path)}" for path in target.tests),
            f"Proved in a fresh sandbox under hash seeds {', '.join(map(str, HASH_SEEDS))}: the given tests pass, and",
            "those that passed before still do.",
            "",
            f"Atra-Run: {run_id}",
            f"Atra-Base: {target.revision}",
            f"Atra-Generator: {one_line(proof.winner.candidate.generator)}",
            f"Atra-Tests: {len(tests)} given, {len(proof.passing_after)} passing, {len(proof.failing_after)} failing",
            f"Atra-Spec: {spec_hash(target.spec)}",
            "",
        ]
    )


def _outlined(outline: Outline) -> str:
    files = "\n".join(f"- {one_line(file.path)}: {one_line(file.holds)}" for file in outline.files)
    return f"Your own outline, which you may change:\n{one_line(outline.approach)}\n{files}\n"
