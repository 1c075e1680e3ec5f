"""What starts a PostgreSQL in a box, then the program that is to use it, and ends the server after it.

This one file enters the box and runs on the target's interpreter (3.9 or newer), with nothing of ATRA. Its arguments
are a JSON object, see `database.ScratchDatabase`, and the program's command.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from urllib.parse import quote

START_S = 30.0
LOOK_S = 0.01
NO_SERVER = 97
KNOWN_DRIVERS = ("psycopg2", "psycopg", "asyncpg")
INITDB = ("--username=atra", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions", "--no-sync")
MADE = ("CREATE DATABASE atra", "CREATE ROLE postgres SUPERUSER LOGIN")  # whom migrations like to name as owner
OPTIONS = {
    "listen_addresses": "",
    "dynamic_shared_memory_type": "mmap",  # /dev/shm is the program's, and small
    "shared_buffers": "16MB",
    "max_connections": "40",
    "max_wal_size": "64MB",
    "min_wal_size": "32MB",
    "fsync": "off",  # it does not outlive the box
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "jit": "off",
    "autovacuum": "off",
    "timezone": "UTC",
}


def main() -> int:
    """Start the server, run the program, end the server; return the program's exit code."""
    given, command = json.loads(sys.argv[1]), sys.argv[2:]
    folder = tempfile.mkdtemp(prefix="atra-database-")
    programs, abstract = given["programs"], f"@atra-{os.getpid()}"
    subprocess.run(
        [f"{programs}/initdb", "-D", f"{folder}/data", *INITDB], check=True, stdout=subprocess.DEVNULL, env=plain()
    )
    options = {**OPTIONS, "unix_socket_directories": f"{folder}, {abstract}"}
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with open(f"{folder}/log", "wb") as log:
        server = subprocess.Popen(
            [f"{programs}/postgres", "-D", f"{folder}/data", *settings],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=plain(),
            start_new_session=True,  # a program that kills its own group leaves the server alone
        )
    try:
        wait_for(server, folder)
        psql = [f"{programs}/psql", "-X", "-q", "-h", folder, "-U", "atra", "-d", "postgres"]
        made = [part for statement in MADE for part in ("-c", statement)]
        subprocess.run([*psql, *made], check=True, env=plain())
        environment = {**os.environ, **variables(given, folder, abstract)}
        environment["PATH"] = f"{environment.get('PATH', '/usr/bin:/bin')}:{programs}"
        if given["prelude"] and (code := run(given["prelude"], environment, inherited=False)):
            return code
        return run(command, environment, inherited=True)
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def plain() -> dict[str, str]:
    """Return the environment of PostgreSQL's own programs."""
    return {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}


def wait_for(server: subprocess.Popen[bytes], folder: str) -> None:
    """Return when the server takes connections; end this process where it does not."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and server.poll() is None:
        try:
            with open(f"{folder}/data/postmaster.pid") as file:
                if file.read().split()[-1:] == ["ready"]:
                    return
        except OSError:
            pass
        time.sleep(LOOK_S)
    with open(f"{folder}/log", errors="replace") as file:
        print(f"PostgreSQL did not start: {file.read()[-2000:]}", flush=True)
    sys.exit(NO_SERVER)


def variables(given: dict[str, object], folder: str, abstract: str) -> dict[str, str]:
    """Return the variables that name the database; those of libpq are always among them."""
    wanted, asked = given["drivers"], given["variables"]
    assert isinstance(wanted, list)
    assert isinstance(asked, dict)
    driver = next((name for name in (*wanted, *KNOWN_DRIVERS) if importlib.util.find_spec(name)), "")
    scheme = "postgresql" if driver in ("", default_driver()) else f"postgresql+{driver}"
    address = f"{scheme}://atra@/atra?host={quote(folder, safe='')}"
    filled = {
        name: value.replace("{address}", address).replace("{folder}", folder).replace("{abstract}", abstract)
        for name, value in asked.items()
    }
    return {"PGHOST": folder, "PGUSER": "atra", "PGDATABASE": "atra", "ATRA_SCRATCH_URL": address, **filled}


def default_driver() -> str:
    """Return the driver that the target's SQLAlchemy takes where a URL names none."""
    try:
        newer = importlib.metadata.version("sqlalchemy").split(".")[:2] >= ["2", "1"]
    except importlib.metadata.PackageNotFoundError:
        newer = False
    return "psycopg" if newer else "psycopg2"


def run(command: list[str], environment: dict[str, str], *, inherited: bool) -> int:
    """Run a command to its end and return its exit code; only the program itself gets the pipes to ATRA."""
    child = subprocess.Popen(command, env=environment, close_fds=not inherited)
    if inherited:
        for name in ("ATRA_REQUEST_FD", "ATRA_RESULT_FD"):
            if name in os.environ:
                os.close(int(os.environ[name]))
    code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
