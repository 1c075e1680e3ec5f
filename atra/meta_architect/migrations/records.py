"""The facts of one migration, from the drift that was found to the proof; each is made by one step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from atra.meta_architect.records import Target

Facts = Mapping[str, Any]
"""What came out of a box, as plain values."""


@dataclass(frozen=True)
class MigrationTarget(Target):
    """What is to be migrated, as asked for.

    `config` is alembic's file, relative to the root, empty to look for it; `rows` are filled into each table;
    `allow_loss` names what may be lost, `table` or `table.column`; `url_variables` are environment variables that the
    target reads its database's address from, besides those that are found.
    """

    config: str = ""
    rows: int = 50
    allow_loss: tuple[str, ...] = ()
    url_variables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """Where the target's migrations are and how its database is named.

    `folder` is where alembic is called, `config` its file in that folder; `variables` may hold the placeholders of
    `atra.sandbox.database`; `drivers` are those its code names, the likeliest first.
    """

    folder: str
    config: str
    variables: Mapping[str, str]
    drivers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loss:
    """Values that a migration would lose. `table` has its schema in front where that is not `public`."""

    table: str
    column: str  # empty for a whole table
    why: str
    rows: int
    of_rows: int

    @property
    def name(self) -> str:
        """What `--allow-loss` calls it."""
        return f"{self.table}.{self.column}" if self.column else self.table

    def __str__(self) -> str:
        return f"{self.why}: {self.rows} of {self.of_rows} rows of the filled copy would lose a value"


@dataclass(frozen=True)
class Rename:
    """A column (or, with `table` empty, a table) that has a new name."""

    schema: str | None
    table: str
    old: str
    new: str


@dataclass(frozen=True)
class Plan:
    """What the revision is to do: what autogenerate found, changed where that is not enough.

    `sentences` say it for people; `losses` are allowed by the target. `refusals` say why there is no revision without
    somebody who knows more. `before` and `after` are statements round the upgrade, `before_back` and `after_back` round
    the downgrade.
    """

    sentences: tuple[str, ...]
    refusals: tuple[str, ...] = ()
    renames: tuple[Rename, ...] = ()
    fills: tuple[Facts, ...] = ()
    fills_back: tuple[Facts, ...] = ()
    casts: tuple[Facts, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    before_back: tuple[str, ...] = ()
    after_back: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draft:
    """A revision file that is still to be proved; or, where `refusals` says why, none that may be.

    `generator` is `alembic` or `model/NAME`. `references` are foreign keys that the models would add, which the rows
    of the copy already keep.
    """

    layout: Layout
    base: str  # the head that it follows; empty on an empty history
    revision: str
    path: str = ""
    text: str = ""
    sentences: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    references: tuple[Facts, ...] = ()
    renames: tuple[Rename, ...] = ()
    generator: str = "alembic"
    script_location: str = ""


@dataclass(frozen=True)
class Revised:
    """What a model made of a refused draft; `skipped` says why none was asked, `said` what came of each try."""

    draft: Draft | None = None
    skipped: str = ""
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lock:
    """A statement that keeps others waiting on a large table, and what to do instead."""

    statement: str
    holds: str
    instead: str


@dataclass(frozen=True)
class Proof:
    """What upgrade, downgrade and upgrade again came to. `refusals` empty means that it held.

    `rows` counts the rows of each table in the copy; `lost` are losses that were allowed.
    """

    refusals: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    lost: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sql_path: str = ""
    sql: str = ""
    locks: tuple[Lock, ...] = ()


@dataclass(frozen=True)
class Tested:
    """What the target's tests say against the database, migrated to the base's head before and to the new one after.

    `fixed` failed before and pass now, `broken` the other way round; `why` says why none were run.
    """

    __test__ = False

    passing: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    why: str = ""
