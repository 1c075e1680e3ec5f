"""The host's side of the conversation with `inside.py`: how it is started in a box, and its messages."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from atra.core.errors import BoxFailed, InterpreterUnusable
from atra.sandbox.policy import Policy
from atra.sandbox.protocol import Box, Sandbox
from atra.sandbox.runner import Project

INSIDE = Path(__file__).with_name("inside.py")
INSIDE_AT = "/run/atra/inside.py"

_LAST_WORDS_S = 1.0
_PAUSE_S = 0.05  # what is printed in one go comes within it


def policy_for(
    project: Project, tree: str, *, hash_seed: int = 0, wall_s: float | None = None, cpu_s: int | None = None
) -> Policy:
    """Return what a box shows that runs the project's tests on a copy of the tree."""
    limits = replace(
        project.limits,
        wall_s=project.limits.wall_s if wall_s is None else wall_s,
        cpu_s=project.limits.cpu_s if cpu_s is None else cpu_s,
    )
    return Policy(
        tree=tree,
        at=project.at,
        readable=project.readable,
        files={str(INSIDE): INSIDE_AT},
        environment=environment_for(project, hash_seed),
        limits=limits,
    )


def environment_for(project: Project, hash_seed: int) -> Mapping[str, str]:
    """Return the environment of the project's tests; the interpreter's own programs come first on PATH."""
    return {
        "PATH": f"{os.path.dirname(project.python)}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONHASHSEED": str(hash_seed),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def setup_for(project: Project, tree: str) -> dict[str, Any]:
    """Return what `inside.py` needs to know of the project, whatever it is to do."""
    return {
        "subfolder": project.subfolder,
        "paths": _extra_paths(project, tree),
        "arguments": list(project.pytest_arguments),
        "test_limit_s": project.test_limit_s,
    }


def _extra_paths(project: Project, tree: str) -> list[str]:
    """Return the folders, relative to the root, that go on the module path besides the one the tests run from."""
    source = Path(tree, project.subfolder, "src")
    return [os.path.join(project.subfolder, "src")] if source.is_dir() and not (source / "__init__.py").exists() else []


class Inside:
    """`inside.py` at work in a box: JSON messages, each after its length in four bytes.

    Raises:
        SandboxUnavailable, BoxFailed: as `Sandbox.start` does.
    """

    def __init__(self, project: Project, sandbox: Sandbox, policy: Policy) -> None:
        self._python = project.python
        self.box: Box = sandbox.start([project.python, INSIDE_AT], policy)
        self._buffer = bytearray()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message.

        Raises:
            BoxFailed: the box has ended.
        """
        body = json.dumps(message).encode()
        self.box.send(len(body).to_bytes(4, "big") + body)

    def receive(self, timeout_s: float) -> dict[str, Any] | None:
        """Return the next message, or None when the box has ended.

        Raises:
            TimeoutError: it did not come within the time.
            InterpreterUnusable: the interpreter cannot run pytest.
        """
        while (message := self._next()) is None:
            data = self.box.receive(timeout_s)
            if not data:
                return None
            self._buffer += data
        if "refused" in message:
            raise InterpreterUnusable(self._python, message["reason"])
        return message

    def printed(self) -> str:
        """Return the end of what was printed inside; waits a moment while it is nothing or still grows."""
        until = time.monotonic() + _LAST_WORDS_S
        before, said = b"", self.box.output()
        while (not said or said != before) and time.monotonic() < until:
            time.sleep(_PAUSE_S)
            before, said = said, self.box.output()
        return said[-4096:].decode(errors="replace").strip()

    def close(self) -> None:
        """End the box."""
        self.box.close()

    def _next(self) -> dict[str, Any] | None:
        size = int.from_bytes(self._buffer[:4], "big")
        if len(self._buffer) < 4 or len(self._buffer) < 4 + size:
            return None
        body = bytes(self._buffer[4 : 4 + size])
        del self._buffer[: 4 + size]
        try:
            message: dict[str, Any] = json.loads(body)
        except ValueError as error:
            raise BoxFailed("what came out of the box is no message of ours") from error
        return message
