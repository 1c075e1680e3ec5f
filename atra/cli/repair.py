"""`atra repair PATH`: open a run, watch it, say what came of it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live

from atra.cli.console import err, plain, seconds_between
from atra.cli.delivery import as_delivery, delivery_of, print_delivery
from atra.cli.explain import explain, print_explanation
from atra.cli.outcome import as_contract, leave, print_outcome, status, summary, timeline
from atra.cli.session import with_stack
from atra.core.errors import AtraError, DatabaseUnavailable, NoModel, UnknownRun
from atra.core.records import from_json
from atra.core.runs import Opening, Run, Step
from atra.core.settings import load_settings
from atra.meta_architect.records import Target
from atra.repository import Repository
from atra.wiring import Wiring
from workers.targets import make_target

_POLL_S = 0.15
_GRACE_S = 120.0
_OUTAGE_S = 30.0  # the stack starts a database that died again within a few seconds


class Generator(StrEnum):
    """Who proposes patches."""

    auto = "auto"
    templates = "templates"
    model = "model"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("repair")(repair)


def repair(
    path: Annotated[Path, typer.Argument(help="A git repository, or a folder inside one.")] = Path(),
    test_command: Annotated[str, typer.Option(help="How the tests are run, when not by pytest.")] = "",
    test: Annotated[list[str] | None, typer.Option(help="A test id that matters; may be given again.")] = None,
    python: Annotated[Path | None, typer.Option(help="The interpreter of the tests.")] = None,
    generator: Annotated[Generator, typer.Option(help="Who proposes patches.")] = Generator.auto,
    budget_seconds: Annotated[float | None, typer.Option(min=1, max=3000, help="Wall time for the repair.")] = None,
    budget_usd: Annotated[
        float | None, typer.Option(min=0.0001, max=1_000_000, help="What models may cost in this repair.")
    ] = None,
    shards: Annotated[int | None, typer.Option(min=1, max=256, help="Tasks that share the search.")] = None,
    revision: Annotated[str, typer.Option(help="The revision to repair.")] = "HEAD",
    include_uncommitted: Annotated[
        bool, typer.Option("--include-uncommitted", help="Repair the working tree as it is on disk.")
    ] = False,
    no_commit: Annotated[bool, typer.Option("--no-commit", help="Verify a patch and show it, commit nothing.")] = False,
    why: Annotated[
        bool, typer.Option("--explain", help="Say why this place, why this edit, what else was tried.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Turn failing tests into one verified commit on a branch of its own."""
    settings = load_settings()
    if generator is Generator.model and not settings.models:
        raise NoModel("--generator model")
    repository = Repository.open(path)
    target = make_target(
        repository,
        settings,
        revision=revision,
        test_command=test_command,
        tests=tuple(test or ()),
        python=python,
        include_uncommitted=include_uncommitted,
        commit=not no_commit,
        generator=generator.value,
        budget_s=budget_seconds or settings.budget_s,
        budget_usd=budget_usd or settings.run_usd,
    )
    note_uncommitted(repository, "repair", included=include_uncommitted)
    with with_stack(quiet=as_json) as session:
        from workers.intake import opening_of  # the application is made from the wiring, which is set up by now
        from workers.pipelines import repair_plan

        wired = session.wired
        plan = repair_plan(wired.settings, target.generator, shards or settings.shards)
        run = carry_out(wired, opening_of(target, plan), quiet=as_json)
        delivery = delivery_of(wired.runs, run)
        if delivery:
            try:
                delivery = watch(wired, delivery, quiet=as_json)
            except Interrupted as interrupted:
                raise Interrupted(run) from interrupted
        steps, calls = wired.runs.steps(run.id), wired.ledger.calls(run.id)
        delivered = as_delivery(wired.runs, delivery)

    reasons = explain(run, steps) if why else None

    def show() -> None:
        print_outcome(run, steps, calls)
        if why:
            print_explanation(reasons)
        print_delivery(delivery)

    contract = {**as_contract(run, steps, calls), "delivery": delivered}
    contract |= {"explanation": reasons.as_facts()} if reasons else {}
    leave(run, steps, contract, show, as_json=as_json)


def note_uncommitted(repository: Repository, what: str, *, included: bool) -> None:
    """Say that there are changes in the working tree which a run leaves out, unless they were asked for."""
    if (dirty := repository.dirty_files()) and not included:
        err.print(
            f"[yellow]note:[/] {len(dirty)} uncommitted changes are not part of this {what} "
            "(--include-uncommitted takes them in)"
        )


class Interrupted(BaseException):
    """Somebody has interrupted a command that waited for this run; its argument is the run as it stood then.

    It is no KeyboardInterrupt, of which typer would leave nothing but an exit code.
    """

    def as_facts(self) -> dict[str, str]:
        """Return what `--json` prints of it; the status `running` is that of one that will stop soon."""
        run: Run = self.args[0]
        facts = {"status": status(run), "run_id": run.id, "reason": run.reason or ""}
        return {**facts, "error": "interrupted", "hint": f"`atra show {run.id}` says how far it came."}


def carry_out(wired: Wiring, opening: Opening, *, quiet: bool) -> Run:
    """Open a run, send it, and follow it to its end; see `watch`."""
    from workers.intake import launch

    with stopping(wired, opening.run_id):
        return watch(wired, launch(wired, opening), quiet=quiet)


def watch(wired: Wiring, run: Run, *, quiet: bool) -> Run:
    """Follow the run to its end and return it as it ended; an interrupt cancels the run.

    Raises:
        Interrupted: by Ctrl-C; the run was asked to stop, which takes no longer than a heartbeat.
        AtraError: it took far longer than its budget; it goes on without this command.
        DatabaseUnavailable: it was away for long; the run goes on when it is back.
    """
    answered_at = time.monotonic()
    waiting_until = time.monotonic() + from_json(Target, run.input).budget_s * 2 + _GRACE_S
    with stopping(wired, run.id), _progress(quiet) as show:
        while run.state == "open":
            if time.monotonic() > waiting_until:
                raise AtraError(f"run {run.id} has not ended; `atra show {run.id}` says how far it is")
            try:
                run = wired.runs.get(run.id)
                show(wired.runs.steps(run.id))
                answered_at = time.monotonic()
            except DatabaseUnavailable:
                if time.monotonic() > answered_at + _OUTAGE_S:
                    raise
            if run.state == "open":
                time.sleep(_POLL_S)
    return run


@contextmanager
def stopping(wired: Wiring, run_id: str) -> Iterator[None]:
    """Cancel the run where somebody interrupts what is done here, from its opening on: a worker may have it already.

    Raises:
        Interrupted: by Ctrl-C; the run was asked to stop.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        try:
            run = _stopped(wired, run_id)
        except UnknownRun:
            raise interrupt from None  # it came before the run was written down
        raise Interrupted(run) from interrupt


def _stopped(wired: Wiring, run_id: str) -> Run:
    """Cancel a run that is waited for; return it as it ended or, after long or at another interrupt, as it is."""
    run = wired.runs.get(run_id)
    wired.runs.cancel(run_id)
    err.print(f"cancelled run {run_id}")
    until = time.monotonic() + wired.settings.lease_s
    with suppress(KeyboardInterrupt):
        while (run := wired.runs.get(run_id)).state == "open" and time.monotonic() < until:
            time.sleep(_POLL_S)
    return run


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[list[Step]], None]]:
    """Give a function that shows how far the steps are: a live table on a terminal, else a line per settled step."""
    if quiet:
        yield lambda steps: None
    elif err.is_terminal:
        with Live(console=err, refresh_per_second=8, transient=True) as live:
            yield lambda steps: live.update(timeline(steps))
    else:
        told: set[tuple[str, int]] = set()

        def tell(steps: list[Step]) -> None:
            for step in steps:
                if step.state == "settled" and (step.name, step.shard) not in told:
                    told.add((step.name, step.shard))
                    err.print(
                        f"{step.name} {seconds_between(step.started_at, step.settled_at)}: {plain(summary(step))}"
                    )

        yield tell
