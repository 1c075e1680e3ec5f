"""The schema's door: brings a database to the newest revision, and says which revision it has."""

import logging
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from atra.storage.database import connect, transaction


def upgrade(url: str) -> None:
    """Run the migrations that this database lacks; several processes may do so at once.

    Raises:
        DatabaseUnavailable: the database did not answer.
    """
    engine = connect(url)
    with transaction(engine) as db:
        known = MigrationContext.configure(db).get_current_revision()
    engine.dispose()
    if known == newest():
        return
    logging.getLogger("alembic").setLevel(logging.WARNING)
    command.upgrade(_configuration(url), "head")


def newest() -> str | None:
    """Return the newest revision this version of ATRA knows."""
    return ScriptDirectory.from_config(_configuration("")).get_current_head()


def _configuration(url: str) -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(files("migrations")))
    configuration.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return configuration
