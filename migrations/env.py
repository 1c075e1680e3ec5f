"""Runs the migrations against the database whose address alembic's configuration holds."""

from alembic import context
from sqlalchemy import create_engine, text

from atra.storage.database import address
from atra.storage.tables import metadata

# Several workers may start on an empty database at once: one migrates, the others wait for it.
_LOCK = 7_230_415


def _migrate() -> None:
    url = context.config.get_main_option("sqlalchemy.url")
    if not url:
        raise SystemExit("no database: set ATRA_DATABASE_URL and use `atra status`, which migrates")
    engine = create_engine(address(url), connect_args={"connect_timeout": 5, "options": "-c timezone=UTC"})
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        connection.commit()
        context.configure(connection=connection, target_metadata=metadata, compare_type=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
        connection.commit()
    engine.dispose()


_migrate()
