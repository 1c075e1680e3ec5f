"""First step: run the suite as it is, and tell what is to be repaired from what only this box or luck makes red."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from atra.core.errors import NoTests, TargetBroken, TestsHang, UnknownTest
from atra.meta_architect.localisation import is_test
from atra.meta_architect.records import Reproduction, Target
from atra.sandbox.protocol import Stop, never
from atra.sandbox.reports import GREEN, Frame, TestReport, TestResult, is_whole_file
from atra.sandbox.runner import Runner

_TRACED_HUNG = 1

_NO_NETWORK = re.compile(
    r"Temporary failure in name resolution|Name or service not known|nodename nor servname|Network is unreachable"
    r"|getaddrinfo failed|No route to host|gaierror|NewConnectionError|EAI_AGAIN|Could not resolve host"
)
_NO_TOOL = re.compile(
    r"No such file or directory: '(?P<tool>[\w.+-]+)'$|(?:^|\W)(?P<shell>[\w.+-]+): (?:command )?not found"
)
_NO_MODULE = re.compile(r"No module named '(?P<module>[\w.]+)'")
_NO_FIXTURE = re.compile(r"fixture '(?P<fixture>\w+)' not found")
_ERROR_LINE = re.compile(r"(?P<type>[\w.]*(?:Error|Exception|Interrupt))\b(?:: (?P<message>.*))?")
_PLACE = re.compile(  # of a file that cannot be read, or of a frame
    r'^(?:E\s+File "(?P<file>.+)", line (?P<at>\d+)|(?P<path>[^\s:][^:\n]*\.py):(?P<line>\d+): in .*)$', re.MULTILINE
)


@dataclass(frozen=True)
class Green:
    """There is nothing to repair, and why: every test that counts passes, or what fails is not the code's fault."""

    reason: str
    passing: tuple[str, ...]
    aside: Mapping[str, str]


def reproduce(
    target: Target, runner: Runner, tree: str, own_modules: frozenset[str], *, stop: Stop = never
) -> Reproduction | Green:
    """Run the suite, then again to see which lines it runs and which failures are flaky.

    Args:
        target: what was asked for; its `tests`, when given, alone count as failing.
        runner: the project's tests.
        tree: folder with the base revision's files.
        own_modules: top-level names of the repository's own modules; a missing one of these is a bug, not a missing
            dependency.
        stop: ends the work early.

    Raises:
        NoTests, UnknownTest, CommandNotFound, InterpreterUnusable: as their names say.
        TargetBroken: tests could not be collected, for another reason than an error in code that was read and begun,
            and no other test fails.
        TestsHang: not one test ended within the budget.
    """
    wall_s = target.budget_s * 0.4
    report = runner.report(tree, wall_s=wall_s, stop=stop)
    broken = [_broken(text, target.path) for text in report.broken]
    ours = [result for result in broken if _ended_in_code(result)] if not target.tests else []
    broken = [result for result in broken if result not in ours]
    if not ours:
        _refuse_unusable(target, report, broken, wall_s)
    warnings = [f"not collected: {result.message}" for result in broken]
    if missing := len(report.collected) - len(report.results):
        warnings.append(f"{missing} tests did not run within the time")
    red = [*ours, *(result for result in report.results if result.outcome not in GREEN)]
    aside = {result.id: why for result in [*broken, *red] if (why := _outside_cause(result, own_modules))}
    if target.tests:
        red = _asked_for(target.tests, report, red)
        aside = {test: why for test, why in aside.items() if test not in target.tests}
        aside |= {r.id: "not asked for" for r in report.results if r.outcome not in GREEN and r not in red}
    failing = [result for result in red if result.id not in aside]
    passing = tuple(result.id for result in report.results if result.outcome == "passed")
    if not failing:
        return _green(target, report, broken, passing, aside)
    covered = runner.report(
        tree,
        tests=_to_trace(failing, passing, report),
        coverage=True,
        known_to_hang=[result.id for result in failing if result.outcome == "hung"],
        hash_seed=1,
        wall_s=target.budget_s * 0.2,
        stop=stop,
    )
    aside |= _flaky(failing, covered)
    if left := [result.id for result in failing if result.id not in aside and result.outcome != "hung"]:
        aside |= _flaky(failing, runner.report(tree, tests=left, hash_seed=2, stop=stop))
    failing = [result for result in failing if result.id not in aside]
    if not failing:
        return _green(target, report, broken, passing, aside)
    if target.suspect:
        near = [result for result in failing if _runs(result, covered.lines.get(result.id, {}), target.suspect)]
        aside |= {
            result.id: "does not run the file of the reported failure" for result in failing if result not in near
        }
        failing = near
        if not failing:
            return _green(target, report, broken, passing, aside)
    asked = {result.id for result in failing}
    return Reproduction(
        failing=tuple(failing),
        passing=_nearest_first(passing, failing, covered, report),
        aside=aside,
        seconds={result.id: result.seconds for result in report.results},
        lines={test: covered.lines[test] for test in sorted(asked & covered.lines.keys())},
        passing_hits=_hits(lines for test, lines in covered.lines.items() if test not in asked),
        warnings=tuple(warnings),
        tampered=tuple(sorted({*report.tampered, *covered.tampered})),
    )


def _refuse_unusable(target: Target, report: TestReport, broken: Sequence[TestResult], wall_s: float) -> None:
    if not report.results:
        if broken:
            raise TargetBroken(broken[0].message)
        if report.collected and not report.complete:
            raise TestsHang(round(report.seconds), report.collected[0])
        raise NoTests(target.path)
    if all(result.outcome == "hung" and result.seconds >= wall_s for result in report.results):
        raise TestsHang(round(wall_s), report.results[0].id)  # a command, which has no time limit of its own
    asked_for = [result for result in broken if any(_within(name, result.id) for name in target.tests)]
    if asked_for:
        raise TargetBroken(asked_for[0].message)


def _green(
    target: Target,
    report: TestReport,
    broken: Sequence[TestResult],
    passing: tuple[str, ...],
    aside: Mapping[str, str],
) -> Green:
    """Return that nothing is to be repaired, unless that cannot be told since the code keeps tests from being seen."""
    if unseen := [result for result in broken if result.id not in aside and not target.tests]:
        raise TargetBroken(unseen[0].message)
    return Green(_why_green(report, aside), passing, aside)


def _asked_for(wanted: Sequence[str], report: TestReport, red: list[TestResult]) -> list[TestResult]:
    """Return the failing tests that are named, or lie in the file, class or function that is named."""
    known = set(report.collected) | {result.id for result in report.results}
    for name in wanted:
        if not any(_within(test, name) for test in known):
            raise UnknownTest(name)
    return [result for result in red if any(_within(result.id, name) for name in wanted)]


def _within(test: str, name: str) -> bool:
    return test == name or test.startswith((f"{name}::", f"{name}[", f"{name.rstrip('/')}/"))


def _outside_cause(result: TestResult, own_modules: frozenset[str]) -> str:
    """Return why this failure says nothing about the code, or nothing when it may well."""
    said = f"{result.error_type}: {result.message}"
    if _NO_NETWORK.search(said):
        return "needs the network, which the sandbox does not have"
    if result.error_type in {"FileNotFoundError", "CalledProcessError"} and (found := _NO_TOOL.search(result.message)):
        return f"needs the program {found['tool'] or found['shell']}, which the sandbox does not have"
    if result.error_type == "ModuleNotFoundError" and (found := _NO_MODULE.search(result.message)):
        module = found["module"].partition(".")[0]
        if module not in own_modules:
            return f"needs the module {module}, which the interpreter does not have"
    if result.error_type == "FixtureLookupError" and (found := _NO_FIXTURE.search(result.text)):
        return f"needs the fixture {found['fixture']}, which no plugin here provides"
    return ""


def _flaky(failing: Sequence[TestResult], again: TestReport) -> dict[str, str]:
    """Return those that failed before and passed when they were run again, under another hash seed."""
    passed = {result.id for result in again.results if result.outcome == "passed"}
    return {result.id: "flaky: it fails on some runs only" for result in failing if result.id in passed}


def _runs(result: TestResult, lines: Mapping[str, tuple[int, ...]], suspect: str) -> bool:
    """Return whether the test runs the suspect file, which another machine may know by another path."""
    named = "/" + suspect.replace("\\", "/").lstrip("/")
    paths = {*lines, *(frame.path for frame in result.frames)}
    return any(named.endswith(f"/{path}") for path in paths)


def _to_trace(failing: Sequence[TestResult], passing: Sequence[str], report: TestReport) -> list[str]:
    """Return the tests to trace: the failing ones first, then the passing ones, quick ones first.

    Of those that hang one is enough, since it takes its full time again.
    """
    seconds = {result.id: result.seconds for result in report.results}
    hung = [result.id for result in failing if result.outcome == "hung"]
    traced = [result.id for result in failing if result.outcome != "hung"]
    return traced + hung[:_TRACED_HUNG] + sorted(passing, key=lambda test: seconds[test])


def _nearest_first(
    passing: Sequence[str], failing: Sequence[TestResult], covered: TestReport, report: TestReport
) -> tuple[str, ...]:
    """Return the passing tests, those first that run a line which a failing one runs, and of each kind the quick first.

    A candidate that breaks something breaks a test that shares its code, so most are refused soon in a large suite.
    """
    seconds = {result.id: result.seconds for result in report.results}
    suspect = {
        (path, line) for result in failing for path, lines in covered.lines.get(result.id, {}).items() for line in lines
    }

    def apart(test: str) -> bool:
        lines = covered.lines.get(test, {})
        return not any((path, line) in suspect for path, numbers in lines.items() for line in numbers)

    return tuple(sorted(passing, key=lambda test: (apart(test), seconds[test])))


def _hits(runs: Iterable[Mapping[str, tuple[int, ...]]]) -> dict[str, dict[int, int]]:
    counted: dict[str, Counter[int]] = {}
    for lines in runs:
        for path, numbers in lines.items():
            counted.setdefault(path, Counter()).update(numbers)
    return {path: dict(sorted(counts.items())) for path, counts in sorted(counted.items())}


def _why_green(report: TestReport, aside: Mapping[str, str]) -> str:
    green = sum(result.outcome in GREEN for result in report.results)
    if not aside:
        return f"all {green} tests pass"
    reasons = Counter(why.partition(":")[0] for why in aside.values())
    listed = "; ".join(f"{count} {why}" for why, count in reasons.most_common())
    return f"{green} tests pass, and of those that fail none is left to repair ({listed})"


def _ended_in_code(result: TestResult) -> bool:
    """Tell whether a file of tests was not collected since code that is no test's raised an error when it was imported.

    A file that cannot be read, or a module that is not found, is for a person: nothing ran that could be wrong.
    """
    if result.error_type in {"SyntaxError", "IndentationError", "TabError", "ModuleNotFoundError", ""}:
        return False
    return is_whole_file(result.id) and bool(result.frames) and not is_test(result.frames[-1].path)


def _broken(text: str, root: str) -> TestResult:
    """Return what kept a module from being collected as if it were a test: the error, and where in the repository."""
    lines = [line.removeprefix("E").strip() for line in text.strip().splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR_LINE.match(line)]
    said = (errors or lines or [""])[-1]
    error = _ERROR_LINE.match(said)
    inside = f"{root.rstrip('/')}/"
    frames = tuple(
        Frame(path, int(found["at"] or found["line"]), "<module>")
        for found in _PLACE.finditer(text)
        if not os.path.isabs(path := (found["file"] or found["path"]).removeprefix(inside))
    )
    return TestResult(
        id=text.partition(": ")[0].partition("\n")[0],
        outcome="error",
        seconds=0.0,
        error_type=error["type"].rpartition(".")[2] if error else "",
        message=f"{said} ({frames[-1].path}, line {frames[-1].line})" if frames else said,
        frames=frames,
        text=text,
    )
