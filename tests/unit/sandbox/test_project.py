"""Which interpreter and which runner a repository gets."""

import sys
from pathlib import Path

import pytest

from atra.core.errors import InterpreterUnusable
from atra.sandbox.bubblewrap import BubblewrapSandbox
from atra.sandbox.command_runner import CommandRunner
from atra.sandbox.project import make_project, pytest_arguments, runner_for
from atra.sandbox.pytest_runner import PytestRunner


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("", ()),
        ("pytest", ()),
        ("pytest -q tests/unit", ("-q", "tests/unit")),
        ("python -m pytest -k 'a b'", ("-k", "a b")),
        ("/usr/bin/python3.12 -m pytest", ()),
        (".venv/bin/pytest tests", ("tests",)),
    ],
)
def test_calls_of_pytest_run_natively(tmp_path: Path, command: str, arguments: tuple[str, ...]) -> None:
    """Their arguments are kept."""
    project = make_project(str(tmp_path), test_command=command)

    assert (project.command, project.pytest_arguments) == ((), arguments)
    assert isinstance(runner_for(project, BubblewrapSandbox()), PytestRunner)


@pytest.mark.parametrize("command", ["make test", "python -m unittest", "tox -e py -- pytest", "sh -c pytest"])
def test_other_commands_run_as_they_are(tmp_path: Path, command: str) -> None:
    """What only looks like pytest is not taken for it."""
    project = make_project(str(tmp_path), test_command=command)

    assert pytest_arguments(project.command) is None
    assert isinstance(runner_for(project, BubblewrapSandbox()), CommandRunner)


def test_the_interpreter_is_the_named_one_else_the_repositorys_else_atras(tmp_path: Path) -> None:
    """`--python` comes first, then `.venv`, then the interpreter ATRA runs on."""
    assert make_project(str(tmp_path)).python == sys.executable
    own = tmp_path / ".venv/bin/python"
    own.parent.mkdir(parents=True)
    own.symlink_to(sys.executable)

    assert make_project(str(tmp_path)).python == str(own)
    assert make_project(str(tmp_path), python="/usr/bin/python3").python == "/usr/bin/python3"


def test_an_interpreter_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The error names it."""
    with pytest.raises(InterpreterUnusable) as caught:
        make_project(str(tmp_path), python=str(tmp_path / "python"))

    assert caught.value.args[0] == str(tmp_path / "python")


def test_an_interpreter_that_is_too_old_is_refused(tmp_path: Path) -> None:
    """Python 3.8 cannot run what goes into the box."""
    old = tmp_path / "bin/python3.8"
    old.parent.mkdir()
    old.write_bytes(b"\x7fELF")
    old.chmod(0o755)

    with pytest.raises(InterpreterUnusable, match=r"older than Python 3\.9"):
        make_project(str(tmp_path), python=str(old))
