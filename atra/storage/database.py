"""The database's door: an engine, and short transactions whose errors are ATRA's."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2.extras import NamedTupleCursor
from sqlalchemy import ClauseElement, Connection, Engine, create_engine, event
from sqlalchemy.dialects.postgresql import psycopg2 as driver
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool

from atra.core.errors import DatabaseUnavailable

_SCHEME = re.compile(r"^postgres(?:ql)?://")
_CONNECT = {
    "connect_timeout": 5,
    "application_name": "atra",
    "options": "-c timezone=UTC -c statement_timeout=60000 -c idle_in_transaction_session_timeout=60000",
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
_ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def connect(url: str) -> Engine:
    """Return an engine; nothing is sent until it is used.

    A connection is checked before each use, and statements that wait longer than a minute end, so that no worker hangs
    on a database that went away. Errors do not list what a statement was given, which may be a
    secret; the few words around a mistake that the server itself quotes stay.
    """
    return create_engine(
        address(url),
        hide_parameters=True,
        json_serializer=storable_json,
        pool_pre_ping=True,
        pool_size=4,
        max_overflow=8,
        pool_recycle=1800,
        connect_args=_CONNECT,
    )


def quick(engine: Engine, prepared: Sequence["Prepared"], *, durable: bool) -> Engine:
    """Return an engine of the same database for single statements, each of which commits itself, without a ping before.

    Args:
        prepared: planned once for each connection; a pooler in between must leave sessions whole.
        durable: wait until what is written is on the disk; else a crash of the server may forget the last of it.
    """
    options = _CONNECT["options"] if durable else f"{_CONNECT['options']} -c synchronous_commit=off"
    made = create_engine(
        engine.url,
        hide_parameters=True,
        json_serializer=storable_json,
        isolation_level="AUTOCOMMIT",
        pool_reset_on_return=None,
        pool_size=2,
        max_overflow=10,
        pool_recycle=1800,
        connect_args={**_CONNECT, "options": options},
    )

    @event.listens_for(made, "connect")
    def plan(connection: Any, _: Any) -> None:
        with connection.cursor() as cursor:
            for one in prepared:
                cursor.execute(one.plan)
        connection.commit()

    return made


class Prepared:
    """A statement that the server plans once for each connection of a quick engine.

    Args:
        parameters: the names of all its bound parameters; what is constant in it must be written out.
    """

    def __init__(self, name: str, statement: ClauseElement, *parameters: str) -> None:
        text = str(statement.compile(dialect=driver.dialect()))  # type: ignore[no-untyped-call]
        for number, parameter in enumerate(parameters, start=1):
            text = text.replace(f"%({parameter})s", f"${number}")
        self.plan = f"PREPARE {name} AS {text}"
        self._call = f"EXECUTE {name} ({', '.join(f'%({parameter})s' for parameter in parameters)})"

    def rows(self, connection: Connection, given: Mapping[str, Any]) -> Sequence[Any]:
        """Execute it by the driver alone, and return every row as a named tuple."""
        try:
            cursor = connection.connection.cursor(cursor_factory=NamedTupleCursor)
            cursor.execute(self._call, dict(given))
            return cursor.fetchall()
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            connection.invalidate(error)
            raise DatabaseUnavailable(str(error).strip()) from error


@contextmanager
def statement(engine: Engine) -> Iterator[Connection]:
    """Open a connection of a quick engine.

    Raises:
        DatabaseUnavailable: see `transaction`.
    """
    with told(), engine.connect() as connection:
        yield connection


def apart(engine: Engine) -> Engine:
    """Return an engine of the same database whose connections are of one use: what takes long holds up nobody."""
    return create_engine(engine.url, hide_parameters=True, poolclass=NullPool, connect_args=_CONNECT)


def address(url: str) -> str:
    """Return the URL with the driver that ATRA brings, where it names none."""
    return _SCHEME.sub("postgresql+psycopg2://", url)


def storable(text: str) -> str:
    """Return the text with what PostgreSQL cannot keep, NUL and lone surrogates, replaced by a mark.

    Texts of failures and of tests come from code that nobody knows; such a character in one must not cost the run.
    """
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def storable_json(value: Any) -> str:
    """Return the value as JSON that PostgreSQL can keep."""
    text = json.dumps(value, ensure_ascii=False)
    return storable(_ESCAPED_NUL.sub("\\1\ufffd", text))


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Open one short transaction; it is committed at the end and rolled back on any error.

    Raises:
        DatabaseUnavailable: the database did not answer, or broke off; whether a commit under way took effect is then
            unknown, and every store call can be repeated.
    """
    with told(), engine.begin() as connection:
        yield connection


@contextmanager
def told() -> Iterator[None]:
    """Turn what says that the database is not there into ATRA's error.

    Raises:
        DatabaseUnavailable: see `transaction`.
    """
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise DatabaseUnavailable(str(error.orig).strip()) from error
    except PoolTimeout as error:
        raise DatabaseUnavailable("no connection of the pool became free") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailable(str(error.orig).strip()) from error
        raise
