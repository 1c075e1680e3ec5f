"""Index reports by failure and time, for how often one came lately.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create one index; reports wait while a month of them is read, which takes seconds."""
    op.create_index("ix_reports_failure_id_received_at", "reports", ["failure_id", "received_at"])


def downgrade() -> None:
    """Drop the index; counting gets slower, nothing else."""
    op.drop_index("ix_reports_failure_id_received_at", "reports")
