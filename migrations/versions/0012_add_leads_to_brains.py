"""Add leads to brains.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column without a default, which takes a moment whatever the table holds."""
    op.add_column("brains", sa.Column("leads", postgresql.JSONB))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("brains", "leads")
