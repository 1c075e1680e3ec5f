"""Add deadlines to runs, and steps that a run can go on without.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two columns, which rewrites nothing; the index reads the open runs only, but locks writes while it does."""
    op.add_column("runs", sa.Column("deadline_at", sa.DateTime(timezone=True)))
    op.add_column("steps", sa.Column("excusable", sa.Boolean, nullable=False, server_default=sa.text("false")))
    op.create_index("ix_runs_open_deadline_at", "runs", ["deadline_at"], postgresql_where=sa.text("state = 'open'"))


def downgrade() -> None:
    """Drop both columns; runs under way then wait for every step."""
    op.drop_index("ix_runs_open_deadline_at", "runs")
    op.drop_column("steps", "excusable")
    op.drop_column("runs", "deadline_at")
