"""Which statements keep others waiting on a large table."""

import pytest

from atra.meta_architect.migrations.locks import locks, statements

WAITING = [
    ("CREATE INDEX ix ON t (a)", "while nobody can write it", "CONCURRENTLY"),
    ("CREATE UNIQUE INDEX ix ON app.t (a)", "an index on app.t", "CONCURRENTLY"),
    ("ALTER TABLE t ALTER COLUMN a TYPE BIGINT", "rewrites t", "swap the names"),
    ('ALTER TABLE "order" ALTER COLUMN a SET DATA TYPE TEXT', 'rewrites "order"', "swap the names"),
    ("ALTER TABLE t ALTER COLUMN a SET NOT NULL", "reads all of t", "VALIDATE CONSTRAINT"),
    ("ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY(a) REFERENCES u (id)", "the table it refers to", "NOT VALID"),
    ("ALTER TABLE t ADD FOREIGN KEY(a) REFERENCES u (id)", "the table it refers to", "NOT VALID"),
    ("ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0)", "reads all of t", "NOT VALID"),
    ("ALTER TABLE t ADD CONSTRAINT k UNIQUE (a)", "builds an index on t", "USING INDEX"),
    ("ALTER TABLE t ADD PRIMARY KEY (a)", "builds an index on t", "USING INDEX"),
    ("ALTER TABLE t ADD COLUMN a UUID DEFAULT gen_random_uuid() NOT NULL", "another one for each row", "in batches"),
    ("ALTER TABLE t ADD COLUMN a TIMESTAMP DEFAULT clock_timestamp()", "rewrites t", "in batches"),
    ("ALTER TABLE t ADD COLUMN a SERIAL NOT NULL", "rewrites t", "in batches"),
    ("ALTER TABLE t ADD COLUMN a INT GENERATED ALWAYS AS (b * 2) STORED", "rewrites t", "in batches"),
    ("UPDATE t SET a = 1", "writes the rows of t", "in batches"),
    ("DELETE FROM t WHERE a", "writes the rows of t", "in batches"),
    ("ALTER TABLE ONLY t SET UNLOGGED", "rewrites t", "quiet hour"),
]
QUICK = [
    "CREATE INDEX CONCURRENTLY ix ON t (a)",
    "ALTER TABLE t ADD COLUMN a INTEGER",
    "ALTER TABLE t ADD COLUMN a INTEGER DEFAULT 7 NOT NULL",
    "ALTER TABLE t ADD COLUMN a TIMESTAMP DEFAULT now() NOT NULL",
    "ALTER TABLE t ADD COLUMN checked BOOLEAN",
    "ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0) NOT VALID",
    "ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES u (id) NOT VALID",
    "ALTER TABLE t VALIDATE CONSTRAINT k",
    "ALTER TABLE t ADD CONSTRAINT k UNIQUE USING INDEX ix",
    "ALTER TABLE t DROP COLUMN a",
    "ALTER TABLE t ALTER COLUMN a DROP NOT NULL",
    "ALTER TABLE t RENAME a TO b",
    "ALTER TYPE mood ADD VALUE 'fine'",
    "DROP TABLE t",
    "UPDATE alembic_version SET version_num='b' WHERE alembic_version.version_num = 'a'",
]


@pytest.mark.parametrize(("statement", "holds", "instead"), WAITING, ids=[case[0][:40] for case in WAITING])
def test_what_keeps_others_waiting_is_named(statement: str, holds: str, instead: str):
    """What it holds, and what to do instead."""
    (lock,) = locks([statement])

    assert lock.statement == statement
    assert holds in lock.holds
    assert instead in lock.instead


@pytest.mark.parametrize("statement", QUICK)
def test_what_is_quick_is_not(statement: str):
    """A lock that is held for a moment is no matter for a message."""
    assert locks([statement]) == []


def test_a_table_that_is_made_here_keeps_nobody_waiting():
    """It is empty; another one of the same migration is not."""
    script = ["CREATE TABLE t (id INT)", "CREATE INDEX a ON t (id)", "CREATE INDEX b ON u (id)"]

    assert [lock.statement for lock in locks(script)] == ["CREATE INDEX b ON u (id)"]


def test_a_script_is_cut_at_its_semicolons():
    """Not at those within quotes; comments are left out."""
    sql = "BEGIN;\n-- Running upgrade a; -> b\nUPDATE t\nSET a = 'x;y''z';\nDO $$ BEGIN; END $$;\nCOMMIT;\n"

    assert statements(sql) == ["BEGIN", "UPDATE t SET a = 'x;y''z'", "DO $$ BEGIN; END $$", "COMMIT"]
