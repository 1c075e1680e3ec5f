"""Rows for every table of a schema, made the same way each time: what an old database holds and an empty one does not.

A row is a guess that the database judges: types give values, the numbers and texts in a table's CHECK constraints give
more, foreign keys take what the other table holds, and a row that a constraint refuses is left out for the next guess.
Every third value of a type is as large as the type allows, and every fifth of a column that may be NULL is NULL, so
that a narrower type or a NOT NULL meets what it would meet in a real table. Values of one column are distinct where its
type has enough of them. A table of which no row is accepted stays empty, with the reason.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atra.meta_architect.migrations.catalog import Column, Constraint, Schema, Table, literal, quoted

GUESSES = 4
"""Rows that are tried for each one that is wanted."""

_NUMBER = re.compile(r"(?<![\w.'])-?\d+(?:\.\d+)?")
_TEXT = re.compile(r"'((?:[^']|'')*)'")
_SIZED = re.compile(r"^(vector|bit)\((\d+)\)")
_INTEGERS = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
_DAY = "2024-%02d-%02d"


@dataclass(frozen=True)
class Reference:
    """A foreign key: these columns take what those hold. `nullable` where a row may do without."""

    columns: tuple[str, ...]
    table: Table
    referred: tuple[str, ...]
    nullable: bool


@dataclass(frozen=True)
class Filling:
    """How a schema is filled.

    Args:
        script: SQL; its output is one line per table, `schema`, `table`, rows and last refusal as JSON.
        later: SQL that closes circles of foreign keys, once every table has rows.
        notes: what could not be kept, in sentences.
    """

    script: str
    later: str
    notes: tuple[str, ...]


def fill(schema: Schema, rows: int, wanted: Sequence[Mapping[str, Any]] = ()) -> Filling:
    """Return how every table of the schema gets that many rows.

    Args:
        wanted: foreign keys that the schema does not have yet and the rows are to keep, as the box tells them.
    """
    tables = [table for table in schema.tables if not table.partition]
    references = {_key(table): list(_references(schema, table, wanted)) for table in tables}
    ordered, notes = _ordered(tables, references)
    done: set[tuple[str, str]] = set()
    scripts, later = [], []
    for table in ordered:
        given: list[Reference] = []
        late: list[Reference] = []
        for reference in references[_key(table)]:
            known = _key(reference.table) in done or _key(reference.table) == _key(table)
            (given if known else late).append(reference)
        scripts.append(_table_script(table, given, late, rows))
        later += [_closing(table, reference) for reference in late if reference.nullable]
        done.add(_key(table))
    return Filling("\n".join(scripts), "\n".join(later), tuple(notes))


def guesses(table: Table, rows: int, taken: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return rows to be tried, as JSON values by column; columns that fill themselves or are `taken` are left out."""
    without = {*taken, *(column.name for column in table.columns if _fills_itself(column))}
    chosen = [column for column in table.columns if column.name not in without]
    hints = {column.name: _hints(table, column) for column in chosen}
    primary = {name for one in table.constraints if one.kind == "p" for name in one.columns or ()}
    return [
        {column.name: _cell(column, n, hints[column.name], column.name in primary) for column in chosen}
        for n in range(rows * GUESSES)
    ]


def _key(table: Table) -> tuple[str, str]:
    return table.schema, table.name


def _references(schema: Schema, table: Table, wanted: Sequence[Mapping[str, Any]]) -> Iterator[Reference]:
    found = [(one.columns or (), one.referred) for one in table.constraints if one.kind == "f" and one.referred]
    for one in wanted:
        if (one["schema"] or "public", one["table"]) == _key(table):
            other, name, columns = one["referred"]
            found.append((tuple(one["columns"]), (other or "public", name, tuple(columns))))
    seen: set[tuple[str, ...]] = set()
    for columns, (other, name, referred) in found:
        target = schema.table(other, name)
        mine = [table.column(column) for column in columns]
        if target is None or columns in seen or not all(mine):
            continue
        seen.add(columns)
        yield Reference(columns, target, referred, any(column is not None and not column.not_null for column in mine))


def _ordered(
    tables: Sequence[Table], references: Mapping[tuple[str, str], Sequence[Reference]]
) -> tuple[list[Table], list[str]]:
    """Return the tables so that what is referred to comes first; circles are cut where a row may do without."""
    left, done, ordered, notes = list(tables), set[tuple[str, str]](), [], []
    while left:
        ready = [table for table in left if _waits(table, references, done, strict=True) == []]
        if not ready:
            ready = [table for table in left if _waits(table, references, done, strict=False) == []][:1]
        if not ready:
            names = ", ".join(table.full_name for table in left)
            notes.append(f"{names} refer to one another in a circle that no row can begin")
            ready = left[:]
        for table in ready:
            left.remove(table)
            done.add(_key(table))
            ordered.append(table)
    return ordered, notes


def _waits(
    table: Table,
    references: Mapping[tuple[str, str], Sequence[Reference]],
    done: set[tuple[str, str]],
    *,
    strict: bool,
) -> list[Reference]:
    return [
        reference
        for reference in references[_key(table)]
        if _key(reference.table) not in done | {_key(table)} and (strict or not reference.nullable)
    ]


def _table_script(table: Table, given: Sequence[Reference], late: Sequence[Reference], rows: int) -> str:
    """Return a script that inserts one guess after the other until there are enough rows."""
    taken = {name for reference in (*given, *late) for name in reference.columns}
    tried = guesses(table, rows, taken)
    columns = [*(tried[0] if tried else ()), *(name for reference in given for name in reference.columns)]
    chosen = [f"j.{quoted(name)}" for name in (tried[0] if tried else ())]
    joins = []
    for number, reference in enumerate(given):
        source = ", ".join(f"r.{quoted(name)}" for name in reference.referred)
        steps = "atra_n" if number == 0 else f"(atra_n + atra_n / greatest(s{number}.size, 1) + {number})"
        joins.append(
            f"CROSS JOIN LATERAL (SELECT count(*) AS size FROM {reference.table.quoted}) s{number} "
            f"LEFT JOIN LATERAL (SELECT {source} FROM {reference.table.quoted} r ORDER BY {source} "
            f"OFFSET {steps} % greatest(s{number}.size, 1) LIMIT 1) p{number} ON true"
        )
        cells = [f"p{number}.{quoted(name)}" for name in reference.referred]
        if reference.table == table and set(reference.referred) <= set(tried[0] if tried else ()):
            own = [f"j.{quoted(name)}" for name in reference.referred]  # the first row can only refer to itself
            cells = [f"coalesce({cell}, {mine})" for cell, mine in zip(cells, own, strict=True)]
        missing = "CASE WHEN atra_n % 7 = 6 THEN NULL ELSE {} END" if reference.nullable else "{}"
        chosen += [missing.format(cell) for cell in cells]
    if columns:
        listed = ", ".join(map(quoted, columns))
        insert = (
            f"INSERT INTO {table.quoted} ({listed}) SELECT {', '.join(chosen)} "
            f"FROM json_populate_record(NULL::{table.quoted}, atra_guess) j {' '.join(joins)};"
        )
    else:
        insert = f"INSERT INTO {table.quoted} DEFAULT VALUES;"
    body = f"""
DECLARE atra_guess json; atra_n bigint := 0; atra_made bigint := 0; atra_refusal text := '';
BEGIN
  FOR atra_guess IN SELECT value FROM json_array_elements({literal(json.dumps(tried or [{}] * rows))}::json) LOOP
    EXIT WHEN atra_made >= {rows};
    BEGIN
      {insert}
      atra_made := atra_made + 1;
    EXCEPTION WHEN OTHERS THEN atra_refusal := SQLERRM;
    END;
    atra_n := atra_n + 1;
  END LOOP;
  INSERT INTO atra_filled VALUES ({literal(table.schema)}, {literal(table.name)}, atra_made, atra_refusal);
END
"""
    return f"DO {literal(body)};"


def _closing(table: Table, reference: Reference) -> str:
    """Return the statement that fills a reference that had to wait."""
    columns = ", ".join(map(quoted, reference.columns))
    source = ", ".join(f"r.{quoted(name)}" for name in reference.referred)
    order = f"ORDER BY {source} OFFSET t.n % greatest((SELECT count(*) FROM {reference.table.quoted}), 1) LIMIT 1"
    return (
        f"UPDATE {table.quoted} u SET ({columns}) = (SELECT {source} FROM {reference.table.quoted} r {order}) "
        f"FROM (SELECT ctid, row_number() OVER (ORDER BY ctid) - 1 AS n FROM {table.quoted}) t WHERE t.ctid = u.ctid;"
    )


def _fills_itself(column: Column) -> bool:
    return column.generated or bool(column.identity) or "nextval(" in (column.default or "")


def _hints(table: Table, column: Column) -> list[Any]:
    """Return values that the table's CHECK constraints speak of beside this column, those of its kind."""
    texts = [one.text for one in table.constraints if one.kind == "c" and _speaks_of(one, column.name)]
    if column.category == "N":
        numbers = [float(n) if "." in n else int(n) for text in texts for n in _NUMBER.findall(text)]
        return [near for number in numbers for near in (number, number + 1, number - 1)]
    if column.category == "S":
        return [found.replace("''", "'") for text in texts for found in _TEXT.findall(text)]
    return []


def _speaks_of(constraint: Constraint, column: str) -> bool:
    return column in (constraint.columns or ()) or column in constraint.text


def _cell(column: Column, n: int, hints: Sequence[Any], primary: bool) -> Any:
    """Return the n-th value of a column."""
    if not column.not_null and not primary and n % 5 == 4:
        return None
    if hints and n % 4 != 3:
        return _fitting(column, hints[n % len(hints)])
    return _value(column, n, large=n % 3 == 2)


def _fitting(column: Column, hint: Any) -> Any:
    return hint[: column.size] if isinstance(hint, str) and column.size else hint


def _value(column: Column, n: int, *, large: bool) -> Any:
    if column.category == "A":
        return [] if n % 3 == 0 else [_element(column, n), _element(column, n + 1)]
    if column.labels:
        return column.labels[n % len(column.labels)]
    return _scalar(column, column.base, n, large=large)


def _element(column: Column, n: int) -> Any:
    if column.labels:
        return column.labels[n % len(column.labels)]
    return _scalar(column, column.base.removesuffix("[]"), n, large=False)


def _scalar(column: Column, base: str, n: int, *, large: bool) -> Any:
    if base in _INTEGERS:
        return _INTEGERS[base] - n if large else n + 1
    if base == "numeric":
        return _numeric(column.digits, n, large=large)
    if base in {"real", "double precision"}:
        return n + 0.5
    if base in {"character varying", "text", "character", "citext", "name", '"char"'}:
        return _text(column, n, large=large)
    if sized := _SIZED.search(column.type):
        size = int(sized[2])
        return (
            f"[{','.join(str((n + i) % 7) for i in range(size))}]" if sized[1] == "vector" else f"{n:0{size}b}"[-size:]
        )
    return _OTHERS[base](n) if base in _OTHERS else f"{n}"


def _numeric(digits: tuple[int, int] | None, n: int, *, large: bool) -> str:
    precision, scale = digits or (18, 4)
    if large:
        whole = str(10 ** max(precision - scale, 0) - 1 - n if 10 ** max(precision - scale, 0) > n + 1 else 0)
    else:
        whole = str((n + 1) % 10 ** max(precision - scale, 0)) if precision > scale else "0"
    return f"{whole}.{str(n % 9 + 1) * scale}" if scale > 0 else whole


def _text(column: Column, n: int, *, large: bool) -> str:
    size = column.size or 40
    if "mail" in column.name:
        return f"p{n}@example.org"[:size]
    if size < 8:
        return _letters(n, size)
    text = f"word {n}"
    return (text + " and more" * size)[:size] if large else text[:size]


def _letters(n: int, size: int) -> str:
    text = ""
    for _ in range(size):
        n, digit = divmod(n, 26)
        text = chr(ord("a") + digit) + text
    return text


_OTHERS: dict[str, Callable[[int], Any]] = {
    "boolean": lambda n: n % 2 == 0,
    "uuid": lambda n: f"00000000-0000-4000-8000-{n:012x}",
    "json": lambda n: {"n": n, "tags": ["a", "b"]},
    "jsonb": lambda n: {"n": n, "tags": ["a", "b"]},
    "date": lambda n: _DAY % (n // 28 % 12 + 1, n % 28 + 1),
    "timestamp without time zone": lambda n: f"{_DAY % (n // 28 % 12 + 1, n % 28 + 1)}T10:{n % 60:02d}:00.123456",
    "timestamp with time zone": lambda n: f"{_DAY % (n // 28 % 12 + 1, n % 28 + 1)}T10:{n % 60:02d}:00.123456+00",
    "time without time zone": lambda n: f"{n // 60 % 24:02d}:{n % 60:02d}:00",
    "time with time zone": lambda n: f"{n // 60 % 24:02d}:{n % 60:02d}:00+00",
    "interval": lambda n: f"{n + 1} hours",
    "bytea": lambda n: f"\\x{n:08x}",
    "inet": lambda n: f"10.0.{n // 250 % 250}.{n % 250 + 1}",
    "cidr": lambda n: f"10.{n // 250 % 250}.{n % 250}.0/24",
    "macaddr": lambda n: f"08:00:2b:00:{n // 256 % 256:02x}:{n % 256:02x}",
    "money": lambda n: f"{n + 1}.50",
    "bit": lambda n: str(n % 2),
    "bit varying": lambda n: f"{n:b}",
    "point": lambda n: f"({n},{n + 1})",
    "int4range": lambda n: f"[{2 * n},{2 * n + 1})",
    "int8range": lambda n: f"[{2 * n},{2 * n + 1})",
    "numrange": lambda n: f"[{2 * n},{2 * n + 1})",
    "daterange": lambda n: f"[2024-01-01,{_DAY % (n // 28 % 12 + 1, n % 28 + 1)}]",
    "tsrange": lambda n: f"[2024-01-01T00:00:00,2024-02-01T00:{n % 60:02d}:00)",
    "tstzrange": lambda n: f"[2024-01-01T00:00:00Z,2024-02-01T00:{n % 60:02d}:00Z)",
    "hstore": lambda n: f"n=>{n}",
    "tsvector": lambda n: f"word{n}",
    "xml": lambda n: f"<n>{n}</n>",
}
