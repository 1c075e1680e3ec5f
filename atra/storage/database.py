"""The database's door: an engine, and short transactions whose errors are ATRA's."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from atra.core.errors import DatabaseUnavailable

_SCHEME = re.compile(r"^postgres(?:ql)?://")
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
        connect_args={
            "connect_timeout": 5,
            "application_name": "atra",
            "options": "-c timezone=UTC -c statement_timeout=60000 -c idle_in_transaction_session_timeout=60000",
            "keepalives_idle": 15,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        },
    )


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
    try:
        with engine.begin() as connection:
            yield connection
    except (OperationalError, InterfaceError) as error:
        raise DatabaseUnavailable(str(error.orig).strip()) from error
    except PoolTimeout as error:
        raise DatabaseUnavailable("no connection of the pool became free") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailable(str(error.orig).strip()) from error
        raise
