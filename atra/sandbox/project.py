"""From a repository and what a person said about its tests to a `Project`, and to the runner that fits it."""

import os
import re
import shlex
import sys
from pathlib import Path

from atra.core.errors import InterpreterUnusable
from atra.sandbox.command_runner import CommandRunner
from atra.sandbox.interpreter import find_python, paths_of, version_of
from atra.sandbox.policy import Limits
from atra.sandbox.protocol import Sandbox
from atra.sandbox.pytest_runner import PytestRunner
from atra.sandbox.runner import Project, Runner

OLDEST = (3, 9)

_PYTHON = re.compile(r"python(3(\.\d+)?)?$")


def make_project(
    root: str,
    *,
    python: str = "",
    test_command: str = "",
    subfolder: str = "",
    limits: Limits | None = None,
    test_limit_s: float = 10.0,
) -> Project:
    """Return how the tests of the repository at `root` are run.

    Args:
        root: the repository's root on the host.
        python: the interpreter; else the one in the repository's `.venv` or `venv`, else the one ATRA runs on.
        test_command: as a shell would split it, without its other powers; empty, or a call of pytest, means pytest.
        subfolder: where the tests are run from, relative to the root.
        limits: of each box.
        test_limit_s: see `Project`.

    Raises:
        InterpreterUnusable: there is no such interpreter, or it is older than Python 3.9. Whether it has pytest shows
            when it is first used, for it is never started outside a box.
    """
    at = os.path.realpath(root)
    chosen = os.path.abspath(python) if python else find_python(at) or sys.executable
    if version_of(chosen) < OLDEST:
        raise InterpreterUnusable(chosen, "it is older than Python 3.9")
    command = tuple(shlex.split(test_command))
    arguments = pytest_arguments(command)
    return Project(
        at=at,
        python=chosen,
        command=command if arguments is None else (),
        pytest_arguments=arguments or (),
        readable=paths_of(chosen),
        limits=limits or Limits(),
        test_limit_s=test_limit_s,
        subfolder=subfolder.strip("/"),
    )


def pytest_arguments(command: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return what a command gives to pytest when it is a call of pytest or empty, else None."""
    if not command:
        return ()
    program = Path(command[0]).name
    if program in {"pytest", "py.test"}:
        return command[1:]
    if _PYTHON.match(program) and command[1:3] == ("-m", "pytest"):
        return command[3:]
    return None


def runner_for(project: Project, sandbox: Sandbox) -> Runner:
    """Return what runs this project's tests: pytest natively, or any other command by its exit code."""
    return CommandRunner(project, sandbox) if project.command else PytestRunner(project, sandbox)
