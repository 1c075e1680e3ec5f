"""What runs inside a box: a repository's pytest tests, once with a report or again and again for candidates.

This one file enters the box; it needs Python 3.9 or newer and the target's own pytest (6.2 or newer), nothing of ATRA.
It talks JSON over the two descriptors named by ATRA_REQUEST_FD and ATRA_RESULT_FD, each message after its length.

Processes. The *keeper* is the box's first process. It holds the descriptors, imports pytest and nothing of the project,
and forks. For a report it forks a child that runs the tests, and another one for the rest when that child dies or hangs
in C. As a workshop it forks the *collector*, which imports the project and collects the tests once; the collector forks
a child per candidate, in which the changed functions get their new code objects; before that many candidates are
glanced at in one child, as long as none of them leaves anything behind there. A candidate that changes more than the
bodies of functions that nothing called while the tests were collected is run by a child of the keeper, which imports
the project afresh. After each candidate its processes are killed and the files that it changed in the tree, in /tmp and
in /dev/shm are put back.

What children say counts only with a nonce that they were given at birth, and a candidate counts as plausible only when
a test that must fail still fails in its process, and when the functions of pytest, unittest, operator, builtins, time
and math are those that the keeper knows. What this does not catch: code that walks the interpreter's frames or its
garbage collector to the nonce, or replaces hooks inside pytest's plugin manager for some tests only; objects that
compare equal to everything; state left in System V shared memory. A cold run and a reader of the diff come after it.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 9):  # the target's interpreter, not ATRA's
    sys.exit("Python 3.9 or newer is needed here")

import __future__

import ast
import ctypes
import dis
import errno
import gc
import importlib.util
import inspect
import io
import itertools
import json
import math
import operator
import os
import pickle
import random
import re
import select
import shlex
import shutil
import signal
import stat
import threading
import time
import tokenize
import traceback
import types
import unittest
import zlib
from pathlib import Path
from typing import Any, Callable, Collection, Iterable, Iterator, NoReturn, Optional, Union

Message = dict[str, Any]

TEXT_LIMIT = 8192
MESSAGE_LIMIT = 2048
FRAMES_LIMIT = 100
HUNG_SIGNAL = signal.SIGRTMIN + 5  # SIGALRM belongs to the target and to pytest-timeout
ALIVE_S = 1.0
STRAYS_S = 1.0  # who forks faster than it is killed for so long is left to the end of the box
SILENT_S = 8.0  # a collector that says nothing for so long was stopped or is stuck


# ---- conversation ----------------------------------------------------------------------------------------------------


class Link:
    """JSON messages, each after its length in four bytes, over a pair of descriptors."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self.fds = (read_fd, write_fd)
        self._buffer = bytearray()

    def send(self, message: Message) -> None:
        """Write one message.

        Raises:
            OSError: nobody reads any more.
        """
        body = json.dumps(message).encode()
        data = memoryview(len(body).to_bytes(4, "big") + body)
        while data:
            data = data[os.write(self.fds[1], data) :]

    def receive(self, timeout_s: Optional[float] = None) -> Optional[Message]:
        """Return the next message, or None when the other side has gone.

        Raises:
            TimeoutError: nothing complete came within the time.
        """
        while True:
            if len(self._buffer) >= 4:
                size = int.from_bytes(self._buffer[:4], "big")
                if len(self._buffer) >= 4 + size:
                    message: Message = json.loads(self._buffer[4 : 4 + size])
                    del self._buffer[: 4 + size]
                    return message
            if timeout_s is not None and not select.select([self.fds[0]], [], [], timeout_s)[0]:
                raise TimeoutError
            data = os.read(self.fds[0], 1 << 16)
            if not data:
                return None
            self._buffer += data

    def close(self) -> None:
        """Close both descriptors."""
        for fd in self.fds:
            os.close(fd)


def refuse(kind: str, reason: str) -> NoReturn:
    """Tell the host why nothing can be run here, and end."""
    Link(-1, int(os.environ["ATRA_RESULT_FD"])).send({"refused": kind, "reason": reason})
    sys.exit(0)


if sys.path and sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
    del sys.path[0]
try:
    import pytest
except ImportError:
    refuse("interpreter", "it has no pytest")
if tuple(int(part) for part in re.findall(r"\d+", pytest.__version__)[:2]) < (6, 2):
    refuse("interpreter", f"its pytest {pytest.__version__} is older than 6.2")


# ---- children --------------------------------------------------------------------------------------------------------


LIBC = ctypes.CDLL(None)  # made once, for to make it in a child costs a tenth of a candidate's time


def prctl(option: int, value: int) -> None:
    """Call prctl(2) and let its failure pass: what it does here is one protection of several."""
    LIBC.prctl(option, value, 0, 0, 0)


DUMPABLE, SUBREAPER = 4, 36  # from linux/prctl.h


class Voice:
    """The child's side of its pipe: lines that start with the nonce, whatever else is written between them."""

    def __init__(self, fd: int, nonce: str) -> None:
        self._write, self._dumps, self._clock = os.write, json.dumps, time.monotonic
        self._fd, self._start = fd, f"\n{nonce}".encode()
        self._last = self._limit = 0.0

    def say(self, message: Message) -> None:
        """Send one message to the parent."""
        data = memoryview(self._start + self._dumps(message).encode() + b"\n")
        while data:
            data = data[self._write(self._fd, data) :]

    def tick(self, limit_s: float) -> None:
        """Tell the parent that a test begins which may take so long; seldom, for each message wakes the parent."""
        now = self._clock()
        if now - self._last > 0.05 or limit_s > self._limit:
            self._last, self._limit = now, limit_s
            self.say({"tick": limit_s})


class Child:
    """A forked process at work, as its parent sees it."""

    def __init__(self, pid: int, fd: int, nonce: str) -> None:
        self.pid, self.status = pid, 0
        self._fd, self._start, self._buffer, self._closed = fd, nonce.encode(), b"", False
        self._end = os.pidfd_open(pid)

    def messages(self, patience_s: Callable[[], float], overdue: Callable[[], None]) -> Iterator[Message]:
        """Yield what the child says until it has ended.

        Args:
            patience_s: how long the child may stay silent from now on.
            overdue: called when it was silent for longer; it does something about that.
        """
        while True:
            watched = [self._end] if self._closed else [self._end, self._fd]
            ready = select.select(watched, [], [], patience_s())[0]
            if not ready:
                overdue()
            elif self._end in ready:
                break
            else:
                yield from self._read()
        # What it left in the pipe is read, once: a process that outlives it may hold the pipe open and go on writing.
        if select.select([self._fd], [], [], 0)[0]:
            yield from self._read()
        self.status = os.waitpid(self.pid, 0)[1]
        os.close(self._end)
        os.close(self._fd)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal; a kill goes to its whole process group."""
        try:
            (os.killpg if number == signal.SIGKILL else os.kill)(self.pid, number)
        except ProcessLookupError:
            return

    def _read(self) -> Iterator[Message]:
        data = os.read(self._fd, 1 << 20)
        self._closed = not data
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            if line.startswith(self._start):
                yield json.loads(line[len(self._start) :])


def spawn(work: Callable[[Voice], None], close: Iterable[int]) -> Child:
    """Fork a child that does the work in a process group of its own and ends; it sees none of the given descriptors."""
    leave, code = os._exit, 1
    child = split(close)
    if isinstance(child, Child):
        return child
    try:
        work(child)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        leave(code)


def split(close: Iterable[int]) -> Union[Child, Voice]:
    """Fork, and return the child to the parent and the voice to the child, which goes on from here."""
    read, write = os.pipe()
    nonce = os.urandom(16).hex()
    pid = os.fork()
    if pid:
        os.close(write)
        try:
            os.setpgid(pid, pid)
        except OSError as error:  # it has run ahead and ended
            if error.errno not in (errno.EACCES, errno.ESRCH):
                raise
        return Child(pid, read, nonce)
    leave = os._exit
    try:
        os.setpgid(0, 0)
        for fd in (read, *close):
            os.close(fd)
        prctl(DUMPABLE, 1)
        sys.modules["__main__"] = types.ModuleType("__main__")
        return Voice(write, nonce)
    except BaseException:  # a second parent must not go on
        leave(1)
        raise


class Server:
    """A forked process that answers messages, as the keeper sees it."""

    def __init__(self, work: Callable[[Link], None], close: Iterable[int], alive: Callable[[], None]) -> None:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        self._alive = alive
        self.pid = os.fork()
        if not self.pid:
            leave = os._exit
            try:
                os.setpgid(0, 0)
                for fd in (ours_in, ours_out, *close):
                    os.close(fd)
                work(Link(theirs_in, theirs_out))
            except BaseException:
                traceback.print_exc()
            finally:
                leave(1)
        os.close(theirs_in)
        os.close(theirs_out)
        self.link = Link(ours_in, ours_out)

    def ask(self, message: Message, patience_s: float = SILENT_S) -> Optional[Message]:
        """Send a message, or none when it is empty, and return the answer, or None when it has died or is stuck."""
        until = time.monotonic() + patience_s
        try:
            if message:
                self.link.send(message)
            while time.monotonic() < until:
                try:
                    answer = self.link.receive(ALIVE_S)
                except TimeoutError:
                    self._alive()
                    continue
                if answer is None or "alive" not in answer:
                    return answer
                until = time.monotonic() + patience_s
                self._alive()
        except OSError:  # it has closed its end
            return None
        return None

    def end(self) -> None:
        """Kill the process; what it leaves behind is for `end_strays`."""
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        self.link.close()


def end_strays(keep: Collection[int] = ()) -> bool:
    """Kill every descendant but some children, and say whether none is left. The caller is their subreaper."""
    until = time.monotonic() + STRAYS_S
    while time.monotonic() < until:
        if not keep:
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return True
        strays = [pid for pid in children_of(os.getpid()) if pid not in keep]
        if not strays:
            return True
        for act in (lambda pid: os.kill(pid, signal.SIGKILL), lambda pid: os.waitpid(pid, 0)):
            for pid in strays:
                try:
                    act(pid)
                except (ProcessLookupError, ChildProcessError):
                    continue
    return False


def children_of(parent: int) -> list[int]:
    """Return the processes whose parent is the given one."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found.append(int(name))
    return found


# ---- text and edits --------------------------------------------------------------------------------------------------


class SourceText:
    """A file's text as people count its characters, with what is needed to write it back byte for byte.

    A file that is not there is an empty one.
    """

    def __init__(self, path: str) -> None:
        self.data = b""
        if os.path.lexists(path):
            with open(path, "rb") as file:
                self.data = file.read()
        self.encoding = encoding_of(self.data) if path.endswith(".py") else "utf-8"
        self.text = self.data.decode(self.encoding, "surrogateescape")

    def edited(self, edits: list[tuple[int, int, str]]) -> bytes:
        """Return the file's bytes with the edits made."""
        return changed(self.text, edits).encode(self.encoding, "surrogateescape")


def encoding_of(data: bytes) -> str:
    """Return the encoding that a Python file declares; by it a byte order mark is no part of the text."""
    try:
        return tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError:
        return "utf-8"


def changed(text: str, edits: list[tuple[int, int, str]], shift: int = 0) -> str:
    """Return the text with edits made whose offsets count from `shift` characters before its start.

    Raises:
        ValueError: two edits overlap, or one reaches outside the text.
    """
    parts, at = [], 0
    for start, end, new in sorted(edits):
        if not at <= start - shift <= end - shift <= len(text):
            raise ValueError("an edit overlaps another or leaves the text")
        parts += [text[at : start - shift], new]
        at = end - shift
    return "".join(parts) + text[at:]


# ---- pytest's arguments ----------------------------------------------------------------------------------------------

DROPPED = re.compile(  # options of plugins that do not belong here, and those that end a run early
    r"--(no-)?cov\b|--cov-|--no-cov-|-n\b|-n\d|-nauto|-nlogical|--numprocesses|--maxprocesses|--dist\b|--tx\b"
    r"|--randomly|--random-order|--timeout|--session-timeout|--reruns|--html|--self-contained-html|--junit-?xml"
    r"|--junit-prefix|--benchmark|-x$|--exitfirst|--maxfail|--lf$|--last-failed|--ff$|--failed-first|--nf$|--new-first"
    r"|--sw$|--stepwise|--sw-skip|--pdb|--trace$|--strict-config|--collect-only|--co$"
)
VALUED = re.compile(  # those of them whose value may be the next word
    r"(--cov|--cov-(report|config|fail-under|context)|-n|--numprocesses|--maxprocesses|--dist|--tx|--randomly-seed"
    r"|--random-order-(bucket|seed)|--timeout|--timeout[-_]method|--session-timeout|--reruns|--reruns-delay|--html"
    r"|--junit-?xml|--junit-prefix|--maxfail|--benchmark-(json|storage|columns|sort|save))$"
)
INI_FILES = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")


def without_dropped(arguments: list[str]) -> list[str]:
    """Return pytest's arguments without the options that have no place in a box, and without their values."""
    kept, value_next = [], False
    for argument in arguments:
        dropped = DROPPED.match(argument) is not None or (value_next and not argument.startswith("-"))
        value_next = VALUED.match(argument) is not None
        if not dropped:
            kept.append(argument)
    return kept


def find_ini(folder: str, top: str) -> tuple[str, dict[str, Any]]:
    """Return pytest's configuration file above or in the folder, up to the top, with its values; or ("", {})."""
    import pathlib

    from _pytest.config.findpaths import load_config_dict_from_file

    for place in folders_up(folder, top):
        for name in INI_FILES:
            path = os.path.join(place, name)
            if not os.path.isfile(path):
                continue
            try:
                values = load_config_dict_from_file(pathlib.Path(path))
            except BaseException:  # pytest says it better when it reads the file itself
                return path, {}
            if values is not None:
                return path, {key: getattr(value, "value", value) for key, value in values.items()}
    return "", {}


def folders_up(folder: str, top: str) -> Iterator[str]:
    """Yield the folder and those above it, up to the top."""
    while True:
        yield folder
        if folder == top or folder == os.path.dirname(folder):
            return
        folder = os.path.dirname(folder)


class Suite:
    """How this repository's pytest is called."""

    def __init__(self, setup: Message) -> None:
        self.top = os.getcwd()
        self.folder = os.path.normpath(os.path.join(self.top, setup["subfolder"]))
        self.paths: list[str] = [os.path.join(self.top, path) for path in setup["paths"]]
        self._given = without_dropped(setup["arguments"])
        self._ini, values = find_ini(self.folder, self.top)
        self.root = os.path.dirname(self._ini) or next(
            (place for place in folders_up(self.folder, self.top) if os.path.isfile(os.path.join(place, "setup.py"))),
            self.folder,
        )
        addopts = values.get("addopts", "")
        self._addopts = without_dropped(shlex.split(addopts) if isinstance(addopts, str) else list(addopts))

    def arguments(self, tests: list[str]) -> list[str]:
        """Return the command line that collects the files of these tests, or everything when there are none."""
        arguments = ["--rootdir", self.root, "-p", "no:randomly", "-p", "no:random_order", "-p", "no:rerunfailures"]
        arguments += ["-c", self._ini] if self._ini else []
        arguments += ["--no-summary"]  # it repeats all that failing tests printed, and a box may print only so much
        arguments += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # plugins were imported before pytest saw them
        cache = os.path.join(os.environ.get("TMPDIR", "/tmp"), ".pytest_cache")
        for override in (f"addopts={shlex.join(self._addopts)}", "required_plugins=", f"cache_dir={cache}"):
            arguments += ["-o", override]
        given = self._given
        if tests and not any(is_conftest(test) for test in tests):
            files = dict.fromkeys(os.path.join(self.root, test.partition("::")[0]) for test in tests)
            before = ["", *given]
            given = [
                argument
                for option, argument in zip(before, given)  # noqa: B905
                if option in WITH_VALUE or not os.path.exists(argument.partition("::")[0])
            ]
            given += [file for file in files if os.path.exists(file)]
        return [*arguments, *given]

    def enter(self) -> None:
        """Make this process look as if `python -m pytest` had been called in the folder."""
        os.chdir(self.folder)
        sys.path[:0] = list(dict.fromkeys([self.folder, *self.paths]))
        os.environ["PYTHONPATH"] = os.pathsep.join(
            dict.fromkeys([self.folder, *self.paths, *filter(None, [os.environ.get("PYTHONPATH")])])
        )

    def owns(self, filename: str) -> bool:
        """Tell whether a code object's file is the repository's own, not an installed package below it."""
        return filename.startswith(self.top + os.sep) and not FOREIGN.search(filename[len(self.top) :])


WITH_VALUE = frozenset(
    "--deselect --ignore --ignore-glob --confcutdir --rootdir -c --config-file --basetemp --log-file --import-mode"
    " -k -m -o --override-ini -p -W --pythonwarnings".split()
)
"""Options of pytest's whose value is an argument of its own, and might look like a path."""

FOREIGN = re.compile(r"/(site-packages|dist-packages|\.?venv|\.tox|\.nox|node_modules)/")


# ---- outcomes --------------------------------------------------------------------------------------------------------


class Plugin:
    """pytest's hooks in a child: gathers reports, and replaces the loop over the tests by a function of ours.

    Where tests are named, functions and classes of other names are not made into tests: there may be thousands.
    """

    def __init__(
        self,
        loop: Callable[[Any], None],
        machinery: Machinery,
        describe: Optional[Callable[[Any], Message]] = None,
        tests: Iterable[str] = (),
    ) -> None:
        self.broken: list[str] = []
        parts = [test.partition("[")[0].split("::")[1:] for test in tests]
        self._wanted = {part for found in parts for part in found} if all(parts) else set()
        self._loop, self._machinery, self._describe = loop, machinery, describe
        self._reports: list[Any] = []
        self._early: list[str] = []

    # Installed plugins may change pytest and unittest, when they are loaded and when they are configured; the
    # repository's own code, which is first imported by the conftest files in between, may not.

    def pytest_load_initial_conftests(self) -> None:
        self._machinery.accept()

    @pytest.hookimpl(tryfirst=True)  # type: ignore[untyped-decorator,unused-ignore]
    def pytest_configure(self) -> None:
        self._early = self._machinery.changes()

    @pytest.hookimpl(tryfirst=True)  # type: ignore[untyped-decorator,unused-ignore]
    def pytest_sessionstart(self) -> None:
        self._machinery.accept(but=self._early)

    @pytest.hookimpl(tryfirst=True)  # type: ignore[untyped-decorator,unused-ignore]
    def pytest_pycollect_makeitem(self, name: str) -> Optional[list[Any]]:
        return [] if self._wanted and name not in self._wanted else None

    @pytest.hookimpl(tryfirst=True)  # type: ignore[untyped-decorator,unused-ignore]
    def pytest_runtestloop(self, session: Any) -> bool:
        self._loop(session)
        return True

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.broken.append(f"{report.nodeid}: {shorten(report.longreprtext, TEXT_LIMIT)}")

    def pytest_runtest_logreport(self, report: Any) -> None:
        self._reports.append(report)

    @pytest.hookimpl(hookwrapper=True)  # type: ignore[untyped-decorator,unused-ignore]
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Iterator[None]:
        if self._describe is None:  # nobody reads tracebacks of candidates, and to print one takes longer than to fail
            item.repr_failure = item._repr_failure_py = quiet
        outcome: Any = yield
        if self._describe is not None and call.excinfo is not None:
            outcome.get_result().atra = self._describe(call.excinfo)

    @pytest.hookimpl(tryfirst=True)  # type: ignore[untyped-decorator,unused-ignore]
    def pytest_runtest_setup(self) -> None:
        if self._describe is None:
            import _pytest.assertion.util as assertions

            assertions._reprcompare = None  # explaining a failed comparison takes longer than failing

    @pytest.hookimpl(tryfirst=True)  # type: ignore[untyped-decorator,unused-ignore]
    def pytest_runtest_protocol(self, item: Any, nextitem: Any) -> Optional[bool]:
        if self._describe is not None:
            return None
        from _pytest.runner import runtestprotocol

        self._reports += runtestprotocol(item, log=False, nextitem=nextitem)  # nobody reads the terminal either
        return True

    def run(self, item: Any, following: Any) -> tuple[str, float, list[Any]]:
        """Run one test and return its outcome, its seconds and pytest's reports on it."""
        self._reports = []
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        return outcome_of(self._reports), sum(report.duration for report in self._reports), self._reports


def quiet(*_: Any, **__: Any) -> str:
    """Stand in for the text of a traceback."""
    return ""


def file_of(test: str) -> str:
    """Return the file that a test is in; a file that could not be collected is a test of its own, all that is in it."""
    return test.partition("::")[0]


def is_conftest(test: str) -> bool:
    """Tell whether a test stands for a conftest that could not be imported, and so for all tests that need it."""
    return os.path.basename(test) == "conftest.py"


def names_of(test: str) -> set[str]:
    """Return the names by which a test may be asked for: its own, its file's, and those of conftests above it."""
    file = file_of(test)
    folders = ["", *(file[: found.end()] for found in re.finditer("/", file))]
    return {test, file, *(f"{folder}conftest.py" for folder in folders)}


def outcome_of(reports: list[Any]) -> str:
    """Return a test's outcome from pytest's reports on its phases."""
    if not reports:
        return "error"
    failed = [report for report in reports if report.failed]
    if failed:
        return "failed" if any(report.when == "call" for report in failed) else "error"
    marked = any(hasattr(report, "wasxfail") for report in reports)
    if any(report.skipped for report in reports if type(report).__name__ == "TestReport"):
        return "xfailed" if marked else "skipped"
    return "xpassed" if marked else "passed"


def shorten(text: str, limit: int) -> str:
    """Return the text, cut in the middle when it is longer than the limit."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


class Conftests:
    """Tells of a conftest that could not be imported before tests are collected: pytest gives up there."""

    def __init__(self, suite: Suite, broken: list[str]) -> None:
        self._suite, self._broken = suite, broken

    @pytest.hookimpl(hookwrapper=True)  # type: ignore[untyped-decorator,unused-ignore]
    def pytest_load_initial_conftests(self) -> Iterator[None]:
        outcome: Any = yield
        error: Any = outcome.excinfo[1] if outcome.excinfo else None
        if type(error).__name__ == "ConftestImportFailure":
            cause = error.cause if hasattr(error, "cause") else error.excinfo[1]  # as of pytest 8, and before
            self._broken.append(f"{os.path.relpath(str(error.path), self._suite.root)}: {self._told(cause)}")

    def _told(self, error: BaseException) -> str:
        places = ((frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__))
        own = [(code, line) for code, line in places if self._suite.owns(code.co_filename)]
        lines = [f"{os.path.relpath(code.co_filename)}:{line}: in {code.co_name}" for code, line in own]
        if isinstance(error, SyntaxError):
            lines.append(f'  File "{error.filename}", line {error.lineno}')
        return shorten("\n".join(["", *lines, f"{type(error).__name__}: {error}"]), TEXT_LIMIT)


def run_pytest(suite: Suite, tests: list[str], plugin: Plugin) -> int:
    """Collect the tests in this process and hand them to the plugin's loop; return pytest's exit code."""
    suite.enter()
    return int(pytest.main(suite.arguments(tests), plugins=[plugin, Conftests(suite, plugin.broken)]))


# ---- a report --------------------------------------------------------------------------------------------------------


class Hung(BaseException):
    """A test took longer than it may; raised inside it."""


class Describer:
    """Says what an exception was and where in the repository it passed."""

    def __init__(self, suite: Suite) -> None:
        self._suite = suite

    def __call__(self, excinfo: Any) -> Message:
        try:
            message = str(excinfo.value)
        except Exception as error:  # the target's __str__ may do anything
            message = f"<its text raised {type(error).__name__}>"
        frames = list(self._frames(excinfo.tb))
        if len(frames) > FRAMES_LIMIT:
            frames = frames[: FRAMES_LIMIT // 2] + frames[-FRAMES_LIMIT // 2 :]
        return {"error_type": excinfo.type.__name__, "message": shorten(message, MESSAGE_LIMIT), "frames": frames}

    def _frames(self, tb: Optional[types.TracebackType]) -> Iterator[tuple[str, int, str]]:
        while tb is not None:
            code = tb.tb_frame.f_code
            if self._suite.owns(code.co_filename):
                path = os.path.relpath(code.co_filename, self._suite.top).replace(os.sep, "/")
                yield path, tb.tb_lineno, code.co_name
            tb = tb.tb_next


class LinesBySettrace:
    """Records the repository's lines that run between `start` and `stop`, in every thread; for Python before 3.12."""

    def __init__(self, suite: Suite) -> None:
        self._suite, self._lines = suite, {}  # type: tuple[Suite, dict[str, set[int]]]
        self._owned: dict[str, bool] = {}

    def start(self) -> None:
        """Begin with no lines."""
        self._lines = {}
        threading.settrace(self._call)
        sys.settrace(self._call)

    def stop(self) -> dict[str, set[int]]:
        """Return the lines by file name."""
        sys.settrace(None)
        threading.settrace(None)
        return self._lines

    def _call(self, frame: types.FrameType, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        if name not in self._owned:
            self._owned[name] = self._suite.owns(name)
        if not self._owned[name]:
            return None
        add = self._lines.setdefault(name, set()).add

        def trace(frame: types.FrameType, event: str, argument: Any) -> Any:
            if event == "line":
                add(frame.f_lineno)
            return trace

        return trace


class LinesByMonitoring:
    """The same by sys.monitoring: each line costs once per test, so loops run at full speed."""

    TOOL = 4  # one that has no name in sys.monitoring, so coverage tools and debuggers keep theirs

    def __init__(self, suite: Suite) -> None:
        self._suite, self._lines = suite, {}  # type: tuple[Suite, dict[str, set[int]]]
        self._monitoring: Any = getattr(sys, "monitoring")  # noqa: B009  # absent before 3.12
        events = self._monitoring.events
        self._monitoring.use_tool_id(self.TOOL, "atra")
        self._monitoring.register_callback(self.TOOL, events.PY_START, self._begin)
        self._monitoring.register_callback(self.TOOL, events.LINE, self._line)

    def start(self) -> None:
        """Begin with no lines."""
        self._lines = {}
        self._monitoring.restart_events()
        self._monitoring.set_events(self.TOOL, self._monitoring.events.PY_START)

    def stop(self) -> dict[str, set[int]]:
        """Return the lines by file name."""
        self._monitoring.set_events(self.TOOL, 0)
        lines, self._lines = self._lines, {}
        return lines

    def _begin(self, code: types.CodeType, offset: int) -> Any:
        if self._suite.owns(code.co_filename):
            self._monitoring.set_local_events(self.TOOL, code, self._monitoring.events.LINE)
        return self._monitoring.DISABLE

    def _line(self, code: types.CodeType, line: int) -> Any:
        self._lines.setdefault(code.co_filename, set()).add(line)
        return self._monitoring.DISABLE


class NoLines:
    """Records nothing."""

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> dict[str, set[int]]:
        """Return no lines."""
        return {}


class ReportRun:
    """The child of a report: runs the tests that were asked for and says what each did as soon as it has."""

    def __init__(self, suite: Suite, setup: Message, done: set[str], voice: Voice, machinery: Machinery) -> None:
        self._suite, self._wanted, self._done, self._voice = suite, set(setup["tests"]), done, voice
        self._machinery, self._hung = machinery, False
        lines = LinesByMonitoring if hasattr(sys, "monitoring") else LinesBySettrace
        self._lines: Any = lines(suite) if setup["coverage"] else NoLines()
        self._plugin = Plugin(self._loop, machinery, Describer(suite))

    def run(self) -> None:
        """Run pytest to its end."""
        signal.signal(HUNG_SIGNAL, self._interrupt)
        code = run_pytest(self._suite, sorted(self._wanted), self._plugin)
        self._voice.say({"code": code, "broken": self._plugin.broken})

    def _interrupt(self, number: int, frame: Any) -> None:
        self._hung = True
        raise Hung("the test took too long")

    def _loop(self, session: Any) -> None:
        items = [item for item in session.items if not self._wanted or self._wanted & names_of(item.nodeid)]
        self._voice.say({"collected": [item.nodeid for item in items], "broken": self._plugin.broken})
        items = [item for item in items if item.nodeid not in self._done]
        for item, following in zip(items, [*items[1:], None]):  # noqa: B905  # Python 3.9 has no strict
            self._voice.say({"begin": item.nodeid})
            self._hung = False
            self._lines.start()
            try:
                outcome, seconds, reports = self._plugin.run(item, following)
            except BaseException as error:  # pytest.exit() and KeyboardInterrupt end the session, not the report
                said = {"error_type": type(error).__name__, "message": shorten(str(error), MESSAGE_LIMIT)}
                self._voice.say({"result": {"id": item.nodeid, "outcome": "error", "seconds": 0, **said}, "lines": {}})
                raise
            finally:
                lines = self._lines.stop()
            self._voice.say(self._result(item.nodeid, outcome, seconds, reports, lines))
        self._voice.say({"tampered": self._machinery.changes()})

    def _result(self, name: str, outcome: str, seconds: float, reports: list[Any], lines: Any) -> Message:
        bad = next((report for report in reports if report.failed), None)
        result = {"id": name, "outcome": "hung" if self._hung else outcome, "seconds": seconds}
        if bad is not None:
            result.update(getattr(bad, "atra", {"error_type": "", "message": ""}))
            result["text"] = shorten(bad.longreprtext, TEXT_LIMIT)
        elif outcome == "skipped":
            why = next(report.longrepr for report in reports if report.skipped)
            result["message"] = shorten(str(why[-1] if isinstance(why, tuple) else why), MESSAGE_LIMIT)
        top = self._suite.top
        paths = {os.path.relpath(name, top).replace(os.sep, "/"): sorted(found) for name, found in lines.items()}
        return {"result": result, "lines": paths}


UNSEEN = "unknown: a process of tests ended early"
HUNG_IN_FULL = 1  # tests that hang are waited for in full this often
KNOWN_TO_HANG_S = 1.0  # the time of a test that is known to hang, and is run to see where


class ReportKeeper:
    """The keeper of a report: starts children until every test that was collected has a result."""

    def __init__(self, suite: Suite, setup: Message, host: Link) -> None:
        self._suite, self._setup, self._host = suite, setup, host
        self._machinery = Machinery()
        self._hung, self._slowest = 0, 0.0
        self._collected: list[str] = []
        self._done: set[str] = set()
        self._running: Optional[str] = None
        self._since = 0.0
        self._warned = False

    def run(self) -> None:
        """Run the tests and pass their results on as they come."""
        while True:
            known, ended = len(self._done), self._one_child()
            left = [name for name in self._collected if name not in self._done]
            if not left or len(self._done) == known:
                self._host.send({"end": not left and (ended or bool(self._collected))})
                return

    def _one_child(self) -> bool:
        """Run one child and say whether it came to its own end."""
        child = spawn(
            lambda voice: ReportRun(self._suite, self._setup, self._done, voice, self._machinery).run(), self._host.fds
        )
        self._running, ended, killed, looked = None, False, False, False

        def overdue() -> None:
            nonlocal killed
            if self._running is None:
                return
            killed = killed or self._warned
            child.kill(signal.SIGKILL if self._warned else HUNG_SIGNAL)
            self._warned, self._since = True, time.monotonic()

        for message in child.messages(self._patience, overdue):
            ended, looked = ended or "code" in message, looked or "tampered" in message
            self._take(message)
        end_strays()
        if not looked and self._collected:
            self._host.send({"tampered": [UNSEEN]})
        if self._running is not None:
            name, signal_number = self._running, child.status & 0x7F
            how = f"signal {signal_number}" if signal_number else f"exit code {child.status >> 8}"
            result = {"id": name, "outcome": "hung" if killed else "error", "seconds": time.monotonic() - self._since}
            result.update(error_type="ProcessEnded", message=f"the process ended during this test: {how}")
            self._take({"result": result, "lines": {}})
        return ended

    def _patience(self) -> float:
        """Return the seconds that the running test still has; while tests are collected only the host's clock runs."""
        return 60.0 if self._running is None else max(0.0, self._since + self._limit() - time.monotonic())

    def _limit(self) -> float:
        """Return the seconds a test may take; once several hung, the rest is given what the others would need.

        A bug that makes one test hang often makes all of them hang, and waiting for each in full would use up the
        time that the repair has.
        """
        whole: float = self._setup["test_limit_s"]
        if self._running in self._setup["known_to_hang"]:
            return min(whole, KNOWN_TO_HANG_S)
        return whole if self._hung < HUNG_IN_FULL else min(whole, max(1.0, 10 * self._slowest))

    def _take(self, message: Message) -> None:
        if "begin" in message:
            self._running, self._since, self._warned = message["begin"], time.monotonic(), False
            return
        if "collected" in message:
            if self._collected:
                return
            self._collected = message["collected"]
        if "result" in message:
            result = message["result"]
            self._done.add(result["id"])
            self._running = None
            if result["outcome"] == "hung":
                self._hung += result["id"] not in self._setup["known_to_hang"]
                result["seconds"] = self._setup["test_limit_s"]
            else:
                self._slowest = max(self._slowest, result["seconds"])
        self._host.send(message)


# ---- the test machinery's integrity ----------------------------------------------------------------------------------


class Machinery:
    """The functions on which a verdict rests, as they were when pytest had been imported and nothing else."""

    def __init__(self) -> None:
        import builtins

        own = (builtins, operator, math, time, unittest)
        named = [module for name, module in list(sys.modules.items()) if name.startswith(("_pytest.", "unittest."))]
        self._modules = [*own, pytest, *named]
        self._before = self._look()

    def accept(self, but: Iterable[str] = ()) -> None:
        """Take the functions as they are now, but those named."""
        self._before = {**self._look(), **dict.fromkeys(but, ())}

    def changes(self) -> list[str]:
        """Return the names of those that are not what they were."""
        now = self._look()
        return sorted(name for name, seen in self._before.items() if now.get(name) != seen)

    def _look(self) -> dict[str, tuple[int, ...]]:
        seen: dict[str, tuple[int, ...]] = {}
        for module in self._modules:
            for name, value in vars(module).items():
                if isinstance(value, type) and value.__module__ == module.__name__:
                    for inner, member in vars(value).items():
                        self._note(seen, f"{module.__name__}.{name}.{inner}", member)
                self._note(seen, f"{module.__name__}.{name}", value)
        return seen

    @staticmethod
    def _note(seen: dict[str, tuple[int, ...]], name: str, value: Any) -> None:
        function = getattr(value, "__func__", value)  # of static and class methods
        if isinstance(function, types.FunctionType):
            seen[name] = (id(function), id(function.__code__), id(function.__defaults__))
        elif isinstance(function, (type, types.BuiltinFunctionType, property)):
            seen[name] = (id(function),)


# ---- files put back --------------------------------------------------------------------------------------------------

KEPT_BYTES = 64 * 1024 * 1024


class Files:
    """The files below some folders as they were, and a way back to that state.

    A file that changed is known by its inode number, change time, size and mode, which no program inside can set back.
    Mounts below the folders are left out: what can be changed in the box lies on the folders' own file systems.
    """

    def __init__(self, places: list[str]) -> None:
        self._places = [place for place in places if os.path.isdir(place)]
        self._was = self._look()
        self._contents: dict[str, bytes] = {}
        room = KEPT_BYTES
        for path, seen in self._was.items():
            if stat.S_ISREG(seen[0]) and seen[3] <= room:
                room -= seen[3]
                with open(path, "rb") as file:
                    self._contents[path] = file.read()
            elif stat.S_ISLNK(seen[0]):
                self._contents[path] = os.fsencode(os.readlink(path))

    def rewritten(self, paths: Iterable[str]) -> None:
        """Take note that these files hold their old contents again and that only their change time is new."""
        for path in paths:
            was = self._was.get(path)
            if was is not None and os.path.lexists(path):
                seen = self._stamp(os.lstat(path))
                if seen[:2] == was[:2] and seen[3] == was[3]:
                    self._was[path] = seen

    def put_back(self) -> bool:
        """Undo every change, and say whether that worked."""
        try:
            now = self._look()
            if now == self._was:
                return True
            self._remove([path for path, seen in now.items() if self._kind(seen) != self._kind(self._was.get(path))])
            for path, was in self._was.items():
                if not self._restored(path, was, now.get(path)):
                    return False
            now = self._look()
        except OSError:
            return False
        same = now.keys() == self._was.keys() and all(self._alike(now[path], was) for path, was in self._was.items())
        self._was = now
        return same

    def _restored(self, path: str, was: tuple[int, ...], now: Optional[tuple[int, ...]]) -> bool:
        if now == was:
            return True
        if stat.S_ISDIR(was[0]):
            os.makedirs(path, exist_ok=True)
            os.chmod(path, stat.S_IMODE(was[0]))
            return True
        if path not in self._contents:
            return False
        if os.path.lexists(path):
            os.unlink(path)
        if stat.S_ISLNK(was[0]):
            os.symlink(os.fsdecode(self._contents[path]), path)
            return True
        write_files({path: self._contents[path]})
        os.chmod(path, stat.S_IMODE(was[0]))
        return True

    @staticmethod
    def _kind(stamp: Optional[tuple[int, ...]]) -> int:
        return stat.S_IFMT(stamp[0]) if stamp else 0

    @staticmethod
    def _alike(now: tuple[int, ...], was: tuple[int, ...]) -> bool:
        return now[0] == was[0] and (stat.S_ISDIR(was[0]) or now[3] == was[3])

    @staticmethod
    def _remove(paths: list[str]) -> None:
        for path in sorted(paths, key=len, reverse=True):
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            elif os.path.lexists(path):
                os.unlink(path)

    @staticmethod
    def _stamp(seen: os.stat_result) -> tuple[int, ...]:
        return seen.st_mode, seen.st_ino, seen.st_ctime_ns, seen.st_size

    def _look(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for place in self._places:
            waiting = [place]
            device = os.lstat(place).st_dev
            found[place] = self._stamp(os.lstat(place))
            while waiting:
                with os.scandir(waiting.pop()) as entries:
                    for entry in entries:
                        seen = entry.stat(follow_symlinks=False)
                        if seen.st_dev == device:
                            found[entry.path] = self._stamp(seen)
                            if stat.S_ISDIR(seen.st_mode):
                                waiting.append(entry.path)
        return found


def write_files(contents: dict[str, bytes]) -> None:
    """Write files in place, with their folders where these are missing."""
    for path, data in contents.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)


def rewrite(contents: dict[str, bytes]) -> bool:
    """Write files back after a candidate, and say whether it let us."""
    try:
        write_files(contents)
    except OSError:
        return False
    return True


# ---- new code for live functions -------------------------------------------------------------------------------------

Key = tuple[str, int, str]
Swap = tuple[types.FunctionType, types.CodeType]
OPTIMIZED = 0x1  # a function's code, not that of a module or a class
KIND_FLAGS = 0x3BF  # what sort of function it is, as far as its callers can tell


class Afresh(Exception):
    """The change cannot be made in the running process: the project has to be imported again."""


def key_of(code: types.CodeType) -> Key:
    """Return what tells a code object from the others of its file."""
    return os.path.realpath(code.co_filename), code.co_firstlineno, code.co_name


class OwnNames:
    """A name space without what Python itself writes there."""

    def __init__(self, names: Any) -> None:
        self._names = names

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._names if not DUNDER.match(name))

    def values(self) -> list[Any]:
        """Return the values in the order of the names."""
        return [value for name, value in self._names.items() if not DUNDER.match(name)]


DUNDER = re.compile(r"__(?!init__|call__|eq__|hash__)\w+__$|@py")


class Live:
    """The repository's functions in this process, and which of their code ran while the tests were collected."""

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        self._ran: dict[int, types.CodeType] = {}
        self._functions: dict[Key, list[types.FunctionType]] = {}
        self._keys: set[Key] = set()
        self._files: set[str] = set()

    def watch(self) -> None:
        """Note every function that is called from now on."""
        ran = self._ran

        def note(frame: types.FrameType, event: str, argument: Any) -> None:
            if event == "call":
                code = frame.f_code
                ran[id(code)] = code

        threading.setprofile(note)
        sys.setprofile(note)

    def settle(self) -> None:
        """Stop watching and find the live functions."""
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type,unused-ignore]
        owned = [code for code in self._ran.values() if self._suite.owns(code.co_filename)]
        self._keys = {key_of(code) for code in owned}
        self._files = {key[0] for key in self._keys}
        self._ran = {}
        for thing in gc.get_objects():
            if type(thing) is types.FunctionType and self._suite.owns(thing.__code__.co_filename):
                self._functions.setdefault(key_of(thing.__code__), []).append(thing)

    def functions(self) -> list[types.FunctionType]:
        """Return the live functions."""
        return [function for found in self._functions.values() for function in found]

    def spaces(self) -> list[Any]:
        """Return the name spaces of the repository's modules and of the classes defined there."""
        modules = [
            module
            for module in list(sys.modules.values())
            if isinstance(getattr(module, "__file__", None), str) and self._suite.owns(module.__file__ or "")
        ]
        known = {module.__name__ for module in modules}
        values = [value for module in modules for value in vars(module).values()]
        classes = [value for value in values if isinstance(value, type) and value.__module__ in known]
        return [OwnNames(vars(thing)) for thing in (*modules, *dict.fromkeys(classes))]

    def swaps(self, path: str, pieces: Pieces, edits: list[tuple[int, int, str]]) -> list[Swap]:
        """Return the functions that the edits change, each with its new code.

        Raises:
            Afresh: the edits change more than bodies of functions, or something that ran during collection.
            SyntaxError, ValueError: the edited text does not compile.
        """
        if os.path.realpath(path) not in self._files:  # nobody has imported it yet
            compile(pieces.text_with(edits), path, "exec", dont_inherit=True)
            return []
        pairs: list[tuple[types.CodeType, types.CodeType]] = []
        for old, new in pieces.compiled(edits):
            self._compare(old, new, pairs)
        return [(function, new) for old, new in pairs for function in self._living(old)]

    def _living(self, old: types.CodeType) -> list[types.FunctionType]:
        found = self._functions.get(key_of(old), [])
        if any(function.__code__ != old for function in found):
            raise Afresh("what runs is not what the file says, as in modules whose asserts pytest rewrote")
        return found

    def _compare(
        self, old: types.CodeType, new: types.CodeType, pairs: list[tuple[types.CodeType, types.CodeType]]
    ) -> bool:
        """Append the pairs of functions' code that differ, and say whether anything does."""
        function = bool(old.co_flags & OPTIMIZED)
        if not alike(old, new):
            if not function:
                raise Afresh("code of a module or a class changed")
            if callable_as(old) != callable_as(new):
                raise Afresh("the way a function is called changed")
            if key_of(old) in self._keys:
                raise Afresh("the function ran when the tests were collected")
            pairs.append((old, new))
            return True
        inner = [self._compare(a, b, pairs) for a, b in zip(inner_codes(old), inner_codes(new))]  # noqa: B905
        if any(inner) and function:
            pairs.append((old, new))
        return any(inner)


def callable_as(code: types.CodeType) -> tuple[Any, ...]:
    """Return what a function's callers, its closure and its defaults rely on."""
    arguments = code.co_argcount + code.co_kwonlyargcount
    names = code.co_varnames[: arguments + bool(code.co_flags & 0x4) + bool(code.co_flags & 0x8)]
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
    return counts, names, code.co_freevars, code.co_flags & KIND_FLAGS


def inner_codes(code: types.CodeType) -> list[types.CodeType]:
    """Return the code objects directly inside this one."""
    return [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]


def alike(old: types.CodeType, new: types.CodeType) -> bool:
    """Tell whether two code objects do the same, whatever the code objects inside them do and wherever they stand."""
    if old.co_name == new.co_name and what_it_does(old) == what_it_does(new):
        return True
    if sys.version_info < (3, 13) or old.co_flags & OPTIMIZED or "__firstlineno__" not in old.co_names:
        return False
    return instructions(old) == instructions(new)


def what_it_does(code: types.CodeType) -> tuple[Any, ...]:
    """Return a code object's behaviour as a value: its instructions and constants, without its place in the file."""
    constants = tuple(exactly(constant) for constant in code.co_consts)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return code.co_code, constants, names, callable_as(code), getattr(code, "co_exceptiontable", b"")


def exactly(constant: Any) -> Any:
    """Return the constant so that 1, 1.0 and True, or 0.0 and -0.0, are told apart; code objects by name only."""
    if isinstance(constant, types.CodeType):
        return "code", constant.co_name
    if isinstance(constant, tuple):
        return "tuple", tuple(exactly(item) for item in constant)
    if isinstance(constant, frozenset):
        return "frozenset", frozenset(exactly(item) for item in constant)
    return type(constant).__name__, repr(constant)


def instructions(code: types.CodeType) -> list[Any]:
    """Return a class body's instructions without what Python 3.13 stores there: its line, its methods' attributes."""
    found: list[Any] = []
    for step in dis.get_instructions(code):
        if step.opname == "STORE_NAME" and step.argval in ("__firstlineno__", "__static_attributes__"):
            found.pop()
        else:
            found.append((step.opname, exactly(step.argval)))
    return found


class Pieces:
    """A Python file's text in pieces of one top-level statement each, so that an edit compiles its own piece only."""

    def __init__(self, path: str, text: str) -> None:
        self._path, self._text = path, text
        self._starts, self._lines, self._flags = self._pieces()
        self._compiled: dict[tuple[int, int], types.CodeType] = {}

    def text_with(self, edits: list[tuple[int, int, str]]) -> str:
        """Return the whole text with the edits made."""
        return changed(self._text, edits)

    def compiled(self, edits: list[tuple[int, int, str]]) -> list[tuple[types.CodeType, types.CodeType]]:
        """Return old and new code of each piece that the edits touch.

        Raises:
            SyntaxError, ValueError: the new text does not compile.
        """
        pieces: dict[tuple[int, int], list[tuple[int, int, str]]] = {}
        for edit in edits:
            pieces.setdefault(self._piece(edit), []).append(edit)
        if len(pieces) > 1 and any(start == 0 and end == len(self._starts) - 1 for start, end in pieces):
            pieces = {(0, len(self._starts) - 1): edits}
        try:
            return [(self._old(piece), self._new(piece, inner)) for piece, inner in pieces.items()]
        except SyntaxError:  # perhaps the piece needs what follows it
            whole = (0, len(self._starts) - 1)
            return [(self._old(whole), self._new(whole, edits))]

    def _pieces(self) -> tuple[list[int], list[int], int]:
        """Return where pieces start, with the text's end as the last; their first lines; the compiler's flags."""
        tree = ast.parse(self._text)
        line_starts = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", self._text))]
        lines, last, flags = [1], 0, 0
        for statement in tree.body:
            first = min([statement.lineno, *(item.lineno for item in getattr(statement, "decorator_list", []))])
            if first > last and first > 1 and last > 0:
                lines.append(first)
            last = statement.end_lineno or first
            if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
                flags |= sum(getattr(__future__, name.name).compiler_flag for name in statement.names)
        return [*(line_starts[line - 1] for line in lines), len(self._text)], lines, flags

    def _piece(self, edit: tuple[int, int, str]) -> tuple[int, int]:
        for number in range(len(self._starts) - 1):
            if self._starts[number] <= edit[0] and edit[1] < self._starts[number + 1]:
                return number, number + 1
        return 0, len(self._starts) - 1

    def _old(self, piece: tuple[int, int]) -> types.CodeType:
        if piece not in self._compiled:
            self._compiled[piece] = self._new(piece, [])
        return self._compiled[piece]

    def _new(self, piece: tuple[int, int], edits: list[tuple[int, int, str]]) -> types.CodeType:
        start = self._starts[piece[0]]
        text = changed(self._text[start : self._starts[piece[1]]], edits, start)
        padding = "\n" * (self._lines[piece[0]] - 1)
        code: types.CodeType = compile(padding + text, self._path, "exec", flags=self._flags, dont_inherit=True)
        return code


# ---- candidates ------------------------------------------------------------------------------------------------------

FLOOR_S = 0.02
PATIENT = 20.0  # the scale of limits for a candidate that has mended what failed
GLANCES = 20  # so often a glance at many candidates may tell little, before no more is taken
IMPORT_S = 20.0
GREEN = ("passed", "skipped", "xfailed", "xpassed")
MEASURED_S = 10.0
COLLECT_S = 300.0
THRESHOLDS, THRESHOLDS_STARTED = 3, 30  # at a time, and in all
WHOLE_FILE_S = 2.0  # for a test of a file that could not be collected: how long it takes is not known


HARMLESS = ("pytest_asyncio", "anyio", "_hypothesis", "hypothesis", "pytest_cov", "xdist", "pytest_mock")


def ordinary(session: Any) -> bool:
    """Tell whether nobody but pytest, and plugins known to leave plain functions alone, has a say in running tests."""
    hooks = session.config.hook
    for name in ("protocol", "setup", "call", "teardown", "makereport"):
        for implementation in getattr(hooks, f"pytest_runtest_{name}").get_hookimpls():
            module = getattr(implementation.function, "__module__", "")
            if not module.startswith(("_pytest.", *HARMLESS)) and not isinstance(implementation.plugin, Plugin):
                return False
    return True


def plain_call(item: Any) -> Optional[PlainCall]:
    """Return the call that a test amounts to, when it has no fixtures and no marks but parameters."""
    if inspect.iscoroutinefunction(item.obj) or not (type(item) is pytest.Function or is_plain_case(item)):
        return None
    holder = item.cls  # its attributes are looked at, see `Live.spaces`, where it stands in its module by its name
    if holder is not None and getattr(sys.modules.get(holder.__module__), holder.__name__, None) is not holder:
        return None
    given: set[str] = set()
    for mark in item.iter_markers():
        if mark.name != "parametrize" or len(mark.args) != 2 or mark.kwargs.get("indirect"):
            return None
        names = mark.args[0]
        given |= set(re.findall(r"\w+", names) if isinstance(names, str) else names)
    definitions = item._fixtureinfo.name2fixturedefs
    for name in set(item.fixturenames) - given:
        modules = [definition.func.__module__ for definition in definitions.get(name, ())]
        if not all(module.startswith(HARMLESS) or module == "_pytest.unittest" for module in modules):
            return None
    spec = getattr(item, "callspec", None)
    values = {**getattr(spec, "funcargs", {}), **getattr(spec, "params", {})}
    if set(values) != set(item._fixtureinfo.argnames) or hasattr(item.obj, "hypothesis"):
        return None
    return PlainCall(item.obj, holder, values)


def is_plain_case(item: Any) -> bool:
    """Tell whether a test is a method of a `unittest.TestCase` that is run as that class says and shares nothing."""
    from _pytest.unittest import TestCaseFunction

    case = unittest.TestCase
    if type(item) is not TestCaseFunction or getattr(item.obj, "__unittest_expecting_failure__", False):
        return False
    return all(
        getattr(getattr(item.cls, name, None), "__func__", getattr(item.cls, name, None))
        is getattr(getattr(case, name, None), "__func__", getattr(case, name, None))
        for name in ("run", "__call__", "doCleanups", "setUpClass", "tearDownClass", "setup_method", "teardown_method")
    )


class PlainCall:
    """A test called without pytest round it: a function, or a method of a new instance of its class."""

    def __init__(self, test: Any, holder: Optional[type], values: Message) -> None:
        self.function = getattr(test, "__func__", test)
        self.given = (holder, values)
        self._test, self._holder, self._values = test, holder, values

    def __call__(self) -> None:
        """Run the test; a failure is raised."""
        if self._holder is None:
            self._test(**self._values)
        elif issubclass(self._holder, unittest.TestCase):
            self._run_case(self._holder(self._test.__name__))
        else:
            self.function(self._holder(), **self._values)

    def _run_case(self, case: Any) -> None:
        try:
            case.setUp()
            try:
                self.function(case)
            finally:
                case.tearDown()
        finally:
            clean = case.doCleanups()
        assert clean is not False


def must_fail() -> None:
    """Be a test whose failure shows that tests can still fail."""
    assert operator.eq(1, 2)


def end_at_first_failure(item: Any) -> None:
    """Keep hypothesis from looking for a smaller example once a property has failed: nobody reads it here.

    Whether the property fails is found out before. A setting of the project's own, in a profile or at the test, stays.
    """
    function: Any = getattr(getattr(item, "obj", None), "__func__", getattr(item, "obj", None))
    chosen = getattr(function, "_hypothesis_internal_use_settings", None)
    if chosen is None or not hasattr(chosen, "phases"):
        return
    phases = [phase for phase in chosen.phases if phase.name not in {"shrink", "explain"}]
    try:
        function._hypothesis_internal_use_settings = type(chosen)(chosen, phases=phases)
    except Exception:  # another hypothesis than we know of: it is merely slower
        return


COMPUTING = (  # audit events of code that changes nothing outside its own objects
    *("object.", "code.", "function.", "compile", "exec", "builtins.id", "sys._get", "sys._current", "gc."),
    *("marshal.", "pickle.", "array.", "time.sleep", "sys.unraisablehook"),
)
STATE_BYTES = 1 << 16
PLAIN = (type(None), bool, int, float, complex, str, bytes, re.Pattern, type, types.ModuleType, property)
CODE = (types.FunctionType, types.BuiltinFunctionType, staticmethod, classmethod, types.MethodDescriptorType)
NAMED = (*PLAIN, *CODE)
THEMSELVES = (re.Pattern, type, types.ModuleType, property, *CODE)
OPAQUE = ("typing", "_pytest.mark.structures", "_pytest.fixtures")


class Remains:
    """What code may leave behind in a process: the project's names, and the values that they and its tests hold.

    Not looked at: attributes of foreign modules, but random's state; the interpreter's settings, but its recursion
    limit and search path.
    """

    def __init__(self, live: Optional[Live], calls: Iterable[Any]) -> None:
        self._spaces: list[Any] = [] if live is None else live.spaces()
        self._functions = [] if live is None else live.functions()
        self._calls = [call.given for call in calls]

    def look(self) -> Optional[tuple[Any, ...]]:
        """Return the state as a value to compare; None where it cannot be seen."""
        names = [(tuple(space), tuple(map(id, space.values()))) for space in self._spaces]
        held: list[Any] = [value for space in self._spaces for value in space.values()]
        held += [value for function in self._functions for value in function.__defaults__ or ()]
        held += [value for function in self._functions for value in (function.__kwdefaults__ or {}).values()]
        held += [function.__dict__ for function in self._functions if function.__dict__]
        try:
            held += [cell.cell_contents for function in self._functions for cell in function.__closure__ or ()]
            counts = [tuple(value.cache_info()) for value in held if hasattr(type(value), "cache_info")]
            kept = [value for value in held if not isinstance(value, NAMED) and not is_opaque(value)]
            state = values_of((kept, self._calls, counts))
        except Exception:  # code of the project's own may be asked here
            return None
        return names, state, hash(random.getstate()), sys.getrecursionlimit(), tuple(sys.path)


def is_opaque(value: Any) -> bool:
    """Tell whether a value holds nothing that calls of the code could change."""
    kind = type(value)
    return hasattr(kind, "cache_info") or kind.__module__ in OPAQUE


def values_of(thing: Any) -> bytes:
    """Return the values in a structure as bytes to compare; functions, classes and the like stand for themselves.

    Raises:
        Exception: of any kind, from values that cannot be looked into.
    """
    kept = io.BytesIO()
    Values(kept, protocol=4).dump(thing)
    return kept.getvalue()


class Values(pickle.Pickler):
    """Pickles what a program keeps, for comparison only."""

    def reducer_override(self, value: Any) -> Any:
        """Return what stands for a value that is not looked into; numbers, texts and containers never come here."""
        if value is not int and (isinstance(value, THEMSELVES) or is_opaque(value)):
            return int, (id(value),)
        return NotImplemented


Call = tuple[Key, bytes]
"""A function of the project by its key, and its arguments, pickled."""

OBSERVED_S, OBSERVED_CALL_S = 3.0, 0.05
RECORDED, OBSERVED = 24, 72
"""How many calls of tests are looked at, and how many with those that are made up."""


class Observer:
    """Tells of the calls that tests make of the project's functions."""

    def __init__(self, live: Optional[Live], voice: Voice) -> None:
        self._keys = {id(function.__code__): key_of(function.__code__) for function in live.functions()} if live else {}
        self._voice = voice

    def record(self, call: Any) -> None:
        """Make the call of a plain test and tell what it calls directly, before it does."""
        test = call.function.__code__

        def note(frame: types.FrameType, event: str, _: Any) -> None:
            code = frame.f_code
            if event != "call" or frame.f_back is None or frame.f_back.f_code is not test or id(code) not in self._keys:
                return
            if not code.co_kwonlyargcount and not code.co_flags & 0x0C and code.co_name != "__init__":
                values = [frame.f_locals[name] for name in code.co_varnames[: code.co_argcount]]
                try:
                    data = pickle.dumps(values, protocol=4)
                except Exception:  # what cannot be kept is not looked at
                    return
                self._voice.say({"call": self._keys[id(code)], "values": data.hex()})

        sys.setprofile(note)
        try:
            call()
        except BaseException:  # a failing test has made its call
            return
        finally:
            sys.setprofile(None)


def varied_calls(made: Iterable[Call]) -> list[Call]:
    """Return the calls, and as many made up from them as there is room for, always the same ones."""
    found = dict.fromkeys(made)
    known = list(found)
    chance = random.Random(0)
    for _ in range(10 * OBSERVED if known else 0):
        if len(found) >= OBSERVED:
            break
        key, arguments = chance.choice(known)
        values = pickle.loads(arguments)
        at = chance.randrange(len(values)) if values else 0
        if values:
            values[at] = varied(values[at], chance)
            found.setdefault((key, pickle.dumps(values, protocol=4)))
    return list(found)


def varied(value: Any, chance: random.Random) -> Any:
    """Return a value of the same kind that differs a little; a list in order stays in order."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return chance.choice([value + 1, value - 1, value + 2, value * 2, value // 2, -value, 0 * value])
    if isinstance(value, str):
        return "".join(varied(list(value), chance)) if value else chance.choice([" ", "a", "0"])
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        items = list(value)
        at = chance.randrange(len(items)) if items else 0
        ordered = all(isinstance(item, (int, float)) for item in items) and items == sorted(items) and len(items) > 1
        how = chance.randrange(4) if items else 4
        if how == 0:
            del items[at]
        elif how == 1:
            items.insert(at, items[chance.randrange(len(items))])
        elif how == 2 and not ordered:
            items[at], items[0] = items[0], items[at]
        elif items:
            items[at] = items[chance.randrange(len(items))] if isinstance(items[at], str) else varied(items[at], chance)
        return type(value)(sorted(items) if ordered else items)
    if type(value) is dict and value:
        key = chance.choice(list(value))
        return {**value, key: varied(value[key], chance)}
    return value


def digest(data: bytes) -> str:
    """Return a few characters that stand for the data."""
    return f"{zlib.crc32(data):08x}"


class Bench:
    """Runs a candidate's tests in the process that it is, and says its verdict."""

    def __init__(self, plugin: Plugin, session: Any, machinery: Machinery, live: Optional[Live] = None) -> None:
        self._plugin, self._machinery, self._live = plugin, machinery, live
        self._items = {item.nodeid: item for item in session.items}
        self._codes = self._code_of_tests()
        self._sentinels: dict[str, Any] = {}
        for (
            item
        ) in session.items:  # what pytest computes once per test or module is computed before the children are born
            parent = item.getparent(pytest.Module) or session
            if parent.nodeid not in self._sentinels:
                sentinel = pytest.Function.from_parent(parent, name="atra_must_fail", callobj=must_fail)
                self._sentinels[parent.nodeid] = sentinel
            self._sentinels[item.nodeid] = self._sentinels[parent.nodeid]
            _ = item.location, item.ihook
            end_at_first_failure(item)
        calls = {name: plain_call(item) for name, item in self._items.items()} if ordinary(session) else {}
        self._plain = {name: call for name, call in calls.items() if call is not None}

    def glance(self, plan: Message, scale: float, voice: Voice) -> None:
        """Call the tests that are plain functions, without pytest round them, until one is not as it must be.

        Most candidates end here, in a fifth of the time. The verdict "open" means that `judge` is to look, afresh.
        """
        silence()
        voice.say(self._called(plan, scale, voice))

    def glance_all(self, plan: Message, scale: float, waiting: list[tuple[int, list[Swap]]], voice: Voice) -> None:
        """Do the same for many candidates in this one process, as long as none leaves anything behind.

        Each is named by its number when its verdict is known. One that does more than compute is said to be `dirty`,
        before it has done so, and is the last; the last as well is one that leaves other values than it found.
        """
        silence()
        state = self._remains.look()
        at = waiting[0][0]
        clean = True

        def note(event: str, _: Any) -> None:
            nonlocal clean
            if clean and not event.startswith(COMPUTING):
                clean = False
                voice.say({"at": at, "dirty": event})

        sys.addaudithook(note)
        for at, swaps in waiting:  # the hook names the candidate that runs
            old = [function.__code__ for function, _ in swaps]
            for function, code in swaps:
                function.__code__ = code
            said = self._called(plan, scale, voice, at)
            signal.setitimer(signal.ITIMER_PROF, 0)
            if not clean:
                return
            for (function, _), code in zip(swaps, old):  # noqa: B905
                function.__code__ = code
            voice.say({"at": at, **said})
            if self._remains.look() != state:
                return

    def can_glance_all(self) -> bool:
        """Tell whether it can be seen what a candidate leaves behind in the process."""
        self._remains = Remains(self._live, self._plain.values())
        state = self._remains.look()
        return state is not None and len(state[1]) <= STATE_BYTES and self._remains.look() == state

    def record(self, names: list[str], voice: Voice) -> None:
        """Run plain tests and say which calls they make of the project's functions; one that hangs ends the process."""
        silence()
        observer = Observer(self._live, voice)
        for name in names:
            voice.say({"begin": name})
            signal.setitimer(signal.ITIMER_PROF, OBSERVED_CALL_S)
            observer.record(self._plain[name])

    def plain_tests(self, plan: Message) -> list[str]:
        """Return the tests that are called without pytest round them, the failing ones first."""
        return [name for name in (*plan["failing"], *plan["passing"]) if name in self._plain and name in plan["plain"]]

    def observe(self, given: list[Call], voice: Voice) -> None:
        """Make the calls and say of each what came out, in a few characters; one that takes long ends the process."""
        silence()
        functions = {key_of(function.__code__): function for function in self._live.functions()} if self._live else {}
        for key, arguments in given:
            voice.tick(OBSERVED_CALL_S)
            signal.setitimer(signal.ITIMER_PROF, OBSERVED_CALL_S)
            try:
                values = pickle.loads(arguments)
                result = functions[key](*values)
                shown = list(itertools.islice(result, 1000)) if inspect.isgenerator(result) else result
                text = f"{digest(pickle.dumps((shown, values), protocol=4))} {key[2]} {type(result).__name__}"
            except BaseException as error:  # what the code raises is what it does
                text = f"!{digest(type(error).__name__.encode())}"
            signal.setitimer(signal.ITIMER_PROF, 0)
            voice.say({"seen": text})

    def _called(self, plan: Message, scale: float, voice: Voice, at: int = 0) -> Message:
        """Call the plain tests until one is not as it must be, and return the verdict; `at` numbers the candidate."""
        failing = len(plan["failing"])
        for number, name in enumerate([*plan["failing"], *plan["passing"]]):
            call = self._plain.get(name)
            if call is None or name not in plan["plain"]:
                break
            if number == failing and failing:
                voice.say({"mended": at})
            limit_s = plan["limits"].get(name, 1.0) * scale
            voice.tick(limit_s)
            signal.setitimer(signal.ITIMER_PROF, limit_s)
            try:
                call()
            except BaseException:  # a failure like any other, as for pytest
                verdict = "failed" if number < failing else "broke"
                return {"verdict": verdict, "fixed": min(number, failing)}
        return {"verdict": "open"}

    def judge(self, plan: Message, scale: float, voice: Voice) -> None:
        """Run the failing tests, then the passing ones, and stop at the first that is not as it must be."""
        failing, passing = plan["failing"], plan["passing"]
        names = [*failing, *passing]
        if not all(map(self._all_of, names)):
            voice.say({"verdict": "broke" if all(map(self._all_of, failing)) else "failed"})
            return
        items = [(number, name, item) for number, name in enumerate(names) for item in self._all_of(name)]
        sentinel = self._sentinels[items[-1][2].nodeid] if plan["sentinel"] else None
        followers = [*(item for _, _, item in items[1:]), sentinel]
        mended = not failing
        for (number, name, item), following in zip(items, followers):  # noqa: B905
            if number >= len(failing) and not mended:
                mended = True
                voice.say({"mended": number})
            outcome = self._timed(item, following, plan["limits"].get(name, 1.0) * scale, voice)[0]
            if outcome not in (GREEN if item.nodeid != name else (plan["expected"][name],)):
                fixed = min(number, len(failing))
                voice.say({"verdict": "failed" if number < len(failing) else "broke", "fixed": fixed})
                return
        honest = sentinel is None or self._fails(sentinel, plan, scale, voice)
        honest = honest and not set(self._machinery.changes()) - set(plan["known"])
        honest = honest and self._code_of_tests() == self._codes
        voice.say({"verdict": "plausible" if honest else "broke", "fixed": len(failing)})

    def measure(self, names: list[str], limits: dict[str, float], voice: Voice) -> None:
        """Run the tests without stopping and say of each what it did; then whether a failure is seen as one."""
        items = [self._items[name] for name in names if name in self._items]
        if not items:
            return
        sentinel = self._sentinels[items[-1].nodeid]
        for item, following in zip(items, [*items[1:], sentinel]):  # noqa: B905
            outcome, seconds, _ = self._timed(item, following, limits.get(item.nodeid, 1.0), voice)
            voice.say({"measured": item.nodeid, "outcome": outcome, "seconds": seconds})
            if item.nodeid in self._plain:
                voice.say({"plain": item.nodeid, "agrees": self._outcome(item.nodeid) == outcome})
        fails = self._timed(sentinel, None, 5.0, voice)[0] == "failed"
        voice.say({"sentinel": fails, "known": self._machinery.changes()})

    def _all_of(self, name: str) -> list[Any]:
        """Return the test of this name, or all that stand or fall with the file of this name."""
        found = self._items.get(name)
        return [found] if found is not None else [item for test, item in self._items.items() if name in names_of(test)]

    def _code_of_tests(self) -> list[Any]:
        return [getattr(getattr(item, "obj", None), "__code__", None) for item in self._items.values()]

    def _outcome(self, name: str) -> str:
        silence()  # again, for pytest has put back the descriptors that it knows
        try:
            self._plain[name]()
        except BaseException:  # a failure like any other
            return "failed"
        return "passed"

    def _fails(self, sentinel: Any, plan: Message, scale: float, voice: Voice) -> bool:
        """Tell whether the test that must fail does, and whether the last tests' fixtures came down without error."""
        outcome, _, reports = self._timed(sentinel, None, plan["limits"]["sentinel"] * scale, voice)
        return outcome == "failed" and not any(report.failed and report.when == "teardown" for report in reports)

    def _timed(self, item: Any, following: Any, limit_s: float, voice: Voice) -> tuple[str, float, list[Any]]:
        voice.tick(limit_s)
        signal.setitimer(signal.ITIMER_PROF, limit_s)  # its signal ends the process, inside C code too
        return self._plugin.run(item, following)


def watch_candidate(child: Child, patience_s: float, alive: Callable[[], None]) -> Message:
    """Follow a candidate's child to its end and return its verdict, or what it measured; say now and then we wait."""
    until, killed = time.monotonic() + patience_s, False
    said: Message = {}
    met: Message = {}
    mended: Message = {}
    measured: Message = {}

    def left() -> float:
        return max(0.0, min(ALIVE_S, until - time.monotonic()))

    def overdue() -> None:
        nonlocal killed
        killed = left() == 0.0
        (child.kill if killed else alive)()

    for message in child.messages(left, overdue):
        if "tick" in message:
            until = time.monotonic() + 2 * message["tick"] + 1
        elif "measured" in message:
            measured[message["measured"]] = [message["outcome"], message["seconds"], False]
        elif "plain" in message:
            measured[message["plain"]][2] = message["agrees"]
        elif "met" in message:
            met = message
        elif "mended" in message:
            mended = message
        elif not said:
            said = message
    child.kill()  # what it left in its process group
    if killed or child.status & 0x7F in (signal.SIGPROF, signal.SIGXCPU):
        return {"verdict": "hung", "measured": measured, **mended}
    if child.status or not said:
        return {"verdict": "died", "measured": measured}
    return {"measured": measured, **met, **said}


def silence() -> None:
    """Let this process print nowhere: tests that are called without pytest round them have nobody to catch it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for fd in (1, 2):
        os.dup2(nowhere, fd)
    os.close(nowhere)


def default_signals() -> None:
    """Give a child back the signals that its parents ignore."""
    for number in PARENTS_IGNORE:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def protect() -> None:
    """Make this process hard to harm by its children: signals they may send by habit, /proc, their orphans."""
    prctl(DUMPABLE, 0)
    prctl(SUBREAPER, 1)
    for number in (*PARENTS_IGNORE, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


PARENTS_IGNORE = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPROF)


class Collector:
    """The process that has the project imported and its tests collected, and forks a child per candidate."""

    def __init__(self, suite: Suite, machinery: Machinery, names: list[str], keeper: Link) -> None:
        self._suite, self._machinery, self._names, self._keeper = suite, machinery, names, keeper
        self._live = Live(suite)
        self._plugin = Plugin(self._serve, machinery)
        self._sources: dict[str, tuple[SourceText, Optional[Pieces]]] = {}
        self._glances: Optional[bool] = None
        self._calls: Optional[list[Call]] = None
        self._frozen_at_start = gc.get_freeze_count()  # Python 3.12 starts with some

    def run(self) -> None:
        """Collect, serve the keeper until it goes, and end."""
        protect()
        self._live.watch()
        run_pytest(self._suite, self._names, self._plugin)

    def _serve(self, session: Any) -> None:
        self._live.settle()
        if len(os.listdir("/proc/self/task")) > 1:
            self._keeper.send({"unfit": "the project starts threads when it is imported"})
            return
        bench = Bench(self._plugin, session, self._machinery, self._live)
        frozen = gc.get_freeze_count() > self._frozen_at_start  # which hides functions from the collector of garbage
        gc.collect()
        gc.freeze()
        collected = [item.nodeid for item in session.items]
        self._keeper.send({"unfit": "the project froze its objects"} if frozen else {"collected": collected})
        plan: Message = {}
        while (message := self._keeper.receive()) is not None:
            if "plan" in message:
                plan = message["plan"]
            elif "measure" in message:
                child = spawn(self._measuring(bench, message), self._keeper.fds)
                self._keeper.send(self._watch(child, IMPORT_S))
            elif "observe" in message:
                self._keeper.send(self._observe(bench, plan, message["observe"]))
            elif "glance" in message:
                self._glance(bench, plan, message["glance"])
            else:
                self._try(bench, plan, message)
        os._exit(0)

    def _glance(self, bench: Bench, plan: Message, candidates: list[Message]) -> None:
        """Answer with the verdicts of as many candidates as one process after the other can tell without a doubt.

        None stands for one that has to be tried by itself, "afresh" for one that the collector cannot try. The answer
        is shorter than the question where one did more than compute: what it did is put back first.
        """
        verdicts: list[Optional[Message]] = [None] * len(candidates)
        waiting: list[tuple[int, list[Swap]]] = []
        if self._glances is None:
            self._glances = bool(plan["failing"]) and plan["failing"][0] in plan["plain"] and bench.can_glance_all()
        for number, candidate in enumerate(candidates) if self._glances else ():
            try:
                swaps = self._swaps_of(candidate)
            except (Afresh, OSError) as reason:
                verdicts[number] = {"afresh": str(reason)}
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                verdicts[number] = {"verdict": "invalid"}
            else:
                waiting.append((number, swaps))
        dirty, glanced = False, len(waiting)
        while waiting and not dirty:
            waiting, dirty = self._glance_in_child(bench, plan, candidates[0]["scale"], waiting, verdicts)
        known = verdicts[: waiting[0][0]] if waiting else verdicts
        told = {"glanced": known, "of": glanced - len(waiting), "cut": dirty, "able": self._glances}
        self._keeper.send(told)

    def _glance_in_child(
        self,
        bench: Bench,
        plan: Message,
        scale: float,
        waiting: list[tuple[int, list[Swap]]],
        verdicts: list[Optional[Message]],
    ) -> tuple[list[tuple[int, list[Swap]]], bool]:
        """Try candidates in one child, note their verdicts, and return those still waiting, and whether to stop."""

        def work(voice: Voice) -> None:
            default_signals()
            bench.glance_all(plan, scale, waiting, voice)

        child = spawn(work, self._keeper.fds)
        told, mended, dirty, killed, until = waiting[0][0] - 1, -1, False, False, time.monotonic() + IMPORT_S

        def left() -> float:
            return max(0.0, min(ALIVE_S, until - time.monotonic()))

        def overdue() -> None:
            nonlocal killed
            killed = left() == 0.0
            if killed:
                child.kill()
            else:
                self._keeper.send({"alive": True})

        for message in child.messages(left, overdue):
            if "tick" in message:
                until = time.monotonic() + 2 * message["tick"] + 1
                continue
            if "mended" in message:
                mended = message["mended"]
                continue
            told, dirty = message["at"], "dirty" in message
            if "verdict" in message and message["verdict"] != "open":
                verdicts[told] = {"verdict": message["verdict"], "fixed": message["fixed"]}
        child.kill()
        clean = end_strays()
        rest = [one for one in waiting if one[0] > told]
        if rest and not dirty and (child.status or rest == waiting):
            hung = killed or child.status & 0x7F in (signal.SIGPROF, signal.SIGXCPU)
            verdicts[rest[0][0]] = {"verdict": "hung"} if hung and mended != rest[0][0] else None
            rest = rest[1:]
        return rest, dirty or not clean

    def _observe(self, bench: Bench, plan: Message, candidates: list[Message]) -> Message:
        """Return what each candidate makes of the same calls, see `Observer`; None of one that cannot be swapped in."""
        if self._calls is None:
            self._calls = varied_calls(self._recorded(bench, plan))
        given = self._calls
        seen: list[Optional[list[str]]] = []
        for candidate in candidates:
            try:
                swaps = self._swaps_of(candidate)
            except (Afresh, OSError, SyntaxError, ValueError, RecursionError, MemoryError):
                seen.append(None)
                continue
            seen.append(self._observed(bench, given, swaps))
        return {"observed": seen, "inputs": len(given)}

    def _recorded(self, bench: Bench, plan: Message) -> list[Call]:
        """Return the first calls that plain tests make of the project's functions."""
        names = bench.plain_tests(plan)
        made: dict[Call, None] = {}
        until = time.monotonic() + OBSERVED_S
        while names and len(made) < RECORDED and time.monotonic() < until:

            def work(voice: Voice, names: list[str] = names) -> None:
                default_signals()
                bench.record(names, voice)

            child = spawn(work, self._keeper.fds)

            def overdue(child: Child = child) -> None:
                self._keeper.send({"alive": True})
                if time.monotonic() > until:
                    child.kill()

            for message in child.messages(lambda: ALIVE_S, overdue):
                if "begin" in message:
                    names = names[names.index(message["begin"]) + 1 :]
                elif "call" in message:
                    path, line, name = message["call"]
                    made[(path, line, name), bytes.fromhex(message["values"])] = None
            child.kill()
            end_strays()
            if not child.status:
                break
        return list(made)[:RECORDED]

    def _observed(self, bench: Bench, given: list[Call], swaps: list[Swap]) -> list[str]:
        """Make the calls in one child after the other: a call that hangs ends its child and is noted as hung."""
        said: list[str] = []
        until = time.monotonic() + OBSERVED_S
        while len(said) < len(given) and time.monotonic() < until:

            def work(voice: Voice, at: int = len(said)) -> None:
                default_signals()
                for function, code in swaps:
                    function.__code__ = code
                bench.observe(given[at:], voice)

            child = spawn(work, self._keeper.fds)

            def overdue(child: Child = child) -> None:
                self._keeper.send({"alive": True})
                if time.monotonic() > until:
                    child.kill()

            before = len(said)
            said += [message["seen"] for message in child.messages(lambda: ALIVE_S, overdue) if "seen" in message]
            child.kill()
            end_strays()
            if child.status or len(said) == before:
                said.append("!hung")
        return said[: len(given)]

    def _swaps_of(self, candidate: Message) -> list[Swap]:
        swaps: list[Swap] = []
        for name, edits in edits_of(candidate):
            pieces = self._source(os.path.join(self._suite.top, name))[1]
            if pieces is None:
                raise Afresh("no Python")
            swaps += self._live.swaps(os.path.join(self._suite.top, name), pieces, edits)
        return swaps

    def _measuring(self, bench: Bench, message: Message) -> Callable[[Voice], None]:
        def work(voice: Voice) -> None:
            default_signals()
            bench.measure(message["measure"], message["limits"], voice)

        return work

    def _try(self, bench: Bench, plan: Message, message: Message) -> None:
        swaps: list[Swap] = []
        written: dict[str, bytes] = {}
        before: dict[str, bytes] = {}
        try:
            for name, edits in edits_of(message):
                path = os.path.join(self._suite.top, name)
                text, pieces = self._source(path)
                swaps += self._live.swaps(path, pieces, edits) if pieces else []
                written[path], before[path] = text.edited(edits), text.data
        except (Afresh, OSError) as reason:
            self._keeper.send({"afresh": str(reason)})
            return
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            self._keeper.send({"verdict": "invalid"})
            return

        def work(voice: Voice) -> None:
            default_signals()
            for function, code in swaps:
                function.__code__ = code
            (bench.judge if thorough else bench.glance)(plan, message["scale"], voice)

        thorough = not plan["failing"] or plan["failing"][0] not in plan["plain"]
        write_files(written)
        try:
            answer = self._watch(spawn(work, self._keeper.fds), IMPORT_S)
            if answer["verdict"] == "open":
                thorough = True
                answer = self._watch(spawn(work, self._keeper.fds), IMPORT_S)
        except OSError as error:  # no process can be started: a fork bomb, most likely
            answer = {"verdict": "died", "spoilt": str(error)}
        answer["rewritten"] = rewrite(before)
        self._keeper.send(answer)

    def _watch(self, child: Child, patience_s: float) -> Message:
        answer = watch_candidate(child, patience_s, lambda: self._keeper.send({"alive": True}))
        if not end_strays():
            answer["spoilt"] = "processes that cannot be ended"
        return answer

    def _source(self, path: str) -> tuple[SourceText, Optional[Pieces]]:
        if path not in self._sources:
            if not os.path.lexists(path):
                raise Afresh("a new file")
            text = SourceText(path)
            self._sources[path] = text, Pieces(path, text.text) if path.endswith(".py") else None
        return self._sources[path]


class Imports:
    """What becomes of modules' files in this process: compiled once for it and its children, and a halt before some.

    Both are seen by nobody but the files' importer: the code is that of the bytes that the file holds at the time.
    """

    def __init__(
        self, suite: Suite, halt_at: Iterable[str], halt: Callable[[], None], invalid: Callable[[], None]
    ) -> None:
        self.met: list[tuple[str, bool]] = []
        """Files of the project that were compiled here and not known, each with whether pytest rewrites its asserts."""
        self._suite, self._halt_at, self._halt, self._invalid = suite, frozenset(halt_at), halt, invalid
        self._known: dict[tuple[str, bool, bytes], Any] = {}

    def install(self) -> None:
        """Take part in every import from now on."""
        from importlib.machinery import SourceFileLoader

        from _pytest.assertion import rewrite

        plain, rewritten, usual = SourceFileLoader.get_code, rewrite._rewrite_test, SourceFileLoader.source_to_code
        self._rewrite: Any = rewritten

        def get_code(loader: Any, fullname: str) -> Any:
            path = loader.get_filename(fullname)
            self._reach(path)
            if not self._suite.owns(path) or type(loader).source_to_code is not usual:
                return plain(loader, fullname)
            data = loader.get_data(path)
            return self._code(path, False, data, lambda: loader.source_to_code(data, path))

        def rewrite_test(fn: Any, config: Any) -> Any:
            path = str(fn)
            self._reach(path)
            return self._code(path, True, fn.read_bytes(), lambda: rewritten(fn, config))

        SourceFileLoader.get_code = get_code  # type: ignore[assignment,method-assign,unused-ignore]
        rewrite._rewrite_test = rewrite_test

    def learn(self, met: Iterable[tuple[str, bool]]) -> None:
        """Compile files that a child met, for all children to come."""
        from _pytest.assertion.rewrite import AssertionRewritingHook

        config = next((finder.config for finder in sys.meta_path if isinstance(finder, AssertionRewritingHook)), None)
        for path, asserts in met:
            if path in self._halt_at or not self._suite.owns(path) or (asserts and config is None):
                continue
            try:
                data = Path(path).read_bytes()
                made = self._rewrite(Path(path), config) if asserts else compile(data, path, "exec", dont_inherit=True)
            except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            self._known[path, asserts, data] = made

    def _reach(self, path: str) -> None:
        if path in self._halt_at:
            self._halt()

    def _code(self, path: str, asserts: bool, data: bytes, compiled: Callable[[], Any]) -> Any:
        known = self._known.get((path, asserts, data))
        if known is None:
            try:
                known = compiled()
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                if path in self._halt_at:
                    self._invalid()
                raise
            self.met.append((path, asserts))
        return known


class Threshold:
    """The process that stands where one of some files is about to be imported, and forks a child per text of theirs.

    All that comes before, pytest's own beginning and the imports up to there, is done once. Where tests never import
    the files while they are collected, it stands where the first test would run.
    """

    def __init__(self, suite: Suite, machinery: Machinery, stage: Message, paths: Iterable[str], keeper: Link) -> None:
        self._suite, self._machinery, self._stage, self._keeper = suite, machinery, stage, keeper
        self._names = [*stage["failing"], *stage["passing"]]
        self._plugin = Plugin(self._loop, machinery, tests=self._names)
        self._imports = Imports(suite, paths, self._halt, self._invalid)
        self._voice: Optional[Voice] = None
        self._scale = 1.0
        self._collecting = True

    def run(self) -> None:
        """Import up to the threshold, serve the keeper until it goes, and end."""
        protect()
        silence()
        self._imports.install()
        self._spare_words()
        run_pytest(self._suite, self._names, self._plugin)
        if self._voice is not None:  # pytest gave up, on a conftest that imports no more, say
            self._voice.say({"verdict": "failed"})
            os._exit(0)

    def _spare_words(self) -> None:
        """Let pytest not describe what fails to be imported: it takes longer than the rest, and nobody reads it."""
        usual = pytest.ExceptionInfo.getrepr

        def getrepr(excinfo: Any, *given: Any, **named: Any) -> Any:
            return "" if self._collecting else usual(excinfo, *given, **named)

        pytest.ExceptionInfo.getrepr = getrepr  # type: ignore[assignment,method-assign,unused-ignore]

    def _halt(self) -> None:
        if self._voice is None:
            self._serve()

    def _invalid(self) -> None:
        """End: a file that was halted at is no Python."""
        if self._voice is not None:
            self._voice.say({"verdict": "invalid"})
            os._exit(0)

    def _loop(self, session: Any) -> None:
        self._collecting = False
        self._halt()
        assert self._voice is not None
        self._voice.say({"met": self._imports.met})
        Bench(self._plugin, session, self._machinery).judge(self._stage, self._scale, self._voice)
        os._exit(0)

    def _serve(self) -> None:
        """Answer the keeper; return in a child of this process, which is to go on."""
        if len(os.listdir("/proc/self/task")) > 1:
            self._keeper.send({"unfit": "threads were started before"})
            os._exit(0)
        gc.collect()
        gc.freeze()
        self._imports.met.clear()
        self._keeper.send({"ready": True})
        while (message := self._keeper.receive()) is not None:
            try:
                child = split(self._keeper.fds)
            except OSError as error:  # no process can be started: a fork bomb, most likely
                self._keeper.send({"verdict": "died", "spoilt": str(error)})
                continue
            if isinstance(child, Voice):
                default_signals()
                signal.setitimer(signal.ITIMER_PROF, message["import_s"])
                self._voice, self._scale = child, message["scale"]
                return
            answer = watch_candidate(child, 2 * message["import_s"], lambda: self._keeper.send({"alive": True}))
            if not end_strays():
                answer["spoilt"] = "processes that cannot be ended"
            met = answer.pop("met", [])
            self._keeper.send(answer)
            self._imports.learn((path, asserts) for path, asserts in met)
        os._exit(0)


def compiles(path: str, data: bytes) -> bool:
    """Tell whether a file's new contents are Python, where it is a file of Python's."""
    try:
        return not path.endswith(".py") or bool(compile(data, path, "exec", dont_inherit=True))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def edits_of(message: Message) -> Iterator[tuple[str, list[tuple[int, int, str]]]]:
    """Yield each file that the candidate changes, relative to the root, with its edits."""
    for name, edits in message["edits"].items():
        yield name, [(start, end, text) for start, end, text in edits]


class Workshop:
    """The keeper of a workshop: answers one candidate after the other."""

    def __init__(self, suite: Suite, setup: Message, host: Link) -> None:
        self._suite, self._setup, self._host = suite, setup, host
        self._machinery = Machinery()
        self._names: list[str] = [*setup["failing"], *setup["passing"]]
        self._collector: Optional[Server] = None
        self._thresholds: dict[frozenset[str], Optional[Server]] = {}
        self._collected: list[str] = []
        whole_files = any(file_of(name) == name for name in setup["failing"])  # which a live collector has not
        self._starts_left, self._thresholds_left = 0 if whole_files else 5, THRESHOLDS_STARTED
        self._glances_left = GLANCES
        self._import_s = IMPORT_S
        self._plan: Message = {}
        self._sources: dict[str, SourceText] = {}

    def run(self) -> None:
        """Measure the tests, then try what the host sends until it goes."""
        protect()
        self._start_collector()
        self._files = Files([self._suite.top, *self._setup["scratch"]])
        self._plan = self._make_plan()
        self._tell_plan()
        self._host.send({"ready": bool(self._collector), "dropped": self._dropped})
        while (message := self._host.receive()) is not None:
            if "observe" in message:
                self._host.send(self._observe(message))
                continue
            rest = message["candidates"]
            while rest:
                glanced = self._glance(rest) if self._glances_left and len(rest) > 1 else [None]
                for candidate, known in zip(rest, glanced):  # noqa: B905
                    began = time.monotonic()
                    answer = known if known and "verdict" in known else self._try(candidate, known)
                    answer.setdefault("seconds", round(time.monotonic() - began, 6))
                    self._host.send(answer)
                    if "spoilt" in answer:
                        return
                rest = rest[len(glanced) :]

    def _observe(self, message: Message) -> Message:
        answer = self._collector.ask(message) if self._collector is not None else None
        if answer is None and self._collector is not None:
            self._end_collector()
        end_strays(keep=self._kept())
        self._files.put_back()
        return answer or {"observed": [None] * len(message["observe"]), "inputs": 0}

    def _glance(self, candidates: list[Message]) -> list[Optional[Message]]:
        """Return the verdicts of the first candidates, of one at least; None for those to be tried one by one."""
        if self._collector is None:
            return [None]
        began = time.monotonic()
        answer = self._collector.ask({"glance": candidates})
        if answer is None:  # it has died, and it is not known of which
            self._glances_left = 0
            self._end_collector()
            self._files.put_back()
            self._start_collector()
            self._tell_plan()
            return [None]
        glanced: list[Optional[Message]] = answer["glanced"] or [None]
        decided = [known for known in glanced if known is not None and "verdict" in known]
        each_s = round((time.monotonic() - began) / max(1, len(decided)), 6)
        for known in decided:
            known["seconds"] = each_s
        if not end_strays(keep=self._kept()) or not self._files.put_back():
            glanced[0] = {**(glanced[0] or {"verdict": "died"}), "spoilt": "what candidates left cannot be put back"}
        if not answer["able"]:
            self._glances_left = 0
        elif 2 * len(decided) < answer["of"] or (answer["cut"] and len(decided) < 4):
            self._glances_left -= 1
        return glanced

    def _try(self, candidate: Message, known: Optional[Message]) -> Message:
        """Return a candidate's verdict; what is known of it may be that it must be tried afresh.

        One that mends all failing tests and hangs in a passing one is given more time at once: what a process does but
        once, such as filling a cache, may have been done by another test when their times were measured.
        """
        answer = known
        if answer is None:
            answer = self._collector.ask(candidate) if self._collector else {"afresh": "there is no collector"}
        if answer is not None and "afresh" in answer:
            answer = self._try_afresh(candidate)
        lost = answer is None
        if answer is None:
            self._end_collector()
            answer = {"verdict": "died"}
        if not end_strays(keep=self._kept()):
            answer["spoilt"] = "processes that cannot be ended"
        if answer.pop("rewritten", False):
            self._files.rewritten(os.path.join(self._suite.top, name) for name in candidate["edits"])
        if not self._files.put_back():
            answer["spoilt"] = "files that cannot be put back"
        if lost and "spoilt" not in answer:
            self._start_collector()
            self._tell_plan()
        answer.pop("measured", None)
        if answer.pop("mended", None) is not None and candidate["scale"] < PATIENT and "spoilt" not in answer:
            return self._try({**candidate, "scale": PATIENT}, known)
        return answer

    def _try_afresh(self, candidate: Message) -> Message:
        written: dict[str, bytes] = {}
        before: dict[str, bytes] = {}
        try:
            for name, edits in edits_of(candidate):
                path = os.path.join(self._suite.top, name)
                if path not in self._sources:
                    self._sources[path] = SourceText(path)
                written[path], before[path] = self._sources[path].edited(edits), self._sources[path].data
        except (ValueError, OSError):
            return {"verdict": "invalid"}
        write_files(written)
        answer: Message = {"verdict": "died"}
        for stage in self._stages():
            names = [*stage["failing"], *stage["passing"]]
            known = self._ask_threshold(frozenset(written), candidate["scale"]) if stage["failing"] else None
            answer = known or self._fork_afresh(
                names,
                lambda bench, voice: bench.judge(stage, candidate["scale"], voice),  # noqa: B023
                written,
            )
            if answer["verdict"] != "plausible":
                if answer["verdict"] == "hung" and not stage["failing"]:
                    answer["mended"] = True
                break
        answer["rewritten"] = rewrite(before)
        return answer

    def _ask_threshold(self, paths: frozenset[str], scale: float) -> Optional[Message]:
        """Return what the process at these files' threshold says of the tree as it is; None where there is none."""
        if paths not in self._thresholds:
            if not all(path.endswith(".py") and os.path.isfile(path) for path in paths):
                return None
            self._thresholds[paths] = self._start_threshold(paths)
        server = self._thresholds.pop(paths)
        self._thresholds[paths] = server  # the last to go
        if server is None:
            return None
        answer = server.ask({"scale": scale, "import_s": self._import_s})
        if answer is None:
            server.end()
            self._thresholds[paths] = None
        return answer

    def _start_threshold(self, paths: frozenset[str]) -> Optional[Server]:
        waiting = [key for key, server in self._thresholds.items() if server is not None]
        if len(waiting) >= THRESHOLDS:
            server = self._thresholds.pop(waiting[0])
            assert server is not None
            server.end()
            end_strays(keep=self._kept())
        self._thresholds_left -= 1
        if self._thresholds_left < 0:
            return None
        stage = self._stages()[0]
        server = Server(
            lambda link: Threshold(self._suite, self._machinery, stage, paths, link).run(), self._fds(), self._alive
        )
        answer = server.ask({}, patience_s=2 * self._import_s)
        if answer is None or "unfit" in answer:
            server.end()
            return None
        return server

    def _stages(self) -> list[Message]:
        """Return the plan, cut in two where the failing tests' files alone are quicker to import."""
        files = [{name.partition("::")[0] for name in self._plan[kind]} for kind in ("failing", "passing")]
        if not files[0] or files[1] <= files[0]:
            return [self._plan]
        return [{**self._plan, "passing": []}, {**self._plan, "failing": []}]

    def _fork_afresh(
        self, names: list[str], work: Callable[[Bench, Voice], None], written: Optional[dict[str, bytes]] = None
    ) -> Message:
        leave = os._exit

        def child(voice: Voice) -> None:
            default_signals()
            silence()
            signal.setitimer(signal.ITIMER_PROF, self._import_s)
            if not all(compiles(path, data) for path, data in (written or {}).items()):
                voice.say({"verdict": "invalid"})
                return

            def loop(session: Any) -> None:
                work(Bench(plugin, session, self._machinery), voice)
                leave(0)

            plugin = Plugin(loop, self._machinery, tests=names)
            run_pytest(self._suite, names, plugin)
            voice.say({"verdict": "failed"})

        try:
            started = spawn(child, self._fds())
        except OSError as error:
            return {"verdict": "died", "spoilt": str(error)}
        return watch_candidate(started, 2 * self._import_s, self._alive)

    def _alive(self) -> None:
        self._host.send({"alive": True})

    # -- the plan

    def _make_plan(self) -> Message:
        failing, passing, seconds = self._setup["failing"], self._setup["passing"], self._setup["seconds"]
        hung = {name for name in failing if seconds.get(name, 0.0) > 0.9 * self._setup["test_limit_s"]}
        measured, sentinel, known = self._measure([name for name in failing if name not in hung])
        more, sentinel_too, known_too = self._measure(self._sample(passing))
        if any(outcome not in GREEN for outcome, *_ in more.values()):  # they may pass only behind others
            passing = self._as_collected(passing)
            more, sentinel_too, known_too = self._measure(self._sample(passing))
        dropped = [name for name, (outcome, *_) in more.items() if outcome not in GREEN]
        measured.update(more)
        self._files.put_back()
        passed = dict.fromkeys(failing, "passed")
        self._dropped = dropped
        kept = [name for name in passing if name not in dropped]
        expected = {name: measured.get(name, ["passed"])[0] for name in kept}
        took = {name: measured[name][1] if name in measured else seconds.get(name, 0.0) for name in self._names}
        slowest = max((took[name] for name in kept), default=0.0)
        limits = {name: limit_for(took[name]) for name in kept}
        for name in failing:
            own = 0.0 if name in hung else took[name]
            least = WHOLE_FILE_S if file_of(name) == name else min(1.0, 20 * slowest)
            limits[name] = max(limit_for(own), least)
        return {
            "failing": failing,
            "passing": kept,
            "expected": {**expected, **passed},
            "limits": {**limits, "sentinel": limit_for(slowest) + 1},
            "sentinel": sentinel and sentinel_too,
            "known": sorted({*known, *known_too}),
            "plain": [name for name, (_, _, plain) in measured.items() if plain],
        }

    def _sample(self, passing: list[str]) -> list[str]:
        """Return the first tests, as many as fit into the time that may be spent on measuring them."""
        seconds = self._setup["seconds"]
        ends = itertools.accumulate(seconds.get(name, 0.0) for name in passing)
        return [name for name, end in zip(passing, ends) if end < MEASURED_S]  # noqa: B905

    def _as_collected(self, names: list[str]) -> list[str]:
        """Return tests in the order of the suite."""
        places = {name: place for place, name in enumerate(self._collected)}
        return sorted(names, key=lambda name: places.get(name, -1))

    def _measure(self, names: list[str]) -> tuple[dict[str, Any], bool, list[str]]:
        """Run tests on the unchanged tree: what each did and took, whether a failure is seen, what is patched."""
        if not names:
            return {}, True, []
        limits = {name: max(1.0, 5 * self._setup["seconds"].get(name, 0.0)) for name in names}
        answer = self._collector.ask({"measure": names, "limits": limits}) if self._collector else None
        if answer is None:
            answer = self._fork_afresh(names, lambda bench, voice: bench.measure(names, limits, voice))
        end_strays(keep=self._kept())
        return answer["measured"], answer.get("sentinel", True), answer.get("known", [])

    # -- the collector

    def _start_collector(self) -> None:
        if not self._starts_left:
            return
        self._starts_left -= 1
        began = time.monotonic()
        self._collector = Server(
            lambda link: Collector(self._suite, self._machinery, self._names, link).run(), self._fds(), self._alive
        )
        answer = self._collector.ask({}, patience_s=COLLECT_S)
        self._import_s = max(2.0, 5 * (time.monotonic() - began))
        if answer is None or "unfit" in answer:
            self._end_collector()
            self._starts_left = 0
        else:
            self._collected = answer["collected"]

    def _end_collector(self) -> None:
        assert self._collector is not None
        self._collector.end()
        self._collector = None
        end_strays(keep=self._kept())

    def _tell_plan(self) -> None:
        if self._collector is not None:
            self._collector.link.send({"plan": self._plan})

    def _servers(self) -> list[Server]:
        return [server for server in (self._collector, *self._thresholds.values()) if server is not None]

    def _kept(self) -> set[int]:
        return {server.pid for server in self._servers()}

    def _fds(self) -> list[int]:
        """Return the descriptors that no child may have."""
        return [*self._host.fds, *(fd for server in self._servers() for fd in server.link.fds)]


def limit_for(seconds: float) -> float:
    """Return the CPU seconds that a test may take which took so many before."""
    return max(FLOOR_S, min(20 * seconds, 2 * seconds + 2))


def main() -> None:
    """Do what the host asks for, once."""
    host = Link(int(os.environ.pop("ATRA_REQUEST_FD")), int(os.environ.pop("ATRA_RESULT_FD")))
    prctl(DUMPABLE, 0)
    prctl(SUBREAPER, 1)
    setup = host.receive()
    if setup is None:
        return
    suite = Suite(setup)
    load_pytest(suite)
    if setup["mode"] == "report":
        ReportKeeper(suite, setup, host).run()
    else:
        Workshop(suite, setup, host).run()


def load_pytest(suite: Suite) -> None:
    """Import pytest's own plugins and the installed ones, once for all children; none of them is the repository's.

    With a plugin comes all that its distribution brings, such as hypothesis: pytest would rewrite the assertions in
    whatever of it is imported later, in every child again.
    """
    from importlib.metadata import distributions

    from _pytest.config import default_plugins

    for name in default_plugins:
        importlib.import_module(f"_pytest.{name}")
    for distribution in distributions():
        plugins = [entry.value for entry in distribution.entry_points if entry.group == "pytest11"]
        brought = [file.parts for file in (distribution.files or ()) if file.suffix == ".py"] if plugins else []
        packages = [parts[0] for parts in brought if parts[1:] == ("__init__.py",)]
        for name in dict.fromkeys([*(value.partition(":")[0] for value in plugins), *packages]):
            try:
                spec = importlib.util.find_spec(name.partition(".")[0])
                if spec is not None and spec.origin and not suite.owns(spec.origin):
                    importlib.import_module(name)
            except BaseException:  # a plugin may fail as it likes: pytest will meet it again and say so
                continue


if __name__ == "__main__":
    main()
