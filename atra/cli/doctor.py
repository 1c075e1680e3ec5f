"""The examination behind `atra doctor`: every part is tried, not merely looked for, and has a remedy if missing."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from redis.exceptions import RedisError

from atra.cli.stack import addressed, running_stack
from atra.core.errors import AtraError, ModelUnavailable, NoModel, NoPrice, as_facts
from atra.core.settings import ModelSettings, Settings, unread
from atra.llm.prices import price_of

_LEAST_FREE_BYTES = 1024**3
_BEAT_LATE_S = 60.0
_PING_S = 1.0
_KNOCK_S = 3.0
_LIBRARIES = {  # what each kind of model needs, and the extra that brings it
    "openai": ("openai", "models"),
    "openai-compatible": ("openai", "models"),
    "anthropic": ("anthropic", "models"),
    "local": ("transformers", "distill"),
}
_SERVERS = {"openai": "https://api.openai.com", "anthropic": "https://api.anthropic.com"}


@dataclass(frozen=True)
class Part:
    """One part as it was found. `needed`: nothing can be repaired without it, or somebody counts on it."""

    part: str
    state: Literal["ok", "missing", "broken"]
    detail: str
    hint: str = ""
    needed: bool = True


def doctor(settings: Settings, fault: str = "") -> list[Part]:
    """Return every part and how it is; the embedded services are started for so long where no others are set.

    Args:
        fault: why the settings could not be read; then only what does not hang on them is looked at.
    """
    if fault:
        hint = "Correct it: services, models and workers are looked at once the settings can be read."
        unreadable = Part("settings", "broken", fault, hint)
        return [_python(), _git(), unreadable, _sandbox(settings), _disk(settings.home)]
    parts = [_python(), _git(), names(), _sandbox(settings), _disk(settings.home), _message_key(settings)]
    parts += models(settings)
    listening = bool(settings.database_url and settings.redis_url) or running_stack(settings.home) is not None
    with ExitStack() as stack:
        try:
            found = stack.enter_context(addressed(settings, migrated=False))
        except AtraError as error:
            return [*parts, _failed("services", error)]
        parts += [_tried("database", lambda: _database(found)), _tried("redis", lambda: _redis(found))]
        return [*parts, *_crew(found, listening)]


def _python() -> Part:
    return Part("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")


def _git() -> Part:
    hint = "Install git (`apt-get install git`)."
    if not shutil.which("git"):
        return Part("git", "missing", "not on PATH", hint)
    done = subprocess.run(["git", "--version"], capture_output=True, text=True, check=False)
    if done.returncode:
        return Part("git", "broken", done.stderr.strip(), hint)
    return Part("git", "ok", done.stdout.strip().removeprefix("git version "))


def names() -> Part:
    """Return whether all that looks like a setting, in the environment and in the files, is one."""
    wrong = unread()
    if wrong:
        hint = "What has no setting's name counts for nothing: correct it, or remove it."
        return Part("settings", "broken", "; ".join(wrong), hint, needed=False)
    return Part("settings", "ok", "every variable, key and table has the name of a setting", needed=False)


def _sandbox(settings: Settings) -> Part:
    from atra.sandbox.bubblewrap import make_sandbox

    if settings.sandbox == "none":
        detail = "switched off by ATRA_SANDBOX=none: whatever is repaired can do all that you can"
        return Part("sandbox", "missing", detail, "Unset ATRA_SANDBOX.", needed=False)
    return _tried("sandbox", lambda: _checked(make_sandbox(settings.sandbox)))


def _checked(sandbox: Any) -> Part:
    sandbox.check()
    return Part("sandbox", "ok", "bubblewrap makes boxes here")


def _disk(home: Path) -> Part:
    place = next(folder for folder in (home.absolute(), *home.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    detail = f"{free / 1024**3:.1f} GiB free at {place}"
    if free < _LEAST_FREE_BYTES:
        return Part("disk", "broken", detail, "Free at least 1 GiB, or set ATRA_HOME to a larger disk.")
    return Part("disk", "ok", detail)


def _message_key(settings: Settings) -> Part:
    if settings.message_key:
        return Part("message key", "ok", "messages are signed", needed=False)
    detail = "messages are not signed; embedded Redis is private to you all the same"
    hint = "Set ATRA_MESSAGE_KEY to one long secret on every node that shares the broker."
    return Part("message key", "missing", detail, hint, needed=False)


def models(settings: Settings) -> list[Part]:
    """Return every configured model and whether it could be asked; nothing that costs money is sent."""
    if not settings.models:
        detail = "none is configured: patches come from templates alone"
        return [Part("models", "missing", detail, NoModel.hint, needed=False)]
    return [_model(name, entry) for name, entry in settings.models.items()]


def _model(name: str, entry: ModelSettings) -> Part:
    part, what = f"model {name}", f"{entry.model} ({entry.provider})"

    def found(state: Literal["ok", "missing", "broken"], detail: str, hint: str = "") -> Part:
        return Part(part, state, f"{what}: {detail}", hint)

    library, extra = _LIBRARIES[entry.provider]
    if not find_spec(library):
        return found("missing", f"{library} is not installed", f"Install it with `pip install 'atra[{extra}]'`.")
    if price_of(entry) is None:
        return found("missing", "its price is not known, so it is not asked", NoPrice.hint)
    if entry.provider == "local":
        return _folder(entry.model, found)
    if entry.provider != "openai-compatible" and not entry.base_url and not entry.api_key:
        return found("missing", "it has no key", f"Set ATRA_MODELS__{name.upper()}__API_KEY, or its api_key.")
    return _reached(entry, found)


def _folder(folder: str, found: Callable[..., Part]) -> Part:
    if Path(folder, "config.json").is_file():
        return found("ok", "its folder is here")
    return found("missing", "there is no such folder with a config.json", "Set its `model` to the folder of a model.")


def _reached(entry: ModelSettings, found: Callable[..., Part]) -> Part:
    """Knock at the server's door: whether it takes the key and has the model shows the first call."""
    url = urlsplit(entry.base_url or _SERVERS.get(entry.provider, ""))
    try:
        port = url.port or (80 if url.scheme == "http" else 443)
        if url.scheme not in {"http", "https"} or not url.hostname:
            return found("broken", "its base_url is no address", "Set its base_url to one that begins with http.")
        socket.create_connection((url.hostname, port), timeout=_KNOCK_S).close()
    except (OSError, ValueError) as error:
        return found("broken", f"{url.netloc.rpartition('@')[2]} does not answer: {error}", ModelUnavailable.hint)
    return found("ok", f"{url.hostname}:{port} answers")


def _database(settings: Settings) -> Part:
    from atra.storage.database import connect, transaction
    from atra.storage.schema import newest

    assert settings.database_url is not None
    engine = connect(settings.database_url.get_secret_value())
    try:
        with transaction(engine) as db:
            version = db.exec_driver_sql("SHOW server_version").scalar_one()
            known = db.exec_driver_sql("SELECT to_regclass('alembic_version') IS NOT NULL").scalar_one()
            revision = db.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() if known else None
    finally:
        engine.dispose()
    detail = f"PostgreSQL {str(version).split()[0]}, revision {revision or 'none'} of {newest()}"
    if revision != newest():
        state: Literal["missing", "broken"] = "broken" if revision else "missing"
        return Part("database", state, detail, "The next `atra up` or `atra repair` migrates it.", needed=False)
    return Part("database", "ok", detail)


def _redis(settings: Settings) -> Part:
    from atra.storage.signals import connect

    assert settings.redis_url is not None
    client = connect(settings.redis_url.get_secret_value())
    try:
        info: dict[str, Any] = client.info()
    except RedisError as error:
        return Part("redis", "broken", str(error), "Start one with `atra up`, or correct ATRA_REDIS_URL.")
    finally:
        client.close()
    detail = f"{info['redis_version']}, {info['maxmemory_policy']}"
    if info["maxmemory_policy"] != "noeviction":
        return Part("redis", "broken", detail, "Set maxmemory-policy noeviction: an evicted message is a lost one.")
    return Part("redis", "ok", detail)


def _crew(settings: Settings, listening: bool) -> Iterator[Part]:
    """Yield workers and beat, which only a stack of some length has."""
    if not listening:
        hint = "`atra up` starts them; `atra repair` brings its own."
        yield Part("workers", "missing", "no stack runs", hint, needed=False)
        return
    yield _tried("workers", lambda: _workers(settings))
    yield _tried("beat", lambda: _beat(settings))


def _workers(settings: Settings) -> Part:
    from workers.app import broker, make_app

    with broker(make_app(settings)) as app:
        names = sorted(name for answer in app.control.ping(timeout=_PING_S) for name in answer)
    if not names:
        return Part("workers", "missing", f"none answered within {_PING_S:.0f} s", "Start some with `atra up`.")
    return Part("workers", "ok", ", ".join(names))


def _beat(settings: Settings) -> Part:
    from atra.storage.signals import Signals

    assert settings.redis_url is not None
    signals = Signals(settings.redis_url.get_secret_value())
    age = signals.beat_age_s()
    signals.close()
    hint = "A beat that replaces a killed one waits up to a minute. Workers look for stuck runs when they start."
    if age is None:
        return Part("beat", "missing", "no tick within a day", hint, needed=False)
    if age > _BEAT_LATE_S:
        return Part("beat", "broken", f"last tick {age:.0f} s ago", hint, needed=False)
    return Part("beat", "ok", f"last tick {age:.0f} s ago", needed=False)


def _tried(name: str, examine: Callable[[], Part]) -> Part:
    try:
        return examine()
    except (AtraError, OSError) as error:
        return _failed(name, error)


def _failed(name: str, error: Exception) -> Part:
    facts = as_facts(error)
    return Part(name, "broken", str(facts["error"]), str(facts["hint"]))
