"""The stack: database and Redis, migrations, workers, beat and, if wanted, Flower, for a long time or for one command.

What `atra up` and `atra repair` stand on. A thread watches over the processes and starts again what dies. All of them
end with the process that started them, even when that is killed: the kernel sees to it (`atra.embedded.processes`).
"""

import contextlib
import fcntl
import json
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, SecretStr

from atra.core.clock import utc_now
from atra.core.errors import AtraError, BadInput, StackUnavailable
from atra.core.records import from_json, to_json
from atra.core.settings import Settings
from atra.embedded import Embedded, embedded, open_lock
from atra.embedded.processes import Identity, Service, alive, identify
from atra.embedded.supervision import Supervision

Notice = Callable[[str], None]

QUEUES = ("repair", "urgent", "warroom", "scout", "distill", "maintenance")
"""What an ordinary worker listens to: all of celeryconfig's queues but `gpu`."""

FLOWER_PORT = 5555
_LOOK_EVERY_S = 0.25
_BEAT_LATER_S = 4.0  # so that beat's imports do not slow the worker's down on a small machine
_RESTARTS_TOLERATED = 3
_SERVICES_PAUSE_S = 2.0

# A worker first finishes what it does, then hands it back to the queue (the second SIGQUIT cuts short Celery's own soft
# shutdown), and is killed at last: runs are durable, so that costs a lease's time and no more.
_WORKER_STOPS = ((signal.SIGTERM, 2.0), (signal.SIGQUIT, 0.5), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 1.0))


@dataclass(frozen=True)
class StackInfo:
    """A stack that runs: its addresses, who runs it, since when. `stack.json` in ATRA's home holds it, with mode 0600.

    `broker_url` is None where Redis carries the messages too, `message_key` where they are not signed; `flower_url`
    holds Flower's user and password.
    """

    database_url: str
    redis_url: str
    broker_url: str | None
    message_key: str | None
    flower_url: str | None
    pid: int
    started: str
    started_at: datetime

    def settings(self, settings: Settings) -> Settings:
        """Return the settings with this stack's addresses and key: with others nobody would listen."""
        named = {"broker_url": self.broker_url, "message_key": self.message_key}
        secrets = {name: SecretStr(value) if value else None for name, value in named.items()}
        return _with_addresses(settings, self.database_url, self.redis_url).model_copy(update=secrets)


@dataclass(frozen=True)
class Crew:
    """Which processes a stack has besides its services.

    Args:
        workers: tasks at a time.
        beat: fire the timetable.
        gpu: a worker of its own for the `gpu` queue, one task at a time.
        flower: the monitor, on the loopback address.
    """

    workers: int = field(default_factory=lambda: max(2, os.cpu_count() or 1))
    beat: bool = True
    gpu: bool = False
    flower: bool = False
    flower_port: int = FLOWER_PORT


def silent(sentence: str) -> None:
    """Tell nobody."""


def running_stack(home: Path) -> StackInfo | None:
    """Return the stack that `atra up` keeps running for this home, or None."""
    try:
        info = from_json(StackInfo, json.loads(_record(home).read_text()))
    except (OSError, ValueError):
        return None
    return info if alive(Identity(info.pid, info.started)) else None


@contextlib.contextmanager
def addressed(settings: Settings, *, migrated: bool = True) -> Iterator[Settings]:
    """Give settings whose database and Redis answer: those set, else a running stack's, else embedded ones for so long.

    Args:
        migrated: bring the tables up to date, unless a running stack has seen to that.

    Raises:
        StackUnavailable: they could not be started.
    """
    if info := _usable_stack(settings):
        yield info.settings(settings)
        return
    with _services(settings) as (found, _):
        if migrated:
            _migrate(found)
        yield found


@contextlib.contextmanager
def temporary_stack(settings: Settings, crew: Crew | None = None, notice: Notice = silent) -> Iterator["Running"]:
    """Run a stack for the length of one command; its database and queues stay in the home.

    Worker processes may still be starting when this returns; messages wait for them.

    Raises:
        StackUnavailable: a part is missing or does not start.
    """
    with _services(settings) as (found, services):
        _migrate(found)
        commands = _commands(found, crew or Crew(), None)
        with Running(_info(found, None), commands, services, notice) as running:
            yield running


def up(settings: Settings, crew: Crew | None = None, notice: Notice = silent) -> None:
    """Run the stack until SIGTERM, SIGHUP or Ctrl-C; other commands of this home find it meanwhile.

    Call it in the main thread. Everything has ended when it returns, within 10 s of the signal.

    Raises:
        StackUnavailable: a part is missing or does not start.
        BadInput: a stack of this home runs already.
    """
    crew = crew or Crew()
    stopping = threading.Event()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_signals(lambda: stopping.set()))
        stack.enter_context(_only_one(settings.home))
        found, services = stack.enter_context(_services(settings))
        notice("database and Redis are up")
        _migrate(found)
        notice("database is migrated")
        password = secrets.token_urlsafe(12) if crew.flower else None
        info = _info(found, f"http://atra:{password}@127.0.0.1:{crew.flower_port}" if password else None)
        running = stack.enter_context(Running(info, _commands(found, crew, password), services, notice))
        stack.enter_context(_published(settings.home, info))
        if info.flower_url:
            notice(f"Flower: {info.flower_url}")
        running.wait(stopping)
        notice("stopping")


class Running:
    """A stack under way: a thread that keeps its processes running.

    Args:
        info: its addresses.
    """

    def __init__(self, info: StackInfo, commands: list[Service], services: Embedded | None, notice: Notice) -> None:
        self.info = info
        self._commands = commands
        self._services = services
        self._notice = notice
        self._over = threading.Event()
        self._broken: AtraError | None = None
        # The thread owns the processes: the kernel ends them with it (`processes.spawn`).
        self._thread = threading.Thread(target=self._watch, name="atra-stack")

    def __enter__(self) -> "Running":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def check(self) -> None:
        """See whether the stack works.

        Raises:
            StackUnavailable: a process ends as often as it is started, or did not start at all.
        """
        if self._broken:
            raise self._broken

    def wait(self, stopping: threading.Event) -> None:
        """Return when the event is set.

        Raises:
            StackUnavailable: a process could not be started at all.
        """
        while not stopping.wait(_LOOK_EVERY_S):
            if not self._thread.is_alive():
                self.check()

    def _watch(self) -> None:
        supervision = Supervision(self._notice)
        beat_at = time.monotonic() + _BEAT_LATER_S
        later = [service for service in self._commands if service.name == "beat"]
        try:
            for service in self._commands:
                if service not in later:
                    supervision.start(service)
            while not self._over.wait(_LOOK_EVERY_S):
                if later and time.monotonic() > beat_at:
                    supervision.start(later.pop())
                self._mend(supervision)
        except (AtraError, OSError) as error:
            self._broken = error if isinstance(error, AtraError) else StackUnavailable(str(error))
        finally:
            supervision.stop()

    def _mend(self, supervision: Supervision) -> None:
        supervision.mend()
        failing = supervision.failing(_RESTARTS_TOLERATED)
        try:
            if self._services:
                self._services.ensure()
        except StackUnavailable as error:
            failing = str(error)
            self._notice(failing)
            self._over.wait(_SERVICES_PAUSE_S)
        self._broken = StackUnavailable(failing) if failing else None


@contextlib.contextmanager
def _services(settings: Settings) -> Iterator[tuple[Settings, Embedded | None]]:
    """Give settings with both addresses, and the embedded services where one address was not set."""
    if settings.database_url and settings.redis_url:
        yield settings, None
        return
    with embedded(settings.home) as services:
        database_url = _revealed(settings.database_url) or services.database_url
        yield _with_addresses(settings, database_url, _revealed(settings.redis_url) or services.redis_url), services


def _migrate(settings: Settings) -> None:
    from atra.storage.schema import upgrade  # half a second of imports that only this needs

    upgrade(_revealed(settings.database_url))


def _usable_stack(settings: Settings) -> StackInfo | None:
    return None if settings.database_url and settings.redis_url else running_stack(settings.home)


def _with_addresses(settings: Settings, database_url: str, redis_url: str) -> Settings:
    update = {"database_url": SecretStr(database_url), "redis_url": SecretStr(redis_url)}
    return settings.model_copy(update=update)


def _revealed(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def _info(settings: Settings, flower_url: str | None) -> StackInfo:
    me = identify(os.getpid())
    assert me is not None
    return StackInfo(
        database_url=_revealed(settings.database_url),
        redis_url=_revealed(settings.redis_url),
        broker_url=_revealed(settings.broker_url) or None,
        message_key=_revealed(settings.message_key) or None,
        flower_url=flower_url,
        pid=me.pid,
        started=me.started,
        started_at=utc_now(),
    )


def _commands(settings: Settings, crew: Crew, flower_password: str | None) -> list[Service]:
    """Return the processes of a stack.

    They run in ATRA's home, never in the folder of the command: a repository to be repaired may have a `workers` or a
    `celeryconfig` of its own, and its code must not be imported outside a sandbox.
    """
    home = settings.home.absolute()
    environment = {**os.environ, **environment_of(settings), "PYTHONSAFEPATH": "1"}

    def celery(name: str, *words: str, **more: str) -> Service:
        return Service(
            name=name,
            command=(sys.executable, "-m", "celery", "-A", "workers.app", *words),
            log=home / "logs" / f"{name}.log",
            environment={**environment, **more},
            folder=home / "run",
            stops=_WORKER_STOPS,
        )

    quiet = ("--without-gossip", "--without-mingle")  # nothing in ATRA rests on what workers tell one another
    who = f"{os.getpid()}@%h"
    commands = [
        celery("worker", "worker", "-Q", ",".join(QUEUES), "-c", str(crew.workers), "-n", f"atra-{who}", *quiet)
    ]
    if crew.gpu:
        commands.append(celery("gpu", "worker", "-Q", "gpu", "-c", "1", "-P", "solo", "-n", f"atra-gpu-{who}", *quiet))
    if flower_password:
        where = ("--address=127.0.0.1", f"--port={crew.flower_port}", "--read_only")
        commands.append(celery("flower", "flower", *where, FLOWER_BASIC_AUTH=f"atra:{flower_password}"))
    if crew.beat:
        commands.append(celery("beat", "beat", "--pidfile="))
    return commands


def environment_of(settings: Settings) -> Mapping[str, str]:
    """Return the variables that make a child process read these very settings, wherever it runs."""
    variables = {"ATRA_CONFIG": os.devnull, "ATRA_HOME": str(settings.home.absolute())}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if name != "home" and value is not None:
            variables[f"ATRA_{name.upper()}"] = _as_variable(value)
    return variables


def _as_variable(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    if isinstance(value, dict):
        return json.dumps({key: item.model_dump() for key, item in value.items()}, default=_as_text)
    return str(value)


def _as_text(value: Any) -> str:
    """Return what JSON has no word for as text; a secret as it is, where its own text would be a row of stars."""
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _record(home: Path) -> Path:
    return home / "stack.json"


@contextlib.contextmanager
def _published(home: Path, info: StackInfo) -> Iterator[None]:
    part = _record(home).with_suffix(".part")
    with contextlib.suppress(FileNotFoundError):
        part.unlink()
    with open(part, "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        json.dump(to_json(info), file)
    part.replace(_record(home))
    try:
        yield
    finally:
        _record(home).unlink(missing_ok=True)


@contextlib.contextmanager
def _only_one(home: Path) -> Iterator[IO[str]]:
    with open_lock(home / "run" / "stack.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadInput(f"a stack of {home} runs already") from error
        yield lock


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.signal(number, lambda *_: stop()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
