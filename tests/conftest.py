"""What tests that need real services share: the embedded PostgreSQL and Redis, started once per test session."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from atra.core.settings import Settings
    from atra.embedded import Embedded

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Embedded]":
    """The embedded services of this test session."""
    from atra.embedded import embedded

    with embedded(tmp_path_factory.mktemp("services")) as running:
        yield running


@pytest.fixture(scope="session")
def template_database(services: "Embedded") -> str:
    """The name of a migrated, empty database that tests copy."""
    from atra.storage.schema import upgrade

    _administer(services, "CREATE DATABASE template_atra")
    upgrade(_address(services, "template_atra"))
    return "template_atra"


@pytest.fixture
def empty_database_url(services: "Embedded") -> Iterator[str]:
    """The address of a database without tables, for this test alone."""
    name = f"empty_{next(_numbers)}"
    _administer(services, f"CREATE DATABASE {name}")
    yield _address(services, name)
    _administer(services, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(services: "Embedded", template_database: str) -> Iterator[str]:
    """The address of a migrated, empty database, for this test alone."""
    name = f"test_{next(_numbers)}"
    _administer(services, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    yield _address(services, name)
    _administer(services, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def redis_url(services: "Embedded") -> str:
    """The address of an empty Redis, for this test alone."""
    import redis

    with redis.Redis.from_url(services.redis_url) as client:
        client.flushall()
    return services.redis_url


def _address(services: "Embedded", database: str) -> str:
    return services.database_url.replace("/postgres?", f"/{database}?")


def _administer(services: "Embedded", statement: str) -> None:
    from sqlalchemy import NullPool, create_engine, text

    engine = create_engine(services.database_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(statement))


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: "Path") -> "Iterator[Settings]":
    """Settings that point at the real services; nothing of the environment or of a file counts."""
    from pydantic import SecretStr

    from atra import wiring
    from atra.core.settings import Settings

    before = wiring._current[:]
    yield Settings(
        _env_file=None,
        home=tmp_path / "home",
        database_url=SecretStr(database_url),
        redis_url=SecretStr(redis_url),
    )
    wiring._current[:] = before
