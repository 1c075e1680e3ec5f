"""Create predictions.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    """Create one table; nothing that anyone uses is locked."""
    op.create_table(
        "predictions",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("template", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("article", sa.BigInteger, nullable=False),
        sa.Column("probability", sa.Float, nullable=False),
        sa.Column("cost_usd", sa.Float, nullable=False),
        sa.Column("entry_id", sa.BigInteger),
        sa.Column("state", sa.Text, nullable=False, server_default="waiting"),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("state IN ('waiting', 'asked', 'wasted', 'unanswered')", name="state"),
        sa.ForeignKeyConstraint(["entry_id"], ["cache_entries.id"], ondelete="SET NULL"),
        sa.UniqueConstraint("run_id", "question"),
    )
    op.create_index("ix_predictions_entry_id", "predictions", ["entry_id"])
    op.create_index("ix_predictions_state_expires_at", "predictions", ["state", "expires_at"])
    op.create_index("ix_predictions_made_at", "predictions", ["made_at"])


def downgrade() -> None:
    """Drop the table; the answers stay in the cache."""
    op.drop_table("predictions")
