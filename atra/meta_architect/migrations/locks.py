"""Which statements of a migration keep others waiting on a large table, for how long, and what to do instead.

The statements are read as alembic spells them, one at a time; this is no parser of SQL. A table that the same migration
makes is empty and nobody's yet, so nothing waits for it.

Source: PostgreSQL documentation, "Explicit Locking" (explicit-locking.html), "ALTER TABLE" (sql-altertable.html,
Notes), "CREATE INDEX" (sql-createindex.html, Building Indexes Concurrently).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from atra.meta_architect.migrations.records import Lock

_NAME = r'(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(?:ONLY\s+)?(?P<table>(?:"[^"]+"|[\w$]+)(?:\.(?:"[^"]+"|[\w$]+))?)'
_ALTER = re.compile(rf"ALTER\s+TABLE\s+{_NAME}\s+(?P<rest>.*)", re.I | re.S)
_CREATE = re.compile(rf"CREATE\s+(?:UNLOGGED\s+)?TABLE\s+{_NAME}", re.I)
_INDEX = re.compile(
    r"CREATE\s+(?P<unique>UNIQUE\s+)?INDEX\s+(?!CONCURRENTLY)(?:IF\s+NOT\s+EXISTS\s+)?(?P<index>\S+)\s+ON\s+" + _NAME,
    re.I,
)
_UPDATE = re.compile(rf"(?:UPDATE|DELETE\s+FROM)\s+{_NAME}", re.I)
_OWN = re.compile(r"\bSET version_num=", re.I)  # alembic's note of where the database stands: one row
_VOLATILE = re.compile(
    r"\b(?:gen_random_uuid|uuid_generate_v\d\w*|uuidv\d|random|clock_timestamp|timeofday|nextval|txid_current)\s*\(",
    re.I,
)


@dataclass(frozen=True)
class _Rule:
    """What holds a lock: a pattern of what follows `ALTER TABLE name`, and what is said of it."""

    pattern: re.Pattern[str]
    holds: str
    instead: str


def _rule(pattern: str, holds: str, instead: str) -> _Rule:
    return _Rule(re.compile(pattern, re.I | re.S), holds, instead)


_RULES = (
    _rule(
        r"ADD\s+(?:COLUMN\s+)?(?!CONSTRAINT|PRIMARY|UNIQUE|FOREIGN|CHECK|EXCLUDE).*(?:\bSERIAL\b|\bBIGSERIAL\b"
        r"|GENERATED\s+(?:ALWAYS|BY\s+DEFAULT)\s+AS)",
        "rewrites {table} while nobody can read or write it",
        "add the column without it, fill it in batches, then set it",
    ),
    _rule(
        r"ALTER\s+(?:COLUMN\s+)?\S+\s+(?:SET\s+DATA\s+)?TYPE\b",
        "rewrites {table} and its indexes while nobody can read or write it, unless the new type only takes more text",
        "add a column of the new type, fill it in batches, swap the names",
    ),
    _rule(
        r"ALTER\s+(?:COLUMN\s+)?\S+\s+SET\s+NOT\s+NULL",
        "reads all of {table} while nobody can read or write it",
        "ADD CONSTRAINT … CHECK (… IS NOT NULL) NOT VALID, VALIDATE CONSTRAINT, then SET NOT NULL, which reads nothing",
    ),
    _rule(
        r"ADD\s+(?:CONSTRAINT\s+\S+\s+)?FOREIGN\s+KEY(?!.*NOT\s+VALID)",
        "reads all of {table} while nobody can write it or the table it refers to",
        "ADD CONSTRAINT … NOT VALID, then VALIDATE CONSTRAINT in a transaction of its own",
    ),
    _rule(
        r"ADD\s+(?:CONSTRAINT\s+\S+\s+)?CHECK(?!.*NOT\s+VALID)",
        "reads all of {table} while nobody can read or write it",
        "ADD CONSTRAINT … NOT VALID, then VALIDATE CONSTRAINT in a transaction of its own",
    ),
    _rule(
        r"ADD\s+(?:CONSTRAINT\s+\S+\s+)?(?:UNIQUE|PRIMARY\s+KEY)(?!\s+USING\s+INDEX)",
        "builds an index on {table} while nobody can read or write it",
        "CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT … USING INDEX",
    ),
    _rule(
        r"ADD\s+(?:CONSTRAINT\s+\S+\s+)?EXCLUDE",
        "builds an index on {table} while nobody can read or write it",
        "no way without it; choose a quiet hour",
    ),
    _rule(
        r"(?:SET\s+(?:UN)?LOGGED|SET\s+TABLESPACE|SET\s+ACCESS\s+METHOD)",
        "rewrites {table} while nobody can read or write it",
        "no way without it; choose a quiet hour",
    ),
)


def statements(sql: str) -> list[str]:
    """Return the statements of a script that alembic made offline: without comments, each on one line.

    A semicolon within quotes ends no statement.
    """
    text = re.sub(r"^\s*--.*$", "", sql, flags=re.M)
    found = re.finditer(r"(?:'(?:[^']|'')*'|\"[^\"]*\"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|[^;'\"$]|\$)+", text, re.S)
    return [line for match in found if (line := " ".join(match[0].split()))]


def locks(sql_statements: Iterable[str]) -> list[Lock]:
    """Return what keeps others waiting, in the order of the statements."""
    made: set[str] = set()
    found: list[Lock] = []
    for statement in sql_statements:
        if created := _CREATE.match(statement):
            made.add(_bare(created["table"]))
        if not _OWN.search(statement):
            found += [lock for table, lock in _of(statement) if _bare(table) not in made]
    return found


def _of(statement: str) -> Iterator[tuple[str, Lock]]:
    if index := _INDEX.match(statement):
        holds = f"builds an index on {index['table']} while nobody can write it"
        instead = "CREATE INDEX CONCURRENTLY, outside of a transaction (with op.get_context().autocommit_block())"
        yield index["table"], Lock(_short(statement), holds, instead)
    elif update := _UPDATE.match(statement):
        holds = f"writes the rows of {update['table']} in one transaction, and whoever changes one of them waits"
        yield update["table"], Lock(_short(statement), holds, "do it in batches, before the migration")
    elif altered := _ALTER.match(statement):
        yield from _altered(statement, altered["table"], altered["rest"])


def _altered(statement: str, table: str, rest: str) -> Iterator[tuple[str, Lock]]:
    adds = re.match(r"ADD\s+(?:COLUMN\s+)?(?!CONSTRAINT\b|PRIMARY\b|UNIQUE\b|FOREIGN\b|CHECK\b|EXCLUDE\b)", rest, re.I)
    if adds and "DEFAULT" in rest.upper() and _VOLATILE.search(rest):
        holds = f"rewrites {table} while nobody can read or write it, since the default is another one for each row"
        instead = "add the column without the default, set the default, fill the old rows in batches"
        yield table, Lock(_short(statement), holds, instead)
        return
    for rule in _RULES:
        if rule.pattern.match(rest):
            yield table, Lock(_short(statement), rule.holds.format(table=table), rule.instead)
            return


def _bare(table: str) -> str:
    return table.replace('"', "")


def _short(statement: str) -> str:
    return statement if len(statement) <= 160 else f"{statement[:159]}…"
