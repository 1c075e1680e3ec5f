"""The `atra` command: its groups, and the one place where an error becomes a sentence and an exit code.

Exit codes: 0 done; 1 worked but not fixed or no decision; 2 bad usage or input; 3 a needed part is missing; 130
interrupted.
"""

import sys
from collections.abc import Sequence
from typing import Any

import structlog
import typer

import atra
from atra.cli import (
    ask,
    author,
    brain,
    cache,
    demo,
    distill,
    failures,
    migrate,
    operations,
    precache,
    refit,
    repair,
    runs,
    scout,
    war_room,
)
from atra.cli.console import deaf, err, facts_of, plain, print_error, print_json
from atra.cli.repair import Interrupted
from atra.core.errors import AtraError, BudgetSpent
from atra.core.logs import configure
from atra.core.redaction import Redactor
from atra.core.settings import unread

# Typer carries its own copy of click, and gives no public name to the class that all its complaints derive from.
_Complaint: Any = typer.BadParameter.__mro__[2]

_INTERRUPTED = 130

app = typer.Typer(
    name="atra",
    help="Repairs code: a failing test becomes a verified commit on a branch of its own.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for module in (
    repair,
    refit,
    author,
    migrate,
    war_room,
    ask,
    cache,
    precache,
    scout,
    distill,
    brain,
    runs,
    failures,
    operations,
    demo,
):
    module.register(app)


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"atra {atra.__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Show what goes on inside, on standard error."),
) -> None:
    configure(Redactor(), "INFO" if verbose else "ERROR")
    for sentence in unread():
        err.print(f"[yellow]warning:[/] {plain(sentence)}", soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run(given))


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; every error is told in one sentence."""
    as_json = "--json" in arguments
    try:
        code = typer.main.get_command(app).main(list(arguments), prog_name="atra", standalone_mode=False)
        if code == _INTERRUPTED:  # what typer makes of a KeyboardInterrupt
            return _interrupted(None, as_json=as_json)
        return code if isinstance(code, int) else 0
    except Interrupted as interrupted:
        return _interrupted(interrupted, as_json=as_json)
    except AtraError as error:
        print_error(facts_of(error), as_json=as_json)
        return error.exit_code
    except BudgetSpent as spent:
        print_error(facts_of(spent), as_json=as_json)
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted(None, as_json=as_json)
    except BrokenPipeError:
        deaf()
        return 0
    except SystemExit as leaving:  # how rich, which prints the help, says that the reader has left
        if not isinstance(leaving.__context__, BrokenPipeError):
            raise
        return 0
    except _Complaint as complaint:
        if not complaint.format_message():  # the help was printed instead
            return 2
        command = complaint.ctx.command_path if getattr(complaint, "ctx", None) else "atra"
        print_error(
            {"error": complaint.format_message(), "hint": f"`{command} --help` lists what there is."}, as_json=as_json
        )
        return 2
    except Exception as error:  # noqa: BLE001 - the edge of the process: told in one sentence, the rest is logged
        structlog.get_logger(__name__).exception("unexpected error")
        print_error({"error": f"{type(error).__name__}: {error}", "hint": "This is a bug in ATRA."}, as_json=as_json)
        return 1


def _interrupted(waiting: Interrupted | None, *, as_json: bool) -> int:
    """Say that the command was interrupted, with the run it waited for where there is one; return the exit code."""
    if as_json:
        print_json(waiting.as_facts() if waiting else {"error": "interrupted", "hint": ""})
    else:
        err.print("interrupted")
    return _INTERRUPTED
