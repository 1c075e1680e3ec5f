"""`atra report` and `atra failures`: failures from elsewhere come in, and what is known of them goes out."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from atra.cli.console import age, err, out, plain, print_json, table
from atra.cli.outcome import exit_code, print_outcome
from atra.cli.repair import watch
from atra.cli.session import with_database, with_stack
from atra.core.clock import utc_now
from atra.core.errors import BadReport, UnknownRepository
from atra.core.settings import load_settings
from atra.self_repair.readers import MOST_CHARACTERS, MOST_REPORTS, read_junit, read_text
from atra.self_repair.records import Failure, Report

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("report")(report)
    app.command("failures")(failures)


def report(
    repository: Annotated[str, typer.Option(help="The repository's name in atra.toml.")],
    junit: Annotated[Path | None, typer.Option(help="A JUnit XML file; - for standard input.")] = None,
    traceback: Annotated[Path | None, typer.Option(help="A file with a traceback; - for standard input.")] = None,
    urgent: Annotated[bool, typer.Option("--urgent", help="This one cannot wait.")] = False,
    revision: Annotated[str, typer.Option(help="The id of the commit that failed, so that a fix can be judged.")] = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until the repairs have ended, as it does where no stack runs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Report failures from a test report or a pasted traceback; code-level ones are repaired on a branch."""
    if (junit is None) == (traceback is None):
        raise BadReport("give either --junit FILE or --traceback FILE")
    if repository not in load_settings().repositories:
        raise UnknownRepository(repository)
    found = [replace(one, urgent=urgent, revision=revision) for one in _read(junit, traceback, repository)]
    if not found:
        raise BadReport("it holds no failure")
    if len(found) > MOST_REPORTS:
        found = found[:MOST_REPORTS]
        err.print(f"[yellow]warning:[/] it holds more failures than the first {MOST_REPORTS}, which are taken in")
    code = 0
    with with_stack(quiet=as_json) as session:
        from workers.intake import take_in  # the application is made from the wiring, which is set up by now

        wired = session.wired
        taken = [take_in(wired, one) for one in found]
        for one in taken:
            if not as_json:
                where = f"run {one.run.id}" if one.run else "no run"
                out.print(
                    f"failure [bold]{one.failure.id}[/] seen {_times(one.failure.count)}: {where}; {plain(one.why)}",
                    soft_wrap=True,
                )
            if one.run and (wait or not session.lasting):
                run = watch(wired, one.run, quiet=as_json)
                steps = wired.runs.steps(run.id)
                code = max(code, exit_code(run, steps))
                if not as_json:
                    print_outcome(run, steps, wired.ledger.calls(run.id))
    if as_json:
        print_json(
            [{**as_failure(one.failure), "run_id": one.run.id if one.run else None, "why": one.why} for one in taken]
        )
    raise typer.Exit(code)


def failures(
    repository: Annotated[str | None, typer.Option(help="Only those of this repository.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: Json = False,
) -> None:
    """List failures by fingerprint, those seen last first."""
    with with_database() as wired:
        found = wired.failures.recent(limit, repository=repository)
    if repository is not None and not found and repository not in load_settings().repositories:
        raise UnknownRepository(repository)
    if as_json:
        print_json([as_failure(failure) for failure in found])
        return
    if not found:
        out.print(f"No failures{f' of {plain(repository)}' if repository else ''} were reported yet.")
        return
    rows = table("failure", "repository", "state", "seen", "last", "error", "what is done")
    for failure in found:
        said = plain(f"{failure.error_type}: {failure.message}"[:80])
        rows.add_row(
            failure.id,
            plain(failure.repository),
            failure.state,
            str(failure.count),
            age(failure.last_seen_at),
            said,
            plain(f"{failure.path}: {failure.reason}"),
        )
    out.print(rows)


def _read(junit: Path | None, traceback: Path | None, repository: str) -> list[Report]:
    if junit:
        return read_junit(_bytes(junit), repository, utc_now(), most=MOST_REPORTS + 1)
    assert traceback is not None
    text = _bytes(traceback).decode("utf-8", "replace")
    return read_text(text, repository, utc_now(), most=MOST_REPORTS + 1)


def _bytes(path: Path) -> bytes:
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(MOST_CHARACTERS + 1)
        with path.open("rb") as file:
            return file.read(MOST_CHARACTERS + 1)
    except OSError as error:
        raise BadReport(f"{path}: {error.strerror}") from error


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def as_failure(failure: Failure) -> dict[str, Any]:
    """Return a failure for programs."""
    return {
        "failure_id": failure.id,
        "repository": failure.repository,
        "fingerprint": failure.fingerprint,
        "state": failure.state,
        "count": failure.count,
        "error_type": failure.error_type,
        "message": failure.message,
        "origin": failure.origin,
        "urgent": failure.urgent,
        "path": failure.path,
        "reason": failure.reason,
        "first_seen_at": failure.first_seen_at.isoformat(),
        "last_seen_at": failure.last_seen_at.isoformat(),
    }
