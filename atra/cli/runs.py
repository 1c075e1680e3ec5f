"""`atra runs`, `atra show`, `atra cancel`, `atra revert`: what happened, step by step, and how to undo it."""

from typing import Annotated, Any

import typer

from atra.cli.ask import KIND as ASK
from atra.cli.ask import answered, as_answer, print_answer
from atra.cli.console import age, out, plain, print_json, seconds_between, table
from atra.cli.delivery import KIND as DELIVERY
from atra.cli.delivery import as_delivery, delivery_of, print_delivery
from atra.cli.explain import explain, print_explanation
from atra.cli.migrate import KIND as MIGRATION
from atra.cli.migrate import as_migration, print_migration
from atra.cli.outcome import as_contract, print_outcome, status, timeline
from atra.cli.paths import as_path, print_path, show_failure
from atra.cli.session import with_database
from atra.cli.trajectory import print_trajectory
from atra.cli.war_room import KIND as ROOM
from atra.cli.war_room import Minutes, as_room, minutes_of, print_room
from atra.core.errors import BadInput
from atra.core.records import from_json, to_json
from atra.core.runs import Run, Step
from atra.llm.budget import dollars
from atra.meta_architect.records import Commit, Diagnosis, Target
from atra.repository import Repository
from atra.self_repair.watch import Regression, Undone, watch_id
from atra.storage.ledger import Call
from atra.storage.paths import Decided
from atra.storage.runs import RunStore
from atra.war_room.seats import ROOM as OF_ROOM
from atra.war_room.seats import asked_of

WATCH = "watch"

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("runs")(runs)
    app.command("show")(show)
    app.command("cancel")(cancel)
    app.command("revert")(revert)


def runs(limit: Annotated[int, typer.Option(min=1, max=1000)] = 20, as_json: Json = False) -> None:
    """List the newest runs, newest first."""
    with with_database() as wired:
        found = wired.runs.recent(limit)
    if as_json:
        print_json([_row(run) for run in found])
        return
    if not found:
        out.print("No runs yet. `atra repair PATH` makes the first.")
        return
    rows = table("run", "repository", "status", "started", "took", "why")
    for run in found:
        row = _row(run)
        took = seconds_between(run.created_at, run.ended_at)
        rows.add_row(run.id, plain(row["repository"]), row["status"], age(run.created_at), took, plain(row["reason"]))
    out.print(rows)


def show(
    run_id: Annotated[str, typer.Argument(help="A run's id, or its beginning; or a failure's id.")],
    trajectory: Annotated[bool, typer.Option("--trajectory", help="Show what agents did, turn by turn.")] = False,
    why: Annotated[
        bool, typer.Option("--explain", help="Say why this place, why this edit, what else was tried.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show one run: why it was started, every step, what came of it; or the paths that a failure took."""
    with with_database() as wired:
        if run_id.startswith("f"):
            return show_failure(wired, run_id, as_json=as_json)
        run = wired.runs.find(run_id)
        steps, calls = wired.runs.steps(run.id), wired.ledger.calls(run.id)
        events = wired.events.of(run.id) if trajectory else []
        regression, delivery = regression_of(wired.runs, run), delivery_of(wired.runs, run)
        delivered = as_delivery(wired.runs, delivery)
        minutes = minutes_of(wired, run) if run.kind == ROOM else None
        path = wired.paths.of_run(run.id)
    if trajectory and as_json:
        print_json([to_json(event) for event in events])
        return
    if trajectory:
        print_trajectory(events)
        return
    told: dict[str, Any] = {"input": run.input, "steps": list(map(to_json, steps)), "calls": list(map(to_json, calls))}
    told["path_taken"] = as_path(path)  # a migration has a `path` of its own
    if run.kind == ASK:
        return _show_answer(run, steps, calls, told, as_json=as_json)
    if minutes:
        return _show_room(minutes, steps, path, told, as_json=as_json)
    if "revision" not in run.input:
        return _show_plain(run, steps, calls, told, as_json=as_json)
    if as_json:
        contract = as_migration if run.kind == MIGRATION else as_contract
        reasons = explain(run, steps) if why else None
        told |= {"explanation": reasons.as_facts()} if reasons else {}
        print_json({**contract(run, steps, calls), "delivery": delivered, "regression": regression, **told})
        return
    target = from_json(Target, run.input)
    out.print(
        f"run [bold]{run.id}[/]: {run.kind} of {plain(target.repository)} at {target.revision[:12]}, "
        f"asked for {age(run.created_at)}"
    )
    print_path(path)
    if OF_ROOM in run.input:
        out.print(f"started by room [bold]{plain(str(run.input[OF_ROOM]))}[/] with its hints")
    out.print(timeline(steps))
    diagnosed = next((step.output for step in steps if step.name == "diagnose" and step.output), None)
    if diagnosed:
        _print_places(from_json(Diagnosis, diagnosed))
    if calls:
        _print_calls(calls)
    (print_migration if run.kind == MIGRATION else print_outcome)(run, steps, calls)
    if why:
        print_explanation(explain(run, steps))
    if run.kind != DELIVERY:
        print_delivery(delivery)
    if regression and run.kind != WATCH:
        where = f"undone by {regression['commit'][:12]} on {regression['branch']}" if regression["commit"] else ""
        after = where or f"its fix stays: {regression['why_not'] or 'the run that watches over it is under way'}"
        out.print(f"[bold red]regressed[/]: {plain(regression['reason'])}; {plain(after)}", soft_wrap=True)


def _show_plain(run: Run, steps: list[Step], calls: list[Call], told: dict[str, Any], *, as_json: bool) -> None:
    """Show a run that is about no repository: a day's learning, an hour's answering ahead."""
    if as_json:
        print_json({"status": status(run), "run_id": run.id, "kind": run.kind, "reason": run.reason, **told})
        return
    out.print(f"run [bold]{run.id}[/]: {run.kind}, begun {age(run.created_at)}")
    out.print(timeline(steps))
    if calls:
        _print_calls(calls)
    out.print(f"[bold]{status(run)}[/]: {plain(run.reason or 'under way')}", soft_wrap=True)


def _show_answer(run: Run, steps: list[Step], calls: list[Call], told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json({**as_answer(run, steps), **told})
        return
    out.print(f"run [bold]{run.id}[/], asked {age(run.created_at)}: {plain(run.input['question'])}", soft_wrap=True)
    out.print(timeline(steps))
    if calls:
        _print_calls(calls)
    found = answered(steps)
    for number, step in enumerate(found.steps if found else (), start=1):
        out.print(f"  [dim]{number}. {plain(step)}[/]", soft_wrap=True)
    print_answer(run, steps)


def _show_room(
    minutes: Minutes, steps: list[Step], path: Decided | None, told: dict[str, Any], *, as_json: bool
) -> None:
    if as_json:
        return print_json({**as_room(minutes), **told})
    run, asked = minutes.run, asked_of(minutes.run.input)
    out.print(f"room [bold]{run.id}[/], asked for {age(run.created_at)}: {plain(asked.question)}", soft_wrap=True)
    print_path(path)
    out.print(timeline(steps))
    if minutes.calls:
        _print_calls(list(minutes.calls))
    print_room(minutes)


def cancel(run_id: Annotated[str, typer.Argument(help="A run's id, or its beginning.")], as_json: Json = False) -> None:
    """Ask a run to stop at its next heartbeat."""
    with with_database() as wired:
        run = wired.runs.find(run_id)
        wired.runs.cancel(run.id)
        run = wired.runs.get(run.id)
    if as_json:
        print_json(_row(run))
    else:
        out.print(f"run {run.id} is {'over' if run.state == 'ended' else 'asked to stop'}: {status(run)}")


def revert(run_id: Annotated[str, typer.Argument(help="The run whose commit to undo.")], as_json: Json = False) -> None:
    """Undo a repair's commit by a revert commit."""
    with with_database() as wired:
        run = wired.runs.find(run_id)
        landed = next(iter(wired.runs.outputs(run.id, "commit")), None)
    if landed is None:
        raise BadInput(f"run {run.id} made no commit")
    commit = from_json(Commit, landed)
    undone = Repository.open(from_json(Target, run.input).path).revert(
        commit.commit, run_id=run.id, repair_branch=commit.branch
    )
    if as_json:
        print_json({"run_id": run.id, "reverted": commit.commit, "commit": undone.commit, "branch": undone.branch})
    else:
        where = f"[bold]{undone.commit[:12]}[/] on branch [bold]{plain(undone.branch)}[/]"
        out.print(f"commit {commit.commit[:12]} is undone by {where}")


def regression_of(runs: RunStore, run: Run) -> dict[str, str] | None:
    """Return why a repair's fix is taken for failed, and what undid it or why it stays; None where it is not."""
    wanted = run.id if run.kind == WATCH else watch_id(run.id)
    known = runs.recent(50, failure_id=run.failure_id) if run.failure_id else []
    watched = next((one for one in known if one.id == wanted), None)
    if watched is None:
        return None
    regression = from_json(Regression, watched.input["regression"])
    undone = next((from_json(Undone, output) for output in runs.outputs(watched.id, "undo")), Undone())
    told = {"run_id": regression.fix.run_id, "fix": regression.fix.commit, "reason": regression.reason}
    return {**told, "branch": undone.branch, "commit": undone.commit, "why_not": undone.why}


def _row(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.id,
        "kind": run.kind,
        "repository": run.input.get("repository", ""),
        "status": status(run),
        "reason": run.reason or "",
        "failure_id": run.failure_id,
        "created_at": run.created_at.isoformat(),
        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
    }


def _print_places(diagnosis: Diagnosis) -> None:
    rows = table("score", "place", "why")
    for place in diagnosis.places[:5]:
        rows.add_row(f"{place.score:.2f}", plain(f"{place.path}:{place.line}"), plain("; ".join(place.reasons)))
    out.print("most suspect places", rows, sep="\n")


def _print_calls(calls: list[Call]) -> None:
    rows = table("for", "model", "in", "out", "cost", "time", "came to")
    for call in calls:
        rows.add_row(
            plain(call.purpose),
            plain(call.name),
            "?" if call.input_tokens is None else str(call.input_tokens),
            "?" if call.output_tokens is None else str(call.output_tokens),
            ("" if call.state == "settled" else "at most ") + dollars(call.cost_usd),
            "" if call.seconds is None else f"{call.seconds:.1f} s",
            plain(call.error or call.finish or "no answer yet"),
        )
    out.print("calls of models, with tokens in and out", rows, sep="\n")
