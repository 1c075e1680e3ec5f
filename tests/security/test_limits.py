"""What a box must not use up: processes, memory, disk, descriptors, time, and ATRA's patience with its output."""

import time

import pytest

MIB = 2**20

FORK = """
import time
made = 0
while made < {wanted}:
    if os.fork() == 0:
        time.sleep(30)
        os._exit(0)
    made += 1
"""
BOMB = """
while True:
    try:
        os.fork()
    except OSError:
        pass
"""


def test_processes_are_limited(inside):
    """No more processes than the limit, whoever runs ATRA; a few are fine."""
    assert inside.outcome(FORK.format(wanted=40), processes=20) == "EAGAIN"
    assert inside.outcome(FORK.format(wanted=10), processes=20) == "done"


def test_threads_count_as_processes(inside):
    """Threads are limited with the processes; a few are fine."""
    code = """
import threading, time
for _ in range({wanted}):
    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
"""
    assert inside.outcome(code.format(wanted=40), processes=20) == "RuntimeError"
    assert inside.outcome(code.format(wanted=10), processes=20) == "done"


def test_a_fork_bomb_ends_with_its_box(inside):
    """Processes that fork for ever end at the wall clock, all of them, and the next box starts as quickly as ever."""
    before = time.monotonic()
    outcome = inside.outcome(BOMB, processes=20, wall_s=1.5)
    seconds = time.monotonic() - before

    assert outcome in ("wall_clock", "overuse")
    assert seconds < 6.0
    assert inside.outcome("pass") == "done"


def test_memory_of_one_process_is_limited(inside):
    """An allocation beyond the limit fails; one below it does not."""
    assert inside.outcome("bytearray(600 << 20)") == "MemoryError"
    assert inside.outcome("bytearray(50 << 20)") == "done"


ALLOCATE = """
import time
pipes = []
for _ in range({children}):
    read, write = os.pipe()
    if os.fork() == 0:
        held = bytearray(os.urandom(1 << 20)) * {mib}
        os.write(write, b"x")
        time.sleep(30)
        os._exit(0)
    pipes.append(read)
for read in pipes:
    os.read(read, 1)
time.sleep(2)
"""


def test_memory_of_many_processes_is_limited_together(inside):
    """Processes that are each below the limit and together above it are stopped; fewer are not."""
    limit = 200 * MIB

    assert inside.outcome(ALLOCATE.format(children=6, mib=60), memory_bytes=limit) == "overuse"
    assert inside.outcome(ALLOCATE.format(children=2, mib=20), memory_bytes=limit) == "done"


def test_shared_pages_count_once(inside):
    """A server that forks children, which share what it has loaded, is not taken for many large programs."""
    code = "held = bytearray(os.urandom(1 << 20)) * 60\n" + ALLOCATE.format(children=6, mib=1)

    assert inside.outcome(code, memory_bytes=200 * MIB) == "done"


WRITE = """
data = os.urandom(1 << 20)
with open("{path}", "wb") as file:
    for _ in range({mib}):
        file.write(data)
"""


@pytest.mark.parametrize("path", ["big", "/tmp/big", "/dev/shm/big"])
def test_disk_is_limited(inside, path):
    """What is written in the copy, in /tmp and in shared memory is limited in total."""
    assert inside.outcome(WRITE.format(path=path, mib=40)) == "ENOSPC"
    assert inside.outcome(WRITE.format(path=path, mib=4)) == "done"


def test_the_size_of_one_file_is_limited(inside):
    """A file cannot grow beyond the limit, nor be made to look larger with holes; up to it, it can."""
    assert inside.outcome(WRITE.format(path="big", mib=9), file_bytes=8 * MIB) == "EFBIG"
    assert inside.outcome("os.truncate('shop.py', 1 << 50)") == "EFBIG"
    assert inside.outcome("os.truncate('shop.py', 1 << 20)") == "done"


@pytest.mark.parametrize("folder", [".", "/tmp"])
def test_the_number_of_files_is_limited(inside, folder):
    """Empty files, which no quota of bytes sees, end the box; a few do not."""
    code = f"import time\nfor n in range({{files}}): open(f'{folder}/{{{{n}}}}', 'w').close()\ntime.sleep({{then}})"

    assert inside.outcome(code.format(files=3000, then=10).format(n="{n}"), disk_bytes=4 * MIB) == "overuse"
    assert inside.outcome(code.format(files=100, then=1).format(n="{n}"), disk_bytes=4 * MIB) == "done"


def test_a_deep_tree_is_cleared_away(inside):
    """Folders a thousand deep are made and leave nothing behind."""
    assert inside.outcome("for _ in range(1000): os.mkdir('d'); os.chdir('d')") == "done"


def test_descriptors_are_limited(inside):
    """Files can be opened up to the limit."""
    code = "files = [os.open('/dev/null', 0) for _ in range({count})]"

    assert inside.outcome(code.format(count=100), open_files=64) == "EMFILE"
    assert inside.outcome(code.format(count=30), open_files=64) == "done"


def test_output_is_limited(inside):
    """A flood on either stream ends the box at the limit and no more than the limit is kept."""
    for stream in ("stdout", "stderr"):
        finished = inside.run(f"while True: sys.{stream}.write('x' * 65536)", output_bytes=MIB)

        assert finished.ended == "output_limit"
        assert len(finished.output) <= MIB
    assert inside.outcome("sys.stdout.write('x' * 65536 + '\\n')", output_bytes=MIB) == "done"


def test_the_result_is_limited(inside):
    """A flood of the result pipe ends the box as well."""
    code = "fd = int(os.environ['ATRA_RESULT_FD'])\nwhile True: os.write(fd, b'x' * 65536)"

    finished = inside.run(code, output_bytes=MIB)

    assert finished.ended == "output_limit"
    assert len(finished.result) <= MIB


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("9 ** 9 ** 9", id="arithmetic"),
        pytest.param("import re; re.match('(a*)*b', 'a' * 64)", id="regex"),
        pytest.param("import time; time.sleep(60)", id="sleep"),
        pytest.param(
            "import signal; signal.pthread_sigmask(0, range(1, 32)); os.pipe() and os.read(os.pipe()[0], 1)", id="deaf"
        ),
        pytest.param("while True: pass", id="loop"),
    ],
)
def test_the_wall_clock_stops_anything(inside, code):
    """Code in C that no signal handler interrupts ends within half a second of its time."""
    finished = inside.run(code, wall_s=1.0)

    assert finished.ended == "wall_clock"
    assert finished.seconds < 1.5 + 1.0  # a second for a machine under load


def test_processor_time_is_limited(inside):
    """A loop that hides behind a long wall clock is killed by the kernel after its processor time."""
    finished = inside.run("while True: pass", cpu_s=1, wall_s=15.0)

    assert (finished.ended, finished.exit_code) == ("exited", -9)
    assert finished.seconds < 10.0


def test_limits_cannot_be_raised(inside):
    """The limits are hard; lowering one is allowed."""
    raised = "import resource as r; r.setrlimit(r.RLIMIT_NPROC, (10**6, 10**6))"
    lowered = "import resource as r; r.setrlimit(r.RLIMIT_NPROC, (10, 10))"

    assert inside.outcome(raised) == "ValueError"
    assert inside.outcome(lowered) == "done"


def test_a_crash_is_the_programs_alone(inside):
    """A null pointer ends the program with its signal and leaves no core; what it printed is kept."""
    finished = inside.run("print('before', flush=True); ctypes.string_at(0)")

    assert (finished.ended, finished.exit_code) == ("exited", -11)
    assert finished.output.startswith(b"before")


def test_output_of_any_bytes_is_kept(inside):
    """Null bytes and broken UTF-8 pass as they are, and the line that ends the set-up cannot be forged."""
    data = bytes(range(256)) + b"\0the box stands\0\n"

    assert inside.run(f"os.write(1, {data!r}); os._exit(0)").output == data
