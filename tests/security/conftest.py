"""A box on a small repository, and a way to try something inside it."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyseccomp
import pytest

from atra.sandbox.bubblewrap import BubblewrapSandbox
from atra.sandbox.interpreter import paths_of
from atra.sandbox.policy import Limits, Policy
from atra.sandbox.protocol import Finished, Stop, never

TRY = """
import ctypes, errno, json, os, sys

host, numbers = json.loads(sys.argv[2]), json.loads(sys.argv[3])
libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    # A system call by its name, without libc's help.
    result = libc.syscall(numbers[name], *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result

try:
    exec(sys.argv[1], {"host": host, "call": call, "os": os, "sys": sys, "ctypes": ctypes, "libc": libc})
    print("done")
except OSError as error:
    print(errno.errorcode.get(error.errno, type(error).__name__))
except BaseException as error:
    print(type(error).__name__)
"""
CALLS = (
    *("bpf", "clone", "clone3", "getpid", "io_uring_setup", "keyctl", "memfd_create", "mount", "name_to_handle_at"),
    *("open_by_handle_at", "perf_event_open", "pidfd_getfd", "pidfd_open", "process_vm_readv", "ptrace", "semget"),
    *("setns", "shmget", "umount2", "unshare", "userfaultfd"),
)
SMALL = Limits(wall_s=20.0, cpu_s=10, memory_bytes=512 * 2**20, processes=32, disk_bytes=64 * 2**20)


AT = "/srv/repository"  # outside /tmp, which is the box's own and may be written


class Inside:
    """Runs Python code in a fresh box on one tree."""

    def __init__(self, sandbox: BubblewrapSandbox, policy: Policy) -> None:
        self.sandbox = sandbox
        self.policy = policy

    def run(
        self, code: str, *, stop: Stop = never, host: Mapping[str, object] | None = None, **limits: float
    ) -> Finished:
        """Run the code to its end; `host` is known to it by that name, `call` makes system calls by name."""
        policy = replace(self.policy, limits=replace(self.policy.limits, **limits))  # type: ignore[arg-type]
        return self.sandbox.run(self.command(code, host), policy, stop=stop)

    def command(self, code: str, host: Mapping[str, object] | None = None) -> list[str]:
        """Return the command that tries the code."""
        architecture = pyseccomp.system_arch()
        numbers = {name: pyseccomp.resolve_syscall(architecture, name) for name in CALLS}
        return [sys.executable, "-I", "-S", "-c", TRY, code, json.dumps(host or {}), json.dumps(numbers)]

    def outcome(self, code: str, *, host: Mapping[str, object] | None = None, **limits: float) -> str:
        """Return how the code ended: `done`, an errno's or an exception's name, `signal N`, or how the box did."""
        finished = self.run(code, host=host, **limits)
        if finished.ended != "exited":
            return finished.ended
        if finished.exit_code < 0:
            return f"signal {-finished.exit_code}"
        return finished.output.decode(errors="replace").split()[-1]


@pytest.fixture(scope="session")
def sandbox() -> BubblewrapSandbox:
    """The real sandbox; a machine that cannot make boxes fails every test here."""
    made = BubblewrapSandbox()
    made.check()
    return made


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with a secret in its `.git`."""
    root = tmp_path / "repository"
    (root / ".git" / "hooks").mkdir(parents=True)
    (root / ".git" / "config").write_text("url = https://user:canary-git@host/\n")
    (root / "shop.py").write_text("PRICE = 1\n")
    return root


@pytest.fixture
def inside(sandbox: BubblewrapSandbox, tree: Path) -> Inside:
    """A way to run code in boxes on the tree."""
    return Inside(sandbox, Policy(str(tree), AT, readable=paths_of(sys.executable), limits=SMALL))


@pytest.fixture
def processes_with() -> "Processes":
    """Finds processes of the host, in whatever box they are."""
    return Processes()


class Processes:
    """The host's view of its processes."""

    def __call__(self, mark: str) -> list[int]:
        """Return the processes with that argument."""
        return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and mark.encode() in self._arguments(pid)]

    def _arguments(self, pid: str) -> list[bytes]:
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return []
