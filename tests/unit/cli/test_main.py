"""The command line without a stack: exit codes, and what a person reads when something is amiss."""

import io
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from atra.cli.console import Speech, table
from atra.cli.outcome import print_diff
from atra.cli.stack import _only_one
from atra.core.errors import StackUnavailable


def atra(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command with nothing of ATRA's in its environment but what is given."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ATRA_")}
    command = (sys.executable, "-m", "atra", *arguments)
    return subprocess.run(command, env={**environment, **more}, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("command", ["runs", "up"])
def test_a_home_that_cannot_be_made_is_named(tmp_path: Path, command: str):
    """It is a missing part, told in one sentence, and no bug."""
    (tmp_path / "file").write_text("")

    done = atra(command, ATRA_HOME=str(tmp_path / "file"))

    assert done.returncode == StackUnavailable.exit_code
    assert str(tmp_path / "file") in done.stderr
    assert "ATRA_HOME" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_new_home_is_private(tmp_path: Path):
    """Also where `atra up` is the first command of all."""
    with _only_one(tmp_path / "home"):
        mode = stat.S_IMODE((tmp_path / "home").stat().st_mode)

    assert mode == 0o700


def test_no_command_is_told_the_help_alone():
    """The help is no error, and has no error after it."""
    done = atra()

    assert (done.returncode, done.stderr) == (2, "")
    assert "Usage" in done.stdout


def test_a_reader_who_leaves_is_told_apart():
    """`atra runs | head -1` must not end as rich would end it, with the exit code of a repair that found nothing."""
    read, write = os.pipe()
    os.close(read)
    gone = os.fdopen(write, "w", buffering=1)

    with pytest.raises(BrokenPipeError):
        Speech(file=gone).print("a line")


def test_a_reader_who_leaves_the_help_is_no_failure():
    """`atra --help | head -1`, in a shell that minds each exit code of a pipe."""
    read, write = os.pipe()
    os.close(read)

    with os.fdopen(write, "wb") as gone:
        done = subprocess.run((sys.executable, "-m", "atra", "--help"), stdout=gone, stderr=subprocess.PIPE, timeout=60)

    assert (done.returncode, done.stderr) == (0, b"")


def test_an_interruption_while_loading_shows_no_traceback():
    """Ctrl-C comes when the first of the modules are there; the interpreter tells of each as it is loaded."""
    command = (sys.executable, "-X", "importtime", "-m", "atra", "runs")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as loading:
        assert loading.stderr
        heard = next(line for line in loading.stderr if "structlog" in line)
        loading.send_signal(signal.SIGINT)
        rest = loading.stderr.read()

    assert heard
    assert (loading.returncode, "Traceback" in rest) == (130, False)
    assert rest.endswith("interrupted\n")


def test_a_misspelt_variable_is_told_and_the_command_goes_on(tmp_path: Path):
    """On standard error, so that what a program reads stays what it is."""
    done = atra("cancel", "--help", ATRA_HOME=str(tmp_path), ATRA_SHARD="3")

    assert done.returncode == 0
    assert done.stderr == "warning: ATRA_SHARD is no setting of ATRA; is ATRA_SHARDS meant?\n"


def test_no_name_is_cut_in_a_narrow_table():
    """What does not fit in a column goes on in the next line; the first column, of ids, stays whole."""
    said = io.StringIO()
    rows = table("run", "branch")
    rows.add_row("r9gdra4befu7z", "atra/repair-r9gdra4befu7z")

    Console(file=said, width=30).print(rows)

    assert "r9gdra4befu7z " in said.getvalue()
    assert "".join(said.getvalue().split()) == "runbranchr9gdra4befu7zatra/repair-r9gdra4befu7z"


def test_a_screen_too_narrow_for_columns_shows_paragraphs():
    """One for each row, with each heading before what stands under it; what is empty is left out."""
    said = io.StringIO()
    rows = table("run", "repository", "status", "why")
    rows.add_row("r9gdra4befu7z", "shop", "not_fixed", "every candidate fails \\[x]")
    rows.add_row("rkh3nd8s0q2vm", "shop", "running", "")

    Console(file=said, width=40).print(rows)

    assert [line.rstrip() for line in said.getvalue().splitlines()] == [
        "run r9gdra4befu7z",
        "  repository shop",
        "  status not_fixed",
        "  why every candidate fails [x]",
        "run rkh3nd8s0q2vm",
        "  repository shop",
        "  status running",
    ]


def test_a_diff_in_a_pipe_is_whole(capsys: pytest.CaptureFixture[str]):
    """A line longer than a terminal is wide is not broken: `git apply` must be able to read it."""
    diff = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-[x]\n+" + "word " * 40 + "\n"

    print_diff(diff)

    assert capsys.readouterr().out.startswith(diff)


@pytest.mark.parametrize("command", [("repair",), ("migrate-target",), ("author", "--spec", "s", "--tests", "t")])
def test_a_run_without_a_bound_on_its_money_is_refused(tmp_path: Path, command: tuple[str, ...]):
    """Endless is no amount: it is bad usage, told before anything is opened."""
    done = atra(*command, str(tmp_path), "--budget-usd", "inf")

    assert done.returncode == 2
    assert "--budget-usd" in done.stderr


@pytest.mark.parametrize(
    ("given", "command"), [(("war-room", "q", "--deadline", "x"), "atra war-room"), (("no",), "atra")]
)
def test_bad_usage_points_to_the_help_of_its_command(tmp_path: Path, given: tuple[str, ...], command: str):
    """Not to the list of all commands, where the option is not told."""
    done = atra(*given, ATRA_HOME=str(tmp_path))

    assert (done.returncode, f"`{command} --help`" in done.stderr) == (2, True)
