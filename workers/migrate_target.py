"""The tasks that turn models which have moved on into a proved migration: draft, revise, rehearse, test, commit."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from atra.core.errors import ProtectedPath, StackUnavailable
from atra.core.runs import Ending
from atra.embedded.postgres import needed, programs
from atra.meta_architect.migrations.addresses import read_layout
from atra.meta_architect.migrations.drafting import draft as write_draft
from atra.meta_architect.migrations.proving import prove as prove_draft
from atra.meta_architect.migrations.records import Draft, Layout, MigrationTarget, Proof, Revised, Tested
from atra.meta_architect.migrations.revising import revise as ask_model
from atra.meta_architect.migrations.scratch import Scratch, database_of
from atra.meta_architect.migrations.telling import message
from atra.meta_architect.migrations.testing import compare
from atra.meta_architect.records import Commit
from atra.repository import Repository, protected
from atra.sandbox.database import DatabaseSandbox
from atra.sandbox.project import runner_for
from atra.sandbox.reports import TestReport
from workers.app import app
from workers.desks import models_of, reply_tokens
from workers.journals import nonce_of
from workers.task import StepFunction, Work, step_task
from workers.workspace import Workspace, contents, workspace

MIGRATED = "migrated"

_MIGRATIONS = ("**/migrations/versions/**",)
"""What no repair of ATRA itself may touch, and a migration adds to; what is there already stays as it is."""

_AGREED = "the models and the migrations agree; what a database lacks, `alembic upgrade head` gives it"


def draft(work: Work) -> tuple[Draft | None, Ending | None]:
    """Compare the models with the database that the migrations make, and write the revision that is missing."""
    target = work.given(MigrationTarget)
    with workspace(work) as here:
        layout = _layout(here, target)
        with _scratch(work, here, layout, str(here.tree)) as scratch:
            made = write_draft(target, layout, scratch, at=here.project.at, run_id=work.run.id)
        if made is None:
            return None, Ending("nothing_to_migrate", _AGREED)
        _check_new(here, made.path)
    return made, None if _asked(work) else _refused(made.refusals)


def revise(work: Work) -> tuple[Revised, Ending | None]:
    """Ask a model for what autogenerate cannot see, where the draft was refused for that."""
    made, target = work.output_of("draft", Draft), work.given(MigrationTarget)
    if not made.refusals:
        return Revised(skipped="the draft needs no model"), None
    model = models_of(work, "migrate")[0]
    known = work.wired.settings.models[model.name]
    work.report(model=model.name)
    with workspace(work) as here:

        def rehearse_one(one: Draft) -> Proof:
            with here.patched({one.path: one.text}) as tree, _scratch(work, here, one.layout, tree) as scratch:
                return prove_draft(target, one, scratch)

        revised = ask_model(
            model,
            made,
            _models(here),
            rehearse_one,
            nonce=nonce_of(work),
            room_tokens=known.context_tokens // 2,
            max_output_tokens=reply_tokens(known),
            effort=known.effort,
            timeout_s=known.timeout_s,
        )
    if revised.draft is None:
        tried = f"; {model.name} was asked and gave nothing that holds: {(*revised.said, revised.skipped)[-1]}"
        return revised, _refused((f"{'; '.join(made.refusals)}{tried}",))
    return revised, None


def rehearse(work: Work) -> tuple[Proof, Ending | None]:
    """Go up, down and up again on a filled copy in a fresh box, and compare schema and data each time."""
    made = _made(work)
    with (
        workspace(work) as here,
        here.patched({made.path: made.text}) as tree,
        _scratch(work, here, made.layout, tree) as scratch,
    ):
        proof = prove_draft(work.given(MigrationTarget), made, scratch)
        if proof.sql_path:
            _check_new(here, proof.sql_path)
    return proof, _refused(proof.refusals)


def test(work: Work) -> tuple[Tested, Ending | None]:
    """Run the target's tests against the database before and after the migration."""
    made, target = _made(work), work.given(MigrationTarget)
    with workspace(work) as here, here.patched(_files(work)) as tree:
        database = database_of(made.layout, here.project, *_server(work), upgraded=True)
        runner = runner_for(here.project, DatabaseSandbox(work.wired.sandbox, database))

        def run(at: str) -> TestReport:
            return runner.report(at, wall_s=target.budget_s, stop=work.over)

        tested = compare(lambda: run(str(here.tree)), lambda: run(tree))
    if tested.broken:
        listed = ", ".join(tested.broken[:3])
        return tested, Ending("refused", f"tests that passed before fail against the migrated database: {listed}")
    if not target.commit:
        return tested, Ending(MIGRATED, "a proved migration was written; it was not committed, as asked for")
    return tested, None


def commit(work: Work) -> tuple[Commit, Ending]:
    """Land the revision and its SQL as one commit on a branch of its own."""
    target, made = work.given(MigrationTarget), _made(work)
    proof, tested = work.output_of("rehearse", Proof), work.output_of("test", Tested)
    repository = Repository.open(target.path)
    files = contents(repository, target, _files(work))
    branch = f"atra/migrate-{work.run.id}"
    told = message(work.run.id, work.run.failure_id, target, made, proof, tested)
    landed = repository.commit(target.revision, branch, files, told)
    if work.run.failure_id:
        work.wired.failures.mark_repaired(work.run.failure_id)
    record = Commit(branch, landed, target.revision, tuple(sorted(files)))
    return record, Ending(MIGRATED, f"commit {landed[:12]} on {branch}")


def _asked(work: Work) -> bool:
    """Return whether the plan goes on with a model where the draft is refused."""
    return any(step.name == "revise" for step in work.wired.runs.steps(work.run.id))


def _made(work: Work) -> Draft:
    """Return the revision that goes on: a model's, where there is one."""
    revised = work.outputs_of("revise", Revised)
    return (revised[0].draft if revised else None) or work.output_of("draft", Draft)


def _models(here: Workspace) -> dict[str, str]:
    """Return the files that define tables, the shortest path first."""
    found = {path: text for path in here.files if path.endswith(".py") and (text := here.read(path)) is not None}
    defining = [path for path, text in found.items() if "__tablename__" in text or "Table(" in text]
    return {path: found[path] for path in sorted(defining, key=lambda path: (path.count("/"), path))}


def _files(work: Work) -> Mapping[str, str]:
    made, proof = _made(work), work.output_of("rehearse", Proof)
    return {made.path: made.text, **({proof.sql_path: proof.sql} if proof.sql_path else {})}


def _check_new(here: Workspace, path: str) -> None:
    """Make sure that a path that came out of a box is that of a new file, and one that a migration may write.

    Raises:
        ProtectedPath: it is not.
    """
    guarded = [pattern for pattern in here.target.protected if pattern not in _MIGRATIONS]
    if path in here.files or protected(path, guarded, (*here.target.allowed, *_MIGRATIONS)):
        raise ProtectedPath(path)


def _refused(reasons: tuple[str, ...]) -> Ending | None:
    return Ending("refused", "; ".join(reasons)) if reasons else None


def _layout(here: Workspace, target: MigrationTarget) -> Layout:
    paths = (
        path for path in here.files if path.endswith((".py", "alembic.ini", "pyproject.toml")) or path == target.config
    )
    files = {path: text for path in sorted(paths) if (text := here.read(path)) is not None}
    return read_layout(files, config=target.config, subfolder=target.subfolder, extra=target.url_variables)


def _server(work: Work) -> tuple[Path, tuple[str, ...]]:
    """Return the folder of the database's programs and the paths that they need.

    Raises:
        StackUnavailable: there are none where they should be.
    """
    named = work.wired.settings.postgres_programs
    if named is None:
        return programs(), needed()
    if not (named / "postgres").exists():
        raise StackUnavailable(f"ATRA_POSTGRES_PROGRAMS: {named} holds no PostgreSQL")
    return named, (str(named.parent),)


@contextmanager
def _scratch(work: Work, here: Workspace, layout: Layout, tree: str) -> Iterator[Scratch]:
    database = database_of(layout, here.project, *_server(work))
    with Scratch(here.project, work.wired.sandbox, database, layout, tree, stop=work.over) as scratch:
        yield scratch


STEPS: dict[str, StepFunction] = {
    "draft": draft,
    "revise": revise,
    "rehearse": rehearse,
    "test": test,
    "commit": commit,
}

TASKS = {name: step_task(app, "migrate_target", name, work_on) for name, work_on in STEPS.items()}
