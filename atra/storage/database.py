"""The database's door: an engine, and short transactions whose errors are ATRA's."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from atra.core.errors import DatabaseUnavailable


def connect(url: str) -> Engine:
    """Return an engine; nothing is sent until it is used.

    A connection is checked before each use, and statements that wait longer than a minute end, so that no worker hangs
    on a database that went away.
    """
    url = url.replace("postgres://", "postgresql+psycopg2://", 1) if url.startswith("postgres://") else url
    return create_engine(
        url,
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
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailable(str(error.orig).strip()) from error
        raise
