"""The first step of a migration: what the models want, and a revision file that would give it to them."""

import hashlib
import json
import os
import re
from collections.abc import Iterable

from atra.core.errors import BadInput
from atra.core.records import from_json, to_json
from atra.meta_architect.migrations.catalog import QUERY, Schema
from atra.meta_architect.migrations.plan import Drift, counting, decide, references
from atra.meta_architect.migrations.records import Draft, Facts, Layout, MigrationTarget, Plan
from atra.meta_architect.migrations.revision import tidy
from atra.meta_architect.migrations.rows import fill
from atra.meta_architect.migrations.scratch import Scratch

_SUBJECT = 60
_NUMBERED = re.compile(r"^\d{2,6}$")


def draft(target: MigrationTarget, layout: Layout, scratch: Scratch, *, at: str, run_id: str) -> Draft | None:
    """Bring an empty database to the head, see what the models want beyond it, and write the revision.

    Args:
        at: the repository's root inside the box.
        run_id: makes the revision's id, so that a step done twice writes the same one.

    Returns:
        None where the models want nothing more.

    Raises:
        MigrationsBroken, BadInput: the migrations that are there do not run, or have several heads.
    """
    state = scratch.alembic(("state",))
    if len(state["heads"]) > 1:
        heads = ", ".join(sorted(state["heads"]))
        raise BadInput(f"the migrations have several heads ({heads}); merge them first with `alembic merge heads`")
    if not os.path.normpath(state["script_location"]).startswith(f"{at}/"):
        raise BadInput("the migrations lie outside of the repository")
    found = scratch.alembic(*([("upgrade", "head")] if state["heads"] else []), ("compare",))
    schema = schema_of(scratch, found["version_table"])
    drift = Drift(tuple(found["operations"]), tuple(found["enums"]), schema, frozenset(target.allow_loss))
    if not drift:
        return None
    notes = filled(scratch, schema, target.rows, references(drift))
    counted = {line[0]: line[1:] for line in map(json.loads, scratch.sql(counting(drift)).splitlines())}
    plan = decide(drift, counted)
    return _written(plan, layout, scratch, state, drift, notes, at=at, run_id=run_id)


def schema_of(scratch: Scratch, version_table: str) -> Schema:
    """Return the database's schema, without alembic's own table."""
    return from_json(Schema, scratch.value(QUERY)).without([version_table])


def filled(scratch: Scratch, schema: Schema, rows: int, wanted: Iterable[Facts]) -> tuple[str, ...]:
    """Fill every table and return what a person must know of it, in sentences."""
    filling = fill(schema, rows, tuple(wanted))
    made = "CREATE TEMP TABLE atra_filled (schema text, name text, made bigint, refusal text);\n"
    told = "SELECT json_build_array(schema, name, made, refusal) FROM atra_filled;\n"
    lines = scratch.sql(f"{made}{filling.script}\n{filling.later}\n{told}").splitlines()
    notes = list(filling.notes)
    for space, name, count, refusal in map(json.loads, lines):
        if count == 0 and rows:
            full = name if space == "public" else f"{space}.{name}"
            notes.append(f"no row could be made for {full}, so nothing of it is proved with rows: {refusal}")
    return tuple(notes)


def _written(
    plan: Plan,
    layout: Layout,
    scratch: Scratch,
    state: Facts,
    drift: Drift,
    notes: tuple[str, ...],
    *,
    at: str,
    run_id: str,
) -> Draft:
    revision = _revision_id(state["revisions"], run_id)
    made = scratch.alembic(("draft", _as_request(plan, revision)))
    return Draft(
        layout=layout,
        base=next(iter(state["heads"]), ""),
        revision=revision,
        path=os.path.relpath(made["path"], at),
        text=tidy(made["text"], plan.sentences),
        sentences=plan.sentences,
        refusals=plan.refusals,
        notes=(*plan.notes, *notes),
        references=references(drift),
        renames=plan.renames,
        script_location=os.path.relpath(state["script_location"], at),
    )


def title(sentences: tuple[str, ...]) -> str:
    """Return the first sentence and how many more there are, short enough for a subject."""
    more = f" and {len(sentences) - 1} more" if len(sentences) > 1 else ""
    words = re.sub(r" \([^)]*\)$", "", sentences[0]).split() if sentences else ["change", "the", "schema"]
    while len(" ".join(words)) > _SUBJECT - len(more) and len(words) > 2:
        words.pop()
    return " ".join(words)[: _SUBJECT - len(more)] + more


def _as_request(plan: Plan, revision: str) -> Facts:
    columns = [to_json(rename) for rename in plan.renames if rename.table]
    tables = [to_json(rename) for rename in plan.renames if not rename.table]
    message = re.sub(r"[^\w ., -]+", " ", title(plan.sentences))  # a name of the models may hold anything
    return {
        **to_json(plan),
        "message": message[:1].upper() + message[1:],
        "revision": revision,
        "column_renames": columns,
        "table_renames": tables,
    }


def _revision_id(known: Iterable[str], run_id: str) -> str:
    """Return the new revision's id: the next number where the others are numbers, else one made of the run's id."""
    ids = list(known)
    if ids and all(_NUMBERED.match(one) for one in ids) and len({len(one) for one in ids}) == 1:
        return str(max(map(int, ids)) + 1).zfill(len(ids[0]))
    return hashlib.sha256(run_id.encode()).hexdigest()[:12]
