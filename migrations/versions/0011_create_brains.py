"""Create brains, brain_changes, brain_evaluations, brain_answers and brain_uses.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    """Create five tables; nothing that anyone uses is locked."""
    op.create_table(
        "brains",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("lineage", postgresql.JSONB, nullable=False),
        sa.Column("data_set", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="candidate"),
        sa.Column("why", sa.Text, nullable=False, server_default=""),
        sa.Column("calibration", postgresql.JSONB),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.Column("served_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("state IN ('candidate', 'serving', 'retired', 'refused')", name="state"),
    )
    op.create_index(
        "uq_brains_serving", "brains", ["state"], unique=True, postgresql_where=sa.text("state = 'serving'")
    )
    op.create_index("ix_brains_data_set", "brains", ["data_set"])
    op.create_table(
        "brain_changes",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("brain_id", sa.Text),
        sa.Column("replaced", sa.Text),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.CheckConstraint("kind IN ('promotion', 'override', 'rollback')", name="kind"),
        sa.ForeignKeyConstraint(["brain_id"], ["brains.id"]),
        sa.ForeignKeyConstraint(["replaced"], ["brains.id"]),
    )
    op.create_table(
        "brain_evaluations",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("brain_id", sa.Text, nullable=False),
        sa.Column("against", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("sets", postgresql.JSONB, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("contaminated", sa.Integer),
        sa.Column("verdict", postgresql.JSONB),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.Column("judged_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("(verdict IS NULL) = (judged_at IS NULL)", name="judged"),
        sa.ForeignKeyConstraint(["brain_id"], ["brains.id"]),
    )
    op.create_index("ix_brain_evaluations_brain_id", "brain_evaluations", ["brain_id"])
    op.create_index("ix_brain_evaluations_target", "brain_evaluations", ["target"])
    op.create_table(
        "brain_answers",
        sa.Column("evaluation_id", sa.Text, primary_key=True),
        sa.Column("side", sa.Text, primary_key=True),
        sa.Column("set", sa.Text, primary_key=True),
        sa.Column("item", sa.Text, primary_key=True),
        sa.Column("right", sa.Boolean, nullable=False),
        sa.Column("trace", sa.Text, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("confidence", sa.Float),
        sa.Column("said", sa.Text, nullable=False),
        sa.CheckConstraint("side IN ('candidate', 'present')", name="side"),
        sa.CheckConstraint("trace IN ('valid', 'empty', 'truncated', 'none')", name="trace"),
        sa.ForeignKeyConstraint(["evaluation_id"], ["brain_evaluations.id"], ondelete="CASCADE"),
    )
    op.create_table(
        "brain_uses",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("brain_id", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("confidence", sa.Float),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.CheckConstraint("outcome IN ('answered', 'unsure', 'empty', 'truncated', 'error', 'slow')", name="outcome"),
        sa.ForeignKeyConstraint(["brain_id"], ["brains.id"]),
    )
    op.create_index("ix_brain_uses_brain_id_id", "brain_uses", ["brain_id", "id"])
    op.create_index("ix_brain_uses_at", "brain_uses", ["at"])


def downgrade() -> None:
    """Drop the tables; the versions themselves stay in their folders."""
    for table in ("brain_uses", "brain_answers", "brain_evaluations", "brain_changes", "brains"):
        op.drop_table(table)
