"""Create traces, training_rules, data_sets and data_set_rows.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_NOW = sa.text("clock_timestamp()")
_TEXTS = (
    *("kind", "prompt", "reasoning", "answer", "provider", "model", "model_version", "endpoint", "terms"),
    *("request_hash", "finish", "refusal", "tenant", "source", "run_id", "proof", "why", "policy"),
)


def upgrade() -> None:
    """Create four tables; nothing that anyone uses is locked."""
    op.create_table(
        "traces",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in _TEXTS),
        *(sa.Column(f"{name}_tokens", sa.BigInteger, nullable=False) for name in ("input", "output", "reasoning")),
        sa.Column("cost_usd", sa.Float, nullable=False),
        sa.Column("allowed", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_why", sa.Text, nullable=False, server_default=""),
        sa.CheckConstraint("kind IN ('raw', 'summary', 'rationale', 'tool_log', 'human', 'none')", name="kind"),
        sa.CheckConstraint("source IN ('ask', 'repair', 'war_room', 'human')", name="source"),
    )
    op.create_index("ix_traces_provider_model", "traces", ["provider", "model"])
    op.create_index("ix_traces_run_id", "traces", ["run_id"])
    op.create_table(
        "training_rules",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("rule", postgresql.JSONB, nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
    )
    op.create_table(
        "data_sets",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("summary", postgresql.JSONB, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True)),
        sa.Column("withdrawn_why", sa.Text, nullable=False, server_default=""),
    )
    op.create_table(
        "data_set_rows",
        sa.Column("data_set_id", sa.Text, primary_key=True),
        sa.Column("trace_id", sa.Text, primary_key=True),
        sa.ForeignKeyConstraint(["data_set_id"], ["data_sets.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["trace_id"], ["traces.id"]),
    )
    op.create_index("ix_data_set_rows_trace_id", "data_set_rows", ["trace_id"])


def downgrade() -> None:
    """Drop the four tables; what was kept in them is lost, files of data sets stay."""
    for name in ("data_set_rows", "data_sets", "training_rules", "traces"):
        op.drop_table(name)
