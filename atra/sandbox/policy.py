"""What a box shows and allows, as values; the launcher turns a policy into a box."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """How much a box may use before it is stopped.

    `cpu_s`, `memory_bytes`, `open_files` and `file_bytes` hold per process, `processes` and `disk_bytes` for the whole
    box, `wall_s` for its life, `output_bytes` for what it may print before it is killed.
    """

    wall_s: float = 120.0
    cpu_s: int = 120
    memory_bytes: int = 2048 * MIB
    processes: int = 128
    open_files: int = 512
    file_bytes: int = 256 * MIB
    disk_bytes: int = 1024 * MIB
    output_bytes: int = 32 * MIB


@dataclass(frozen=True)
class Policy:
    """What untrusted code sees: a throw-away copy of one tree, an interpreter, the system's libraries, nothing else.

    Args:
        tree: folder on the host whose contents are copied into the box; the host's folder is never written.
        at: absolute path of that copy inside the box, and the working directory. It is the repository's own path on
            the host, so that editable installs and paths in tracebacks mean the same inside and outside.
        readable: host paths visible inside, read-only, at their own paths (a virtual environment, an interpreter). A
            path below `at` covers what the copy has there.
        files: host file -> absolute path inside, read-only; for the few files ATRA brings along.
        environment: the whole environment inside.
        limits: see `Limits`.
    """

    tree: str
    at: str
    readable: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
