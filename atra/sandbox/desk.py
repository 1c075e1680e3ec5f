"""The host's side of an agent's desk: a box that stays, with a copy of the tree to list, read, search and change.

The box runs no code of the repository; tests run in boxes of their own. What happens inside is `desk_inside.py`'s
business.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from atra.core.errors import BoxFailed
from atra.sandbox.conversation import policy_for
from atra.sandbox.protocol import Box, Sandbox, Stop, never
from atra.sandbox.runner import Project

_INSIDE = Path(__file__).with_name("desk_inside.py")
_INSIDE_AT = "/run/atra/desk.py"
_LIFE_S = 24 * 3600
_ANSWER_S = 20.0  # inside each asking has a limit of its own, which is shorter
_LOOK_S = 0.5
_LARGEST_ANSWER = 1024 * 1024


class Desk:
    """One agent's copy of a tree in a box. A context manager; a box that has ended is opened again, as it was.

    Args:
        project: the repository whose tree it is, for where it stands inside and with what interpreter.
        tree: folder on the host with the revision's files; it is never written.
        without: paths in the tree that are not to be seen at the desk.
    """

    def __init__(
        self, project: Project, sandbox: Sandbox, tree: str, *, without: Sequence[str] = (), stop: Stop = never
    ) -> None:
        self._project, self._sandbox, self._tree, self._stop = project, sandbox, tree, stop
        self._without = tuple(without)
        self._box: Box | None = None
        self._buffer = bytearray()
        self._put: dict[str, str] = {}

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    def list(self, path: str = "", pattern: str = "") -> str:
        """Return the files below a folder, one a line, or why that cannot be told."""
        return self._ask("list", path, pattern)

    def read(self, path: str, first: int = 1, last: int = 0) -> str:
        """Return lines of a file with their numbers, or why that cannot be done; 0 is the last line."""
        return self._ask("read", path, first, last)

    def search(self, pattern: str, path: str = "", *, regex: bool = False) -> str:
        """Return the lines that hold a text, or fit a regular expression, or why that cannot be told."""
        return self._ask("search", pattern, path, regex)

    def put(self, path: str, text: str) -> str:
        """Put this text in the file's place for later looks; return nothing, or why it cannot be done."""
        if (said := self._ask("put", path, text)) != "done":
            return said
        self._put[path] = text
        return ""

    def _ask(self, do: str, *arguments: Any) -> str:
        """Return what the box answers; one that breaks off is opened once more.

        Raises:
            BoxFailed: it broke off twice.
        """
        for last in (False, True):
            try:
                return self._exchange({"do": do, "with": list(arguments)})
            except BoxFailed:
                self._close()
                if last:
                    raise
        raise AssertionError("the loop returns or raises")

    def _exchange(self, message: Mapping[str, Any]) -> str:
        if self._box is None:
            self._open()
        assert self._box is not None
        body = json.dumps(message).encode()
        self._box.send(len(body).to_bytes(4, "big") + body)
        until = time.monotonic() + _ANSWER_S
        while (said := self._next()) is None:
            if time.monotonic() > until or self._stop():
                raise BoxFailed("the desk does not answer")
            try:
                data = self._box.receive(_LOOK_S)
            except TimeoutError:
                continue
            if not data:
                raise BoxFailed(self._box.output()[-500:].decode(errors="replace") or "the desk has ended")
            self._buffer += data
        return said

    def _next(self) -> str | None:
        size = int.from_bytes(self._buffer[:4], "big")
        if len(self._buffer) >= 4 and size > _LARGEST_ANSWER:
            raise BoxFailed("the desk says more than it may")
        if len(self._buffer) < 4 or len(self._buffer) < 4 + size:
            return None
        body = bytes(self._buffer[4 : 4 + size])
        del self._buffer[: 4 + size]
        try:
            said = json.loads(body)["said"]
        except (ValueError, RecursionError, TypeError, KeyError) as error:  # it may be the repository's own interpreter
            raise BoxFailed("what came out of the desk's box is no message of ours") from error
        return str(said)

    def _open(self) -> None:
        policy = policy_for(self._project, self._tree, wall_s=_LIFE_S, cpu_s=_LIFE_S)
        policy = replace(policy, files={str(_INSIDE): _INSIDE_AT})
        self._box = self._sandbox.start([self._project.python, "-I", "-S", _INSIDE_AT], policy)
        self._buffer.clear()
        for path in self._without:
            if (said := self._exchange({"do": "drop", "with": [path]})) != "done":
                raise BoxFailed(f"{path} could not be kept from the desk: {said}")
        for path, text in self._put.items():
            self._exchange({"do": "put", "with": [path, text]})

    def _close(self) -> None:
        if self._box is not None:
            self._box.close()
            self._box = None
