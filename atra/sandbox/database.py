"""Boxes with a PostgreSQL of their own: it starts before the program does, and ends with the box.

The server listens on unix sockets only. A box has a network namespace and a /tmp of its own, so nobody outside can
reach it, and the box's policy stays as strict as any other: the filter of system calls, the missing capabilities and
the limits are the same. The programs are trusted and shown read-only; the server runs as the box's user, with the same
rights as the untrusted code beside it, which is its superuser. So the database is as trustworthy as that code: what it
holds is evidence about an honest program, not protection against a dishonest one.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from atra.core.errors import SandboxUnavailable
from atra.sandbox.policy import Policy
from atra.sandbox.protocol import Box, Finished, Sandbox, Stop, never
from atra.sandbox.unboxed import UnboxedSandbox

INSIDE = Path(__file__).with_name("database_inside.py")
INSIDE_AT = "/run/atra/database_inside.py"

ADDRESS, FOLDER, ABSTRACT = "{address}", "{folder}", "{abstract}"
"""What stands for the database in a variable: its SQLAlchemy URL, its sockets' folder, its abstract socket."""


@dataclass(frozen=True)
class ScratchDatabase:
    """What a box's PostgreSQL is made of, and how programs inside learn of it.

    Args:
        programs: folder with `initdb`, `postgres` and `psql`, on the host.
        readable: host paths that those need, `programs` among them.
        python: the target's interpreter, in which the driver of the URL is looked for.
        drivers: SQLAlchemy drivers (`psycopg2`, `asyncpg`) in order of preference; the first that is installed counts.
        variables: environment variables, in which `ADDRESS`, `FOLDER` and `ABSTRACT` are filled in.
        prelude: a command that is run to its end before the program starts; where it fails, the program does not start.
    """

    programs: str
    readable: tuple[str, ...]
    python: str
    drivers: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    prelude: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)  # what the prelude needs, as in `Policy.files`


class DatabaseSandbox:
    """Implements `Sandbox` on another one: every program finds a fresh PostgreSQL in its box."""

    def __init__(self, sandbox: Sandbox, database: ScratchDatabase) -> None:
        self._sandbox, self._database = sandbox, database

    def run(self, command: Sequence[str], policy: Policy, *, stop: Stop = never) -> Finished:
        """Run the command beside a server; see `Sandbox.run`. A server that does not start ends it with code 97."""
        self._check()
        return self._sandbox.run(self._wrapped(command), self._shown(policy), stop=stop)

    def start(self, command: Sequence[str], policy: Policy) -> Box:
        """Start the command beside a server; see `Sandbox.start`."""
        self._check()
        return self._sandbox.start(self._wrapped(command), self._shown(policy))

    def _check(self) -> None:
        if isinstance(self._sandbox, UnboxedSandbox) and os.geteuid() == 0:
            raise SandboxUnavailable("PostgreSQL does not run as root, and ATRA_SANDBOX=none leaves it so")

    def _wrapped(self, command: Sequence[str]) -> list[str]:
        database = self._database
        given = {
            "programs": database.programs,
            "drivers": database.drivers,
            "variables": dict(database.variables),
            "prelude": database.prelude,
        }
        return [database.python, "-I", INSIDE_AT, json.dumps(given), *command]

    def _shown(self, policy: Policy) -> Policy:
        database = self._database
        return replace(
            policy,
            readable=tuple(dict.fromkeys((*policy.readable, *database.readable))),
            files={**policy.files, str(INSIDE): INSIDE_AT, **database.files},
        )
