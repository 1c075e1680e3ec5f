"""Create feed_hosts, feeds and articles.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    """Create three tables; nothing that anyone uses is locked."""
    op.create_table(
        "feed_hosts",
        sa.Column("host", sa.Text, primary_key=True),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("not_before", sa.DateTime(timezone=True)),
        sa.Column("leased_until", sa.DateTime(timezone=True)),
        sa.Column("fence", sa.Integer, nullable=False, server_default=sa.text("0")),
    )
    op.create_index("ix_feed_hosts_due_at", "feed_hosts", ["due_at"])
    op.create_table(
        "feeds",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False, server_default=""),
        sa.Column("state", sa.Text, nullable=False, server_default="active"),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("etag", sa.Text, nullable=False, server_default=""),
        sa.Column("last_modified", sa.Text, nullable=False, server_default=""),
        sa.Column("validated", sa.Text, nullable=False, server_default=""),
        sa.Column("digest", sa.Text, nullable=False, server_default=""),
        sa.Column("interval_s", sa.Float, nullable=False, server_default=sa.text("3600")),
        sa.Column("failures", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("moved_to", sa.Text, nullable=False, server_default=""),
        sa.Column("moved_seen", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("past", postgresql.JSONB, nullable=False, server_default=sa.text("'[]'")),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.Column("fetched_at", sa.DateTime(timezone=True)),
        sa.Column("polled_at", sa.DateTime(timezone=True)),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.UniqueConstraint("address"),
        sa.ForeignKeyConstraint(["host"], ["feed_hosts.host"]),
        sa.CheckConstraint("state IN ('active', 'retired')", name="state"),
    )
    op.create_index("ix_feeds_host_next_at", "feeds", ["host", "next_at"])
    op.create_table(
        "articles",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("feed_id", sa.BigInteger, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("subjects", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("sketch", postgresql.ARRAY(sa.Integer), nullable=False),
        sa.Column("bands", postgresql.ARRAY(sa.Integer), nullable=False),
        sa.Column("duplicate_of", sa.BigInteger),
        sa.Column("published_at", sa.DateTime(timezone=True)),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.Column(
            "words",
            postgresql.TSVECTOR,
            sa.Computed(
                "setweight(to_tsvector('english', title), 'A') || setweight(to_tsvector('english', text), 'B')",
                persisted=True,
            ),
        ),
        sa.ForeignKeyConstraint(["feed_id"], ["feeds.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["duplicate_of"], ["articles.id"], ondelete="SET NULL"),
    )
    op.create_index("uq_articles_feed_id_key", "articles", ["feed_id", "key"], unique=True)
    op.create_index("ix_articles_address", "articles", ["address"])
    op.create_index("ix_articles_duplicate_of", "articles", ["duplicate_of"])
    op.create_index(
        "ix_articles_published_at",
        "articles",
        ["published_at"],
        postgresql_where=sa.text("duplicate_of IS NULL"),
    )
    op.create_index("ix_articles_bands", "articles", ["bands"], postgresql_using="gin")
    op.create_index("ix_articles_words", "articles", ["words"], postgresql_using="gin")


def downgrade() -> None:
    """Drop the three tables; feeds are to be imported again, and what was read is read again."""
    for name in ("articles", "feeds", "feed_hosts"):
        op.drop_table(name)
