"""Create cache_entries, cache_lookups and cache_standing.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_NOW = sa.text("clock_timestamp()")
_LIVE = sa.text("state = 'live'")


def upgrade() -> None:
    """Create three tables; nothing that anyone uses is locked."""
    op.create_table(
        "cache_entries",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("parts", postgresql.JSONB, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("meta", postgresql.JSONB, nullable=False),
        sa.Column("sources", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("topics", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("cost_usd", sa.Float, nullable=False),
        sa.Column("predicted", sa.Boolean, nullable=False),
        sa.Column("embedder", sa.Text, nullable=False),
        sa.Column("vector", sa.LargeBinary),
        sa.Column("right", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("wrong", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("state", sa.Text, nullable=False, server_default="live"),
        sa.Column("why", sa.Text, nullable=False, server_default=""),
        sa.Column(
            "written", sa.BigInteger, nullable=False, server_default=sa.text("(pg_current_xact_id()::text)::bigint")
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('live', 'gone')", name="state"),
    )
    op.create_index(
        "uq_cache_entries_live_scope_key", "cache_entries", ["scope", "key"], unique=True, postgresql_where=_LIVE
    )
    op.create_index("ix_cache_entries_scope_written", "cache_entries", ["scope", "written", "id"])
    op.create_index("ix_cache_entries_expires_at", "cache_entries", ["expires_at"])
    op.create_index("ix_cache_entries_sources", "cache_entries", ["sources"], postgresql_using="gin")
    op.create_index("ix_cache_entries_topics", "cache_entries", ["topics"], postgresql_using="gin")
    op.create_table(
        "cache_lookups",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("asked", sa.Text, nullable=False),
        sa.Column("tier", sa.Text, nullable=False),
        sa.Column("entry_id", sa.BigInteger),
        sa.Column("similarity", sa.Float),
        sa.Column("probability", sa.Float),
        sa.Column("saved_usd", sa.Float, nullable=False, server_default=sa.text("0")),
        sa.Column("right", sa.Boolean),
        sa.Column("judged_by", sa.Text),
        sa.Column("judged_at", sa.DateTime(timezone=True)),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.ForeignKeyConstraint(["entry_id"], ["cache_entries.id"], ondelete="SET NULL"),
        sa.CheckConstraint("tier IN ('exact', 'semantic', 'miss')", name="tier"),
    )
    op.create_index("ix_cache_lookups_at", "cache_lookups", ["at"])
    op.create_index("ix_cache_lookups_entry_id", "cache_lookups", ["entry_id"])
    op.create_table(
        "cache_standing",
        sa.Column("id", sa.SmallInteger, primary_key=True, server_default=sa.text("1")),
        sa.Column("standing", postgresql.JSONB, nullable=False),
        sa.CheckConstraint("id = 1", name="one_row"),
    )


def downgrade() -> None:
    """Drop the three tables; what they hold can be asked again, at its price."""
    for name in ("cache_standing", "cache_lookups", "cache_entries"):
        op.drop_table(name)
