"""Runs a project's tests by any command: its exit code is the outcome of one test, whose id is the command line."""

import os
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from atra.core.edits import Edit, Patch, apply, by_path
from atra.core.errors import CommandNotFound, UnknownTest
from atra.core.texts import decode, encode
from atra.sandbox.conversation import policy_for
from atra.sandbox.protocol import Finished, Sandbox, Stop, never
from atra.sandbox.reports import Frame, TestReport, TestResult
from atra.sandbox.runner import Project, Trial

_NOT_FOUND = {126, 127}  # what shells, env and setpriv end with when a program cannot be started
_FRAME = re.compile(r'^\s*File "(?P<path>[^"<][^"]*)", line (?P<line>\d+)(?:, in (?P<function>\S+))?', re.M)
_ERROR = re.compile(
    r"^(?P<type>[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning|Iteration))(?:: (?P<message>.*))?$", re.M
)
_TRACEBACK = "Traceback (most recent call last)"
_TEXT_LIMIT = 8192
_FLOOR_S = 2.0


class CommandRunner:
    """Implements `Runner` for a command that is not pytest's. There are no lines, and one test."""

    def __init__(self, project: Project, sandbox: Sandbox) -> None:
        self._project, self._sandbox = project, sandbox
        self._name = shlex.join(project.command)

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
        """Run the command once; see `Runner.report`. Frames are those of Python tracebacks in what it printed.

        Raises:
            CommandNotFound: the box has no such program, or what was started found none.
        """
        if missing := set(tests) - {self._name}:
            raise UnknownTest(min(missing))
        finished = run_command(self._project, self._sandbox, tree, hash_seed, wall_s, stop)
        if finished.ended == "exited" and finished.exit_code in _NOT_FOUND:
            raise CommandNotFound(self._name)
        stopped = finished.ended == "stopped"
        results = () if stopped else (self._result(finished),)
        return TestReport((self._name,), results, seconds=finished.seconds, complete=not stopped)

    def workshop(
        self,
        tree: str,
        failing: Sequence[str],
        passing: Sequence[str],
        seconds: Mapping[str, float],
        *,
        stop: Stop = never,
    ) -> "CommandWorkshop":
        """Open a workshop that runs the command once per candidate; see `Runner.workshop`."""
        return CommandWorkshop(self._project, self._sandbox, tree, seconds.get(self._name, 0.0), stop)

    def _result(self, finished: Finished) -> TestResult:
        text = finished.output.decode(errors="replace")
        outcome: Literal["passed", "failed", "hung"] = "passed" if _succeeded(finished) else "failed"
        if finished.ended == "wall_clock":
            outcome = "hung"
        passed = TestResult(self._name, outcome, finished.seconds)
        if outcome == "passed":
            return passed
        found = list(_ERROR.finditer(text))
        return replace(
            passed,
            error_type=found[-1]["type"].rpartition(".")[2] if found else "ExitCode",
            message=found[-1]["message"] or "" if found else f"the command ended with exit code {finished.exit_code}",
            frames=tuple(self._frames(text)),
            text=_shortened(text),
        )

    def _frames(self, text: str) -> Iterator[Frame]:
        """Yield the repository's frames of the last traceback in the text."""
        last = text[max(0, text.rfind(_TRACEBACK)) :]
        for match in _FRAME.finditer(last):
            path = os.path.normpath(os.path.join(self._project.at, self._project.subfolder, match["path"]))
            if path.startswith(f"{self._project.at}/") and "/site-packages/" not in path:
                yield Frame(path[len(self._project.at) + 1 :], int(match["line"]), match["function"] or "<module>")


class CommandWorkshop:
    """Implements `Workshop` by one run of the command per candidate, each in a box of its own."""

    def __init__(self, project: Project, sandbox: Sandbox, tree: str, seconds: float, stop: Stop) -> None:
        self._project, self._sandbox, self._tree, self._stop = project, sandbox, tree, stop
        self._limit_s = max(_FLOOR_S, min(20 * seconds, 2 * seconds + 2))
        self._copy = ""

    def __enter__(self) -> "CommandWorkshop":
        # Beside the tree, for whoever throws that away when this process is killed.
        self._copy = tempfile.mkdtemp(prefix="workshop-", dir=Path(self._tree).parent)
        shutil.copytree(self._tree, self._copy, symlinks=True, dirs_exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._copy, ignore_errors=True)

    def try_all(self, patches: Iterable[Patch], *, limit_scale: float = 1.0) -> Iterator[Trial]:
        """Yield one trial per patch, in order; see `Workshop.try_all`."""
        for patch in patches:
            if self._stop():
                return
            began = time.monotonic()
            verdict = self._try(patch, limit_scale)
            if self._stop():
                return
            fixed = int(verdict == "plausible")
            yield Trial(verdict, fixed, round(time.monotonic() - began, 6))

    def observe(self, patches: Sequence[Patch]) -> list[tuple[str, ...]]:
        """See nothing: a command tells no more than its exit code."""
        return [()] * len(patches)

    def _try(self, patch: Patch, limit_scale: float) -> Literal["plausible", "failed", "hung", "invalid"]:
        before: dict[Path, bytes] = {}
        try:
            for name, edits in by_path(patch).items():
                path = Path(self._copy, name)
                before[path] = path.read_bytes()
                path.write_bytes(_edited(path, before[path], edits))
            finished = run_command(self._project, self._sandbox, self._copy, 0, self._limit_s * limit_scale, self._stop)
        except (SyntaxError, ValueError):
            return "invalid"
        finally:
            for path, data in before.items():
                path.write_bytes(data)
        if finished.ended == "wall_clock":
            return "hung"
        return "plausible" if _succeeded(finished) else "failed"


def run_command(
    project: Project, sandbox: Sandbox, tree: str, hash_seed: int, wall_s: float | None, stop: Stop
) -> Finished:
    """Run the project's command in a box on a copy of the tree."""
    where = os.path.join(project.at, project.subfolder)
    enter = ["/usr/bin/env", "-C", where] if project.subfolder else ["/usr/bin/env"]
    policy = policy_for(project, tree, hash_seed=hash_seed, wall_s=wall_s)
    return sandbox.run([*enter, *project.command], policy, stop=stop)


def _succeeded(finished: Finished) -> bool:
    return finished.ended == "exited" and finished.exit_code == 0


def _edited(path: Path, data: bytes, edits: Iterable[Edit]) -> bytes:
    text = apply(decode(data), edits)
    if path.suffix == ".py":
        compile(text, path.name, "exec", dont_inherit=True)
    return encode(text, data)


def _shortened(text: str) -> str:
    if len(text) <= _TEXT_LIMIT:
        return text
    half = _TEXT_LIMIT // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
