"""What a revision is to do about the drift: a pure decision from what autogenerate found and what the rows say.

Autogenerate knows no renames, no rows and no enumerations. A drop and an add of the same type in one table are a rename
where there is one of each; a column that must hold a value is filled with the model's own default where that is a plain
value; an enumeration is changed by statements of its own. What would lose values is refused with the rows counted, and
so is what nobody but a person, or a model, can know.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from atra.meta_architect.migrations.catalog import Column, Schema, Table, literal, quoted
from atra.meta_architect.migrations.records import Facts, Loss, Plan, Rename

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*$")
_WORDS = """
    all and any array as asc both case cast check collate column constraint create default desc distinct do else end
    except false fetch for foreign from grant group having in initially into lateral leading limit localtime not null
    offset on only or order placing primary references returning select session_user some symmetric table then to
    trailing true union unique user using variadic when where window with
    """
_RESERVED = frozenset(_WORDS.split())
_ZEROS = {"N": "0", "S": "''", "B": "false", "D": "'1970-01-01'", "T": "'0'", "A": "'{}'"}
_ZEROS_BY_TYPE = {
    "json": "'{}'",
    "jsonb": "'{}'",
    "uuid": "'00000000-0000-0000-0000-000000000000'",
    "bytea": "''",
    "inet": "'0.0.0.0'",
}
_SAME = frozenset({("json", "jsonb"), ("jsonb", "json")})


@dataclass(frozen=True)
class Drift:
    """What separates the models from the database.

    `operations` and `enums` are what `compare` in the box tells, `schema` the database's, `allowed` what may go.
    """

    operations: tuple[Facts, ...]
    enums: tuple[Facts, ...]
    schema: Schema
    allowed: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.operations or list(_enum_changes(self)))


@dataclass
class _Decision:
    """What is decided so far."""

    sentences: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    renames: list[Rename] = field(default_factory=list)
    fills: list[Facts] = field(default_factory=list)
    fills_back: list[Facts] = field(default_factory=list)
    casts: list[Facts] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    before_back: list[str] = field(default_factory=list)
    after_back: list[str] = field(default_factory=list)

    def lose(self, loss: Loss, drift: Drift) -> None:
        """Refuse a loss unless it was allowed."""
        if loss.rows and not allowed(loss, drift.allowed):
            self.refusals.append(str(loss))


def references(drift: Drift) -> tuple[Facts, ...]:
    """Return the foreign keys that the migration adds to columns that are there already."""
    return tuple(op for op in drift.operations if op["kind"] == "create_foreign_key" and _known(drift, op))


def counting(drift: Drift) -> str:
    """Return SQL whose output has one line `[key, …counts]` for each operation that may lose values, see `decide`."""
    queries = [_KEPT]
    for number, op in enumerate(drift.operations):
        table = drift.schema.table(op["schema"], op["table"]) if op.get("table") else None
        if table is None:
            continue
        if op["kind"] == "drop_table":
            queries.append(f"SELECT json_build_array({number}, count(*), count(*)) FROM {table.quoted};")
        elif op["kind"] == "drop_column":
            name = quoted(op["column"]["name"])
            queries.append(f"SELECT json_build_array({number}, count({name}), count(*)) FROM {table.quoted};")
        elif op["kind"] == "alter_column":
            queries.append(_counting_change(number, op, table))
    for name, labels in _removed_labels(drift).items():
        for table, column in _users(drift.schema, name):
            gone = ", ".join(map(literal, labels))
            used = f"count(*) FILTER (WHERE {quoted(column.name)}::text IN ({gone}))"
            key = literal(f"{table.full_name}.{column.name}")
            queries.append(f"SELECT json_build_array({key}, {used}, count(*)) FROM {table.quoted};")
    return "\n".join(queries)


_KEPT = """
CREATE FUNCTION pg_temp.kept(v text, was text, new text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE same boolean;
BEGIN
  EXECUTE format('SELECT (%L::%s::%s::%s)::text IS NOT DISTINCT FROM (%L::%s)::text', v, was, new, was, v, was)
  INTO same;
  RETURN same;
EXCEPTION WHEN OTHERS THEN RETURN false;
END $$;
CREATE FUNCTION pg_temp.by_itself(was text, new text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  RETURN was::regtype = new::regtype OR EXISTS (SELECT 1 FROM pg_cast
    WHERE castsource = was::regtype AND casttarget = new::regtype AND castcontext IN ('a', 'i'))
    OR (SELECT typcategory FROM pg_type WHERE oid = new::regtype) = 'S';
EXCEPTION WHEN OTHERS THEN RETURN false;
END $$;
"""


def _counting_change(number: int, op: Facts, table: Table) -> str:
    """Return the query for a changed column: lost by its type, NULLs, rows, and whether casts happen by themselves."""
    column = table.column(op["name"])
    assert column is not None
    name, was, new = quoted(op["name"]), literal(column.type), literal(op["type"] or column.type)
    lost = "0"
    if op["type"] and (column.base, op["type"].lower()) not in _SAME:
        lost = f"count(*) FILTER (WHERE NOT pg_temp.kept({name}::text, {was}, {new}))"
    casts = f"pg_temp.by_itself({was}, {new}), pg_temp.by_itself({new}, {was})"
    nulls = f"count(*) FILTER (WHERE {name} IS NULL)"
    return f"SELECT json_build_array({number}, {lost}, count(*), {nulls}, {casts}) FROM {table.quoted};"


def decide(drift: Drift, counted: Mapping[int | str, Sequence[Any]]) -> Plan:
    """Return what the revision does about each operation, and why there may be none.

    Args:
        counted: what `counting` put out, by its first item.
    """
    decision = _Decision()
    renamed = _column_renames(drift, decision) | _table_renames(drift, decision)
    for number, op in enumerate(drift.operations):
        if number not in renamed:
            _DECIDE.get(op["kind"], _decide_plain)(op, drift, counted.get(number, ()), decision)
    for change in _enum_changes(drift):
        _decide_enum(change, drift, counted, decision)
    return Plan(
        sentences=tuple(dict.fromkeys(decision.sentences)),
        refusals=tuple(dict.fromkeys(decision.refusals)),
        renames=tuple(decision.renames),
        fills=tuple(decision.fills),
        fills_back=tuple(decision.fills_back),
        casts=tuple(decision.casts),
        before=tuple(decision.before),
        after=tuple(decision.after),
        before_back=tuple(decision.before_back),
        after_back=tuple(decision.after_back),
        notes=tuple(decision.notes),
    )


def allowed(loss: Loss, names: Iterable[str]) -> bool:
    """Return whether a loss is named: by its column, or by its whole table."""
    return not {loss.name, loss.table}.isdisjoint(names)


def spelt(*names: str | None) -> str:
    """Return a name as a person writes it in SQL: quoted only where it must be."""
    plain = (
        name if _PLAIN.match(name) and name not in _RESERVED else quoted(name)
        for name in names
        if name and name != "public"
    )
    return ".".join(plain)


# ---- renames ---------------------------------------------------------------------------------------------------------


def _column_renames(drift: Drift, decision: _Decision) -> set[int]:
    """Find columns that only changed their names; return the numbers of the operations that are dealt with."""
    done: set[int] = set()
    dropped = [(n, op) for n, op in enumerate(drift.operations) if op["kind"] == "drop_column"]
    added = [(n, op) for n, op in enumerate(drift.operations) if op["kind"] == "add_column"]
    for n, op in dropped:
        table = _full(op)
        name = op["column"]["name"]
        fits = [(m, other) for m, other in added if _same_column(op, other)]
        rivals = [other for _, other in dropped if any(_same_column(other, fit) for _, fit in fits)]
        if not fits or {table, f"{table}.{name}"} & drift.allowed:
            continue
        names = [fit["column"]["name"] for _, fit in fits]
        if len(fits) == len(rivals) == 1:
            done |= {n, fits[0][0]}
            decision.renames.append(Rename(op["schema"], op["table"], name, names[0]))
            decision.sentences.append(f"rename {table}.{name} to {names[0]}")
            decision.notes.append(
                f"{table}.{name} looks like a rename of {name} to {names[0]}: same type, and no other column left or "
                f"came (to drop it instead: --allow-loss {table}.{name})"
            )
        else:
            done |= {n, *(m for m, _ in fits)}
            decision.sentences += [f"drop column {table}.{name}", *(f"add column {table}.{new}" for new in names)]
            decision.refusals.append(
                f"{table}.{name} looks like a rename of {name} to {' or '.join(names)}, and nothing says which; "
                f"write the rename by hand, or drop it with --allow-loss {table}.{name}"
            )
    return done


def _same_column(dropped: Facts, added: Facts) -> bool:
    one, other = dropped["column"], added["column"]
    where = (dropped["schema"], dropped["table"]) == (added["schema"], added["table"])
    return where and all(one[part] == other[part] for part in ("type", "nullable", "references"))


def _table_renames(drift: Drift, decision: _Decision) -> set[int]:
    """Find tables that only changed their names, the same way."""
    done: set[int] = set()
    dropped = [(n, op) for n, op in enumerate(drift.operations) if op["kind"] == "drop_table"]
    created = [(n, op) for n, op in enumerate(drift.operations) if op["kind"] == "create_table"]
    for n, op in dropped:
        fits = [(m, other) for m, other in created if _same_table(op, other)]
        rivals = [other for _, other in dropped if any(_same_table(other, fit) for _, fit in fits)]
        if not fits or _full(op) in drift.allowed:
            continue
        names = [_full(fit) for _, fit in fits]
        if len(fits) == len(rivals) == 1:
            done |= {n, fits[0][0]}
            decision.renames.append(Rename(op["schema"], "", op["table"], fits[0][1]["table"]))
            decision.sentences.append(f"rename table {_full(op)} to {names[0]}")
            decision.notes.append(
                f"{_full(op)} looks like a rename of {_full(op)} to {names[0]}: same columns, and no other table left "
                f"or came (to drop it instead: --allow-loss {_full(op)})"
            )
        else:
            done |= {n, *(m for m, _ in fits)}
            decision.refusals.append(
                f"{_full(op)} looks like a rename of {_full(op)} to {' or '.join(names)}, and nothing says which; "
                f"write the rename by hand, or drop it with --allow-loss {_full(op)}"
            )
    return done


def _same_table(dropped: Facts, created: Facts) -> bool:
    def shape(op: Facts) -> set[tuple[str, str, bool]]:
        return {(column["name"], column["type"], column["nullable"]) for column in op["columns"]}

    return bool(dropped["schema"] == created["schema"] and shape(dropped) == shape(created))


# ---- one operation each ----------------------------------------------------------------------------------------------


def _decide_plain(op: Facts, drift: Drift, counts: Sequence[Any], decision: _Decision) -> None:
    what = op["kind"].replace("_", " ").removesuffix(" constraint").replace("create ", "add ")
    columns = ", ".join(op.get("columns") or ())
    name = f" {op['constraint']}" if op.get("constraint") else ""
    decision.sentences.append(f"{what}{name} on {_full(op)}" + (f" ({columns})" if columns else ""))


def _decide_create(op: Facts, drift: Drift, counts: Sequence[Any], decision: _Decision) -> None:
    decision.sentences.append(f"create table {_full(op)}")


def _decide_drop_table(op: Facts, drift: Drift, counts: Sequence[Any], decision: _Decision) -> None:
    lost, rows = counts or (0, 0)
    decision.sentences.append(f"drop table {_full(op)}")
    decision.lose(Loss(_full(op), "", f"drops table {_full(op)}", lost, rows), drift)


def _decide_add(op: Facts, drift: Drift, counts: Sequence[Any], decision: _Decision) -> None:
    column, name = op["column"], f"{_full(op)}.{op['column']['name']}"
    decision.sentences.append(f"add column {name} ({column['type']})")
    if column["nullable"] or column["server_default"]:
        return
    if column["default"] is not None:
        decision.fills.append(_fill(op, column["name"], column["default"]))
        decision.notes.append(f"rows that are there get {column['default']} in {name}, the model's default")
        return
    why = "the model's default is a function" if column["calls"] else "the model has no default"
    decision.refusals.append(
        f"{name} must hold a value and nothing says which one rows that are there get: {why}; give it a plain default "
        "or a server_default, or let it be NULL"
    )


def _decide_drop_column(op: Facts, drift: Drift, counts: Sequence[Any], decision: _Decision) -> None:
    lost, rows = counts or (0, 0)
    name = op["column"]["name"]
    decision.sentences.append(f"drop column {_full(op)}.{name}")
    decision.lose(Loss(_full(op), name, f"drops {_full(op)}.{name}", lost, rows), drift)
    table = drift.schema.table(op["schema"], op["table"])
    column = table.column(name) if table else None
    if column and column.not_null and column.default is None and not column.identity and not column.generated:
        decision.fills_back.append(_fill(op, name, _zero(column)))


def _decide_alter(op: Facts, drift: Drift, counts: Sequence[Any], decision: _Decision) -> None:
    lost, rows, nulls, forth, back = counts or (0, 0, 0, True, True)
    name, full = op["name"], f"{_full(op)}.{op['name']}"
    if op["type"]:
        decision.sentences.append(f"change {full} from {op['was_type']} to {op['type']}")
        loss = Loss(_full(op), name, f"narrows {full} from {op['was_type']} to {op['type']}", lost, rows)
        decision.lose(loss, drift)
        if lost or not (forth and back):
            decision.casts.append({"schema": op["schema"], "table": op["table"], "column": name})
    if op["nullable"] is False:
        decision.sentences.append(f"require {full}")
        if op["default"] is not None:
            decision.fills.append(_fill(op, name, op["default"]))
            decision.notes.append(f"rows that hold NULL in {full} get {op['default']}, the model's default")
        elif nulls:
            decision.refusals.append(
                f"{full} must hold a value and {nulls} of {rows} rows of the filled copy hold NULL; nothing says what "
                "they get: give it a plain default, or let it be NULL"
            )
    if op["nullable"] is True:
        decision.sentences.append(f"let {full} be NULL")
    if op["changes_default"]:
        decision.sentences.append(f"change the default of {full}")
    if not op["type"] and op["nullable"] is None and not op["changes_default"]:
        decision.sentences.append(f"change {full}")


_DECIDE = {
    "create_table": _decide_create,
    "drop_table": _decide_drop_table,
    "add_column": _decide_add,
    "drop_column": _decide_drop_column,
    "alter_column": _decide_alter,
}


def _fill(op: Facts, column: str, value: str) -> Facts:
    return {"schema": op["schema"], "table": op["table"], "column": column, "value": value}


def _zero(column: Column) -> str:
    """Return a value for rows whose own was dropped, so that a downgrade can bring the column back."""
    if column.labels and column.category == "E":
        return literal(column.labels[0])
    return _ZEROS_BY_TYPE.get(column.base) or _ZEROS.get(column.category, "''")


# ---- enumerations ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _EnumChange:
    """An enumeration of the models; `was` is None where the database has none of that name."""

    schema: str | None
    name: str
    was: tuple[str, ...] | None
    labels: tuple[str, ...]

    @property
    def key(self) -> str:
        return f"{self.schema or 'public'}.{self.name}"


def _enum_changes(drift: Drift) -> Iterator[_EnumChange]:
    for enum in drift.enums:
        was = drift.schema.enums.get(f"{enum['schema'] or 'public'}.{enum['name']}")
        if was is None or set(was) != set(enum["labels"]):
            yield _EnumChange(enum["schema"], enum["name"], was, tuple(enum["labels"]))


def _removed_labels(drift: Drift) -> dict[str, list[str]]:
    return {
        change.key: gone
        for change in _enum_changes(drift)
        if change.was is not None and (gone := [label for label in change.was if label not in change.labels])
    }


def _users(schema: Schema, key: str) -> Iterator[tuple[Table, Column]]:
    """Yield the columns of an enumeration, arrays of it too."""
    space, _, name = key.partition(".")
    types = {name, quoted(name)} if space == "public" else {f"{space}.{name}", f"{quoted(space)}.{quoted(name)}"}
    for table in schema.tables:
        yield from ((table, column) for column in table.columns if column.type.removesuffix("[]") in types)


def _decide_enum(
    change: _EnumChange, drift: Drift, counted: Mapping[int | str, Sequence[Any]], decision: _Decision
) -> None:
    name = spelt(change.schema, change.name)
    labels = ", ".join(map(literal, change.labels))
    if change.was is None:
        decision.before.append(f"CREATE TYPE {name} AS ENUM ({labels})")
        decision.after_back.append(f"DROP TYPE {name}")
        decision.sentences.append(f"create type {name}")
        return
    users = list(_users(drift.schema, change.key))
    added = [label for label in change.labels if label not in change.was]
    removed = [label for label in change.was if label not in change.labels]
    if removed:
        decision.sentences.append(f"take {', '.join(map(literal, removed))} out of type {name}")
        decision.before += _made_anew(change, change.labels, users)
        for table, column in users:
            used, rows = counted.get(f"{table.full_name}.{column.name}", (0, 0))
            if used:
                decision.refusals.append(
                    f"{', '.join(map(literal, removed))} leaves type {name}, and {used} of {rows} rows of the filled "
                    f"copy hold it in {table.full_name}.{column.name}; nothing says what they get"
                )
    if added:
        decision.sentences.append(f"add {', '.join(map(literal, added))} to type {name}")
        if not removed:
            decision.before += [_adding(name, change.labels, label) for label in added]
    decision.after_back += _made_anew(change, change.was, users)


def _adding(name: str, labels: Sequence[str], label: str) -> str:
    at = labels.index(label)
    place = f" AFTER {literal(labels[at - 1])}" if at else f" BEFORE {literal(labels[1])}" if len(labels) > 1 else ""
    return f"ALTER TYPE {name} ADD VALUE {literal(label)}{place}"


def _made_anew(change: _EnumChange, labels: Sequence[str], users: Iterable[tuple[Table, Column]]) -> Iterator[str]:
    """Yield the statements that put a type with other labels in the place of this one; PostgreSQL removes no label."""
    name, old = spelt(change.schema, change.name), f"{change.name}_old"
    yield f"ALTER TYPE {name} RENAME TO {spelt(old)}"
    yield f"CREATE TYPE {name} AS ENUM ({', '.join(map(literal, labels))})"
    for table, column in users:
        at, field_name = spelt(table.schema, table.name), spelt(column.name)
        many = "[]" if column.type.endswith("[]") else ""
        if column.default:
            yield f"ALTER TABLE {at} ALTER COLUMN {field_name} DROP DEFAULT"
        cast = f"{field_name}::text{many}::{name}{many}"
        yield f"ALTER TABLE {at} ALTER COLUMN {field_name} TYPE {name}{many} USING {cast}"
        if column.default:
            yield f"ALTER TABLE {at} ALTER COLUMN {field_name} SET DEFAULT {column.default}"
    yield f"DROP TYPE {spelt(change.schema, old)}"


def _known(drift: Drift, op: Facts) -> bool:
    table = drift.schema.table(op["schema"], op["table"])
    return table is not None and all(table.column(name) for name in op["columns"])


def _full(op: Facts) -> str:
    return f"{op['schema']}.{op['table']}" if op.get("schema") and op["schema"] != "public" else str(op["table"])
