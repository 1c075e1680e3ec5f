"""What a box must not do to other processes, to its namespaces, and after its end."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

WITHIN_S = 3.0


def gone(processes_with, mark: str) -> bool:
    """Tell whether the processes with the mark end in time."""
    return _becomes(lambda: not processes_with(mark))


def _becomes(condition) -> bool:
    until = time.monotonic() + WITHIN_S
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()


def test_host_processes_cannot_be_seen(inside):
    """/proc lists the box's own processes only: its first one and the program."""
    output = inside.run("print(sorted(int(name) for name in os.listdir('/proc') if name.isdigit()))").output

    assert len(eval(output.split(b"\n")[0])) == 2
    assert inside.outcome("os.kill(host['pid'], 0)", host={"pid": os.getpid()}) == "ESRCH"


def test_host_processes_cannot_be_killed(inside):
    """Signals to everything at once, and to a process by its number on the host, reach nothing outside."""
    with subprocess.Popen(["sleep", "63"]) as other:
        code = "import signal; signal.signal(15, lambda *_: None); os.kill(-1, 15); os.kill(host['pid'], 9)"
        outcome = inside.outcome(code, host={"pid": other.pid})
        alive = other.poll() is None
        other.kill()

    assert outcome == "ESRCH"
    assert alive
    assert inside.outcome("if (pid := os.fork()) == 0: os.pause() \nos.kill(pid, 9); os.wait()") == "done"


@pytest.mark.parametrize(
    ("attempt", "twin"),
    [
        pytest.param("call('ptrace', 16, 1, 0, 0)", "os.kill(os.getpid(), 0)", id="ptrace-attach"),
        pytest.param("call('ptrace', 0, 0, 0, 0)", "os.getppid()", id="ptrace-traceme"),
        pytest.param("call('process_vm_readv', 1, 0, 0, 0, 0, 0)", "open('/proc/self/mem')", id="read-memory"),
        pytest.param("call('pidfd_getfd', call('pidfd_open', 1, 0), 0, 0)", "call('pidfd_open', 1, 0)", id="take-fd"),
        pytest.param("open('/proc/1/mem', 'r+b')", "open('/proc/self/maps').read()", id="memory-of-pid-1"),
        pytest.param("open('/proc/1/task/1/mem', 'r+b')", "open('/proc/self/mem', 'r+b')", id="thread-of-pid-1"),
        pytest.param("call('unshare', 0x10000000)", "os.fork() or os._exit(0)", id="unshare-user"),
        pytest.param("call('unshare', 0x00020000)", "os.getpgid(0)", id="unshare-mount"),
        pytest.param(
            "call('clone', 0x10000011, 0, 0, 0, 0)", "call('clone', 17, 0, 0, 0, 0) or os._exit(0)", id="clone"
        ),
        pytest.param(
            "call('clone3', ctypes.create_string_buffer(88), 88)",
            "os.posix_spawn('/bin/true', ['true'], {})",
            id="clone3",
        ),
        pytest.param(
            "call('setns', os.open('/proc/self/ns/net', 0), 0)", "os.open('/proc/self/ns/net', 0)", id="setns"
        ),
        pytest.param("call('mount', b'x', b'/tmp', b'tmpfs', 0, 0)", "os.mkdir('/tmp/x')", id="mount"),
        pytest.param("call('mount', b'/usr', b'/tmp', 0, 4096, 0)", "os.listdir('/usr')", id="bind-mount"),
        pytest.param("call('mount', 0, b'/', 0, 32 | 4096, 0)", "os.stat('/')", id="remount-writable"),
        pytest.param("call('umount2', b'/tmp', 2)", "os.statvfs('/tmp')", id="umount"),
        pytest.param("call('bpf', 0, 0, 0)", "os.times()", id="bpf"),
        pytest.param("call('perf_event_open', 0, 0, -1, -1, 0)", "__import__('time').perf_counter()", id="perf"),
        pytest.param("call('userfaultfd', 0)", "__import__('mmap').mmap(-1, 4096)", id="userfaultfd"),
        pytest.param("call('keyctl', 0, -3, 1)", "os.urandom(1)", id="keyring"),
        pytest.param("call('name_to_handle_at', -100, b'/', 0, 0, 0)", "os.open('/', os.O_PATH)", id="file-handle"),
        pytest.param("call('open_by_handle_at', 3, 0, 0)", "os.open('.', os.O_DIRECTORY)", id="open-by-handle"),
        pytest.param("call('semget', 0, 32000, 0)", "__import__('multiprocessing').Lock()", id="ipc-semaphores"),
        pytest.param("call('shmget', 0, 1 << 30, 0o1600)", "call('shmget', 0, 56, 0o1600)", id="ipc-memory"),
        pytest.param("call('memfd_create', b'x', 0)", "__import__('tempfile').TemporaryFile()", id="memory-file"),
    ],
)
def test_ways_out_of_the_namespaces_are_refused(inside, attempt, twin):
    """Each call fails for want of a right, by the filter or by the kernel; its harmless neighbour works."""
    assert inside.outcome(attempt) in ("EPERM", "ENOSYS", "EACCES", "ENOENT")
    assert inside.outcome(twin) == "done"


def test_a_box_has_no_capability(inside):
    """All capability sets are empty, the bounding set too, and the user is mapped to itself alone."""
    finished = inside.run("print(open('/proc/self/status').read(), open('/proc/self/uid_map').read())")
    status = dict(line.split(b":", 1) for line in finished.output.splitlines() if b":" in line)

    assert [status[name].strip() for name in (b"CapPrm", b"CapEff", b"CapBnd", b"CapAmb")] == [b"0" * 16] * 4
    assert status[b"Seccomp"].strip() == b"2"


DAEMON = """
import signal, subprocess
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for descriptor in range(64):
            try:
                os.close(descriptor)
            except OSError:
                pass
        os.execv("/bin/sleep", ["sleep", "{mark}"])
    os._exit(0)
import time
def started():
    names = [name for name in os.listdir("/proc") if name.isdigit() and name != "1"]
    return any(b"{mark}" in open("/proc/" + name + "/cmdline", "rb").read().split(b"\\0") for name in names)
while not started():
    time.sleep(0.01)
os.write(int(os.environ["ATRA_RESULT_FD"]), b"started")
{then}
"""


@pytest.mark.parametrize(
    ("then", "ended", "mark"),
    [
        pytest.param("pass", "exited", "64.0001", id="program-ends"),
        pytest.param("time.sleep(60)", "wall_clock", "64.0002", id="wall-clock"),
        pytest.param("while True: print('x' * 65536)", "output_limit", "64.0003", id="output-limit"),
        pytest.param("os.abort()", "exited", "64.0004", id="program-crashes"),
    ],
)
def test_no_process_outlives_its_box(inside, processes_with, then, ended, mark):
    """A daemon by double fork and setsid, deaf to signals and without descriptors, dies however the box ends."""
    finished = inside.run(DAEMON.format(mark=mark, then=then), wall_s=2.0)

    assert (finished.ended, finished.result) == (ended, b"started")
    assert gone(processes_with, mark)


def test_a_running_box_is_seen_by_the_host_and_gone_after_close(sandbox, inside, processes_with):
    """The twin: the way in which survivors are looked for does find a process of a box that is open."""
    box = sandbox.start(["sleep", "64.0005"], inside.policy)
    seen = _becomes(lambda: processes_with("64.0005"))
    box.close()

    assert seen
    assert gone(processes_with, "64.0005")


def test_stop_ends_a_box(inside, processes_with):
    """A box ends soon after `stop` says so, and nothing of it goes on."""
    finished = inside.run("import time; os.execv('/bin/sleep', ['sleep', '64.0006'])", stop=lambda: True)

    assert finished.ended == "stopped"
    assert finished.seconds < 2.0
    assert gone(processes_with, "64.0006")


ATRA_THAT_IS_KILLED = """
import sys
from atra.sandbox.bubblewrap import BubblewrapSandbox
from atra.sandbox.policy import Policy
BubblewrapSandbox().{how}(["sleep", "{mark}"], Policy(sys.argv[1], "/srv/repository"))
import time
time.sleep(60)
"""


@pytest.mark.parametrize(("how", "mark"), [("run", "64.0007"), ("start", "64.0008")])
def test_a_box_dies_with_atra(tree, processes_with, how, mark):
    """When the process that made a box is killed with SIGKILL, the box goes too."""
    code = textwrap.dedent(ATRA_THAT_IS_KILLED.format(how=how, mark=mark))
    root = str(Path(__file__).parents[2])
    with subprocess.Popen([sys.executable, "-c", code, str(tree)], cwd=root) as atra:
        seen = _becomes(lambda: processes_with(mark))
        atra.send_signal(signal.SIGKILL)

    assert seen
    assert gone(processes_with, mark)
