"""PostgreSQL and Redis out of wheels: no root, no installation, shared by every ATRA process of one home.

    with embedded(home) as services:
        services.database_url, services.redis_url

The first to come starts them, the last to leave stops them, and whoever is killed counts as having left. Data stays in
the home. Logs lie in `logs`, sockets and the record of what runs in `run`; all of it is private to the user.
"""

import contextlib
import fcntl
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from atra.core.errors import StackUnavailable
from atra.embedded.keeper import BUSY, Home, Serving, read
from atra.embedded.processes import alive, end, tail

__all__ = ["Embedded", "embedded"]

_START_S = 90.0  # a keeper that may have to recover a database that was killed
_KEEPER_STOPS = ((signal.SIGTERM, 15.0), (signal.SIGKILL, 2.0))


class Embedded:
    """The running services of one home, as one user of them sees them."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._keeper: subprocess.Popen[bytes] | None = None
        self.ensure()

    def ensure(self) -> None:
        """Start the services again if their keeper was killed; the URLs stay as they are.

        Raises:
            StackUnavailable: they do not start.
        """
        deadline = time.monotonic() + _START_S
        keeper: subprocess.Popen[bytes] | None = None
        while not (serving := _serving(self._home)):
            if keeper is None or keeper.poll() == BUSY:
                self._keeper = keeper = _spawn_keeper(self._home)
            elif keeper.returncode is not None:
                raise StackUnavailable(tail(self._home.logs / "keeper.log", 1))
            elif time.monotonic() > deadline:
                raise StackUnavailable(f"the services were not ready after {_START_S:.0f} s")
            time.sleep(0.01)
        self.database_url = serving.database_url
        self.redis_url = serving.redis_url

    def leave(self, users: IO[str]) -> None:
        """Give up the lock, and stop the services where nobody else uses them."""
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(users, fcntl.LOCK_SH)  # at once beside other users; else after the keeper has stopped by itself
        else:
            if serving := read(self._home):
                end(serving.keeper, _KEEPER_STOPS)
        if self._keeper is not None:
            self._keeper.poll()


@contextlib.contextmanager
def embedded(home: Path) -> Iterator[Embedded]:
    """Use the services of this home, starting them where nobody does yet.

    Raises:
        StackUnavailable: a program is missing or does not start; the message says which and why.
    """
    here = Home(home.absolute())
    with open_lock(here.users_lock) as users:
        here.logs.mkdir(mode=0o700, exist_ok=True)
        fcntl.flock(users, fcntl.LOCK_SH)
        services = Embedded(here)
        try:
            yield services
        finally:
            services.leave(users)


def open_lock(lock: Path) -> IO[str]:
    """Open a lock in the folder `run` of a home, making both folders, private to the user, where they are missing.

    Raises:
        StackUnavailable: the home cannot be written to.
    """
    try:
        for folder in (lock.parent.parent, lock.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return lock.open("a")
    except OSError as error:
        raise StackUnavailable(f"{error.filename}: {error.strerror}; set ATRA_HOME to a folder of yours") from error


def _serving(home: Home) -> Serving | None:
    serving = read(home)
    return serving if serving and alive(serving.keeper) else None


def _spawn_keeper(home: Home) -> subprocess.Popen[bytes]:
    """Start a keeper that outlives this process if others use the services then."""
    with (home.logs / "keeper.log").open("ab") as log:
        return subprocess.Popen(
            (sys.executable, "-P", "-m", "atra.embedded", str(home.path)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
