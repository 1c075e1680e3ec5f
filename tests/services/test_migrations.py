"""The migrations against the tables as the code knows them, and the queries that must stay quick with many rows."""

from collections.abc import Iterator

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, text

from atra.storage import schema
from atra.storage.database import connect
from atra.storage.tables import metadata


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    made = connect(empty_database_url)
    yield made
    made.dispose()


def drift(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
    return list(compare_metadata(context, metadata))


def test_the_migrations_make_the_tables_that_the_code_knows(empty_database_url: str, engine: Engine):
    """From empty to the newest revision, down to nothing and up again: no drift, and nothing is left below."""
    schema.upgrade(empty_database_url)
    schema.upgrade(empty_database_url)
    with engine.begin() as db:
        assert drift(db) == []
        assert MigrationContext.configure(db).get_current_revision() == schema.newest()

    command.downgrade(schema._configuration(empty_database_url), "base")

    with engine.begin() as db:
        left = db.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all()
    assert left == ["alembic_version"]
    schema.upgrade(empty_database_url)
    with engine.begin() as db:
        assert drift(db) == []


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (
            "SELECT * FROM runs WHERE failure_id = 'f7' ORDER BY created_at DESC LIMIT 50",
            "ix_runs_failure_id_created_at",
        ),
        ("SELECT * FROM runs ORDER BY created_at DESC, id LIMIT 20", "ix_runs_created_at"),
        (
            "SELECT id FROM runs WHERE state = 'open' AND due_at <= now() ORDER BY due_at LIMIT 100",
            "ix_runs_open_due_at",
        ),
        ("SELECT * FROM failures ORDER BY last_seen_at DESC, id LIMIT 20", "ix_failures_last_seen_at"),
        (
            "SELECT id FROM reports WHERE failure_id = 'f7' AND received_at > statement_timestamp() - interval '1 h'",
            "ix_reports_failure_id_received_at",
        ),
    ],
    ids=["runs of a failure", "newest runs", "due runs", "newest failures", "reports lately"],
)
def test_what_is_asked_often_is_found_by_an_index(empty_database_url: str, engine: Engine, query: str, index: str):
    """With many ended runs and failures the sweeper, the lists and every report read a few rows."""
    schema.upgrade(empty_database_url)
    with engine.begin() as db:
        db.execute(text(
            "INSERT INTO failures (id, repository, fingerprint, error_type, message, origin, path, reason, latest,"
            " last_seen_at) SELECT 'f' || i, 'shop', i::text, 'E', '', 'celery', 'repair', '', '{}',"
            " now() - i * interval '1 s' FROM generate_series(1, 20000) i"
        ))  # fmt: skip
        db.execute(text(
            "INSERT INTO runs (id, kind, state, outcome, input, failure_id, created_at, ended_at)"
            " SELECT 'r' || i, 'self_repair', 'ended', 'fixed', '{}', 'f' || i, now() - i * interval '1 s', now()"
            " FROM generate_series(1, 20000) i"
        ))  # fmt: skip
        db.execute(text("INSERT INTO runs (id, kind, input) SELECT 'o' || i, 'x', '{}' FROM generate_series(1, 20) i"))
        db.execute(text(
            "INSERT INTO reports (failure_id, id, revision, received_at)"
            " SELECT 'f' || i % 10 + 1, i::text, '', now() - i * interval '1 s' FROM generate_series(1, 20000) i"
        ))  # fmt: skip
        db.execute(text("ANALYZE"))
        plan = "\n".join(db.execute(text(f"EXPLAIN {query}")).scalars())

    assert index in plan
