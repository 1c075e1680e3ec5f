"""The examination behind `atra doctor`: every part is tried, not merely looked for, and has a remedy if missing."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from redis.exceptions import RedisError

from atra.cli.stack import addressed, running_stack
from atra.core.errors import AtraError, as_facts
from atra.core.settings import Settings

_LEAST_FREE_BYTES = 1024**3
_BEAT_LATE_S = 60.0
_PING_S = 1.0


@dataclass(frozen=True)
class Part:
    """One part as it was found. `needed`: nothing can be repaired without it."""

    part: str
    state: Literal["ok", "missing", "broken"]
    detail: str
    hint: str = ""
    needed: bool = True


def doctor(settings: Settings) -> list[Part]:
    """Return every part and how it is; the embedded services are started for so long where no others are set."""
    parts = [_python(), _git(), _sandbox(settings), _disk(settings.home), _message_key(settings)]
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
    from atra.storage.signals import Signals, connect

    assert settings.redis_url is not None
    signals = Signals(connect(settings.redis_url.get_secret_value()))
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
