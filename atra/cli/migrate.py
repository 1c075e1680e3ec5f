"""`atra migrate-target PATH`: models that have moved on become a proved migration."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from atra.cli.console import out, plain
from atra.cli.outcome import error_facts, leave, print_diff, status
from atra.cli.repair import carry_out, note_uncommitted
from atra.cli.session import with_stack
from atra.core.edits import diff
from atra.core.records import from_json
from atra.core.runs import Run, Step
from atra.core.settings import load_settings
from atra.meta_architect.migrations.records import Draft, Proof, Revised, Tested
from atra.meta_architect.records import Commit
from atra.repository import Repository
from atra.storage.ledger import Call
from workers.pipelines import migrate_target
from workers.targets import make_target, migration_of

KIND = "migrate_target"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("migrate-target")(migrate)


def migrate(
    path: Annotated[Path, typer.Argument(help="A git repository, or a folder inside one.")] = Path(),
    config: Annotated[str, typer.Option(help="alembic's file, from the root, when it is not found.")] = "",
    rows: Annotated[int, typer.Option(min=0, max=1000, help="Rows that each table gets in the copy.")] = 50,
    allow_loss: Annotated[
        list[str] | None, typer.Option(help="TABLE or TABLE.COLUMN that may lose values; may be given again.")
    ] = None,
    url_variable: Annotated[
        list[str] | None, typer.Option(help="A variable that names the database; may be given again.")
    ] = None,
    test_command: Annotated[str, typer.Option(help="How the tests are run, when not by pytest.")] = "",
    python: Annotated[Path | None, typer.Option(help="The interpreter that has alembic.")] = None,
    budget_seconds: Annotated[float | None, typer.Option(min=1, max=3000, help="Wall time for the tests.")] = None,
    budget_usd: Annotated[float | None, typer.Option(min=0.0001, max=1_000_000, help="What models may cost.")] = None,
    no_model: Annotated[bool, typer.Option("--no-model", help="Ask no model where alembic sees too little.")] = False,
    revision: Annotated[str, typer.Option(help="The revision to migrate.")] = "HEAD",
    include_uncommitted: Annotated[
        bool, typer.Option("--include-uncommitted", help="Take the working tree as it is on disk.")
    ] = False,
    no_commit: Annotated[bool, typer.Option("--no-commit", help="Prove a migration and show it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write the alembic migration that a repository's models lack, proved on a database with rows."""
    settings = load_settings()
    repository = Repository.open(path)
    target = make_target(
        repository,
        settings,
        revision=revision,
        test_command=test_command,
        python=python,
        include_uncommitted=include_uncommitted,
        commit=not no_commit,
        generator="templates" if no_model else "auto",
        budget_s=budget_seconds or settings.budget_s,
        budget_usd=budget_usd,
    )
    wanted = migration_of(target, settings, config, rows, tuple(allow_loss or ()), tuple(url_variable or ()))
    note_uncommitted(repository, "migration", included=include_uncommitted)
    with with_stack(quiet=as_json) as session:
        from workers.intake import opening_of  # the application is made from the wiring, which is set up by now

        wired = session.wired
        plan = migrate_target(settings, wanted.generator)
        run = carry_out(wired, opening_of(wanted, plan), quiet=as_json)
        steps, calls = wired.runs.steps(run.id), wired.ledger.calls(run.id)
    contract = as_migration(run, steps, calls)
    leave(run, steps, contract, lambda: print_migration(run, steps, calls), as_json=as_json)


def as_migration(run: Run, steps: Sequence[Step], calls: Sequence[Call] = ()) -> dict[str, Any]:
    """Return the JSON of one migration, see docs/migrations.md."""
    outputs = {step.name: step.output for step in steps if step.state == "settled" and step.output}
    made = from_json(Draft, outputs["draft"]) if "draft" in outputs else None
    revised = from_json(Revised, outputs["revise"]).draft if "revise" in outputs else None
    made = revised or made
    proof = from_json(Proof, outputs["rehearse"]) if "rehearse" in outputs else None
    tested = from_json(Tested, outputs["test"]) if "test" in outputs else None
    landed = from_json(Commit, outputs["commit"]) if "commit" in outputs else None
    return {
        "status": status(run),
        "run_id": run.id,
        "branch": landed.branch if landed else None,
        "commit": landed.commit if landed else None,
        "base": run.input["revision"],
        "revision": made.revision if made else None,
        "follows": made.base if made else None,
        "files": list(landed.files) if landed else [],
        "path": made.path if made else None,
        "sql_path": proof.sql_path if proof else "",
        "changes": list(made.sentences) if made else [],
        "diff": diff({}, {made.path: made.text}) if made and made.text else "",
        "sql": proof.sql if proof else "",
        "generator": made.generator if made else None,
        "refusals": list((proof.refusals if proof and proof.refusals else made.refusals) if made else ()),
        "rows": dict(proof.rows) if proof else {},
        "lost": list(proof.lost) if proof else [],
        "notes": [*(made.notes if made else ()), *(proof.notes if proof else ())],
        "locks": [
            {"statement": lock.statement, "holds": lock.holds, "instead": lock.instead}
            for lock in (proof.locks if proof else ())
        ],
        "tests_fixed": list(tested.fixed) if tested else [],
        "tests_passing": list(tested.passing) if tested else [],
        "tests_failing": list(tested.failing) if tested else [],
        "tests_broken": list(tested.broken) if tested else [],
        "tests_not_run": tested.why if tested else "",
        "model_calls": len(calls),
        "cost_usd": round(sum(call.cost_usd or 0.0 for call in calls), 6),
        "seconds": round((run.ended_at - run.created_at).total_seconds(), 2) if run.ended_at else None,
        "reason": run.reason,
        "error": str(error_facts(run, list(steps))["error"]) if status(run) == "error" else None,
    }


def print_migration(run: Run, steps: Sequence[Step], calls: Sequence[Call] = ()) -> None:
    """Print what came of a migration: the file, the rows, the tests, the locks, where it landed."""
    result = as_migration(run, steps, calls)
    if result["status"] == "migrated":
        print_diff(result["diff"])
        out.print(
            f"[bold green]migrated[/] {plain(result['path'])}  [dim]by {plain(result['generator'])}[/]", soft_wrap=True
        )
        rows = f"{_count(sum(result['rows'].values()), 'row')} in {_count(len(result['rows']), 'table')}"
        kept = "the values that may not be lost are" if result["lost"] else "all values are"
        out.print(
            f"upgrade, downgrade and upgrade again on a copy with {rows}: the schema comes back, {kept} the same",
            soft_wrap=True,
        )
        out.print(_tests(result), soft_wrap=True)
    else:
        colour = {"nothing_to_migrate": "green", "refused": "yellow"}.get(result["status"], "red")
        out.print(f"[bold {colour}]{result['status'].replace('_', ' ')}[/]: {plain(run.reason or '')}", soft_wrap=True)
    for loss in result["lost"]:
        out.print(f"[yellow]lost, as allowed:[/] {plain(loss)}", soft_wrap=True)
    for lock in result["locks"]:
        out.print(f"[yellow]long lock:[/] {plain(lock['statement'])}", soft_wrap=True)
        out.print(f"  {plain(lock['holds'])}; instead: {plain(lock['instead'])}", soft_wrap=True)
    for note in result["notes"]:
        out.print(f"[dim]note: {plain(note)}[/]", soft_wrap=True)
    if result["commit"]:
        out.print(f"commit [bold]{result['commit'][:12]}[/] on branch [bold]{plain(result['branch'])}[/]")
    asked = f", {result['model_calls']} calls of models for ${result['cost_usd']:.4f}" if calls else ""
    out.print(f"[dim]{result['seconds']} s{asked}; run {run.id}[/]")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _tests(result: dict[str, Any]) -> str:
    if result["tests_not_run"]:
        return f"tests: not run ({plain(result['tests_not_run'])})"
    fixed, passing = len(result["tests_fixed"]), len(result["tests_passing"])
    fails = f", {len(result['tests_failing'])} failing as before" if result["tests_failing"] else ""
    return f"tests: {passing} passing against the migrated database, {fixed} of which failed before{fails}"
