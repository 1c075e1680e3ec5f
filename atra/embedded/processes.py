"""Processes: started so that they end with their owner, recognised beyond doubt, ended for certain.

`setpriv` (util-linux) sets what must hold before a program's first instruction: the signal that the kernel sends it
when its owner dies, and another user where the program refuses to be root. Doing that in Python between fork and exec
is not safe in a process with threads.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from atra.core.errors import StackUnavailable

_LARGEST_LOG_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Identity:
    """One process and no other: a number alone is given out again."""

    pid: int
    started: str  # boot id and clock ticks since boot


def identify(pid: int) -> Identity | None:
    """Return who has this number now; None when nobody does, or when it only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] in "ZX" else Identity(pid, f"{boot}:{fields[19]}")


def alive(process: Identity) -> bool:
    """Say whether exactly this process still runs."""
    return identify(process.pid) == process


def end(process: Identity, signals: Sequence[tuple[signal.Signals, float]]) -> bool:
    """Send each signal in turn and give it its seconds; return whether the process has ended."""
    for number, patience_s in signals:
        if not alive(process):
            return True
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
        wait_for_end(process, patience_s)
    return not alive(process)


def wait_for_end(process: Identity, patience_s: float) -> bool:
    """Wait until the process has ended, at most so long; return whether it has."""
    deadline = time.monotonic() + patience_s
    while alive(process) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not alive(process)


@dataclass(frozen=True)
class Service:
    """One process to run.

    Args:
        name: for logs and messages.
        command: program and arguments.
        log: file that gets what it prints; a file grown beyond 16 MiB is put aside as `NAME.1` at the next start.
        environment: the whole environment; None means that of the owner.
        given: what it reads from standard input.
        folder: its working directory; None means that of the owner.
        unprivileged: run as `nobody` where the owner is root (see `as_nobody`).
        on_owner_death: what the kernel sends it when the owner dies.
        stops: signals to end it with, each with the seconds it gets; the last one should be SIGKILL.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] | None = None
    given: bytes = b""
    folder: Path | None = None
    unprivileged: bool = False
    on_owner_death: signal.Signals = signal.SIGKILL
    stops: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, 3.0), (signal.SIGKILL, 1.0))


def spawn(service: Service) -> subprocess.Popen[bytes]:
    """Start the service in a session of its own, so that a terminal's Ctrl-C reaches only its owner.

    The kernel watches the *thread* that calls this: it must live as long as the service should.

    Raises:
        StackUnavailable: the program, or `setpriv`, is not here.
    """
    identity = as_nobody() if service.unprivileged else ()
    signal_name = service.on_owner_death.name.removeprefix("SIG")
    command = ("setpriv", "--pdeathsig", signal_name, *identity, "--", *service.command)
    service.log.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if service.log.stat().st_size > _LARGEST_LOG_BYTES:
            service.log.replace(service.log.with_name(service.log.name + ".1"))
    with service.log.open("ab") as log:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=service.environment,
                cwd=service.folder,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise StackUnavailable(f"{service.name}: {error}") from error
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write(service.given)
    return process


def as_nobody() -> tuple[str, ...]:
    """Return `setpriv`'s arguments to run a program that refuses to be root; none where the owner is not root.

    The program becomes `nobody`, and keeps root's right to pass private folders: so nothing has to be made readable
    for others, neither HOME nor the virtual environment. Nobody else may trace or stop it for that same right.
    """
    if os.geteuid() != 0:
        return ()
    keep = "+dac_override"
    who = ("--reuid", "nobody", "--regid", "nogroup" if _group_exists("nogroup") else "nobody", "--clear-groups")
    # Without the secure bit access(2), which initdb asks before it starts a program, would not count that right.
    return (*who, "--inh-caps", keep, "--ambient-caps", keep, "--securebits", "+no_setuid_fixup")


def _group_exists(name: str) -> bool:
    import grp

    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def tail(log: Path, lines: int = 4) -> str:
    """Return the log's last lines as one line of text."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            return " | ".join(file.read().decode(errors="replace").strip().splitlines()[-lines:])
    except OSError:
        return "no log"
