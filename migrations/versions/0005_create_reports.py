"""Create reports.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create one table; nothing that anyone uses is locked."""
    op.create_table(
        "reports",
        sa.Column("failure_id", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("revision", sa.Text, nullable=False),
        sa.Column(
            "received_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")
        ),
        sa.ForeignKeyConstraint(["failure_id"], ["failures.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("failure_id", "id"),
    )
    op.create_index("ix_reports_received_at", "reports", ["received_at"])


def downgrade() -> None:
    """Drop the table; reports that are on their way a second time will be counted twice."""
    op.drop_table("reports")
