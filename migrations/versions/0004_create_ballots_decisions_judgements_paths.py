"""Create ballots, decisions, judgements and paths.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_instant = sa.DateTime(timezone=True)
_now = sa.text("clock_timestamp()")


def upgrade() -> None:
    """Create four tables; the locks on runs and failures for the foreign keys last a moment."""
    op.create_table(
        "ballots",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("expert", sa.Text, nullable=False),
        sa.Column("round", sa.SmallInteger, nullable=False),
        sa.Column("ballot", JSONB, nullable=False),
        sa.Column("late", sa.Boolean, nullable=False),
        sa.Column("cast_at", _instant, nullable=False, server_default=_now),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "expert", "round"),
    )
    op.create_table(
        "decisions",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("decision", JSONB, nullable=False),
        sa.Column("decided_at", _instant, nullable=False, server_default=_now),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_table(
        "judgements",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("expert", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("right", sa.Boolean, nullable=False),
        sa.Column("probability", sa.Float, nullable=False),
        sa.Column("options", sa.Integer, nullable=False),
        sa.Column("judged_at", _instant, nullable=False, server_default=_now),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "expert"),
    )
    op.create_index("ix_judgements_expert_task", "judgements", ["expert", "task"])
    op.create_table(
        "paths",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("failure_id", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("reasons", JSONB, nullable=False),
        sa.Column("situation", JSONB, nullable=False),
        sa.Column("taken_at", _instant, nullable=False, server_default=_now),
        sa.ForeignKeyConstraint(["failure_id"], ["failures.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_paths_failure_id_taken_at", "paths", ["failure_id", "taken_at"])
    op.create_index("ix_paths_run_id", "paths", ["run_id"])


def downgrade() -> None:
    """Drop the four tables and what they hold."""
    for name in ("paths", "judgements", "decisions", "ballots"):
        op.drop_table(name)
