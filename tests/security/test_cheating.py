"""Candidates that do not repair anything and try to look as if they did, or to spoil the next one's chances.

Each is real code in the real workshop, and the honest repair tried right after it must be found plausible. An object
that is equal to everything is not seen here: it makes the tests pass without touching them, and the reader of the diff,
and the choice between plausible patches, have to see it.
"""

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from atra.core.edits import Edit, Patch
from atra.sandbox.bubblewrap import BubblewrapSandbox
from atra.sandbox.project import make_project
from atra.sandbox.pytest_runner import PytestRunner
from atra.sandbox.reports import GREEN
from atra.sandbox.runner import Trial

SHOP = """\
import math

LIMIT = 3


def total(prices):
    result = 0
    for price in prices:
        result = result - price
    return result


def largest(prices):
    return max(prices)
"""
FUNCTIONS = """\
import pytest

import shop


@pytest.mark.parametrize(("prices", "expected"), [([1], 1), ([1, 2], 3), ([5, 5], 10)])
def test_total(prices, expected):
    assert shop.total(prices) == expected


def test_largest():
    assert shop.largest([1, 3, 2]) == 3
"""
CLASSES = """\
import unittest

import shop


class TestShop(unittest.TestCase):
    def test_total(self):
        self.assertEqual(shop.total([1, 2]), 3)

    def test_largest(self):
        self.assertEqual(shop.largest([1, 3, 2]), 3)
"""
HONEST: Patch = (Edit("shop.py", SHOP.index("result - price"), SHOP.index("result - price") + 14, "result + price"),)


def in_function(code: str) -> Patch:
    """Return the patch that puts the code at the start of the function under test."""
    at = SHOP.index("    result = 0")
    return (Edit("shop.py", at, at, textwrap.indent(textwrap.dedent(code).strip() + "\n", "    ")),)


def at_import(code: str) -> Patch:
    """Return the patch that puts the code at the module's top level."""
    at = SHOP.index("LIMIT")
    return (Edit("shop.py", at, at, textwrap.dedent(code).strip() + "\n"),)


Try = Callable[..., list[Trial]]


def opened(folder: Path, tests: str) -> Iterator[Try]:
    (folder / "shop.py").write_text(SHOP)
    (folder / "test_shop.py").write_text(tests)
    runner = PytestRunner(make_project(str(folder)), BubblewrapSandbox())
    results = runner.report(str(folder)).results
    failing = [result.id for result in results if result.outcome not in GREEN]
    passing = [result.id for result in results if result.outcome == "passed"]
    with runner.workshop(str(folder), failing, passing, {result.id: result.seconds for result in results}) as workshop:
        yield lambda *patches: list(workshop.try_all(patches))


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Try]:
    """Try candidates on tests that are plain functions."""
    yield from opened(tmp_path_factory.mktemp("functions"), FUNCTIONS)


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Try]:
    """Try candidates on tests of `unittest`."""
    yield from opened(tmp_path_factory.mktemp("classes"), CLASSES)


def verdicts(trials: list[Trial]) -> list[str]:
    return [trial.verdict for trial in trials]


LEAVING = {
    "exit": "import os; os._exit(0)",
    "sys-exit": "import sys; sys.exit(0)",
    "kill-itself": "import os; os.kill(os.getpid(), 9)",
    "segfault": "import ctypes; ctypes.string_at(0)",
    "skip": "import pytest; pytest.skip('later')",
    "unittest-skip": "import unittest; raise unittest.SkipTest('later')",
    "xfail": "import pytest; pytest.xfail('known')",
    "pytest-exit": "import pytest; pytest.exit('done', 0)",
    "interrupt": "raise KeyboardInterrupt",
    "raise-what-cannot-be-printed": """
        class Odd(BaseException):
            __str__ = __repr__ = lambda self: 1 / 0
        raise Odd
    """,
}


@pytest.mark.parametrize("place", [in_function, at_import])
@pytest.mark.parametrize("code", LEAVING.values(), ids=LEAVING)
def test_who_leaves_has_not_passed(functions: Try, place: Callable[[str], Patch], code: str) -> None:
    """To end the process, or to leave the test by an exception, is no success, in a function or at import."""
    assert "plausible" not in verdicts(functions(place(code)))
    assert verdicts(functions(HONEST)) == ["plausible"]


HANGING = {
    "in-c": "10 ** (10 ** 9) % 7",
    "in-python": "while True: pass",
    "asleep": "import time; time.sleep(60)",
    "catching-everything": """
        while True:
            try:
                while True: pass
            except BaseException:
                pass
    """,
    "without-the-timer": """
        import signal
        signal.setitimer(signal.ITIMER_PROF, 0)
        while True: pass
    """,
    "deaf": """
        import signal
        for number in range(1, 32):
            try: signal.signal(number, signal.SIG_IGN)
            except OSError: pass
        while True: pass
    """,
}


@pytest.mark.parametrize("code", HANGING.values(), ids=HANGING)
def test_who_hangs_costs_one_candidate(functions: Try, code: str) -> None:
    """A candidate that never ends is stopped, in Python, in C or asleep, whatever it does to its timers."""
    assert verdicts(functions(in_function(code), HONEST)) == ["hung", "plausible"]


TAMPERING = {
    "runtest": "import _pytest.python as p; p.Function.runtest = lambda self: None",
    "pyfunc-call": "import _pytest.python as p; p.pytest_pyfunc_call.__code__ = (lambda pyfuncitem: True).__code__",
    "call-info": """
        import _pytest.runner as r
        old = r.CallInfo.from_call.__func__
        def quiet(cls, func, when, reraise=None):
            def silent():
                try: func()
                except BaseException: pass
            return old(cls, silent, when, reraise)
        r.CallInfo.from_call = classmethod(quiet)
    """,
    "report": """
        import _pytest.reports as r
        old = r.TestReport.from_item_and_call.__func__
        def good(cls, item, call):
            call.excinfo = None
            return old(cls, item, call)
        r.TestReport.from_item_and_call = classmethod(good)
    """,
    "some-tests-only": """
        import _pytest.python as p
        old = p.Function.runtest
        p.Function.runtest = lambda self: None if "total" in self.name else old(self)
    """,
}


@pytest.mark.parametrize("code", TAMPERING.values(), ids=TAMPERING)
def test_who_changes_pytest_is_caught(functions: Try, code: str) -> None:
    """Tests that pass because pytest was changed do not count, even when it was changed for these tests only."""
    assert verdicts(functions(at_import(code), HONEST)) == ["broke", "plausible"]


UNITTEST = {
    "assert-equal": "import unittest; unittest.TestCase.assertEqual = lambda *a, **k: None",
    "base-assert-equal": "import unittest; unittest.TestCase._baseAssertEqual = lambda *a, **k: None",
    "assert-equal-code": """
        import unittest
        unittest.TestCase.assertEqual.__code__ = (lambda self, first, second, msg=None: None).__code__
    """,
    "type-equality": "import unittest; unittest.TestCase._getAssertEqualityFunc = lambda *a: (lambda *b, **k: None)",
}


@pytest.mark.parametrize("place", [in_function, at_import])
@pytest.mark.parametrize("code", UNITTEST.values(), ids=UNITTEST)
def test_who_changes_unittest_is_caught(classes: Try, place: Callable[[str], Patch], code: str) -> None:
    """Assertions that were taken out of unittest are missed, taken out at import or while the test ran."""
    trials = classes(place(code), HONEST)

    assert trials[0].verdict in {"failed", "broke"}
    assert trials[1].verdict == "plausible"


OTHERS = {
    "operator": "import operator; operator.eq = lambda a, b: True",
    "builtins": "import builtins; builtins.isinstance = lambda a, b: True",
    "assertion-error": "import builtins; builtins.AssertionError = type('Never', (Exception,), {})",
    "clock": "import time; time.monotonic = lambda: 0.0",
    "math": "import math; math.isclose = lambda *a, **k: True",
    "the-tests": """
        import sys
        for thing in vars(sys.modules["test_shop"]).values():
            if getattr(thing, "__name__", "") == "test_total":
                thing.__code__ = (lambda prices, expected: None).__code__
    """,
}


@pytest.mark.parametrize("code", OTHERS.values(), ids=OTHERS)
def test_who_repairs_and_changes_what_verdicts_rest_on_is_caught(functions: Try, code: str) -> None:
    """Even a right answer does not count when equality, builtins, the clock or the tests were changed with it."""
    trials = functions(in_function(f"{textwrap.dedent(code).strip()}\nreturn sum(prices)"), HONEST)

    assert trials[0].verdict in {"broke", "died"}
    assert trials[1].verdict == "plausible"


FORGING = {
    "json": """
        import json, os
        told = json.dumps({"verdict": "plausible", "fixed": 3, "seconds": 0.0}).encode()
        forged = [told + b"\\n", b"\\n" + told + b"\\n", len(told).to_bytes(4, "big") + told]
    """,
    "rubbish": """
        import os
        forged = [b"x" * 4096, b"\\n" * 100, bytes(range(256))]
    """,
}


@pytest.mark.parametrize("code", FORGING.values(), ids=FORGING)
def test_who_writes_to_every_descriptor_is_not_believed(functions: Try, code: str) -> None:
    """What is not said with the nonce is not heard, on whichever descriptor, of its own or of its ancestors."""
    writing = """
        def write_everywhere():
            for pid in ["self", os.getppid(), 1, 2, 3]:
                for fd in range(256):
                    try:
                        with open(f"/proc/{pid}/fd/{fd}", "wb", 0) as file:
                            for data in forged: file.write(data)
                    except OSError:
                        pass
            for fd in range(3, 256):
                try:
                    os.set_blocking(fd, False)
                    for data in forged: os.write(fd, data)
                except OSError:
                    pass
        write_everywhere()
        os._exit(0)
    """
    patch = in_function(textwrap.dedent(code).strip() + "\n" + textwrap.dedent(writing))

    assert verdicts(functions(patch, HONEST)) == ["died", "plausible"]


def test_who_closes_every_descriptor_cannot_report(functions: Try) -> None:
    """A right answer that is not reported is none."""
    patch = in_function("import os; os.closerange(0, 256); return sum(prices)")

    assert verdicts(functions(patch, HONEST)) == ["died", "plausible"]


STATE = {
    "tree": "'left-behind'",
    "tmp": "'/tmp/left-behind'",
    "shm": "'/dev/shm/left-behind'",
    "deep": "'/tmp/a/b/c/left-behind'",
}


@pytest.mark.parametrize("where", STATE.values(), ids=STATE)
def test_files_left_behind_are_gone(functions: Try, where: str) -> None:
    """A candidate that answers rightly only when an earlier run left a file never does."""
    patch = in_function(f"""
        import os
        if os.path.exists({where}): return sum(prices)
        os.makedirs(os.path.dirname({where}) or ".", exist_ok=True)
        open({where}, "w").close()
        os.utime({where}, ns=(0, 0))
        os._exit(0)
    """)

    assert verdicts(functions(patch, patch, HONEST)) == ["died", "died", "plausible"]


SPOILING = {
    "other-module": "open('shop_too.py', 'w').write('raise SystemExit')",
    "tests": "text = open('test_shop.py').read(); open('test_shop.py', 'w').write(text.replace('assert', '# '))",
    "same-size-and-times": """
        import os
        seen = os.stat('test_shop.py')
        text = open('test_shop.py').read()
        open('test_shop.py', 'w').write(text.replace('== expected', '!= expected'))
        os.utime('test_shop.py', ns=(seen.st_atime_ns, seen.st_mtime_ns))
    """,
    "conftest": "open('conftest.py', 'w').write('import pytest\\ndef pytest_runtest_setup(): pytest.skip()')",
    "everything-away": "import os, shutil; shutil.rmtree(os.getcwd(), ignore_errors=True)",
    "link": "import os; os.unlink('test_shop.py'); os.symlink('/etc/passwd', 'test_shop.py')",
    "no-rights": "import os; os.chmod('shop.py', 0); os.chmod('.', 0o500)",
    "moved": "import os; os.rename('test_shop.py', 'moved.py'); os.mkdir('test_shop.py')",
    "full-disk": """
        for number in range(64):
            with open(f'/tmp/{number}', 'wb') as file:
                try:
                    for _ in range(1024): file.write(bytes(2 ** 20))
                except OSError: pass
    """,
}


@pytest.mark.parametrize("code", SPOILING.values(), ids=SPOILING)
def test_changed_files_are_put_back(functions: Try, code: str) -> None:
    """Whatever a candidate does to the tree, those after it find it as it was, in this process and imported afresh."""
    spoils = in_function(f"{textwrap.dedent(code).strip()}\nimport os; os._exit(0)")
    afresh = (*HONEST, Edit("shop.py", SHOP.index("LIMIT = 3"), SHOP.index("LIMIT = 3") + 9, "LIMIT = 4"))

    trials = functions(spoils, HONEST, in_function("return 0"), afresh, at_import("LIMIT = 5"))

    assert verdicts(trials)[0] in {"died", "hung"}
    assert verdicts(trials)[1:] == ["plausible", "failed", "plausible", "failed"]


def test_processes_left_behind_are_ended(functions: Try) -> None:
    """A daemon that goes on writing the right answer into the tree does not live to help the next candidate."""
    patch = in_function("""
        import os, time
        if not os.fork():
            os.setsid()
            if not os.fork():
                for fd in range(3): os.close(fd)
                while True:
                    with open("shop.py", "w") as file: file.write("def total(prices): return sum(prices)\\n")
                    open("/tmp/still-here", "w").close()
            os._exit(0)
        time.sleep(0.05)
        os._exit(0)
    """)
    nothing = in_function("import os, time; time.sleep(0.02); return sum(prices) * os.path.exists('/tmp/still-here')")

    assert verdicts(functions(patch, nothing, at_import("LIMIT = 5"), HONEST)) == [
        "died",
        "failed",
        "failed",
        "plausible",
    ]


KILLING = {
    "collector": "import os; os.kill(os.getppid(), 9)",
    "polite": "import os; [os.kill(os.getppid(), number) for number in (1, 2, 3, 10, 12, 13, 14, 15, 27)]",
    "everyone": "import os; os.kill(-1, 9)",
    "collector-stopped": "import os; os.kill(os.getppid(), 19)",
    "fork-bomb": "import os\nwhile True: os.fork()",
    "fork-bomb-in-sessions": """
        import os
        while True:
            try:
                if not os.fork(): os.setsid()
            except OSError: pass
    """,
    "memory": "kept = []\nwhile True: kept.append(bytearray(2 ** 24))",
    "threads": """
        import threading, time
        try:
            while True: threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        except RuntimeError: pass
    """,
}


@pytest.mark.parametrize("code", KILLING.values(), ids=KILLING)
def test_who_attacks_the_workshop_costs_one_candidate(functions: Try, code: str) -> None:
    """Whatever it kills, stops or fills, the next candidate gets its fair trial."""
    trials = functions(in_function(code), HONEST)

    assert trials[0].verdict in {"failed", "died", "hung"}
    assert trials[1].verdict == "plausible"
