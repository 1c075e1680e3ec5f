"""The host's side of a target's migrations at work: one box, one database, requests and answers."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import atra.sandbox
from atra.core.errors import BoxFailed, InterpreterUnusable, MigrationsBroken
from atra.meta_architect.migrations.records import Layout
from atra.sandbox.database import DatabaseSandbox, ScratchDatabase
from atra.sandbox.policy import Policy
from atra.sandbox.protocol import Box, Sandbox, Stop, never
from atra.sandbox.runner import Project

INSIDE = Path(atra.sandbox.__file__).with_name("alembic_inside.py")
INSIDE_AT = "/run/atra/alembic_inside.py"

_LIMIT_S = 60.0
_LIFE_S = 600.0
_LOOK_S = 0.25
_START_S = 60.0


def database_of(
    layout: Layout, project: Project, programs: Path, readable: Sequence[str], *, upgraded: bool = False
) -> ScratchDatabase:
    """Return the database that stands beside the target's code, brought to `head` first where it is to be so."""
    given = json.dumps({"at": project.at, "folder": layout.folder, "config": layout.config})
    return ScratchDatabase(
        programs=str(programs),
        readable=tuple(readable),
        python=project.python,
        drivers=layout.drivers,
        variables=layout.variables,
        prelude=(project.python, INSIDE_AT, given) if upgraded else (),
        files={str(INSIDE): INSIDE_AT},
    )


class Scratch:
    """A box with the target's tree and a database, and alembic ready in it. Use as a context manager.

    Raises:
        SandboxUnavailable, BoxFailed: as `Sandbox.start` does.
    """

    def __init__(
        self,
        project: Project,
        sandbox: Sandbox,
        database: ScratchDatabase,
        layout: Layout,
        tree: str,
        *,
        stop: Stop = never,
    ) -> None:
        self._project, self._layout, self._stop = project, layout, stop
        policy = Policy(
            tree=tree,
            at=project.at,
            readable=project.readable,
            environment={"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"},
            limits=replace(project.limits, wall_s=_LIFE_S),
        )
        self._box: Box = DatabaseSandbox(sandbox, database).start([project.python, INSIDE_AT], policy)
        self._buffer = bytearray()

    def __enter__(self) -> "Scratch":
        return self

    def __exit__(self, *_: object) -> None:
        self._box.close()

    def sql(self, script: str, *, limit_s: float = _LIMIT_S) -> str:
        """Run SQL and return the lines that it put out.

        Raises:
            MigrationsBroken: the database refused it.
        """
        return str(self._asked({"do": "sql", "script": script, "limit_s": limit_s}, limit_s)["out"])

    def value(self, query: str) -> Any:
        """Return the one JSON value that a query puts out; None where it puts out nothing."""
        text = self.sql(query).strip()
        return json.loads(text) if text else None

    def alembic(self, *steps: tuple[Any, ...], limit_s: float = _LIMIT_S) -> dict[str, Any]:
        """Do these steps of `alembic_inside.Environment` in one process, and return what came of them.

        Raises:
            MigrationsBroken: one failed; its arguments say with what.
            InterpreterUnusable: the target's interpreter lacks something.
        """
        return self._asked(
            {
                "do": "alembic",
                "steps": steps,
                "limit_s": limit_s,
                "at": self._project.at,
                "folder": self._layout.folder,
                "config": self._layout.config,
            },
            limit_s,
        )

    def _asked(self, request: Mapping[str, Any], limit_s: float) -> dict[str, Any]:
        body = json.dumps(request).encode()
        self._box.send(len(body).to_bytes(4, "big") + body)
        answer = self._answer(time.monotonic() + limit_s + _START_S)
        if "missing" in answer:
            raise InterpreterUnusable(self._project.python, answer["missing"])
        if "error" in answer:
            raise MigrationsBroken(_said(answer))
        return answer

    def _answer(self, until: float) -> dict[str, Any]:
        while (size := self._size()) is None or len(self._buffer) < 4 + size:
            if self._stop() or time.monotonic() > until:
                raise BoxFailed("it was stopped" if self._stop() else "alembic does not answer")
            try:
                data = self._box.receive(_LOOK_S)
            except TimeoutError:
                continue
            if not data:
                said = self._box.output()[-2000:].decode(errors="replace").strip()
                raise BoxFailed(said or "the box ended before it answered")
            self._buffer += data
        body = bytes(self._buffer[4 : 4 + size])
        del self._buffer[: 4 + size]
        answer: dict[str, Any] = json.loads(body)
        return answer

    def _size(self) -> int | None:
        return int.from_bytes(self._buffer[:4], "big") if len(self._buffer) >= 4 else None


def _said(answer: Mapping[str, Any]) -> str:
    """Return the error's first line with its place; for one that only ended, the last line that it printed."""
    lines = [line.strip() for line in answer["error"].splitlines() if line.strip()]
    place = f" ({answer['place']})" if answer.get("place") else ""
    printed = answer.get("printed", "").split("\n")
    last = next((line.strip() for line in reversed(printed) if line.strip()), "")
    more = f"; it printed last: {last[:200]}" if last and "place" not in answer else ""
    return f"{lines[0][:500] if lines else 'it failed'}{place}{more}"
