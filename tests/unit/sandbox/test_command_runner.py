"""Commands that are not pytest's, in real boxes."""

from pathlib import Path

import pytest

from atra.core.edits import Edit
from atra.core.errors import CommandNotFound, UnknownTest
from atra.sandbox.bubblewrap import BubblewrapSandbox
from atra.sandbox.command_runner import CommandRunner
from atra.sandbox.project import make_project
from atra.sandbox.reports import Frame, TestReport

CODE = "def half(x):\n    return x / 0\n"
CHECK = "import code_\n\n\ndef check():\n    assert code_.half(4) == 2\n\n\ncheck()\nprint('fine')\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "code_.py").write_text(CODE)
    (tmp_path / "check.py").write_text(CHECK)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/run.sh").write_text("cd .. && exec python check.py\n")
    return tmp_path


def runner(repository: Path, command: str, subfolder: str = "") -> CommandRunner:
    return CommandRunner(make_project(str(repository), test_command=command, subfolder=subfolder), BubblewrapSandbox())


def report(repository: Path, command: str, **options: float) -> TestReport:
    return runner(repository, command).report(str(repository), **options)  # type: ignore[arg-type]


def test_a_failing_command_tells_its_error_and_frames(repository: Path) -> None:
    """The one test is the command line; its error is the last one printed, its frames those of the repository."""
    result = report(repository, "python check.py").results[0]

    assert (result.id, result.outcome) == ("python check.py", "failed")
    assert (result.error_type, result.message) == ("ZeroDivisionError", "division by zero")
    assert result.frames == (
        Frame("check.py", 8, "<module>"),
        Frame("check.py", 5, "check"),
        Frame("code_.py", 2, "half"),
    )
    assert "return x / 0" in result.text


@pytest.mark.parametrize(
    ("command", "outcome", "error_type"),
    [
        ("python -c 'print(1)'", "passed", ""),
        ("sh -c 'exit 3'", "failed", "ExitCode"),
        ("sh -c 'kill -9 $$'", "failed", "ExitCode"),
        ("sh -c 'echo some.module.OddError: why; exit 1'", "failed", "OddError"),
    ],
    ids=["passes", "fails", "killed", "another-language"],
)
def test_the_exit_code_is_the_outcome(repository: Path, command: str, outcome: str, error_type: str) -> None:
    """Zero passes; anything else fails, with the error that was printed, if any."""
    result = report(repository, command).results[0]

    assert (result.outcome, result.error_type) == (outcome, error_type)


def test_a_command_over_its_time_is_hung(repository: Path) -> None:
    """The wall clock ends it."""
    found = report(repository, "sleep 60", wall_s=0.5)

    assert found.results[0].outcome == "hung"
    assert found.seconds < 5


@pytest.mark.parametrize("command", ["nothing-like-it --now", "bash nowhere.sh", "./check.py"])
def test_a_command_that_is_not_there_is_bad_input(repository: Path, command: str) -> None:
    """Not found, and found but no program, are told from failing."""
    with pytest.raises(CommandNotFound) as caught:
        report(repository, command)

    assert caught.value.args == (command,)


def test_the_command_runs_in_the_subfolder(repository: Path) -> None:
    """Frames stay relative to the root."""
    result = runner(repository, "sh run.sh", "sub").report(str(repository)).results[0]

    assert result.error_type == "ZeroDivisionError"
    assert result.frames[-1] == Frame("code_.py", 2, "half")


def test_no_other_test_is_known(repository: Path) -> None:
    """Only the command line itself is a test."""
    with pytest.raises(UnknownTest):
        runner(repository, "python check.py").report(str(repository), tests=["check.py::check"])


def test_candidates_are_judged_by_the_exit_code(repository: Path) -> None:
    """Each starts from the tree as it is, and the host's tree is not touched."""
    at = CODE.index("x / 0")
    texts = ["x / 2", "x / 3", "x / (", "[1 for _ in iter(int, 1)]", "x // 2"]
    patches = [(Edit("code_.py", at, at + 5, text),) for text in texts]

    with runner(repository, "python check.py").workshop(str(repository), ["python check.py"], [], {}) as workshop:
        found = [trial.verdict for trial in workshop.try_all(patches)]

    assert found == ["plausible", "failed", "invalid", "hung", "plausible"]
    assert (repository / "code_.py").read_text() == CODE
