"""Why a run was started, and which paths a failure took: the orchestrator's decisions for people and programs."""

from typing import Any

from atra.cli.console import age, out, plain, print_json, table
from atra.cli.failures import as_failure
from atra.core.records import to_json
from atra.self_repair.records import Failure
from atra.storage.paths import Decided
from atra.wiring import Wiring

_SHOWN = 50


def show_failure(wired: Wiring, failure_id: str, *, as_json: bool) -> None:
    """Show a failure and the newest decisions on it, newest first."""
    failure, taken = wired.failures.get(failure_id), wired.paths.of(failure_id, _SHOWN)
    if as_json:
        print_json({**as_failure(failure), "paths": [as_path(one) for one in taken]})
    else:
        _print_failure(failure, taken)


def as_path(decided: Decided | None) -> dict[str, Any] | None:
    """Return a decision for programs; None where there is none."""
    if decided is None:
        return None
    told = to_json(decided)
    return {"path": told.pop("name"), **{name: told[name] for name in ("reasons", "run_id", "taken_at", "situation")}}


def print_path(decided: Decided | None) -> None:
    """Print why a run was started, where the orchestrator decided it."""
    if decided is not None:
        out.print(f"path: [bold]{decided.name}[/], because {_why(decided)}", soft_wrap=True)


def _print_failure(failure: Failure, taken: list[Decided]) -> None:
    said = plain(f"{failure.error_type}: {failure.message}"[:200])
    times = "once" if failure.count == 1 else f"{failure.count} times"
    out.print(f"failure [bold]{failure.id}[/] of {plain(failure.repository)}: {said}", soft_wrap=True)
    urgent = ", urgent" if failure.urgent else ""
    out.print(f"{failure.state}{urgent}, seen {times}, last {age(failure.last_seen_at)}")
    if not taken:
        out.print("No path was chosen yet.")
        return
    rows = table("when", "path", "run", "because")
    for one in taken:
        rows.add_row(age(one.taken_at), one.name, one.run_id or "-", _why(one))
    out.print(rows)


def _why(decided: Decided) -> str:
    return plain("; ".join(decided.reasons))
