"""`atra up`, `atra status`, `atra doctor`: running the stack and seeing how it is."""

from typing import Annotated, Any

import typer
from rich.table import Table

from atra.cli import doctor as examination
from atra.cli.console import err, out, plain, print_json, table
from atra.cli.session import with_database
from atra.cli.stack import Crew
from atra.cli.stack import up as run_stack
from atra.core.records import to_json
from atra.core.settings import load_settings, settings_or_fault
from atra.llm.budget import dollars
from atra.storage.ledger import Spending
from atra.wiring import Wiring

_WEEK_DAYS = 7
_COLOURS = {"ok": "green", "missing": "red", "broken": "red"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up")(up)
    app.command("status")(status)
    app.command("doctor")(doctor)


def up(
    workers: Annotated[int | None, typer.Option(min=1, max=256, help="How many tasks run at once.")] = None,
    gpu: Annotated[bool, typer.Option("--gpu", help="A worker for the gpu queue too.")] = False,
    flower: Annotated[bool, typer.Option("--flower", help="Flower on the loopback address too.")] = False,
    flower_port: Annotated[int, typer.Option(min=1, max=65535, help="Flower's port.")] = Crew.flower_port,
) -> None:
    """Run database, Redis, workers and beat until Ctrl-C."""
    crew = Crew(beat=True, gpu=gpu, flower=flower, flower_port=flower_port, **({"workers": workers} if workers else {}))
    run_stack(load_settings(), crew, lambda sentence: err.print(f"[dim]atra[/] {plain(sentence)}"))


def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show what runs, and what models cost: runs, failures, workers, queues, beat, spending."""
    with with_database() as wired:
        facts = _facts(wired)
    if as_json:
        print_json(facts)
        return
    rows = Table(box=None, pad_edge=False, show_header=False)
    runs = facts["runs"]
    rows.add_row(
        "runs", f"{runs['open']} open, {runs['overdue']} overdue, {runs['ended']} ended; {runs['leased']} steps held"
    )
    rows.add_row("failures", f"{facts['open_failures']} open")
    rows.add_row("workers", plain(", ".join(facts["workers"]) or "none answer"))
    rows.add_row("queues", plain(", ".join(f"{name} {length}" for name, length in facts["queues"].items())))
    beat = facts["beat_age_s"]
    rows.add_row("beat", "no tick within a day" if beat is None else f"last tick {beat:.0f} s ago")
    if facts["spending"]["models"]:
        rows.add_row("models", plain(_spent(facts["spending"])))
    out.print(rows)


def _spent(spending: dict[str, Any]) -> str:
    by_model = ", ".join(f"{row['name']} {dollars(row['cost_usd'])}" for row in spending["models"])
    today = f"{dollars(spending['today_usd'])} of {dollars(spending['day_usd'])} used or reserved today"
    return f"{today}, {dollars(spending['week_usd'])} in {_WEEK_DAYS} days: {by_model}"


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check every part; say what is missing and how to get it. Exit code 3 where a needed part or a named model is."""
    found = examination.doctor(*settings_or_fault())
    if as_json:
        print_json([to_json(part) for part in found])
    else:
        rows = table("part", "state", "detail")
        for part in found:
            hint = f"\n[dim]{plain(part.hint)}[/]" if part.hint else ""
            rows.add_row(part.part, f"[{_COLOURS[part.state]}]{part.state}[/]", plain(part.detail) + hint)
        out.print(rows)
    raise typer.Exit(3 if any(part.state != "ok" and part.needed for part in found) else 0)


def _facts(wired: Wiring) -> dict[str, Any]:
    from workers.app import broker  # made from the wiring, which is set up by now

    with broker() as app:
        workers = sorted(app.control.inspect(timeout=1.0).ping() or {})
        with app.connection_for_read() as connection:
            queues = {queue.name: _length(connection, queue.name) for queue in app.conf.task_queues}
    return {
        "runs": wired.runs.counts(),
        "open_failures": wired.failures.count_open(),
        "workers": workers,
        "queues": queues,
        "beat_age_s": wired.signals.beat_age_s(),
        "spending": _spending(wired.ledger.spending(_WEEK_DAYS), wired.settings.day_usd),
    }


def _spending(models: list[Spending], day_usd: float) -> dict[str, Any]:
    return {
        "today_usd": round(sum(one.today_usd for one in models), 6),
        "day_usd": day_usd,
        "week_usd": round(sum(one.cost_usd for one in models), 6),
        "models": [to_json(one) for one in models],
    }


def _length(connection: Any, queue: str) -> int:
    try:
        return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
    except connection.channel_errors:  # nobody has declared it: no worker has listened to it yet
        return 0
