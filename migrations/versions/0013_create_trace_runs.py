"""Create trace_runs, and add questions to brain_evaluations.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Note of every trace which run left it; what evaluations asked before is known by the hash of all of it alone."""
    op.create_table(
        "trace_runs",
        sa.Column("trace_id", sa.Text, sa.ForeignKey("traces.id"), primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
    )
    op.create_index("ix_trace_runs_run_id", "trace_runs", ["run_id"])
    op.execute("INSERT INTO trace_runs (trace_id, run_id) SELECT id, run_id FROM traces WHERE run_id <> ''")
    op.drop_index("ix_traces_run_id", table_name="traces")
    op.add_column(
        "brain_evaluations",
        sa.Column("questions", postgresql.ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),
    )
    op.create_index("ix_brain_evaluations_questions", "brain_evaluations", ["questions"], postgresql_using="gin")


def downgrade() -> None:
    """Undo it in reverse order; a trace is then known by the first run that left it."""
    op.drop_index("ix_brain_evaluations_questions", table_name="brain_evaluations")
    op.drop_column("brain_evaluations", "questions")
    op.create_index("ix_traces_run_id", "traces", ["run_id"])
    op.drop_table("trace_runs")
