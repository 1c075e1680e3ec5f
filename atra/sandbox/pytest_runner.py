"""Runs a project's pytest tests natively: results test by test, lines per test, and a workshop for candidates."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from atra.core.errors import BoxFailed, NoTests, TestsHang, UnknownTest
from atra.sandbox.conversation import Inside, policy_for, setup_for
from atra.sandbox.protocol import Sandbox, Stop, never
from atra.sandbox.reports import Frame, TestReport, TestResult, stands_for
from atra.sandbox.runner import Project
from atra.sandbox.workshop import PytestWorkshop

_LOOK_S = 0.2


class PytestRunner:
    """Implements `Runner` for tests that pytest collects.

    What a process that ends early had left to do is done by another one; the test that ended it is an `error`, and one
    that took longer than `Project.test_limit_s` is `hung`.
    """

    def __init__(self, project: Project, sandbox: Sandbox) -> None:
        self._project, self._sandbox = project, sandbox

    def report(
        self,
        tree: str,
        *,
        tests: Sequence[str] = (),
        coverage: bool = False,
        known_to_hang: Sequence[str] = (),
        hash_seed: int = 0,
        wall_s: float | None = None,
        stop: Stop = never,
    ) -> TestReport:
        """Run the tests in a fresh box; see `Runner.report`. Results come in the order of collection.

        Raises:
            TestsHang: the time ended before the tests were collected.
        """
        limit_s = self._project.limits.wall_s if wall_s is None else wall_s
        policy = policy_for(self._project, tree, hash_seed=hash_seed, wall_s=limit_s + 5)
        began = time.monotonic()
        with contextlib.closing(Inside(self._project, self._sandbox, policy)) as inside:
            gathered = _Gathered()
            asked = {"tests": list(tests), "coverage": coverage, "known_to_hang": list(known_to_hang)}
            inside.send({"mode": "report", **asked, **setup_for(self._project, tree)})
            while not gathered.ended and not stop() and time.monotonic() < began + limit_s:
                with contextlib.suppress(TimeoutError):
                    message = inside.receive(_LOOK_S)
                    if message is None:
                        break
                    gathered.take(message)
            report = gathered.report(time.monotonic() - began)
            if not gathered.collected_all and report.seconds >= limit_s and not stop():
                raise TestsHang(round(limit_s), "not even their collection did")
            if not report.collected and not stop():
                report = _explained(report, inside, tests, self._project, gathered)
        if not report.broken and gathered.collected_all:
            for name in sorted(set(tests).difference(report.collected)):
                if not any(stands_for(name, test) for test in report.collected):
                    raise UnknownTest(name)
        return report

    def workshop(
        self,
        tree: str,
        failing: Sequence[str],
        passing: Sequence[str],
        seconds: Mapping[str, float],
        *,
        stop: Stop = never,
    ) -> PytestWorkshop:
        """Open a workshop on the tree; see `Runner.workshop`."""
        return PytestWorkshop(self._project, self._sandbox, tree, failing, passing, seconds, stop)


class _Gathered:
    """What a box has told so far, on its way to a `TestReport`."""

    def __init__(self) -> None:
        self.ended = self.complete = self.collected_all = False
        self.code: int | None = None
        self._collected: tuple[str, ...] = ()
        self._results: list[TestResult] = []
        self._lines: dict[str, Mapping[str, tuple[int, ...]]] = {}
        self._broken: tuple[str, ...] = ()
        self._tampered: tuple[str, ...] = ()

    def take(self, message: Mapping[str, Any]) -> None:
        """Add one message."""
        if "collected" in message:
            self._collected, self.collected_all = tuple(message["collected"]), True
        if "broken" in message:
            self._broken = tuple(message["broken"])
        if "result" in message:
            result = _result(message["result"])
            self._results.append(result)
            if message["lines"]:
                self._lines[result.id] = {path: tuple(lines) for path, lines in message["lines"].items()}
        if "code" in message:
            self.code = message["code"]
        if "tampered" in message:
            self._tampered = tuple(sorted({*self._tampered, *message["tampered"]}))
        if "end" in message:
            self.ended, self.complete = True, message["end"]

    def report(self, seconds: float) -> TestReport:
        """Return the report on what came."""
        return TestReport(
            collected=self._collected,
            results=tuple(self._results),
            lines=self._lines,
            broken=self._broken,
            seconds=round(seconds, 3),
            complete=self.complete,
            tampered=self._tampered,
        )


def _result(told: Mapping[str, Any]) -> TestResult:
    return TestResult(**{**told, "frames": tuple(Frame(*frame) for frame in told.get("frames", ()))})


def _explained(
    report: TestReport, inside: Inside, tests: Sequence[str], project: Project, gathered: _Gathered
) -> TestReport:
    """Say why nothing was collected: by an error, or by what pytest printed before it gave up."""
    if report.broken:
        return report
    if gathered.code in {0, 5} or (gathered.collected_all and gathered.code is None):
        if tests:
            raise UnknownTest(tests[0])
        raise NoTests(project.at)
    printed = inside.printed()
    if gathered.code is None and not gathered.ended:
        raise BoxFailed(printed or "it ended before any test was collected")
    return TestReport((), (), broken=(printed or "pytest ended before any test was collected",), seconds=report.seconds)
