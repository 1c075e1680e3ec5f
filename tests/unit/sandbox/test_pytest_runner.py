"""Reports on real pytest runs in real boxes."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from atra.core.errors import InterpreterUnusable, NoTests, TestsHang, UnknownTest
from atra.sandbox.bubblewrap import BubblewrapSandbox
from atra.sandbox.project import make_project
from atra.sandbox.pytest_runner import PytestRunner
from atra.sandbox.reports import Frame, TestReport
from atra.sandbox.unboxed import UnboxedSandbox

Write = Callable[[Mapping[str, str | bytes]], str]

KINDS = {
    "app/__init__.py": "",
    "app/latin.py": '# -*- coding: latin-1 -*-\nNAME = "Gr\xf6\xdfe"\n'.encode("latin-1"),
    "app/windows.py": b"def twice(x):\r\n    return 2 * x\r\n",
    "app/relative.py": "from .windows import twice\n\n\ndef four():\n    return twice(2)\n",
    "conftest.py": "import pytest\n\n\n@pytest.fixture(scope='session')\ndef shared():\n    return []\n",
    "tests/test_kinds.py": """\
import asyncio
import unittest

import pytest

from app import latin, relative, windows


@pytest.mark.parametrize("x", [1, 2])
def test_parameters(x):
    assert windows.twice(x) == 2 * x


@pytest.mark.parametrize("round", [1, 2])
def test_session_fixture(shared, round):
    shared.append(round)
    assert len(shared) == round


async def slowly(value):
    await asyncio.sleep(0)
    return value


def test_async():
    assert asyncio.run(slowly(3)) == 3


class TestClass:
    def test_method(self):
        assert relative.four() == 4


class TestCase(unittest.TestCase):
    def setUp(self):
        self.name = latin.NAME

    def test_case(self):
        self.assertEqual(self.name, "Gr\\xf6\\xdfe")

    def test_parts(self):
        for number in range(3):
            with self.subTest(number=number):
                self.assertNotEqual(number, 1)


@pytest.mark.skip(reason="not now")
def test_skipped():
    assert False


@pytest.mark.xfail
def test_expected_to_fail():
    assert False


@pytest.mark.xfail
def test_unexpectedly_fine():
    pass


def test_wrong():
    assert deep(1) == 2


def deep(x):
    return windows.twice(x) / 0


@pytest.fixture
def broken():
    raise LookupError("no such thing")


def test_error(broken):
    pass
""",
}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write files into a folder and return it."""

    def to(files: Mapping[str, str | bytes]) -> str:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(tmp_path)

    return to


def run(
    tree: str, *, test_limit_s: float = 10.0, python: str = "", subfolder: str = "", **options: object
) -> TestReport:
    project = make_project(tree, test_limit_s=test_limit_s, python=python, subfolder=subfolder)
    return PytestRunner(project, BubblewrapSandbox()).report(tree, **options)  # type: ignore[arg-type]


def outcomes(report: TestReport) -> dict[str, str]:
    return {result.id.rpartition("::")[2]: result.outcome for result in report.results}


@pytest.mark.parametrize("sandbox", [BubblewrapSandbox(), UnboxedSandbox()], ids=["boxed", "unboxed"])
def test_every_kind_of_test_is_told_as_pytest_tells_it(
    write: Write, sandbox: BubblewrapSandbox | UnboxedSandbox
) -> None:
    """Parameters, fixtures, classes, unittest, asyncio, marks, encodings, line ends and relative imports all count."""
    tree = write(KINDS)

    report = PytestRunner(make_project(tree), sandbox).report(tree)

    assert report.complete
    assert report.collected == tuple(result.id for result in report.results)
    assert outcomes(report) == {
        "test_parameters[1]": "passed",
        "test_parameters[2]": "passed",
        "test_session_fixture[1]": "passed",
        "test_session_fixture[2]": "passed",
        "test_async": "passed",
        "test_method": "passed",
        "test_case": "passed",
        "test_parts": "failed",
        "test_skipped": "skipped",
        "test_expected_to_fail": "xfailed",
        "test_unexpectedly_fine": "xpassed",
        "test_wrong": "failed",
        "test_error": "error",
    }


def test_a_failure_comes_with_its_frames_and_text(write: Write) -> None:
    """The error's type, its message, the repository's frames outermost first, and pytest's text."""
    result = run(write(KINDS), tests=["tests/test_kinds.py::test_wrong"]).results[0]

    assert (result.error_type, result.message) == ("ZeroDivisionError", "division by zero")
    assert [(frame.path, frame.function) for frame in result.frames] == [
        ("tests/test_kinds.py", "test_wrong"),
        ("tests/test_kinds.py", "deep"),
    ]
    assert "return windows.twice(x) / 0" in result.text


def test_lines_are_those_each_test_ran(write: Write) -> None:
    """Coverage is per test, in the repository's files only, and leaves out lines that were not reached."""
    tree = write(
        {
            "shop.py": "def sign(x):\n    if x < 0:\n        return -1\n    return helper(x)\n\n\n"
            "def helper(x):\n    return int(x > 0)\n",
            "test_shop.py": "import json\nimport shop\n\n\ndef test_minus():\n    json.dumps(1)\n"
            "    assert shop.sign(-1) == -1\n\n\ndef test_plus():\n    assert shop.sign(1) == 1\n",
        }
    )

    lines = run(tree, coverage=True).lines

    assert lines == {
        "test_shop.py::test_minus": {"shop.py": (2, 3), "test_shop.py": (6, 7)},
        "test_shop.py::test_plus": {"shop.py": (2, 4, 8), "test_shop.py": (11,)},
    }


def test_a_test_that_hangs_or_ends_the_process_costs_itself_only(write: Write) -> None:
    """The others run on, in the same session where Python can be interrupted and in another process where not."""
    tree = write(
        {
            "test_odd.py": """\
import os, signal, time

def test_before(): pass
def test_loop():
    while True: pass
def test_deaf():
    while True:
        try: time.sleep(60)
        except BaseException: pass
def test_exit(): os._exit(0)
def test_segfault(): os.kill(os.getpid(), signal.SIGSEGV)
def test_interrupt(): raise KeyboardInterrupt
def test_after(): pass
"""
        }
    )

    report = run(tree, test_limit_s=0.5)

    assert report.complete
    assert outcomes(report) == {
        "test_before": "passed",
        "test_loop": "hung",
        "test_deaf": "hung",
        "test_exit": "error",
        "test_segfault": "error",
        "test_interrupt": "error",
        "test_after": "passed",
    }
    assert report.by_id()["test_odd.py::test_segfault"].message.endswith("signal 11")


def test_a_report_that_runs_out_of_time_says_so(write: Write) -> None:
    """What was seen until then is told; what did not run is collected and has no result."""
    tree = write(
        {"test_slow.py": "import time\ndef test_a(): pass\ndef test_b(): time.sleep(60)\ndef test_c(): pass\n"}
    )

    report = run(tree, wall_s=3.0, test_limit_s=30.0)

    assert not report.complete
    assert len(report.collected) == 3
    assert outcomes(report) == {"test_a": "passed"}


def test_a_report_can_be_stopped(write: Write) -> None:
    """`stop` ends it at once."""
    report = run(write({"test_a.py": "import time\ndef test_a(): time.sleep(60)\n"}), stop=lambda: True)

    assert not report.complete
    assert not report.results


def test_options_of_absent_plugins_and_early_ends_are_left_out(write: Write) -> None:
    """`--cov`, `-n`, `-x` and what needs a plugin that is not there do not matter; other options stay."""
    tree = write(
        {
            "pyproject.toml": "[tool.pytest.ini_options]\n"
            "addopts = \"--cov=app --cov-report term-missing -n auto -x --maxfail 1 -k 'not ignored'\"\n"
            "required_plugins = 'pytest-nowhere'\n",
            "test_a.py": "def test_a(): assert 0\ndef test_b(): pass\ndef test_ignored(): assert 0\n",
        }
    )

    assert outcomes(run(tree)) == {"test_a": "failed", "test_b": "passed"}


@pytest.mark.parametrize(
    ("layout", "subfolder", "test"),
    [
        ({"src/pkg/__init__.py": "", "tests/test_a.py": "import pkg\ndef test_a(): pass\n"}, "", "tests/test_a.py"),
        ({"pkg.py": "", "tests/test_a.py": "import pkg\ndef test_a(): pass\n"}, "", "tests/test_a.py"),
        ({"sub/pkg.py": "", "sub/t/test_a.py": "import pkg\ndef test_a(): pass\n"}, "sub", "t/test_a.py"),
        (
            {
                "pytest.ini": "[pytest]\npythonpath = lib",
                "lib/pkg.py": "",
                "sub/test_a.py": "import pkg\ndef test_a(): 0\n",
            },
            "sub",
            "sub/test_a.py",
        ),
        ({"a/test_a.py": "def test_a(): open('here')\n", "a/here": ""}, "a", "test_a.py"),
    ],
    ids=["src", "root", "subfolder", "pythonpath", "working-directory"],
)
def test_code_is_found_where_it_lies(write: Write, layout: Mapping[str, str], subfolder: str, test: str) -> None:
    """Source layouts and subfolders work without an installation, and ids are those that pytest prints there."""
    report = run(write(layout), subfolder=subfolder)

    assert outcomes(report) == {"test_a": "passed"}
    assert report.collected == (f"{test}::test_a",)


def test_chosen_tests_keep_their_ids_and_order(write: Write) -> None:
    """Naming tests changes neither their ids nor the order of collection, and runs no other."""
    tree = write({"t/a/test_a.py": "def test_1(): 0\ndef test_2(): 0\n", "t/b/test_b.py": "def test_3(): 0\n"})

    report = run(tree, tests=["t/b/test_b.py::test_3", "t/a/test_a.py::test_2"])

    assert report.collected == ("t/a/test_a.py::test_2", "t/b/test_b.py::test_3")
    assert outcomes(report) == {"test_2": "passed", "test_3": "passed"}


def test_modules_that_cannot_be_collected_are_told(write: Write) -> None:
    """A broken module is named with its error, and the tests of the others run."""
    report = run(write({"test_bad.py": "def (", "test_good.py": "def test_a(): pass\n"}))

    assert outcomes(report) == {"test_a": "passed"}
    assert len(report.broken) == 1
    assert report.broken[0].startswith("test_bad.py: ")
    assert "SyntaxError" in report.broken[0]


def test_a_broken_conftest_is_told(write: Write) -> None:
    """When pytest gives up before it collects, what it printed is the reason."""
    report = run(write({"conftest.py": "import nothing_like_it", "test_a.py": "def test_a(): pass\n"}))

    assert not report.collected
    assert "nothing_like_it" in report.broken[0]


def test_no_tests_and_unknown_tests_are_errors(write: Write) -> None:
    """An empty suite and an id that nothing has are bad input."""
    tree = write({"code.py": ""})
    with pytest.raises(NoTests):
        run(tree)

    write({"test_a.py": "def test_a(): pass\n"})
    with pytest.raises(UnknownTest) as caught:
        run(tree, tests=["test_a.py::test_b"])

    assert caught.value.args == ("test_a.py::test_b",)


def test_an_interpreter_without_pytest_is_unusable(write: Write) -> None:
    """The system's own Python has no pytest, and the error says so."""
    with pytest.raises(InterpreterUnusable, match="no pytest"):
        run(write({"test_a.py": "def test_a(): pass\n"}), python="/usr/bin/python3")


def test_the_hash_seed_is_the_one_asked_for(write: Write) -> None:
    """PYTHONHASHSEED reaches the tests, and nothing of the host's environment does."""
    tree = write(
        {
            "test_a.py": "import os, sys\ndef test_a():\n    assert os.environ['PYTHONHASHSEED'] == '7'\n"
            "    assert not [name for name in os.environ if name.startswith('ATRA')]\n"
            "    assert '__pycache__' not in os.listdir('.')\n"
        }
    )

    assert outcomes(run(tree, hash_seed=7)) == {"test_a": "passed"}


def test_functions_that_the_code_replaced_for_good_are_named(write: Write) -> None:
    """A report tells which of the functions that verdicts rest on are not what they were."""
    tree = write({"test_a.py": "import operator\ndef test_a():\n    operator.eq = lambda a, b: True\n"})

    assert run(tree).tampered == ("operator.eq",)


def test_recursion_leaves_a_short_report(write: Write) -> None:
    """A thousand frames and a megabyte of text are cut in the middle."""
    tree = write(
        {
            "test_a.py": "def down(x): return down(x)\ndef test_a(): down(0)\n"
            "def test_b(): raise ValueError('x' * 1000000)\n"
        }
    )

    deep, long = run(tree).results

    assert deep.error_type == "RecursionError"
    assert deep.frames[0] == Frame("test_a.py", 2, "test_a")
    assert len(deep.frames) <= 100
    assert len(long.message) < 3000
    assert len(long.text) < 9000


def test_the_interpreter_of_the_tests_is_the_one_that_was_named(write: Write) -> None:
    """`--python` decides what the tests run on."""
    tree = write({"test_a.py": f"import sys\ndef test_a(): assert sys.executable == {sys.executable!r}\n"})

    assert outcomes(run(tree, python=sys.executable)) == {"test_a": "passed"}


def test_when_many_tests_hang_only_the_first_are_waited_for_in_full(write: Write) -> None:
    """The others get what their quick neighbours need; all of them are told as hung, with the limit as their time."""
    loops = "".join(f"def test_loop{number}():\n    while True: pass\n" for number in range(6))
    tree = write({"test_odd.py": f"def test_quick(): pass\n{loops}def test_after(): pass\n"})

    report = run(tree, test_limit_s=5)

    assert [result.outcome for result in report.results] == ["passed", *["hung"] * 6, "passed"]
    assert {result.seconds for result in report.results if result.outcome == "hung"} == {5}
    assert report.seconds < 3 * 5


def test_a_test_known_to_hang_is_not_waited_for_in_full(write: Write) -> None:
    """It runs as long as it takes to see where it hangs, and its neighbours' time is as it was."""
    loop = "def test_loop():\n    while True:\n        seen = 1\n"
    slow = "def test_slow():\n    until = time.monotonic() + 2\n    while time.monotonic() < until: pass\n"
    tree = write({"test_odd.py": f"import time\n{loop}{slow}"})

    report = run(tree, test_limit_s=30, known_to_hang=["test_odd.py::test_loop"], coverage=True)

    assert [result.outcome for result in report.results] == ["hung", "passed"]
    assert 4 in report.lines["test_odd.py::test_loop"]["test_odd.py"]
    assert report.seconds < 30


def test_a_collection_that_never_ends_is_told_as_such(write: Write) -> None:
    """It is the same on every try, so it is no failure of the box."""
    tree = write({"test_it.py": "import time\n\ntime.sleep(600)\n\n\ndef test_it():\n    pass\n"})

    with pytest.raises(TestsHang):
        run(tree, wall_s=2.0)


def test_what_failing_tests_print_is_not_printed_again(write: Write) -> None:
    """A box may print only so much, and pytest's summary would repeat all of it."""
    tree = write({"test_it.py": "def test_it():\n    print(40 * 2**20 * 'x')\n    assert False\n"})

    report = run(tree)

    assert report.complete
    assert outcomes(report) == {"test_it": "failed"}


def test_what_installed_plugins_bring_is_not_rewritten_in_every_child(write: Write) -> None:
    """Rewriting the assertions of hypothesis alone takes longer than a small suite."""
    tree = write(
        {
            "test_it.py": "import hypothesis.core\n\n\ndef test_it():\n"
            "    assert 'Rewriting' not in type(hypothesis.core.__loader__).__name__\n"
        }
    )

    assert outcomes(run(tree)) == {"test_it": "passed"}
