"""Where migrations lie and what names the database, found by reading."""

import pytest

from atra.core.errors import BadInput, NoMigrations
from atra.meta_architect.migrations.addresses import read_layout
from atra.sandbox.database import ABSTRACT, ADDRESS

INI = "[alembic]\nscript_location = migrations\nsqlalchemy.url = {}\n"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        pytest.param('url = os.environ["SHOP_DB_URL"]', "SHOP_DB_URL", id="environ"),
        pytest.param('url = os.environ.get("DATABASE_DSN", "x")', "DATABASE_DSN", id="get"),
        pytest.param("url = os.getenv('MAIN_URL')", "MAIN_URL", id="getenv"),
        pytest.param('url = env("POSTGRES_URI")', "POSTGRES_URI", id="environs"),
        pytest.param('url = env.str("PG_MAIN_DSN")', "PG_MAIN_DSN", id="typed"),
        pytest.param(
            'class Settings(BaseSettings):\n    model_config = SettingsConfigDict(env_prefix="SHOP_")\n'
            "    database_url: PostgresDsn\n",
            "SHOP_DATABASE_URL",
            id="pydantic",
        ),
    ],
)
def test_variables_that_hold_the_address_are_found(source: str, name: str):
    """However the environment is read."""
    layout = read_layout({"alembic.ini": INI, "app/settings.py": f"import os\n{source}\n"})

    assert layout.variables[name] == ADDRESS


def test_parts_of_an_address_are_filled_in():
    """With an abstract socket as the host, which no slash breaks; what is no database is left alone."""
    source = "os.getenv('POSTGRES_HOST'), os.getenv('DB_PASSWORD'), os.getenv('DB_PORT'), os.getenv('REDIS_URL')\n"

    variables = read_layout({"alembic.ini": INI, "s.py": source}).variables

    assert (variables["POSTGRES_HOST"], variables["DB_PASSWORD"], variables["DB_PORT"]) == (ABSTRACT, "atra", "5432")
    assert "REDIS_URL" not in variables


def test_a_variable_may_be_named():
    """What is not found is told."""
    assert read_layout({"alembic.ini": INI}, extra=("ODD",)).variables["ODD"] == ADDRESS


def test_the_nearest_configuration_counts():
    """Below the folder that was pointed at, then nearest to the root."""
    files = {"alembic.ini": INI, "billing/alembic.ini": INI}

    assert read_layout(files).folder == ""
    assert read_layout(files, subfolder="billing").folder == "billing"
    assert read_layout(files, config="billing/alembic.ini").folder == "billing"


def test_pyproject_may_hold_it():
    """As alembic reads it since 1.16."""
    assert read_layout({"pyproject.toml": "[tool.alembic]\n"}).config == "pyproject.toml"


def test_drivers_come_in_the_order_in_which_they_count():
    """alembic's own file first, then env.py, then settings."""
    files = {
        "alembic.ini": INI.format("postgresql+asyncpg://x"),
        "a.py": "'postgresql+pg8000://'",
        "migrations/env.py": "'postgresql+psycopg://'",
    }

    assert read_layout(files).drivers == ("asyncpg", "psycopg", "pg8000")


@pytest.mark.parametrize(
    ("files", "error", "says"),
    [
        pytest.param({"a.py": ""}, NoMigrations, "alembic.ini", id="none"),
        pytest.param({"x/alembic.ini": INI, "y/alembic.ini": INI}, BadInput, "--config", id="two"),
        pytest.param({"alembic.ini": INI.format("sqlite:///x.db")}, BadInput, "sqlite", id="sqlite"),
        pytest.param({"alembic.ini": INI.format("mysql+pymysql://x")}, BadInput, "mysql", id="mysql"),
    ],
)
def test_what_cannot_be_used_is_said(files, error, says):
    """Before any box is made."""
    with pytest.raises(error, match=says):
        read_layout(files)
