"""`atra precache`: what is answered before it is asked, and whether that was worth it."""

from contextlib import nullcontext
from typing import Annotated, Any

import typer

from atra.cli.console import err, out, plain, print_json, table
from atra.cli.repair import Interrupted
from atra.cli.session import with_database
from atra.core.records import from_json
from atra.core.runs import Run, new_id
from atra.llm.budget import dollars
from atra.semantic_cache.keys import key_of
from atra.semantic_cache.records import ANYONE
from atra.storage.precache import Outcome, Planned
from atra.wiring import Wiring

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

commands = typer.Typer(name="precache", help="What is answered before anybody asks.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands)


@commands.command("run")
def run(as_json: Json = False) -> None:
    """Predict questions from the news and answer them now, besides the run of each hour."""
    with with_database() as wired:
        ended = _carried_out(wired, quiet=as_json)
        planned = _planned(wired, ended.id)
        answers = [wired.cache_store.answer_to(ANYONE.key, key_of(one.question)) for one in planned]
    count = sum(answer is not None for answer in answers)
    if as_json:
        print_json(
            {
                "run_id": ended.id,
                "status": ended.outcome,
                "reason": ended.reason,
                "answered": count,
                "questions": [_facts(one, answer) for one, answer in zip(planned, answers, strict=True)],
            }
        )
    else:
        _print_run(ended, planned, answers)
    raise typer.Exit(0 if ended.outcome == "answered" else 1)


@commands.command("report")
def report(
    days: Annotated[float, typer.Option(min=0.01, max=90, help="How far back to look.")] = 30.0,
    as_json: Json = False,
) -> None:
    """Show what was predicted, and what of it was asked, by the way the questions were made."""
    with with_database() as wired:
        wired.precache.settle()
        found = wired.precache.report(days)
    if as_json:
        print_json([_row(one) for one in found])
        return
    if not found:
        told = f"Nothing was predicted in the last {days:g} days. Beat does so every hour; `atra precache run` now."
        out.print(told, soft_wrap=True)
        return
    rows = table("template", "predicted", "waiting", "asked", "wasted", "hits", "cost", "saved")
    for one in found:
        counts = (one.predicted, one.waiting, one.asked, one.wasted, one.hits)
        rows.add_row(one.template, *map(str, counts), dollars(one.cost_usd), dollars(one.saved_usd))
    out.print(rows)
    asked, over = sum(one.asked for one in found), sum(one.asked + one.wasted for one in found)
    if over:
        out.print(f"Of {over} questions whose time is over, {asked} {'was' if asked == 1 else 'were'} asked.")


def _carried_out(wired: Wiring, *, quiet: bool) -> Run:
    """Open a run and do its steps here; where this process is killed, a worker goes on."""
    from workers.owners import this_process  # the application is made from the wiring, which is set up by now
    from workers.pipelines import precache as plan
    from workers.precache import answer, predict
    from workers.task import run_step

    opened = wired.runs.open(new_id("p"), plan(), {})
    try:
        with nullcontext() if quiet else err.status("answering what may be asked"):
            run_step("predict", opened.id, 0, predict)
            run_step("answer", opened.id, 0, answer)
    except KeyboardInterrupt as interrupt:
        wired.runs.forfeit(lambda owner: owner == this_process())
        wired.runs.cancel(opened.id)
        raise Interrupted(wired.runs.get(opened.id)) from interrupt
    return wired.runs.get(opened.id)


def _planned(wired: Wiring, run_id: str) -> list[Planned]:
    outputs = wired.runs.outputs(run_id, "predict")
    return [from_json(Planned, one) for output in outputs if output for one in output["planned"]]


def _print_run(ended: Run, planned: list[Planned], answers: list[str | None]) -> None:
    for one, answer in zip(planned, answers, strict=True):
        if answer is not None:
            out.print(f"[bold]{plain(one.question)}[/]", soft_wrap=True)
            out.print(f"  {plain(answer)}", soft_wrap=True)
    unanswered = sum(answer is None for answer in answers)
    told = "" if not unanswered else f"; {unanswered} had no answer that rests on what raised them"
    reason = plain(ended.reason or "")
    out.print(f"\n[dim]{ended.outcome}: {reason}{told}; run {ended.id}[/]", soft_wrap=True)


def _facts(one: Planned, answer: str | None) -> dict[str, Any]:
    return {
        "question": one.question,
        "template": one.template,
        "subject": one.subject,
        "probability": one.probability,
        "answered": answer is not None,
        "answer": answer,
    }


def _row(one: Outcome) -> dict[str, Any]:
    names = ("template", "predicted", "waiting", "asked", "wasted", "hits", "cost_usd", "saved_usd")
    return {name: getattr(one, name) for name in names}
