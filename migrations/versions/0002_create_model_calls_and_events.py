"""Create model_calls and events, and let a failure be regressed.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_instant = sa.DateTime(timezone=True)
_now = sa.text("clock_timestamp()")


def upgrade() -> None:
    """Create two tables; the new check of failures reads that table once under a lock, seconds for a million rows."""
    op.create_table(
        "model_calls",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("run_id", sa.Text),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="reserved"),
        sa.Column("reserved_usd", sa.Numeric(16, 9), nullable=False),
        sa.Column("cost_usd", sa.Numeric(16, 9)),
        sa.Column("reserved_tokens", sa.Integer, nullable=False),
        sa.Column("input_tokens", sa.Integer),
        sa.Column("output_tokens", sa.Integer),
        sa.Column("cached_input_tokens", sa.Integer),
        sa.Column("reasoning_tokens", sa.Integer),
        sa.Column("finish", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("seconds", sa.Float),
        sa.Column("created_at", _instant, nullable=False, server_default=_now),
        sa.Column("settled_at", _instant),
        sa.CheckConstraint("state IN ('reserved', 'settled', 'lost')", name="state"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_model_calls_created_at", "model_calls", ["created_at"])
    op.create_index("ix_model_calls_run_id", "model_calls", ["run_id"])
    op.create_table(
        "events",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("shard", sa.SmallInteger, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("event", JSONB, nullable=False),
        sa.Column("created_at", _instant, nullable=False, server_default=_now),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "step", "shard", "position"),
    )
    _set_failure_states("'open', 'repaired', 'regressed', 'closed'")


def downgrade() -> None:
    """Drop both tables and what they hold; a regressed failure becomes an open one."""
    op.execute("UPDATE failures SET state = 'open' WHERE state = 'regressed'")
    _set_failure_states("'open', 'repaired', 'closed'")
    op.drop_table("events")
    op.drop_table("model_calls")


def _set_failure_states(states: str) -> None:
    op.drop_constraint("state", "failures", type_="check")
    op.create_check_constraint("state", "failures", f"state IN ({states})")
