"""The keeper: one process per home that runs PostgreSQL and Redis for as long as anybody uses them.

Who uses the services holds a shared lock on `run/users.lock`; the kernel takes it from a process that dies, however it
dies. The keeper looks a few times a second whether the lock is free, and then stops the services and ends. Should the
keeper itself be killed, the kernel ends the services (`processes.spawn`).
"""

import fcntl
import json
import os
import shutil
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO

from atra.embedded import postgres, redis
from atra.embedded.processes import Identity, end, identify
from atra.embedded.supervision import Supervision

BUSY = 75
"""Exit code: another keeper serves this home."""

_LONGEST_SOCKET = 107  # bytes; the kernel's limit on the path of a unix socket
_LOOK_EVERY_S = 0.2
_START_S = 60.0
_STOPS = ((signal.SIGINT, 5.0), (signal.SIGKILL, 2.0))


@dataclass(frozen=True)
class Serving:
    """What a keeper runs, as written to `run/services.json`."""

    keeper: Identity
    services: tuple[Identity, ...]
    sockets: str
    database_url: str
    redis_url: str


@dataclass(frozen=True)
class Home:
    """Where everything of one home lies."""

    path: Path

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def users_lock(self) -> Path:
        return self.run / "users.lock"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def record(self) -> Path:
        return self.run / "services.json"


def read(home: Home) -> Serving | None:
    """Return what the last keeper wrote down, whether it still lives or not; None when it ended in order."""
    try:
        data = json.loads(home.record.read_text())
    except (OSError, ValueError):
        return None
    services = tuple(Identity(**identity) for identity in data.pop("services"))
    return Serving(keeper=Identity(**data.pop("keeper")), services=services, **data)


def serve(home: Home) -> int:
    """Run the services until nobody uses them, or until SIGTERM; return the exit code."""
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda caught, _: stopping.append(caught))
    with (home.run / "keeper.lock").open("a") as lock, home.users_lock.open("a") as users:
        if not _try_lock(lock):
            return BUSY
        supervision = Supervision(_say)
        before = _end_leftovers(home)
        sockets = _socket_folder(home, before)
        try:
            serving = _start(home, supervision, sockets, before)
            while not stopping and not _try_lock(users):
                supervision.mend()
                if (now := tuple(supervision.identities())) != serving.services:
                    serving = replace(serving, services=now)
                    _write(home.record, serving)
                time.sleep(_LOOK_EVERY_S)
        finally:
            supervision.stop()
            home.record.unlink(missing_ok=True)
            if sockets != home.run:
                shutil.rmtree(sockets, ignore_errors=True)
    return 0


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end_leftovers(home: Home) -> Serving | None:
    """End what a keeper that was killed left, and return what it had written down."""
    before = read(home)
    for identity in before.services if before else ():
        end(identity, _STOPS)
    return before


def _socket_folder(home: Home, before: Serving | None) -> Path:
    if before and before.sockets != str(home.run):
        shutil.rmtree(before.sockets, ignore_errors=True)
        os.mkdir(before.sockets, mode=0o700)  # fails where somebody else took the name
        return Path(before.sockets)
    path = os.fsencode(home.run / f"{postgres.SOCKET}.lock")
    if len(path) <= _LONGEST_SOCKET and b"," not in path:  # for libpq a comma begins another host
        return home.run
    return Path(tempfile.mkdtemp(prefix="atra-", dir="/tmp"))


def _start(home: Home, supervision: Supervision, sockets: Path, before: Serving | None) -> Serving:
    """Start both services side by side, under the URLs they had before if a keeper was killed; write them down."""
    redis_url = before.redis_url if before else redis.new_url()
    data = home.path / "postgres"
    with ThreadPoolExecutor(1) as aside:
        prepared = aside.submit(postgres.prepare, data)
        supervision.start(redis.service(redis_url, home.path / "redis", home.logs / "redis.log"))
        supervision.await_ready("redis", lambda _: redis.ready(redis_url), _START_S)
        is_new = prepared.result()
    supervision.start(postgres.service(data, sockets, home.logs / "postgres.log"))
    supervision.await_ready("postgres", partial(postgres.ready, data), _START_S)
    me = identify(os.getpid())
    assert me is not None
    url = postgres.database_url(sockets)
    serving = Serving(me, tuple(supervision.identities()), str(sockets), url, redis_url)
    _write(home.record, serving)
    if is_new:
        postgres.flush(data)
    return serving


def _write(file: Path, serving: Serving) -> None:
    part = file.with_suffix(".part")
    part.write_text(json.dumps(asdict(serving)))
    part.replace(file)


def _say(sentence: str) -> None:
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), sentence, flush=True)
