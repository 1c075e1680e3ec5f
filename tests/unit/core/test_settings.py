"""Settings: where they come from, and that wrong ones are named."""

import traceback
from pathlib import Path

import pytest

from atra.core.errors import BadInput
from atra.core.settings import Settings, load_settings, unread


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    import os

    for name in [name for name in os.environ if name.startswith("ATRA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ATRA_HOME", str(tmp_path))
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A variable beats `.env`, which beats `atra.toml`."""
    (tmp_path / "atra.toml").write_text("shards = 2\nbudget_s = 20\nlease_s = 5\n")
    (tmp_path / ".env").write_text("ATRA_SHARDS=3\nATRA_BUDGET_S=30\n")
    monkeypatch.setenv("ATRA_SHARDS", "4")

    settings = load_settings()

    assert (settings.shards, settings.budget_s, settings.lease_s) == (4, 30, 5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ATRA_SHARDS", "none"),
        ("ATRA_SANDBOX", "docker"),
        ("ATRA_LEASE_S", "-1"),
        ("ATRA_BUDGET_S", "100000"),
        ("ATRA_DATABASE_URL", "mysql://u:canary@h/db"),
        ("ATRA_DATABASE_URL", "canary"),
        ("ATRA_REDIS_URL", "http://:canary@h"),
        ("ATRA_MESSAGE_KEY", "canary"),
    ],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    """The sentence carries the variable's name; the whole traceback, which a worker logs, not the value."""
    monkeypatch.setenv(name, value)

    with pytest.raises(BadInput, match=name) as caught:
        load_settings()

    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_repositories_stand_in_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A repository's entry is read, and a misspelt key in it is refused."""
    file = tmp_path / "elsewhere.toml"
    file.write_text('[repositories.shop]\npath = "/srv/shop"\nprotected = ["shop/money/**"]\n')
    monkeypatch.setenv("ATRA_CONFIG", str(file))

    assert load_settings().repositories["shop"].protected == ("shop/money/**",)
    load_settings.cache_clear()
    file.write_text('[repositories.shop]\npath = "/srv/shop"\nprotcted = []\n')
    with pytest.raises(BadInput, match="PROTCTED"):
        load_settings()


def test_a_broken_file_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Text that is not TOML is bad input, not a traceback."""
    (tmp_path / "atra.toml").write_text("shards = = 2\n")

    with pytest.raises(BadInput, match=r"atra\.toml"):
        load_settings()


def test_the_working_directory_is_not_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A repository that brings its own settings cannot switch off the sandbox."""
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / ".env").write_text("ATRA_SANDBOX=none\n")
    (repository / "atra.toml").write_text('sandbox = "none"\n')
    monkeypatch.chdir(repository)

    assert load_settings().sandbox == "bubblewrap"


def test_secrets_do_not_show():
    """A secret's value is neither in the text of the settings nor passed by their redactor, alone or in an address."""
    settings = Settings(
        _env_file=None, redis_url="redis://:canary%2Fvalue@h/0", message_key="canary-key-123-long-enough"
    )
    redactor = settings.redactor()

    assert "canary" not in repr(settings)
    for text in (
        "redis://:canary%2Fvalue@h/0",
        "canary-key-123-long-enough",
        "AUTH canary%2Fvalue",
        "AUTH canary/value",
    ):
        assert "canary" not in redactor.text(text)


def test_an_empty_home_is_none_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The data then lies in the user's home, never in the working directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ATRA_HOME", "")

    assert load_settings().home == tmp_path / ".atra"


MODELS = """
[models.first]
provider = "openai"
model = "gpt-x"

[models.second]
provider = "anthropic"
model = "claude-x"
"""


def test_a_models_key_may_stand_in_the_environment_and_the_rest_in_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """The two are merged, the models stay in the file's order, and the redactor knows the key."""
    (tmp_path / "atra.toml").write_text(MODELS)
    (tmp_path / ".env").write_text("ATRA_MODELS__FIRST__API_KEY=canary-of-first\n")
    monkeypatch.setenv("ATRA_MODELS__SECOND__API_KEY", "canary-of-second")

    settings = load_settings()

    keys = {name: model.api_key and model.api_key.get_secret_value() for name, model in settings.models.items()}
    assert list(keys.items()) == [("first", "canary-of-first"), ("second", "canary-of-second")]
    assert settings.models["second"].model == "claude-x"
    assert settings.redactor().text("canary-of-first, canary-of-second") == "[redacted], [redacted]"


@pytest.mark.parametrize("value", ["0", "-1", "inf", "nan", "a dollar", "1e9"])
@pytest.mark.parametrize("name", ["ATRA_CALL_USD", "ATRA_RUN_USD", "ATRA_DAY_USD"])
def test_a_budget_without_a_bound_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    """A budget is an amount; what holds nothing back is a mistake."""
    monkeypatch.setenv(name, value)

    with pytest.raises(BadInput, match=name):
        load_settings()


def test_a_name_that_no_setting_has_is_told_with_the_one_that_was_meant(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """Variables, lines of `.env`, keys and tables; by name alone, for a value may be a secret."""
    file, env_file = tmp_path / "atra.toml", tmp_path / ".env"
    file.write_text('shard = 2\n[repository.shop]\npath = "/srv/shop"\n[nonsense]\n[models]\n')
    env_file.write_text("ATRA_BUDGT_S=3\nOTHER=1\nATRA_SHARDS=2\n")
    monkeypatch.setenv("ATRA_MODEL__MAIN__API_KEY", "canary")

    assert unread() == [
        "ATRA_MODEL__MAIN__API_KEY is no setting of ATRA; is ATRA_MODELS__MAIN__API_KEY meant?",
        f"ATRA_BUDGT_S in {env_file} is no setting of ATRA; is ATRA_BUDGET_S meant?",
        f"shard in {file} is no setting of ATRA; is shards meant?",
        f"[repository] in {file} is no setting of ATRA; is [repositories] meant?",
        f"[nonsense] in {file} is no setting of ATRA; docs/operations.md lists them",
    ]


def test_a_file_of_settings_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Only where it was asked for by name: nobody needs an atra.toml at home."""
    assert unread() == []

    monkeypatch.setenv("ATRA_CONFIG", str(tmp_path / "nowhere.toml"))

    assert unread() == [f"ATRA_CONFIG names {tmp_path / 'nowhere.toml'}, which does not exist"]


def test_a_broken_file_is_left_to_the_reading_of_settings(tmp_path: Path):
    """It is told once, as an error."""
    (tmp_path / "atra.toml").write_text("shards = = 2\n")

    assert unread() == []


@pytest.mark.parametrize(
    ("table", "key", "hint"),
    [("models", "base_ulr", "is base_url meant"), ("models", "zzz", "there are provider, model")],
)
def test_a_misspelt_key_of_an_entry_is_told_with_the_one_that_was_meant(
    tmp_path: Path, table: str, key: str, hint: str
):
    """An entry takes no key that it does not have."""
    (tmp_path / "atra.toml").write_text(f'[{table}.main]\nprovider = "openai"\nmodel = "m"\n{key} = "x"\n')

    with pytest.raises(BadInput) as refused:
        load_settings()

    assert f"ATRA_{table.upper()}__MAIN__{key.upper()}" in str(refused.value)
    assert hint in str(refused.value)
