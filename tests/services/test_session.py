"""What commands work with when a stack is configured or runs already."""

import pytest

from atra.cli.session import with_stack
from atra.cli.stack import StackInfo
from atra.core.clock import utc_now
from atra.core.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, settings: Settings):
    """Leave this process's settings and wiring as they were."""
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def test_a_configured_database_without_tables_gets_them(
    monkeypatch: pytest.MonkeyPatch, empty_database_url: str, redis_url: str, tmp_path
):
    """`atra repair` as the first command against a new database works."""
    monkeypatch.setenv("ATRA_HOME", str(tmp_path))
    monkeypatch.setenv("ATRA_DATABASE_URL", empty_database_url.replace("postgresql+psycopg2", "postgresql"))
    monkeypatch.setenv("ATRA_REDIS_URL", redis_url)

    with with_stack(quiet=True) as session:
        assert session.wired.runs.recent() == []
        session.wired.engine.dispose()


@pytest.mark.parametrize(("broker", "key"), [("amqp://u:p@h//", "k" * 20), (None, None)], ids=["all", "least"])
def test_a_running_stack_gives_all_that_is_needed_to_be_heard(broker: str | None, key: str | None, tmp_path):
    """Who finds a stack speaks to its broker and signs with its key, whatever the own environment says."""
    info = StackInfo("postgresql://h/d", "redis://h/0", broker, key, None, 1, "x", utc_now())
    mine = Settings(_env_file=None, home=tmp_path, message_key="another key, 20 long", broker_url="redis://other/0")

    found = info.settings(mine)

    secrets = (found.broker_url, found.message_key)
    assert tuple(secret and secret.get_secret_value() for secret in secrets) == (broker, key)
