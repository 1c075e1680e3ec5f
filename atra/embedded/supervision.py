"""A supervision keeps services running: starts them, starts them again when they die, stops them in order."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from atra.core.errors import StackUnavailable
from atra.embedded.processes import Identity, Service, alive, end, identify, spawn, tail

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0
"""A service that ran so long has recovered: its next death is answered without delay again."""


class Supervision:
    """Keeps services running. Not for use by several threads; `mend` is to be called a few times a second.

    A service that dies is started again after a pause that doubles with every death.

    Args:
        notice: told one sentence about everything that happens.
    """

    def __init__(self, notice: Callable[[str], None] = lambda sentence: None) -> None:
        self._notice = notice
        self._kept: list[_Kept] = []

    def start(self, service: Service) -> None:
        """Start the service and keep it from now on.

        Raises:
            StackUnavailable: its program is not here.
        """
        self._kept.append(_Kept(service))
        self._notice(f"{service.name} started")

    def identities(self) -> list[Identity]:
        """Return who the services are now, without those that are dead at this moment."""
        return [kept.identity for kept in self._kept if kept.identity and kept.alive()]

    def await_ready(self, name: str, ready: Callable[[int], bool], patience_s: float) -> None:
        """Wait until `ready`, given the process number of the service, says so.

        Raises:
            StackUnavailable: it died or took longer; the message has the end of its log.
        """
        kept = next(kept for kept in self._kept if kept.service.name == name)
        deadline = time.monotonic() + patience_s
        while not ready(kept.process.pid):
            if not kept.alive():
                raise StackUnavailable(f"{name} ended at once: {tail(kept.service.log)}")
            if time.monotonic() > deadline:
                raise StackUnavailable(f"{name} was not ready after {patience_s:.0f} s: {tail(kept.service.log)}")
            time.sleep(0.01)

    def mend(self) -> None:
        """Start every dead service again whose pause is over."""
        for kept in self._kept:
            if sentence := kept.mend(time.monotonic()):
                self._notice(sentence)

    def failing(self, deaths: int) -> str | None:
        """Return a sentence on a service that died so often, none of its lives being a steady one; None is well."""
        for kept in self._kept:
            if kept.deaths >= deaths:
                return f"{kept.service.name} ended {kept.deaths} times: {tail(kept.service.log)}"
        return None

    def stop(self) -> None:
        """Stop the services, all at the same time."""
        if not self._kept:
            return
        with ThreadPoolExecutor(len(self._kept)) as together:
            for kept, stopped in zip(self._kept, together.map(_Kept.stop, self._kept), strict=True):
                if not stopped:
                    self._notice(f"{kept.service.name} could not be stopped")
        self._kept.clear()


class _Kept:
    """One service and the process that is it now."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.deaths = 0
        self._retry_at: float | None = None
        self._spawn()

    def _spawn(self) -> None:
        self.process: subprocess.Popen[bytes] = spawn(self.service)
        self.identity = identify(self.process.pid)
        self._started_at = time.monotonic()

    def alive(self) -> bool:
        return self.identity is not None and alive(self.identity)

    def mend(self, now: float) -> str | None:
        """Return a sentence where something happened."""
        if self.alive():
            return None
        if self._retry_at is None:
            self._bury()
            self.deaths = 1 if now - self._started_at > STEADY_S else self.deaths + 1
            self._retry_at = now + min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (self.deaths - 1))
            return f"{self.service.name} ended with {self.process.returncode}: {tail(self.service.log, 1)}"
        if now < self._retry_at:
            return None
        self._retry_at = None
        self._spawn()
        return f"{self.service.name} started again"

    def stop(self) -> bool:
        """Return whether the process, and what it started in its session, has ended."""
        ended = self.identity is None or end(self.identity, self.service.stops)
        if self._retry_at is None:
            self._bury()
        return ended

    def _bury(self) -> None:
        """Kill what the dead leader left of its process group, then reap it: until then its number is its own."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1)
