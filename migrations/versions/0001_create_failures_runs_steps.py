"""Create failures, runs and steps.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_instant = sa.DateTime(timezone=True)
_now = sa.text("clock_timestamp()")


def upgrade() -> None:
    """Create three tables; on an empty database this locks nothing that anyone uses."""
    op.create_table(
        "failures",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("repository", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="open"),
        sa.Column("error_type", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("urgent", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("count", sa.Integer, nullable=False, server_default=sa.text("1")),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("latest", JSONB, nullable=False),
        sa.Column("first_seen_at", _instant, nullable=False, server_default=_now),
        sa.Column("last_seen_at", _instant, nullable=False, server_default=_now),
        sa.CheckConstraint("state IN ('open', 'repaired', 'closed')", name="state"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("uq_failures_repository_fingerprint", "failures", ["repository", "fingerprint"], unique=True)
    op.create_index("ix_failures_last_seen_at", "failures", ["last_seen_at"])
    op.create_table(
        "runs",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="open"),
        sa.Column("outcome", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("input", JSONB, nullable=False),
        sa.Column("failure_id", sa.Text, sa.ForeignKey("failures.id")),
        sa.Column("cancel_requested", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("dispatches", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("due_at", _instant, nullable=False, server_default=_now),
        sa.Column("created_at", _instant, nullable=False, server_default=_now),
        sa.Column("ended_at", _instant),
        sa.CheckConstraint("state IN ('open', 'ended')", name="state"),
        sa.CheckConstraint(
            "(state = 'ended') = (outcome IS NOT NULL AND ended_at IS NOT NULL)", name="ended_has_outcome"
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    is_open = sa.text("state = 'open'")
    op.create_index("uq_runs_open_failure_id", "runs", ["failure_id"], unique=True, postgresql_where=is_open)
    op.create_index("ix_runs_open_due_at", "runs", ["due_at"], postgresql_where=is_open)
    op.create_index("ix_runs_created_at", "runs", ["created_at"])
    op.create_index("ix_runs_failure_id_created_at", "runs", ["failure_id", "created_at"])
    op.create_table(
        "steps",
        sa.Column("run_id", sa.Text, sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("shard", sa.SmallInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("position", sa.SmallInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="ready"),
        sa.Column("attempt", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("fence", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("owner", sa.Text),
        sa.Column("lease_until", _instant),
        sa.Column("progress", JSONB),
        sa.Column("output", JSONB),
        sa.Column("error", JSONB),
        sa.Column("started_at", _instant),
        sa.Column("settled_at", _instant),
        sa.CheckConstraint("state IN ('ready', 'leased', 'settled', 'failed')", name="state"),
        sa.CheckConstraint("(state = 'leased') = (lease_until IS NOT NULL)", name="leased_until"),
        sa.PrimaryKeyConstraint("run_id", "name", "shard"),
    )


def downgrade() -> None:
    """Drop the three tables and what they hold."""
    op.drop_table("steps")
    op.drop_table("runs")
    op.drop_table("failures")
