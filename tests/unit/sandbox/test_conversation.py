"""The host's side of the conversation with a box."""

import sys
import threading
import time
from collections.abc import Sequence

from atra.sandbox.conversation import Inside
from atra.sandbox.policy import Policy
from atra.sandbox.project import make_project
from atra.sandbox.protocol import Box


class Slowly:
    """A box, and the sandbox that gives it, whose output is read piece by piece while one asks for it."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces, self._read = pieces, b""

    def start(self, command: Sequence[str], policy: Policy) -> Box:
        """Begin to print."""
        threading.Thread(target=self._print, daemon=True).start()
        return self  # type: ignore[return-value]

    def _print(self) -> None:
        for piece in self._pieces:
            time.sleep(0.03)
            self._read += piece

    def output(self) -> bytes:
        """Return what was read so far."""
        return self._read


def test_what_was_printed_is_read_to_its_end() -> None:
    """The reason often stands in the last line, and the first one comes a moment earlier."""
    project = make_project("/", python=sys.executable)

    printed = Inside(project, Slowly([b"ImportError while loading\n", b"conftest:\n", b"no 'x'\n"]), Policy("/", "/"))  # type: ignore[arg-type]

    assert printed.printed() == "ImportError while loading\nconftest:\nno 'x'"
