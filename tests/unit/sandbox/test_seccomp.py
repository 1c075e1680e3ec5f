"""The filter by itself, in a process that has every right the tests have: what it refuses is refused by it alone."""

import subprocess
import sys

import pytest

from atra.sandbox.seccomp import filter_program

UNDER_FILTER = """
import ctypes, errno, os, socket, sys

class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]

libc = ctypes.CDLL(None, use_errno=True)
data = bytes.fromhex(sys.argv[1])
program = Program(len(data) // 8, data)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
if sys.argv[3] == "on":
    assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER

def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")

try:
    exec(sys.argv[2])
    print("done")
except OSError as error:
    print(errno.errorcode[error.errno])
"""


def outcome(code: str, *, filtered: bool = True) -> str:
    """Return how the code ended under the filter or without it."""
    program = (filter_program() or b"").hex()
    command = [sys.executable, "-I", "-S", "-c", UNDER_FILTER, program, code, "on" if filtered else "off"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("check(libc.unshare(0x10000000))", id="user-namespace"),
        pytest.param("check(libc.memfd_create(b'x', 0))", id="memory-file"),
        pytest.param("check(libc.semget(0, 10, 0o1600))", id="semaphores"),
        pytest.param("check(libc.ptrace(0, 0, 0, 0))", id="ptrace"),
        pytest.param("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)", id="netlink"),
    ],
)
def test_the_filter_alone_refuses(code):
    """The same call works without the filter."""
    assert outcome(code) in ("EPERM", "EAFNOSUPPORT")
    assert outcome(code, filtered=False) == "done"


def test_clone3_is_unknown_so_that_libc_falls_back():
    """Any other error would make threads and posix_spawn fail."""
    code = "check(libc.syscall(435, ctypes.create_string_buffer(88), 88))"

    assert outcome(code) == "ENOSYS"


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import threading; t = threading.Thread(target=int); t.start(); t.join()", id="threads"),
        pytest.param("import subprocess; subprocess.run(['true'], check=True)", id="subprocess"),
        pytest.param("import asyncio; asyncio.run(asyncio.sleep(0))", id="asyncio"),
        pytest.param("import multiprocessing as m; m.get_context('fork').Pool(2).map(abs, [1, 2])", id="pool"),
        pytest.param(
            "import multiprocessing.shared_memory as s; s.SharedMemory(create=True, size=9).unlink()", id="shm"
        ),
        pytest.param(
            "[socket.socket(family) for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)]", id="sockets"
        ),
        pytest.param("socket.socketpair()", id="socketpair"),
        pytest.param(
            "import fcntl; fcntl.ioctl(os.open('/dev/null', 0), 0x5401) if os.isatty(0) else None", id="ioctl"
        ),
    ],
)
def test_ordinary_programs_do_not_notice(code):
    """Threads, processes, shared memory and sockets of the usual families work under the filter."""
    assert outcome(code) == "done"


def test_every_other_family_is_refused():
    """No number slips through, not even one whose lower half is an allowed or a refused family."""
    code = """
for family in (0, *range(3, 10), *range(11, 64), (1 << 32) + 16, (1 << 32) + 2, 2**63):
    if libc.socket(ctypes.c_uint64(family), 2, 0) >= 0 or ctypes.get_errno() != errno.EAFNOSUPPORT:
        raise OSError(errno.EDOM, family)
"""

    assert outcome(code) == "done"
