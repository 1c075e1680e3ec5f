"""A started program, held to its limits from outside: its pipes, its clock, its end and that of all it started.

Both sandboxes stand on this; what the program may see is their business. Whoever starts a `Child` must stay alive as a
thread until it ends, for a box dies with the thread that made it (PR_SET_PDEATHSIG names the thread, not the process).
"""

import os
import resource
import select
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from atra.core.errors import BoxFailed
from atra.sandbox.policy import Limits
from atra.sandbox.protocol import Finished, Stop, never

Ended = Literal["exited", "wall_clock", "output_limit", "stopped", "overuse"]

PAGE = resource.getpagesize()
OWN_PROCESSES = 4  # the sandbox's, in a family of descendants
LOOK_S = 0.1  # how often `stop`, the clock and the memory are looked at
CHUNK = 65536
TAIL = 65536  # what a `Conversation` keeps of the output
LAST_WORDS_S = 1.0  # how long pipes are read on after the end; all their holders are dead or dying


class Pipes:
    """The pipes between ATRA and one program: its output, its result and, for a conversation, requests to it."""

    def __init__(self, *, conversation: bool) -> None:
        self.output, self._output_in = os.pipe()
        self.result, self._result_in = os.pipe()
        self._request_in, self.request = os.pipe() if conversation else (-1, -1)

    @property
    def printed_to(self) -> int:
        """The descriptor for the program's standard output and error."""
        return self._output_in

    @property
    def inherited(self) -> tuple[int, ...]:
        """The descriptors the program needs besides the standard ones."""
        return tuple(end for end in (self._result_in, self._request_in) if end >= 0)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that tell the program which descriptors these are."""
        request = {"ATRA_REQUEST_FD": str(self._request_in)} if self._request_in >= 0 else {}
        return {"ATRA_RESULT_FD": str(self._result_in)} | request

    def close_inner(self) -> None:
        """Close the program's ends here, so that its end is the end of the pipes."""
        self._output_in = _close(self._output_in)
        self._result_in = _close(self._result_in)
        self._request_in = _close(self._request_in)

    def close(self) -> None:
        """Close everything. Closing twice is harmless."""
        self.close_inner()
        self.output, self.result, self.request = _close(self.output), _close(self.result), _close(self.request)


class Printed:
    """What a program printed, without what its set-up printed before the line `begin`.

    Args:
        begin: ends the set-up; empty means that there is none.
        keep: how many bytes are kept, the last ones.
    """

    def __init__(self, begin: bytes, keep: int) -> None:
        self.total = 0
        self.begun = not begin
        self._begin = begin
        self._keep = keep
        self._kept = bytearray()

    def add(self, data: bytes) -> None:
        """Take in what came next."""
        self._kept += data
        if not self.begun:
            setup, found, rest = bytes(self._kept).partition(self._begin)
            self.begun, self._kept = bool(found), bytearray(rest if found else setup)
            data = rest
        self.total += len(data)
        if len(self._kept) > 2 * self._keep:
            del self._kept[: -self._keep]

    def text(self) -> bytes:
        """Return what is kept: the program's output, or the set-up's as long as that has not ended."""
        return bytes(self._kept[-self._keep :])


@dataclass(frozen=True)
class Launch:
    """How a program is started: on the host, with an environment of its own and nothing inherited but what is named.

    `begin` is what `Printed` calls so. `volumes` are folders inside, each a file system of its own, whose files are
    counted.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    stdin: int = subprocess.DEVNULL
    descriptors: tuple[int, ...] = ()
    begin: bytes = b""
    volumes: tuple[str, ...] = ()


class Child:
    """A started program and everything it started; whoever has one calls `watch` to its end, or `kill`.

    Raises:
        BoxFailed: the program could not be started.
    """

    def __init__(self, launch: Launch, pipes: Pipes, limits: Limits, *, keep: int) -> None:
        self.started = time.monotonic()
        self.printed = Printed(launch.begin, keep)
        self.result = bytearray()
        self._limits = limits
        self._pipes = pipes
        self._volumes = launch.volumes
        try:
            self._process = subprocess.Popen(
                launch.command,
                env=launch.environment,
                cwd=launch.folder,
                stdin=launch.stdin,
                stdout=pipes.printed_to,
                stderr=pipes.printed_to,
                pass_fds=(*pipes.inherited, *launch.descriptors),
                start_new_session=True,
            )
        except OSError as error:
            raise BoxFailed(str(error)) from error
        pipes.close_inner()
        os.set_blocking(pipes.output, False)

    def watch(self, stop: Stop, *, until_begun: bool = False, keep_result: bool = False) -> Ended | None:
        """Read what the program says until it ends or must end; then nothing of it is left running.

        Args:
            until_begun: return None, with the program running, as soon as its set-up is over.
            keep_result: read the result pipe too; else it is left to another reader.
        """
        with _exit_of(self._process.pid) as exit_fd, selectors.DefaultSelector() as selector:
            selector.register(exit_fd, selectors.EVENT_READ)
            selector.register(self._pipes.output, selectors.EVENT_READ, self._print)
            if keep_result:
                os.set_blocking(self._pipes.result, False)
                selector.register(self._pipes.result, selectors.EVENT_READ, self._keep_result)
            ended = self._read(selector, exit_fd, stop, until_begun)
            if ended is None:
                return None
            self.kill()
            self._read_last_words(selector, exit_fd)
        return "output_limit" if ended == "exited" and self._flooded() else ended

    def kill(self) -> None:
        """Kill the program and all its descendants. Killing twice is harmless."""
        if self._process.returncode is None:
            kill_tree(self._process.pid)

    def exit_code(self) -> int:
        """Wait for the program's end and return its exit code, negative for a signal."""
        return self._process.wait()

    def _read(self, selector: selectors.BaseSelector, exit_fd: int, stop: Stop, until_begun: bool) -> Ended | None:
        look_at = 0.0
        while True:
            ready = [key for key, _ in selector.select(LOOK_S)]
            for key in ready:
                if key.data is not None and not key.data():
                    selector.unregister(key.fileobj)
            if any(key.fd == exit_fd for key in ready):
                return "exited"
            if self._flooded():
                return "output_limit"
            if until_begun and self.printed.begun:
                return None
            if (now := time.monotonic()) >= look_at:
                look_at = now + LOOK_S
                if ended := self._must_end(now, stop):
                    return ended

    def _must_end(self, now: float, stop: Stop) -> Ended | None:
        if now - self.started >= self._limits.wall_s:
            return "wall_clock"
        if stop():
            return "stopped"
        if overused(self._process.pid, self._limits, self._volumes if self.printed.begun else ()):
            return "overuse"
        return None

    def _read_last_words(self, selector: selectors.BaseSelector, exit_fd: int) -> None:
        selector.unregister(exit_fd)
        until = time.monotonic() + LAST_WORDS_S
        while selector.get_map() and (left := until - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                if not key.data() or self._flooded():
                    selector.unregister(key.fileobj)

    def _flooded(self) -> bool:
        return max(self.printed.total, len(self.result)) > self._limits.output_bytes

    def _print(self) -> bool:
        data = os.read(self._pipes.output, CHUNK)
        self.printed.add(data)
        return bool(data)

    def _keep_result(self) -> bool:
        data = os.read(self._pipes.result, CHUNK)
        self.result += data
        return bool(data)


def run_child(launch: Launch, pipes: Pipes, limits: Limits, stop: Stop) -> Finished:
    """Start the program, wait for its end and tell how it ended; the pipes are closed then.

    Raises:
        BoxFailed: it could not be started, or ended before its set-up was over.
    """
    try:
        child = Child(launch, pipes, limits, keep=limits.output_bytes)
        try:
            ended = child.watch(stop, keep_result=True)
        finally:
            child.kill()
            exit_code = child.exit_code()
        seconds = time.monotonic() - child.started
        if not child.printed.begun and ended == "exited":
            raise BoxFailed(_said(child, exit_code))
        output = child.printed.text() if child.printed.begun else b""
        result = bytes(child.result[: limits.output_bytes])
        return Finished(exit_code, ended or "exited", output, result, seconds)
    finally:
        pipes.close()


class Conversation:
    """A running program to talk with; a `Box`. One thread may use it at a time, the one that started it."""

    def __init__(
        self, launch: Launch, pipes: Pipes, limits: Limits, *, at_close: Callable[[], None] = lambda: None
    ) -> None:
        self._pipes = pipes
        self._at_close = at_close
        self._closing = False
        try:
            self._child = Child(launch, pipes, limits, keep=TAIL)
            ended = self._child.watch(never, until_begun=True)
            if not self._child.printed.begun:
                raise BoxFailed(_said(self._child, self._child.exit_code()) if ended == "exited" else str(ended))
        except BaseException:
            self.close()
            raise
        if ended is None:
            self._watcher = threading.Thread(target=self._child.watch, args=(self._asked_to_close,), daemon=True)
            self._watcher.start()

    def send(self, data: bytes) -> None:
        """Write to the program's request pipe."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._pipes.request, view) :]
        except OSError as error:
            raise BoxFailed(f"the program takes no more requests: {error.strerror}") from error

    def receive(self, timeout_s: float) -> bytes:
        """Return what the program wrote to its result pipe, at least one byte; nothing once it ended."""
        if self._pipes.result < 0:
            return b""
        waiting = select.poll()
        waiting.register(self._pipes.result, select.POLLIN)
        if not waiting.poll(max(0.0, timeout_s) * 1000):
            raise TimeoutError
        return os.read(self._pipes.result, CHUNK)

    def output(self) -> bytes:
        """Return what the program printed so far, the last 64 KiB at most."""
        return self._child.printed.text()

    def close(self) -> None:
        """Kill every process of the box and free what it used. Closing twice is harmless."""
        self._closing = True
        if hasattr(self, "_child"):
            self._child.kill()
            if hasattr(self, "_watcher"):
                self._watcher.join()
            self._child.exit_code()
        self._pipes.close()
        self._at_close()

    def _asked_to_close(self) -> bool:
        return self._closing


def kill_tree(pid: int) -> None:
    """Kill the process, its process group and its descendants; the process itself must not have been waited for."""
    for one in (*descendants(pid), pid):
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def descendants(pid: int) -> Iterator[int]:
    """Yield the process's living descendants, parents first, as the kernel lists them at each step."""
    for task in _children_files(pid):
        with suppress(OSError):
            for child in task.read_text().split():
                yield int(child)
                yield from descendants(int(child))


def overused(pid: int, limits: Limits, volumes: Sequence[str] = ()) -> bool:
    """Tell whether the descendants together hold more than the limits allow: processes, memory, files on the volumes.

    Shared pages count once: resident sizes are summed first, for they are cheap, and proportional ones only then. A
    file counts as one page of disk at least, for an empty one takes memory too.
    """
    family = list(descendants(pid))
    if len(family) > limits.processes + OWN_PROCESSES:
        return True
    if family and sum(_files(family[-1], volume) for volume in volumes) * PAGE > limits.disk_bytes:
        return True
    if sum(map(_resident, family)) <= limits.memory_bytes:
        return False
    return sum(map(_proportional, family)) > limits.memory_bytes


def limiting(limits: Limits, *, processes: bool) -> list[str]:
    """Return the command that sets the limits of one process and then becomes the command that follows it.

    Args:
        processes: whether to limit their number, which counts everything else of the same user unless the process
            is in a user namespace of its own.
    """
    wanted = {
        "cpu": (resource.RLIMIT_CPU, limits.cpu_s),
        "as": (resource.RLIMIT_AS, limits.memory_bytes),
        "nofile": (resource.RLIMIT_NOFILE, limits.open_files),
        "fsize": (resource.RLIMIT_FSIZE, limits.file_bytes),
        "core": (resource.RLIMIT_CORE, 0),
    }
    if processes:
        wanted["nproc"] = (resource.RLIMIT_NPROC, limits.processes)
    options = [f"--{name}={_within(number, value)}" for name, (number, value) in wanted.items()]
    return ["/usr/bin/prlimit", *options, "--"]


def _within(number: int, value: int) -> int:
    # An ordinary user cannot raise a hard limit, and prlimit fails when asked to.
    _, hard = resource.getrlimit(number)
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def _children_files(pid: int) -> list[Path]:
    with suppress(OSError):
        return [task / "children" for task in Path(f"/proc/{pid}/task").iterdir()]
    return []


def _files(pid: int, volume: str) -> int:
    with suppress(OSError):
        volume_now = os.statvfs(f"/proc/{pid}/root{volume}")
        return volume_now.f_files - volume_now.f_ffree
    return 0


def _resident(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    return 0


def _proportional(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _said(child: Child, exit_code: int) -> str:
    text = child.printed.text().decode(errors="replace").strip()
    return text[-2000:] or f"exit code {exit_code} before the program began"


def _close(descriptor: int) -> int:
    if descriptor >= 0:
        os.close(descriptor)
    return -1


@contextmanager
def _exit_of(pid: int) -> Iterator[int]:
    """Yield a descriptor that becomes readable when the process ends."""
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
