"""The proof of a revision: up, down and up again on a filled database, with schema and data compared each time.

Nothing the draft saw counts here: the box is a fresh one, the database is made again from the migrations that were
there, and the rows are the same ones because they are made the same way.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

from atra.core.errors import MigrationsBroken
from atra.meta_architect.migrations.catalog import Schema, Table, differences, literal
from atra.meta_architect.migrations.drafting import filled, schema_of
from atra.meta_architect.migrations.locks import locks, statements
from atra.meta_architect.migrations.plan import Drift, allowed
from atra.meta_architect.migrations.records import Draft, Facts, Loss, MigrationTarget, Proof, Rename
from atra.meta_architect.migrations.scratch import Scratch

_MOST_DIFFERENCES = 5

Row = Mapping[str, Any]
Data = Mapping[str, list[Row]]
"""Rows by the table's full name; JSON values, numbers as `Decimal`."""


@dataclass(frozen=True)
class Stand:
    """How the database stands at one moment."""

    schema: Schema
    data: Data


def prove(target: MigrationTarget, draft: Draft, scratch: Scratch) -> Proof:
    """Prove the revision in a box on a tree that has its file; the tests are run elsewhere.

    Raises:
        BoxFailed, InterpreterUnusable: as `Scratch` does.
    """
    base = draft.base or "base"
    if draft.base:
        scratch.alembic(("upgrade", draft.base))
    known = scratch.alembic(("state",))
    if known["heads"] != [draft.revision]:
        return Proof((f"the revision does not follow {base}: the heads are {', '.join(known['heads'])}",))
    version_table = _version_table(scratch)
    before_schema = schema_of(scratch, version_table)
    notes = filled(scratch, before_schema, target.rows, draft.references)
    before = Stand(before_schema, read(scratch, before_schema))
    refusals: list[str] = []
    try:
        found = scratch.alembic(("upgrade", draft.revision), ("compare",))
        version_table = found["version_table"]
        up = _stand(scratch, version_table)
        refusals += _left(found, up.schema)
        scratch.alembic(("downgrade", base))
        down = _stand(scratch, version_table)
        refusals += _changed_back(before.schema, down.schema)
        again = scratch.alembic(
            ("upgrade", draft.revision), ("compare",), ("sql", f"{draft.base or 'base'}:{draft.revision}")
        )
        up_again = _stand(scratch, version_table)
        refusals += _left(again, up_again.schema)
        refusals += [
            f"the second upgrade gives another schema: {one}" for one in differences(up.schema, up_again.schema)
        ]
    except MigrationsBroken as error:
        return Proof((*refusals, _told(error)), rows=_counts(before), notes=notes)
    losses = lost(before, up, down, up_again, draft.renames)
    forbidden = [loss for loss in losses if not allowed(loss, target.allow_loss)]
    refusals += [str(loss) for loss in forbidden]
    offline = (f"no .sql file: the revision needs a connection ({again['no_sql']})",) if again["no_sql"] else ()
    return Proof(
        refusals=tuple(dict.fromkeys(refusals)),
        rows=_counts(before),
        lost=tuple(str(loss) for loss in losses if loss not in forbidden),
        notes=(*notes, *offline),
        sql_path=_sql_path(draft) if again["sql"] else "",
        sql=_as_file(again["sql"]),
        locks=tuple(locks(statements(again["sql"]))),
    )


def read(scratch: Scratch, schema: Schema) -> Data:
    """Return every row of every table."""
    queries = [
        f"SELECT json_build_array({literal(table.full_name)}, (SELECT coalesce(json_agg(row_to_json(atra_row)), '[]') "
        f"FROM {table.quoted} atra_row));"
        for table in schema.tables
        if not table.partition
    ]
    lines = scratch.sql("\n".join(queries)).splitlines() if queries else []
    return dict(json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in lines)


def lost(before: Stand, up: Stand, down: Stand, again: Stand, renames: Iterable[Rename] = ()) -> list[Loss]:
    """Return the values that did not survive.

    A value counts as lost when its column is still there after an upgrade and holds another one, or when it is not back
    after the downgrade; NULL is no value. Rows are known by their primary key; in a table without one, the values of
    each column are compared for themselves.
    """
    renamed = tuple(renames)
    losses: dict[tuple[str, str], Loss] = {}
    for table in before.schema.tables:
        if table.partition:
            continue
        rows = before.data[table.full_name]
        for stand, word, names in (
            (up, "upgrade", renamed),
            (down, "downgrade", ()),
            (again, "second upgrade", renamed),
        ):
            for loss in _lost_in(table, rows, stand, word, names):
                losses.setdefault((loss.table, loss.column), loss)
    return list(losses.values())


def _lost_in(table: Table, rows: list[Row], stand: Stand, word: str, renames: Iterable[Rename]) -> Iterable[Loss]:
    name, columns = _names_after(table, renames)
    there = stand.schema.table(table.schema, name)
    if there is None:
        if word == "downgrade" and rows:
            why = f"table {table.full_name} does not come back by the downgrade"
            yield Loss(table.full_name, "", why, len(rows), len(rows))
        return
    after = stand.data[there.full_name]
    if len(after) < len(rows):
        gone = len(rows) - len(after)
        yield Loss(table.full_name, "", f"{table.full_name} does not keep its rows through the {word}", gone, len(rows))
        return
    keys = _keys(table, there, columns)
    for column in table.columns:
        if there.column(columns[column.name]) is None:
            continue
        had = Counter(_cell(row, [*keys, column.name]) for row in rows if row[column.name] is not None)
        has = Counter(_cell(row, [columns[name] for name in [*keys, column.name]]) for row in after)
        if missing := (had - has).total():
            why = f"{table.full_name}.{column.name} does not keep its values through the {word}"
            yield Loss(table.full_name, column.name, why, missing, len(rows))


def _names_after(table: Table, renames: Iterable[Rename]) -> tuple[str, dict[str, str]]:
    name, columns = table.name, {column.name: column.name for column in table.columns}
    for rename in renames:
        if (rename.schema or "public") != table.schema:
            continue
        if not rename.table and rename.old == table.name:
            name = rename.new
        elif rename.table == table.name:
            columns[rename.old] = rename.new
    return name, columns


def _keys(table: Table, there: Table, columns: Mapping[str, str]) -> list[str]:
    """Return the columns of the primary key that are still there."""
    primary = next((one.columns or () for one in table.constraints if one.kind == "p"), ())
    return list(primary) if all(there.column(columns[name]) for name in primary) else []


def _cell(row: Row, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(_spelt(row.get(name)) for name in names)


def _spelt(value: Any) -> str:
    """Return a value as a text that is the same for the same value of another type."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, default=str)


def _stand(scratch: Scratch, version_table: str) -> Stand:
    schema = schema_of(scratch, version_table)
    return Stand(schema, read(scratch, schema))


def _version_table(scratch: Scratch) -> str:
    """Return the name of alembic's own table, which is the only one that holds `version_num` alone."""
    query = "SELECT to_json(min(table_name)) FROM information_schema.columns GROUP BY table_schema, table_name "
    found = scratch.value(f"{query} HAVING array_agg(column_name::text) = ARRAY['version_num'] LIMIT 1")
    return str(found or "alembic_version")


def _left(found: Facts, schema: Schema) -> list[str]:
    """Say what the models still want after the upgrade."""
    drift = Drift(tuple(found["operations"]), tuple(found["enums"]), schema)
    if not drift:
        return []
    kinds = ", ".join(f"{op['kind'].replace('_', ' ')} on {op['table']}" for op in drift.operations[:5])
    return [f"after the upgrade alembic still finds: {kinds or 'other labels in an enumeration'}"]


def _changed_back(before: Schema, down: Schema) -> list[str]:
    found = differences(before, down)
    more = f", and {len(found) - _MOST_DIFFERENCES} more" if len(found) > _MOST_DIFFERENCES else ""
    listed = "; ".join(found[:_MOST_DIFFERENCES])
    return [f"the downgrade does not give the schema back: {listed}{more}"] if found else []


def _counts(stand: Stand) -> dict[str, int]:
    return {name: len(rows) for name, rows in stand.data.items()}


def _told(error: MigrationsBroken) -> str:
    return f"the revision does not run on the filled copy: {error.args[0]}"


def _sql_path(draft: Draft) -> str:
    return str(PurePosixPath(draft.script_location) / "sql" / f"{PurePosixPath(draft.path).stem}.sql")


def _as_file(sql: str) -> str:
    return f"{os.linesep.join(line.rstrip() for line in sql.strip().splitlines())}\n" if sql else ""
