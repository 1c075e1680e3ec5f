"""What a PostgreSQL schema is, read from its catalogs, and how two of them differ."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

QUERY = """
WITH spaces AS (
  SELECT oid, nspname FROM pg_namespace
  WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
), relations AS (
  SELECT c.oid, n.nspname, c.relname, c.relkind, c.relispartition
  FROM pg_class c JOIN spaces n ON n.oid = c.relnamespace
  WHERE NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
)
SELECT json_build_object(
  'tables', (SELECT coalesce(json_agg(json_build_object(
      'schema', r.nspname, 'name', r.relname, 'partition', r.relispartition,
      'columns', (SELECT coalesce(json_agg(json_build_object(
          'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'not_null', a.attnotnull,
          'default', pg_get_expr(d.adbin, d.adrelid), 'generated', a.attgenerated <> '', 'identity', a.attidentity,
          'base', format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL), 'category', t.typcategory,
          'labels', (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e
                     WHERE e.enumtypid IN (t.oid, t.typelem, t.typbasetype)),
          'size', CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 END,
          'digits', CASE WHEN t.typname = 'numeric' AND a.atttypmod > 4
                    THEN json_build_array((a.atttypmod - 4) >> 16, (a.atttypmod - 4) & 2047) END
        ) ORDER BY a.attnum), '[]')
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped),
      'constraints', (SELECT coalesce(json_agg(json_build_object(
          'name', k.conname, 'kind', k.contype, 'text', pg_get_constraintdef(k.oid),
          'columns', (SELECT json_agg(a.attname ORDER BY o.n) FROM unnest(k.conkey) WITH ORDINALITY o(num, n)
                      JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = o.num),
          'referred', CASE WHEN k.contype = 'f' THEN json_build_array(fn.nspname, fc.relname,
                      (SELECT json_agg(a.attname ORDER BY o.n) FROM unnest(k.confkey) WITH ORDINALITY o(num, n)
                       JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = o.num)) END
        ) ORDER BY k.conname), '[]')
        FROM pg_constraint k LEFT JOIN pg_class fc ON fc.oid = k.confrelid
        LEFT JOIN pg_namespace fn ON fn.oid = fc.relnamespace
        WHERE k.conrelid = r.oid AND k.contype <> 'n'),
      'indexes', (SELECT coalesce(json_agg(pg_get_indexdef(i.indexrelid)), '[]')
        FROM (SELECT indexrelid FROM pg_index WHERE indrelid = r.oid) i),
      'triggers', (SELECT coalesce(json_agg(pg_get_triggerdef(g.oid) ORDER BY g.tgname), '[]')
        FROM pg_trigger g WHERE g.tgrelid = r.oid AND NOT g.tgisinternal)
    ) ORDER BY r.nspname, r.relname), '[]') FROM relations r WHERE r.relkind IN ('r', 'p')),
  'enums', (SELECT coalesce(json_object_agg(e.name, e.labels), '{}') FROM (
      SELECT n.nspname || '.' || t.typname AS name, json_agg(l.enumlabel ORDER BY l.enumsortorder) AS labels
      FROM pg_type t JOIN spaces n ON n.oid = t.typnamespace JOIN pg_enum l ON l.enumtypid = t.oid
      GROUP BY 1 ORDER BY 1) e),
  'views', (SELECT coalesce(json_object_agg(r.nspname || '.' || r.relname, pg_get_viewdef(r.oid)), '{}')
            FROM relations r WHERE r.relkind IN ('v', 'm')),
  'sequences', (SELECT coalesce(json_agg(r.nspname || '.' || r.relname), '[]')
                FROM relations r WHERE r.relkind = 'S'),
  'functions', (SELECT coalesce(json_agg(pg_get_functiondef(p.oid)), '[]')
                FROM pg_proc p JOIN spaces n ON n.oid = p.pronamespace WHERE p.prokind IN ('f', 'p')
                AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e'))
);
"""


@dataclass(frozen=True)
class Column:
    """One column. `base` is its type without length, that of the domain's base for a domain.

    `category` is PostgreSQL's letter for it (N number, S string, E enumeration, A array, …); `size` the most
    characters, `digits` (precision, scale) of a numeric.
    """

    name: str
    type: str
    base: str
    category: str
    not_null: bool = False
    default: str | None = None
    generated: bool = False  # GENERATED ALWAYS AS (…)
    identity: str = ""
    labels: tuple[str, ...] | None = None
    size: int | None = None
    digits: tuple[int, int] | None = None


@dataclass(frozen=True)
class Constraint:
    """One constraint; `kind` is PostgreSQL's letter (p, u, f, c, x); `referred` is (schema, table, columns)."""

    name: str
    kind: str
    text: str
    columns: tuple[str, ...] | None = None
    referred: tuple[str, str, tuple[str, ...]] | None = None


@dataclass(frozen=True)
class Table:
    """One table with what hangs on it."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    constraints: tuple[Constraint, ...] = ()
    indexes: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    partition: bool = False  # of another table, through which it is filled

    @property
    def full_name(self) -> str:
        """Its name for people, with its schema where that is not `public`."""
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"

    @property
    def quoted(self) -> str:
        """Its name in SQL."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    def column(self, name: str) -> Column | None:
        """Return the column of that name."""
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True)
class Schema:
    """Everything in a database that migrations make, by name."""

    tables: tuple[Table, ...]
    enums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    views: Mapping[str, str] = field(default_factory=dict)
    sequences: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()

    def table(self, schema: str | None, name: str) -> Table | None:
        """Return the table of that name; without a schema it is the one in `public`."""
        wanted = (schema or "public", name)
        return next((table for table in self.tables if (table.schema, table.name) == wanted), None)

    def without(self, names: Iterable[str]) -> "Schema":
        """Return the schema without the tables of these names, wherever they lie."""
        gone = set(names)
        return Schema(
            tuple(table for table in self.tables if table.name not in gone),
            self.enums,
            self.views,
            self.sequences,
            self.functions,
        )


def quoted(name: str) -> str:
    """Return a name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Return a text as an SQL literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"E'{escaped}'" if "\\" in value else "'" + value.replace("'", "''") + "'"


def differences(before: Schema, after: Schema) -> list[str]:
    """Return what differs between two schemas, in sentences; the order of columns does not count."""
    return list(_walk("", _plain(before), _plain(after)))


def _plain(schema: Schema) -> dict[str, Any]:
    tables = {
        f"table {table.full_name}": {
            **{
                f"column {c.name}": f"{c.type}{' not null' if c.not_null else ''}"
                f"{f' default {c.default}' if c.default else ''}{f' identity {c.identity}' if c.identity else ''}"
                for c in table.columns
            },
            **{f"constraint {constraint.name}": constraint.text for constraint in table.constraints},
            **{f"index {text.split()[2 if text.startswith('CREATE INDEX') else 3]}": text for text in table.indexes},
            **{f"trigger {text}": text for text in table.triggers},
        }
        for table in schema.tables
    }
    enums = {f"type {name}": " | ".join(labels) for name, labels in schema.enums.items()}
    views = {f"view {name}": text for name, text in schema.views.items()}
    rest = {f"sequence {name}": name for name in schema.sequences}
    functions = {f"function {text.partition(chr(10))[0]}": text for text in schema.functions}
    return {**tables, **enums, **views, **rest, **functions}


def _walk(where: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[str]:
    for name in sorted({*before, *after}):
        full = f"{where}{name}"
        if name not in after:
            yield f"{full} is missing"
        elif name not in before:
            yield f"{full} is new"
        elif isinstance(before[name], dict):
            yield from _walk(f"{full}: ", before[name], after[name])
        elif before[name] != after[name]:
            yield f"{full} is {after[name]}, was {before[name]}"
