"""Both sandboxes keep the same promises of the protocol; what only boxes promise is in tests/security."""

import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from atra.core.errors import BoxFailed
from atra.sandbox.bubblewrap import BubblewrapSandbox, make_sandbox
from atra.sandbox.interpreter import paths_of
from atra.sandbox.policy import Limits, Policy
from atra.sandbox.process import Printed, descendants, overused
from atra.sandbox.protocol import Box, Finished, Sandbox
from atra.sandbox.unboxed import UnboxedSandbox

ECHO = """
import os
requests, results = int(os.environ["ATRA_REQUEST_FD"]), int(os.environ["ATRA_RESULT_FD"])
print("ready", flush=True)
while data := os.read(requests, 65536):
    os.write(results, data.upper())
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with a file, a link, a program and things that are not copied."""
    root = tmp_path / "a tree"
    (root / "package" / ".git").mkdir(parents=True)
    (root / "package" / "module.py").write_text("X = 1\n")
    (root / "link").symlink_to("package/module.py")
    (root / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (root / "run.sh").chmod(0o755)
    (root / ".venv").mkdir()
    (root / ".venv" / "real").write_text("x")
    (root / ".venv-notes").write_text("not the environment\n")
    return root


@pytest.mark.parametrize("sandbox", [BubblewrapSandbox(), UnboxedSandbox()], ids=["bubblewrap", "unboxed"])
class TestSandbox:
    """What every implementation of `Sandbox` does."""

    def run(
        self, sandbox: Sandbox, tree: Path, *command: str, environment: dict[str, str] | None = None, **limits: float
    ) -> Finished:
        """Run the command on the tree."""
        return sandbox.run(command, policy(tree, environment, **limits))

    def test_output_result_and_exit_code_come_back(self, sandbox, tree):
        """Both streams in the order they were written, the result apart, and the program's own exit code."""
        code = "import os; [os.write(*what) for what in ((1, b'a'), (2, b'b'), (1, b'c'))]"
        code += "; os.write(int(os.environ['ATRA_RESULT_FD']), b'r'); os._exit(3)"

        finished = self.run(sandbox, tree, sys.executable, "-I", "-S", "-c", code)

        assert (finished.exit_code, finished.ended, finished.output, finished.result) == (3, "exited", b"abc", b"r")
        assert 0 < finished.seconds < 10

    def test_the_copy_is_like_the_tree(self, sandbox, tree):
        """Files, links and modes are copied; nothing of git is; the program starts in the copy."""
        listing = self.run(sandbox, tree, "find", ".", "!", "-path", "./.venv*").output.split(b"\n")
        link = self.run(sandbox, tree, "readlink", "link").output
        ran = self.run(sandbox, tree, "./run.sh").output

        assert sorted(listing) == [b"", b".", b"./link", b"./package", b"./package/module.py", b"./run.sh"]
        assert link == b"package/module.py\n"
        assert ran == b"ran\n"

    def test_the_tree_is_never_written(self, sandbox, tree):
        """What a program changes is gone after it."""
        self.run(sandbox, tree, "sh", "-c", "echo Y >package/module.py; rm link; echo new >new")

        assert (tree / "package" / "module.py").read_text() == "X = 1\n"
        assert (tree / "link").is_symlink()
        assert not (tree / "new").exists()

    def test_a_readable_path_in_the_tree_covers_the_copy(self, sandbox, tree):
        """The virtual environment is the host's own; a file whose name only starts alike is copied."""
        finished = self.run(sandbox, tree, "cat", ".venv/real", ".venv-notes")

        assert finished.output == b"xnot the environment\n"

    def test_a_file_is_seen_at_its_path_inside(self, sandbox, tree, tmp_path):
        """A file of ATRA's own can be named in the command by its path inside."""
        (tmp_path / "own.py").write_text("print('own')")
        given = Policy(str(tree), str(tree), paths_of(sys.executable), {str(tmp_path / "own.py"): "/srv/own.py"})

        assert sandbox.run([sys.executable, "-I", "/srv/own.py"], given).output == b"own\n"

    def test_the_environment_is_the_policys(self, sandbox, tree, monkeypatch):
        """Nothing of ATRA's comes through; PATH and the like have values that work."""
        monkeypatch.setenv("ATRA_CANARY", "1")

        lines = self.run(sandbox, tree, "env", environment={"GIVEN": "a b:c", "PATH": "/usr/bin"}).output.splitlines()
        names = {line.split(b"=")[0] for line in lines}

        assert names <= {b"GIVEN", b"PATH", b"HOME", b"TMPDIR", b"LANG", b"PWD", b"ATRA_RESULT_FD"}
        assert {b"GIVEN=a b:c", b"PATH=/usr/bin", b"LANG=C.UTF-8"} <= set(lines)

    def test_standard_input_is_empty(self, sandbox, tree):
        """A program that reads finds the end at once."""
        assert self.run(sandbox, tree, "cat").exit_code == 0

    def test_a_signal_is_a_negative_exit_code(self, sandbox, tree):
        """A program that kills itself is told from one that exits."""
        finished = self.run(sandbox, tree, "sh", "-c", "kill -KILL $$")

        assert (finished.ended, finished.exit_code) == ("exited", -9)

    def test_an_unknown_command_is_exit_code_127(self, sandbox, tree):
        """As in a shell, with the reason in the output."""
        finished = self.run(sandbox, tree, "no-such-command")

        assert finished.exit_code == 127
        assert b"no-such-command" in finished.output

    def test_the_wall_clock_ends_it(self, sandbox, tree):
        """What was printed before the end is kept."""
        finished = self.run(sandbox, tree, "sh", "-c", "echo before; exec sleep 65", wall_s=0.5)

        assert (finished.ended, finished.output) == ("wall_clock", b"before\n")
        assert 0.5 <= finished.seconds < 3.0

    def test_stop_is_asked_five_times_a_second(self, sandbox, tree):
        """A box ends when `stop` says so, which is asked often even while the program prints."""
        asked: list[float] = []

        def stop() -> bool:
            asked.append(time.monotonic())
            return len(asked) == 6

        finished = sandbox.run(["sh", "-c", "while :; do echo x; done"], policy(tree, output_bytes=2**30), stop=stop)

        assert finished.ended == "stopped"
        assert asked[-1] - asked[0] < 2.0  # 5 pauses of a tenth, on a machine under load

    def test_a_flood_ends_it(self, sandbox, tree):
        """Output over the limit ends the program; no more than the limit is kept."""
        finished = self.run(sandbox, tree, "yes", output_bytes=100_000)

        assert finished.ended == "output_limit"
        assert len(finished.output) == 100_000

    def test_limits_of_a_process_hold(self, sandbox, tree):
        """Memory, descriptors, file size, processor time and cores are limited for each process."""
        show = "ulimit -v; ulimit -n; ulimit -f; ulimit -t; ulimit -c"

        lines = self.run(
            sandbox, tree, "bash", "-c", show, memory_bytes=2**30, open_files=99, file_bytes=2**20, cpu_s=7
        ).output.split()

        assert lines == [b"1048576", b"99", b"1024", b"7", b"0"]

    def test_a_missing_tree_is_an_error(self, sandbox, tmp_path):
        """A box without its tree is not started."""
        with pytest.raises(BoxFailed):
            self.run(sandbox, tmp_path / "missing", "true")

    def test_a_conversation(self, sandbox, tree):
        """Requests in, results out, output kept, and an end that can be asked for twice."""
        box = sandbox.start([sys.executable, "-I", "-S", "-c", ECHO], policy(tree))
        box.send(b"hello")
        first = box.receive(10.0)
        with pytest.raises(TimeoutError):
            box.receive(0.05)
        box.send(b"x" * 50_000)
        got = 0
        while got < 50_000:
            got += len(box.receive(10.0))
        output = box.output()
        box.close()
        box.close()

        assert first == b"HELLO"
        assert output == b"ready\n"
        assert box.receive(1.0) == b""
        with pytest.raises(BoxFailed):
            box.send(b"more")

    def test_a_conversation_ends_with_its_program(self, sandbox, tree):
        """After the program's end, results are empty and requests refused."""
        box = sandbox.start([sys.executable, "-I", "-S", "-c", "print('bye')"], policy(tree))
        end = box.receive(10.0)
        with pytest.raises(BoxFailed):
            send_for_ever(box)
        output = box.output()
        box.close()

        assert end == b""
        assert output == b"bye\n"

    def test_a_conversation_has_a_wall_clock(self, sandbox, tree):
        """A long-lived box ends too."""
        box = sandbox.start(["sleep", "66"], policy(tree, wall_s=0.5))
        end = box.receive(10.0)
        box.close()

        assert end == b""

    def test_only_the_last_of_a_long_output_is_kept(self, sandbox, tree):
        """A box that prints much for long costs ATRA 64 KiB."""
        code = "import os\nfor n in range(3000): print(f'{n:099}')\nos.write(int(os.environ['ATRA_RESULT_FD']), b'x')"
        box = sandbox.start([sys.executable, "-I", "-c", code], policy(tree))
        box.receive(10.0)
        box.receive(10.0)
        time.sleep(0.2)
        output = box.output()
        box.close()

        assert len(output) == 65536
        assert output.endswith(b"2999\n")

    def test_no_descriptor_and_no_folder_is_left(self, sandbox, tree, tmp_path, monkeypatch):
        """After runs that end well or badly, ATRA holds no more descriptors and the same temporary files as before."""
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        self.run(sandbox, tree, "true")
        gc.collect()  # what earlier tests left to the collector is not counted
        open_before, files_before = len(os.listdir("/proc/self/fd")), sorted(os.listdir(tmp_path))

        for command in ("true", "no-such-command"):
            self.run(sandbox, tree, command)
        sandbox.start(["true"], policy(tree)).close()
        with pytest.raises(BoxFailed):
            self.run(sandbox, tmp_path / "missing", "true")

        gc.collect()
        assert len(os.listdir("/proc/self/fd")) <= open_before  # other tests' threads may close theirs meanwhile
        assert sorted(os.listdir(tmp_path)) == files_before


def send_for_ever(box: Box) -> None:
    """Send until it is refused."""
    while True:
        box.send(b"anyone?")


def policy(tree: Path, environment: dict[str, str] | None = None, **limits: float) -> Policy:
    """Return a policy that shows the tree at its own path, with this interpreter."""
    allowed = Limits(**({"wall_s": 20.0} | limits))  # type: ignore[arg-type]
    readable = (*paths_of(sys.executable), str(tree / ".venv"))
    return Policy(str(tree), str(tree), readable, environment=environment or {}, limits=allowed)


def test_the_setting_names_the_sandbox() -> None:
    """Only `none`, in so many words, gives up the box."""
    assert isinstance(make_sandbox("bubblewrap"), BubblewrapSandbox)
    assert isinstance(make_sandbox("none"), UnboxedSandbox)


class TestPrinted:
    """Output is what comes after the set-up."""

    @pytest.mark.parametrize("size", [1, 3, 100])
    def test_the_set_up_is_cut_off(self, size: int) -> None:
        """However the text is cut into pieces, only what follows the first mark is output."""
        printed = Printed(b"<begin>", keep=100)
        text = b"noise <beg<begin>said <begin> more"

        for start in range(0, len(text), size):
            printed.add(text[start : start + size])

        assert printed.begun
        assert printed.text() == b"said <begin> more"
        assert printed.total == len(b"said <begin> more")

    def test_without_the_mark_the_set_up_is_kept(self) -> None:
        """What the set-up said explains why it failed."""
        printed = Printed(b"<begin>", keep=10)

        printed.add(b"tar: no space left")

        assert not printed.begun
        assert printed.text() == b"space left"
        assert printed.total == 0


FAMILY = """
import os, sys, time
for _ in range(2):
    if os.fork():
        break
held = bytearray(os.urandom(4096)) * 4096
os.write(int(sys.argv[1]), b"x" if held else b"")
time.sleep(60)
"""


@pytest.fixture
def family() -> Iterator[int]:
    """A process with a child and a grandchild; its id. It is no copy of this one, which may hold a lot by itself."""
    read, write = os.pipe()
    first = subprocess.Popen([sys.executable, "-I", "-c", FAMILY, str(write)], pass_fds=[write])
    for _ in range(3):
        os.read(read, 1)
    yield first.pid
    for one in (*descendants(first.pid), first.pid):
        os.kill(one, 9)
    first.wait()
    os.close(read)
    os.close(write)


def test_descendants_are_all_below(family: int) -> None:
    """Children come before grandchildren, and the process itself is not among them."""
    below = list(descendants(family))

    assert len(below) == 2
    assert family not in below
    assert list(descendants(below[0])) == below[1:]


def test_a_family_uses_too_much_together(family: int) -> None:
    """Two processes of 16 MiB each hold more than 24 MiB together and less than 200."""
    assert overused(family, Limits(memory_bytes=24 * 2**20))
    assert not overused(family, Limits(memory_bytes=200 * 2**20))
