"""Small repositories with models and alembic migrations, for tests of what becomes of drift."""

from pathlib import Path

from tests.targets import make_repository

ENV = '''"""Runs the migrations."""

import os

from alembic import context
from sqlalchemy import create_engine

from models import Base

config = context.config
url = os.environ.get("DATABASE_URL") or config.get_main_option("sqlalchemy.url")

if context.is_offline_mode():
    context.configure(url=url, target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    engine = create_engine(url)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()
'''
TEMPLATE = '''"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
'''
INI = (
    "[alembic]\nscript_location = %(here)s/migrations\nprepend_sys_path = .\n"
    "sqlalchemy.url = postgresql://nobody@nowhere/shop\n\n"
    "[post_write_hooks]\nhooks = black\nblack.type = console_scripts\nblack.entrypoint = black\n"
)
IMPORTS = """import enum

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


"""
ORDERS = """class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str] = mapped_column(sa.String(80))
    note: Mapped[str | None] = mapped_column(sa.String(200))
"""
FIRST = '''"""Create orders.

Revision ID: 5a1
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "5a1"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "orders",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("customer", sa.String(80), nullable=False),
        sa.Column("note", sa.String(200), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    op.drop_table("orders")
'''


def drifting(root: Path, models: str, *, first: str = FIRST, env: str = ENV, **more: str) -> Path:
    """Make a repository whose models are these and whose only migration makes `orders` as `ORDERS` says.

    Args:
        more: further files by path; an empty text takes one of the standing files away.
    """
    files = {
        "alembic.ini": INI,
        "models.py": IMPORTS + models,
        "migrations/env.py": env,
        "migrations/script.py.mako": TEMPLATE,
        "migrations/versions/5a1_create_orders.py": first,
        **more,
    }
    return make_repository(root, {path: text for path, text in files.items() if text})
