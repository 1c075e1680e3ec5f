"""What runs inside a box: a repository's pytest tests, once with a report or again and again for candidates.

This one file enters the box; it needs Python 3.9 or newer and the target's own pytest (6.2 or newer), nothing of ATRA.
It talks JSON over the two descriptors named by ATRA_REQUEST_FD and ATRA_RESULT_FD, each message after its length.

Processes. The *keeper* is the box's first process. It holds the descriptors, imports pytest and nothing of the project,
and forks. For a report it forks a child that runs the tests, and another one for the rest when that child dies or hangs
in C. As a workshop it forks the *collector*, which imports the project and collects the tests once; the collector forks
a child per candidate, in which the changed functions get their new code objects. A candidate that changes more than the
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

import ctypes
import errno
import io
import json
import math
import operator
import os
import re
import select
import shlex
import signal
import threading
import time
import tokenize
import traceback
import types
from typing import Any, Callable, Iterable, Iterator, NoReturn, Optional

Message = dict[str, Any]

TEXT_LIMIT = 8192
MESSAGE_LIMIT = 2048
FRAMES_LIMIT = 100
HUNG_SIGNAL = signal.SIGRTMIN + 5  # SIGALRM belongs to the target and to pytest-timeout
ALIVE_S = 1.0
SILENT_S = 15.0  # a collector that says nothing for so long was stopped or is stuck


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


def prctl(option: int, value: int) -> None:
    """Call prctl(2) and let its failure pass: what it does here is one protection of several."""
    try:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    except (OSError, AttributeError):
        return


DUMPABLE, SUBREAPER = 4, 36  # from linux/prctl.h


class Voice:
    """The child's side of its pipe: lines that start with the nonce, whatever else is written between them."""

    def __init__(self, fd: int, nonce: str) -> None:
        self._write, self._dumps, self._clock = os.write, json.dumps, time.monotonic
        self._fd, self._start, self._last = fd, f"\n{nonce}".encode(), 0.0

    def say(self, message: Message) -> None:
        """Send one message to the parent."""
        data = memoryview(self._start + self._dumps(message).encode() + b"\n")
        while data:
            data = data[self._write(self._fd, data) :]

    def tick(self) -> None:
        """Tell the parent that another test begins, at most every 50 ms, for each message wakes the parent."""
        now = self._clock()
        if now - self._last > 0.05:
            self._last = now
            self.say({"tick": 1})


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
    leave, code = os._exit, 1
    try:
        os.setpgid(0, 0)
        for fd in (read, *close):
            os.close(fd)
        prctl(DUMPABLE, 1)
        sys.modules["__main__"] = types.ModuleType("__main__")
        work(Voice(write, nonce))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        leave(code)


def end_strays(keep: int = 0) -> bool:
    """Kill every descendant but one child, and say whether none is left. The caller is their subreaper."""
    for _ in range(100):
        if not keep:
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return True
        strays = [pid for pid in children_of(os.getpid()) if pid != keep]
        if not strays:
            return True
        for pid in strays:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
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
    """A file's text as people count its characters, with what is needed to write it back byte for byte."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            self.data = file.read()
        self.encoding = encoding_of(self.data) if path.endswith(".py") else "utf-8"
        self.text = self.data.decode(self.encoding, "surrogateescape")

    def edited(self, edits: list[tuple[int, int, str]]) -> bytes:
        """Return the file's bytes with the edits made."""
        return changed(self.text, edits).encode(self.encoding, "surrogateescape")


def encoding_of(data: bytes) -> str:
    """Return the encoding that a Python file declares; a byte order mark stays a character of the text."""
    try:
        name = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError:
        return "utf-8"
    return "utf-8" if name == "utf-8-sig" else name


def changed(text: str, edits: list[tuple[int, int, str]], shift: int = 0) -> str:
    """Return the text with edits made whose offsets count from `shift` characters before its start."""
    parts, at = [], 0
    for start, end, new in sorted(edits):
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
        cache = os.path.join(os.environ.get("TMPDIR", "/tmp"), ".pytest_cache")
        for override in (f"addopts={shlex.join(self._addopts)}", "required_plugins=", f"cache_dir={cache}"):
            arguments += ["-o", override]
        given = self._given
        if tests:
            files = dict.fromkeys(os.path.join(self.root, test.partition("::")[0]) for test in tests)
            given = [argument for argument in given if not os.path.exists(argument.partition("::")[0])]
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


FOREIGN = re.compile(r"/(site-packages|dist-packages|\.?venv|\.tox|\.nox|node_modules)/")


# ---- outcomes --------------------------------------------------------------------------------------------------------


class Plugin:
    """pytest's hooks in a child: gathers reports, and replaces the loop over the tests by a function of ours."""

    def __init__(
        self,
        loop: Callable[[Any], None],
        machinery: Machinery,
        describe: Optional[Callable[[Any], Message]] = None,
    ) -> None:
        self.broken: list[str] = []
        self._loop, self._machinery, self._describe = loop, machinery, describe
        self._reports: list[Any] = []

    @pytest.hookimpl(tryfirst=True)  # type: ignore[untyped-decorator,unused-ignore]
    def pytest_load_initial_conftests(self) -> None:
        self._machinery.accept()  # installed plugins may change pytest; the repository's code comes next and may not

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

    def run(self, item: Any, following: Any) -> tuple[str, float, list[Any]]:
        """Run one test and return its outcome, its seconds and pytest's reports on it."""
        self._reports = []
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        return outcome_of(self._reports), sum(report.duration for report in self._reports), self._reports


def quiet(*_: Any, **__: Any) -> str:
    """Stand in for the text of a traceback."""
    return ""


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


def run_pytest(suite: Suite, tests: list[str], plugin: Plugin) -> int:
    """Collect the tests in this process and hand them to the plugin's loop; return pytest's exit code."""
    suite.enter()
    return int(pytest.main(suite.arguments(tests), plugins=[plugin]))


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
        self._voice.say({"code": code, "broken": self._plugin.broken, "tampered": self._machinery.changes()})

    def _interrupt(self, number: int, frame: Any) -> None:
        self._hung = True
        raise Hung("the test took too long")

    def _loop(self, session: Any) -> None:
        items = [item for item in session.items if not self._wanted or item.nodeid in self._wanted]
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


class ReportKeeper:
    """The keeper of a report: starts children until every test that was collected has a result."""

    def __init__(self, suite: Suite, setup: Message, host: Link) -> None:
        self._suite, self._setup, self._host = suite, setup, host
        self._machinery = Machinery()
        self._limit = setup["test_limit_s"]
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
        self._running, ended, killed = None, False, False

        def overdue() -> None:
            nonlocal killed
            if self._running is None:
                return
            killed = killed or self._warned
            child.kill(signal.SIGKILL if self._warned else HUNG_SIGNAL)
            self._warned, self._since = True, time.monotonic()

        for message in child.messages(self._patience, overdue):
            ended = ended or "code" in message
            self._take(message)
        end_strays()
        if self._running is not None:
            name, signal_number = self._running, child.status & 0x7F
            how = f"signal {signal_number}" if signal_number else f"exit code {child.status >> 8}"
            result = {"id": name, "outcome": "hung" if killed else "error", "seconds": time.monotonic() - self._since}
            result.update(error_type="ProcessEnded", message=f"the process ended during this test: {how}")
            self._take({"result": result, "lines": {}})
        return ended

    def _patience(self) -> float:
        """Return the seconds that the running test still has; while tests are collected only the host's clock runs."""
        return 60.0 if self._running is None else max(0.0, self._since + self._limit - time.monotonic())

    def _take(self, message: Message) -> None:
        if "begin" in message:
            self._running, self._since, self._warned = message["begin"], time.monotonic(), False
            return
        if "collected" in message:
            if self._collected:
                return
            self._collected = message["collected"]
        if "result" in message:
            self._done.add(message["result"]["id"])
            self._running = None
        self._host.send(message)


# ---- the test machinery's integrity ----------------------------------------------------------------------------------


class Machinery:
    """The functions on which a verdict rests, as they were when pytest had been imported and nothing else."""

    def __init__(self) -> None:
        import builtins
        import unittest

        own = (builtins, operator, math, time, unittest)
        named = [module for name, module in list(sys.modules.items()) if name.startswith(("_pytest.", "unittest."))]
        self._modules = [*own, pytest, *named]
        self._before = self._look()

    def accept(self) -> None:
        """Take the functions as they are now."""
        self._before = self._look()

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


def main() -> None:
    """Do what the host asks for, once."""
    host = Link(int(os.environ.pop("ATRA_REQUEST_FD")), int(os.environ.pop("ATRA_RESULT_FD")))
    prctl(DUMPABLE, 0)
    prctl(SUBREAPER, 1)
    setup = host.receive()
    if setup is None:
        return
    load_pytest()
    suite = Suite(setup)
    if setup["mode"] == "report":
        ReportKeeper(suite, setup, host).run()


def load_pytest() -> None:
    """Import those of pytest's own plugins that every run needs, once for all children."""
    import importlib

    from _pytest.config import default_plugins

    for name in default_plugins:
        importlib.import_module(f"_pytest.{name}")


if __name__ == "__main__":
    main()
