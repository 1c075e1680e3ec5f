"""`atra brain`: models of one's own, what each was shown to be worth, and which one serves."""

from contextlib import nullcontext
from typing import Annotated, Any

import typer

from atra.cli.console import age, err, out, plain, print_json, table
from atra.cli.repair import Interrupted
from atra.cli.session import with_database
from atra.core.errors import BadInput
from atra.core.records import to_json
from atra.core.runs import Run
from atra.local_brain import versions
from atra.storage.brains import Brain, Evaluation
from atra.wiring import Wiring

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Which = Annotated[str, typer.Argument(help="A brain's id, or its beginning; see `atra brain list`.")]

commands = typer.Typer(name="brain", help="Models of your own, and which one serves.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands)


@commands.command("list")
def show(as_json: Json = False) -> None:
    """Show every brain, what the gate said of it, and who took whose place."""
    with with_database() as wired:
        found, changes = wired.brains.all(), wired.brains.changes(5)
        judged = {one.id: wired.brains.evaluations(one.id) for one in found}
        linked = versions.serving(wired.brain_folder)
        max_error = wired.settings.brain.max_error
    if as_json:
        rows = [_facts(one, judged[one.id]) for one in found]
        print_json({"brains": rows, "link": linked, "changes": [to_json(one) for one in changes]})
        return
    if not found:
        out.print("There is no brain yet; `atra distill train` makes one.")
        return
    shown = table("brain", "", "added", "data set", "the gate said", "sure from")
    for one in found:
        state = f"[red]{one.state}, withdrawn[/]" if one.withdrawn else one.state
        cells = (plain(one.lineage.data_set[:12]), _gate(judged[one.id]), _sure(one, max_error))
        shown.add_row(one.id[:12], state, age(one.added_at), *cells)
    out.print(shown)
    for change in changes:
        who = f"{change.brain_id[:12] or 'nothing'} in place of {change.replaced[:12] or 'nothing'}"
        out.print(f"[dim]{age(change.at)}[/] {change.kind}: {who}: {plain(change.why)}", soft_wrap=True)
    for one in found:
        if one.state == "serving" and (one.withdrawn or linked != one.id):
            why = one.withdrawn or "the link on the disk names another one"
            out.print(f"[red]{one.id[:12]}: {plain(why)}; beat looks after that every minute.[/]", soft_wrap=True)


@commands.command("evaluate")
def evaluate(which: Which, as_json: Json = False) -> None:
    """Compare a brain with the one that serves, on the evaluation sets; what was begun before goes on."""
    with with_database() as wired:
        evaluation, run = _carried_out(wired, which, quiet=as_json)
    verdict = evaluation.verdict
    if as_json:
        print_json({"run_id": run.id, "status": run.outcome, "reason": run.reason, **to_json(evaluation)})
    elif verdict is not None:
        _print_verdict(evaluation)
        out.print(f"\n[dim]{plain(run.reason or '')}; run {run.id}[/]", soft_wrap=True)
    else:
        out.print(f"[red]{plain(run.reason or '')}[/]; run {run.id}", soft_wrap=True)
    raise typer.Exit(0 if verdict is not None and verdict.promote else 1)


@commands.command("promote")
def promote(
    which: Which,
    override: Annotated[str, typer.Option(help="Promote without the gate, for this reason; it is kept.")] = "",
    as_json: Json = False,
) -> None:
    """Let a brain serve that the gate has passed against the one that serves now."""
    if override and len(override.strip()) < 8:
        raise BadInput("a reason has at least eight letters; somebody will read it in a year")
    with with_database() as wired:
        from workers.brain import promote as let_serve  # the application is made from the wiring

        found = wired.brains.get(which)
        why_not = let_serve(wired, found.id, override=override.strip())
    if as_json:
        print_json({"brain": found.id, "promoted": not why_not, "why_not": why_not})
    else:
        told = f"Not promoted: {why_not}." if why_not else f"Brain {found.id[:12]} serves from now on."
        out.print(told, soft_wrap=True)
    raise typer.Exit(1 if why_not else 0)


@commands.command("rollback")
def rollback(
    reason: Annotated[str, typer.Option(help="Why; kept with the brain that goes.")],
    as_json: Json = False,
) -> None:
    """Take the brain that serves out of service for good, and put the one before it back."""
    if len(reason.strip()) < 8:
        raise BadInput("a reason has at least eight letters; somebody will read it in a year")
    with with_database() as wired:
        from workers.brain import roll_back  # the application is made from the wiring

        done = roll_back(wired, reason.strip())
    gone, now = done or ("", "")
    if as_json:
        print_json({"rolled_back": gone, "serving": now})
    elif not gone:
        out.print("No brain serves.")
    else:
        out.print(f"Brain {gone[:12]} is out of service; {f'{now[:12]} serves again' if now else 'none serves'}.")
    raise typer.Exit(0 if gone else 1)


@commands.command("leads")
def leads(which: Which, as_json: Json = False) -> None:
    """Replay proved repairs that a brain has not learned from: does the right change come sooner where it points?"""
    with with_database() as wired:
        from workers.pointing import measure_leads  # the application is made from the wiring

        found = wired.brains.get(which)
        with err.status("replaying repairs") as status:
            told = measure_leads(wired, found, lambda count: status.update(f"replayed {count} repairs"))
    if as_json:
        print_json({"brain": found.id, **to_json(told)})
    else:
        out.print(
            f"{told.repairs} repairs replayed: {told.fewer} came sooner, {told.more} later; median {told.without:g} "
            f"candidates without its leads, {told.led:g} with them (p = {told.p_value:.2g}).",
            soft_wrap=True,
        )
        out.print("It helps: [brain] leads = true lets repairs go by it." if told.helps else "That is no help.")
    raise typer.Exit(0 if told.helps else 1)


def _carried_out(wired: Wiring, which: str, *, quiet: bool) -> tuple[Evaluation, Run]:
    """Open the evaluation and do its steps here; where this process is killed, a worker goes on."""
    from workers.brain import compare, judge, open_evaluation  # the application is made from the wiring
    from workers.owners import this_process
    from workers.task import run_step

    evaluation, run = open_evaluation(wired, which)
    shards = sum(step.name == "compare" for step in wired.runs.steps(run.id))
    try:
        with nullcontext() if quiet else err.status("asking both every item") as status:
            for shard in range(shards):
                run_step("compare", run.id, shard, compare)
                if status is not None:
                    status.update(f"asked both {(shard + 1) / shards:.0%} of the items")
            run_step("judge", run.id, 0, judge)
    except KeyboardInterrupt as interrupt:
        wired.runs.forfeit(lambda owner: owner == this_process())
        wired.runs.cancel(run.id)
        raise Interrupted(wired.runs.get(run.id)) from interrupt
    return wired.brains.evaluation(evaluation.id), wired.runs.get(run.id)


def _facts(brain: Brain, evaluations: list[Evaluation]) -> dict[str, Any]:
    """Return what is printed of a brain as JSON: of the kind of its questions, how many shapes it has."""
    told = to_json(brain)
    if told["calibration"] is not None:
        told["calibration"]["kind"]["shapes"] = len(told["calibration"]["kind"]["shapes"])
    return {**told, "evaluations": [to_json(one) for one in evaluations]}


def _gate(evaluations: list[Evaluation]) -> str:
    newest = next((one for one in evaluations if one.verdict is not None), None)
    if newest is None or newest.verdict is None:
        return "[dim]not asked[/]"
    gain = next((check.said for check in newest.verdict.checks if check.name == "gain"), "")
    return f"{'[green]better[/]' if newest.verdict.promote else '[red]not better[/]'}, {plain(gain)}"


def _sure(brain: Brain, max_error: float) -> str:
    threshold = brain.calibration.threshold(max_error) if brain.calibration else None
    if brain.calibration is None or threshold is None:
        return "[dim]never[/]"
    surest = next(tier for tier in brain.calibration.tiers if tier.confidence == threshold)
    return f"{threshold:.3f} ({surest.items / brain.calibration.tiers[-1].items:.0%} of items)"


def _print_verdict(evaluation: Evaluation) -> None:
    against = evaluation.against.rpartition("/")[2][:24] or "nothing"
    sets = ", ".join(f"{one['name']} {one['hash'][:12]} ({one['items']} items)" for one in evaluation.sets)
    out.print(f"brain [bold]{evaluation.brain_id[:12]}[/] against {plain(against)}, on {plain(sets)}", soft_wrap=True)
    shown = table("check", "", "figures")
    checks: Any = evaluation.verdict.checks if evaluation.verdict else ()
    for check in checks:
        shown.add_row(plain(check.name), "[green]passed[/]" if check.passed else "[red]failed[/]", plain(check.said))
    out.print(shown)
