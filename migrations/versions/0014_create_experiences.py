"""Create experiences.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create what is learned of repairs."""
    op.create_table(
        "experiences",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("factors", postgresql.JSONB, nullable=False),
        sa.Column("figures", postgresql.JSONB, nullable=False),
        sa.Column(
            "learned_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")
        ),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("experiences")
