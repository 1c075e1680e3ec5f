"""How far a repair's commit went by itself, for the commands that show a repair."""

from typing import Any

from atra.cli.console import out, plain
from atra.cli.outcome import error_facts, status
from atra.core.errors import UnknownRun
from atra.core.runs import Run, following
from atra.storage.runs import RunStore

KIND = "delivery"


def delivery_of(runs: RunStore, run: Run) -> Run | None:
    """Return the run that delivers a repair's commit; None where the policy leaves it on its branch."""
    if run.kind == KIND:
        return run
    try:
        return runs.get(following(run.id, "d")) if run.outcome == "fixed" else None
    except UnknownRun:
        return None


def as_delivery(runs: RunStore, delivery: Run | None) -> dict[str, Any] | None:
    """Return the contract's `delivery`: the run's id and status, and once it is over how far the commit went."""
    if delivery is None:
        return None
    output = next(iter(runs.outputs(delivery.id, "deliver")), None)
    why = "" if delivery.state == "open" else str(error_facts(delivery, runs.steps(delivery.id))["error"])
    known = output or {"policy": None, "state": None, "where": "", "pull_request": "", "why": why}
    return {"run_id": delivery.id, "status": status(delivery), **known}


def print_delivery(delivery: Run | None) -> None:
    """Print in a line how far the commit went."""
    if delivery is None:
        return
    colour = {"delivered": "green", "running": "cyan"}.get(status(delivery), "yellow")
    said = delivery.reason or f"under way, see `atra show {delivery.id}`"
    out.print(f"[bold {colour}]{status(delivery)}[/]: {plain(said)}", soft_wrap=True)
