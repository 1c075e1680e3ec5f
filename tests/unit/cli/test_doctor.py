"""What the doctor says of models: whether each could be asked, without asking it."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from atra.cli import doctor
from atra.cli.doctor import Part, models, names
from atra.cli.main import run as atra
from atra.core.settings import ModelSettings, Settings, load_settings

KEYLESS = ModelSettings(provider="openai", model="gpt-5")


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Something that listens on the loopback address and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def examined(entry: dict[str, Any]) -> Part:
    (part,) = models(Settings(_env_file=None, models={"main": {"model": "gpt-5", **entry}}))
    return part


def test_no_model_is_no_fault():
    """It is said what works without, and how to name one."""
    (part,) = models(Settings(_env_file=None, models={}))

    assert (part.needed, "templates alone" in part.detail) == (False, True)
    assert "[models.NAME]" in part.hint


@pytest.mark.parametrize(
    ("entry", "state", "detail", "hint"),
    [
        ({"provider": "openai"}, "missing", "it has no key", "ATRA_MODELS__MAIN__API_KEY"),
        ({"provider": "openai", "model": "unheard-of"}, "missing", "price is not known", "input_usd"),
        ({"provider": "local", "model": "/nowhere"}, "missing", "no such folder", "folder of a model"),
        ({"provider": "openai-compatible", "base_url": "http://127.0.0.1:1/v1"}, "broken", "does not answer", "server"),
        ({"provider": "openai-compatible", "input_usd": 1, "output_usd": 1}, "broken", "no address", "base_url"),
        (
            {"provider": "openai-compatible", "base_url": "http://127.0.0.1:99999/", "input_usd": 1, "output_usd": 1},
            "broken",
            "does not answer",
            "address",
        ),
    ],
    ids=["key", "price", "folder", "silent", "address", "port"],
)
def test_what_a_model_lacks_is_named_with_its_remedy(entry: dict[str, Any], state: str, detail: str, hint: str):
    """Who names a model counts on it, so the doctor's exit code tells."""
    part = examined(entry)

    assert (part.part, part.state, part.needed) == ("model main", state, True)
    assert detail in part.detail
    assert hint in part.hint


def test_a_server_that_listens_is_found_without_a_word(server: socket.socket):
    """Only its door is knocked at: no request is sent that could cost something or show a key."""
    port = server.getsockname()[1]
    url = f"http://user:canary@127.0.0.1:{port}/v1"
    part = examined({"provider": "openai-compatible", "base_url": url, "api_key": "canary"})
    guest, _ = server.accept()

    with guest:
        guest.settimeout(5)
        assert (part.state, guest.recv(1)) == ("ok", b"")
    assert "canary" not in repr(part)


def test_a_folder_with_a_model_is_found(tmp_path: Path):
    """Its configuration is there; it is not loaded."""
    (tmp_path / "config.json").write_text("{}")

    assert examined({"provider": "local", "model": str(tmp_path)}).state == "ok"


def test_a_misspelt_setting_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """It keeps nobody from repairing, and is named with what was probably meant."""
    monkeypatch.setenv("ATRA_HOME", str(tmp_path))
    assert (names().state, names().needed) == ("ok", False)

    monkeypatch.setenv("ATRA_SHARD", "3")

    assert (names().state, names().needed) == ("broken", False)
    assert "is ATRA_SHARDS meant?" in names().detail


def test_a_broken_setting_is_a_row_among_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    """It is named, what does not hang on it is looked at all the same, and the exit code tells."""
    monkeypatch.setenv("ATRA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ATRA_SHARDS", "many")
    load_settings.cache_clear()
    code = atra(["doctor", "--json"])
    load_settings.cache_clear()

    parts = {part["part"]: part for part in json.loads(capsys.readouterr().out)}
    assert (code, parts["settings"]["state"]) == (3, "broken")
    assert "ATRA_SHARDS" in parts["settings"]["detail"]
    assert {"python", "git", "sandbox", "disk"} <= parts.keys()
    assert str(tmp_path) in parts["disk"]["detail"]


def test_a_model_that_cannot_be_asked_shows_in_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    """All else is there; none at all would be no fault."""
    found = [Part("git", "ok", ""), *models(Settings(_env_file=None, models={"main": KEYLESS}))]
    monkeypatch.setattr(doctor, "doctor", lambda settings, fault: found)
    monkeypatch.setenv("ATRA_HOME", str(tmp_path))

    assert atra(["doctor"]) == 3
    found[1:] = models(Settings(_env_file=None, models={}))
    assert atra(["doctor"]) == 0
