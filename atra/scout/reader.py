"""Documents are read in a process of its own, which is ended when one keeps it busy for too long.

There are documents of a megabyte that take a parser minutes, and threads cannot be stopped. The process is given bytes
and gives back plain records as JSON; it has little memory and no open connection, and is started anew when it is gone.
"""

import contextlib
import json
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import IO

from atra.core.records import from_json, to_json
from atra.scout.parsing import parse
from atra.scout.records import Document

PATIENCE_S = 10.0
_STARTING_S = 60.0
_MEMORY_BYTES = 2**30
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True)
class Unread:
    """A document from which nothing came, and why, in words."""

    why: str


class Reader:
    """One process that reads documents, one after the other. Not to be shared by threads; see `Readers`.

    Args:
        names: known to this installation, see `atra.scout.subjects`.
        patience_s: how long one document may take.
    """

    def __init__(self, names: Collection[str] = (), *, patience_s: float = PATIENCE_S) -> None:
        self._names = sorted(names)
        self._patience_s = patience_s
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, body: bytes, headers: Mapping[str, str], address: str) -> Document | Unread:
        """Return what the document holds; see `atra.scout.parsing.parse`."""
        told = json.dumps({"headers": dict(headers), "address": address}).encode()
        try:
            process = self._process = self._process or self._started()
            _put(process.stdin, told, body)
            answer = json.loads(_awaited(process.stdout, self._patience_s))
        except TimeoutError:
            self.close()
            return Unread(f"it takes more than {self._patience_s:g} s to read")
        except (OSError, EOFError, ValueError):
            self.close()
            return Unread("it cannot be read: the reader ended")
        return Unread("it is no feed") if answer is None else from_json(Document, answer)

    def close(self) -> None:
        """End the process."""
        if self._process:
            self._process.kill()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):
                    pipe and pipe.close()
            self._process.wait()
        self._process = None

    def _started(self) -> "subprocess.Popen[bytes]":
        command = (sys.executable, "-P", "-m", "atra.scout.reader")
        process = self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _put(process.stdin, json.dumps(self._names).encode())
        _awaited(process.stdout, _STARTING_S)  # its own start is not the document's fault
        return process


class Readers:
    """As many readers as are worth having, for any number of threads.

    Args:
        count: processes; as many documents are read at a time.
    """

    def __init__(self, count: int, names: Collection[str] = (), *, patience_s: float = PATIENCE_S) -> None:
        self._all = [Reader(names, patience_s=patience_s) for _ in range(count)]
        self._free: SimpleQueue[Reader] = SimpleQueue()
        for reader in self._all:
            self._free.put(reader)

    def read(self, body: bytes, headers: Mapping[str, str], address: str) -> Document | Unread:
        """Return what the document holds, when a reader is free."""
        reader = self._free.get()
        try:
            return reader.read(body, headers, address)
        finally:
            self._free.put(reader)

    def close(self) -> None:
        """End all processes."""
        for reader in self._all:
            reader.close()


@contextmanager
def reading(count: int, names: Collection[str] = ()) -> Iterator[Readers]:
    """Give readers for as long as the block runs."""
    readers = Readers(count, names)
    try:
        yield readers
    finally:
        readers.close()


def _put(pipe: IO[bytes] | None, *frames: bytes) -> None:
    """Write frames to a pipe; its reader takes them whatever they are."""
    assert pipe
    for frame in frames:
        pipe.write(_LENGTH.pack(len(frame)) + frame)
    pipe.flush()


def _awaited(pipe: IO[bytes] | None, patience_s: float) -> bytes:
    """Return the next frame of a pipe, waiting no longer than that for all of it.

    Raises:
        TimeoutError: it did not come whole in time.
        EOFError: it will not come.
    """
    assert pipe
    deadline_s = time.monotonic() + patience_s
    data = bytearray()
    wanted = _LENGTH.size
    while len(data) < wanted:
        ready, _, _ = select.select([pipe], [], [], max(deadline_s - time.monotonic(), 0.0))
        if not ready:
            raise TimeoutError
        part = os.read(pipe.fileno(), 2**16)
        if not part:
            raise EOFError
        data += part
        if len(data) >= _LENGTH.size:
            wanted = _LENGTH.size + _LENGTH.unpack(data[: _LENGTH.size])[0]
    return bytes(data[_LENGTH.size :])


def main() -> None:
    """Read documents from standard input until it ends, and write what they hold to standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started this ends it
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what a library prints is no answer
    names = frozenset(json.loads(_frame(source) or b"[]"))
    _put(sink, b"")
    while told := _frame(source):
        body = _frame(source)
        known = json.loads(told)
        document = parse(body, known["headers"], known["address"], names)
        _put(sink, json.dumps(None if document is None else to_json(document)).encode())


def _frame(source: IO[bytes]) -> bytes:
    """Return the next frame; nothing at the end."""
    head = source.read(_LENGTH.size)
    return source.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else b""


if __name__ == "__main__":
    main()
