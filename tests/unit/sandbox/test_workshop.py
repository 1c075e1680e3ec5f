"""Candidates in real workshops: that an edit counts, wherever it stands, and that verdicts are right."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from atra.core.edits import Edit, Patch
from atra.sandbox.bubblewrap import BubblewrapSandbox
from atra.sandbox.project import make_project
from atra.sandbox.protocol import Sandbox
from atra.sandbox.pytest_runner import PytestRunner
from atra.sandbox.runner import Trial
from atra.sandbox.unboxed import UnboxedSandbox
from atra.sandbox.workshop import PytestWorkshop

Files = dict[str, str | bytes]

MODULES: Files = {
    "app/__init__.py": "",
    "app/bug.py": "def wrong():\n    return 0\n",
    "app/plain.py": "def twice(x):\n    return 2 * x\n\n\ndef outer(x):\n    def inner(y):\n        return y + 1\n\n"
    "    return inner(x)\n\n\ndef evens(n):\n    for number in range(n):\n        if number % 2 == 0:\n"
    "            yield number\n\n\nasync def later(x):\n    return x\n",
    "app/decorated.py": "import functools\n\n\ndef add(n):\n    def wrap(f):\n        @functools.wraps(f)\n"
    "        def call(*args):\n            return f(*args) + n\n\n        return call\n\n    return wrap\n\n\n"
    "@add(1)\ndef three(x):\n    return x + 2\n\n\n@functools.lru_cache(None)\ndef kept(x):\n    return x * 10\n",
    "app/classes.py": "from dataclasses import dataclass\n\n\nclass Base:\n    RATE = 2\n\n    def method(self, x):\n"
    "        return x * self.RATE\n\n    @property\n    def name(self):\n        return 'base'\n\n    @staticmethod\n"
    "    def static(x):\n        return x - 1\n\n    @classmethod\n    def make(cls):\n        return cls()\n\n\n"
    "@dataclass\nclass Point:\n    x: int = 1\n\n    def norm(self):\n        return abs(self.x)\n",
    "app/imported.py": "def table():\n    return [1, 2, 3]\n\n\nTABLE = table()\nDEFAULT = 5\n\n\n"
    "def scaled(x, by=DEFAULT):\n    return x * by\n",
    "app/lazy.py": "def never_imported_early():\n    return 'lazy'\n",
    "app/windows.py": b"def windows():\r\n    # \xc3\xbcber\r\n    return 'w'\r\n",
    "app/latin.py": '# -*- coding: latin-1 -*-\ndef latin():\n    return "Gr\xf6\xdfe"\n'.encode("latin-1"),
    "app/data.json": json.dumps({"limit": 3}),
    "test_app.py": """\
import asyncio
import json
import pathlib
import subprocess
import sys
import unittest

import pytest

from app import bug, classes, decorated, imported, latin, plain, windows

double = plain.twice


def test_bug(): assert bug.wrong() == 1
def test_plain(): assert plain.twice(2) == 4
def test_alias(): assert double(4) == 8
def test_closure(): assert plain.outer(1) == 2
def test_generator(): assert list(plain.evens(5)) == [0, 2, 4]
def test_async(): assert asyncio.run(plain.later(1)) == 1
def test_decorated(): assert decorated.three(1) == 4
def test_cached(): assert decorated.kept(1) == 10
def test_method(): assert classes.Base.make().method(3) == 6
def test_property(): assert classes.Base().name == "base"
def test_static(): assert classes.Base.static(1) == 0
def test_dataclass(): assert classes.Point().norm() == 1
def test_table(): assert imported.TABLE == [1, 2, 3]
def test_default(): assert imported.scaled(2) == 10
def test_latin(): assert latin.latin() == "Gr\\xf6\\xdfe"
def test_windows(): assert windows.windows() == "w"
def test_lazy():
    from app.lazy import never_imported_early
    assert never_imported_early() == "lazy"
def test_data(): assert json.loads(pathlib.Path("app/data.json").read_text())["limit"] == 3
def test_another_process():
    code = "from app.plain import twice; print(twice(3))"
    assert subprocess.check_output([sys.executable, "-c", code]).strip() == b"6"


@pytest.fixture(scope="session")
def shared(): return []


@pytest.mark.parametrize("n", [1, 2])
def test_session_fixture(shared, n):
    shared.append(plain.twice(n))
    assert sum(shared) == n * (n + 1)


class TestUnit(unittest.TestCase):
    def setUp(self): self.base = classes.Base()
    def test_base(self): self.assertEqual(self.base.method(1), 2)
""",
}
CHANGES = {  # file, old text, what breaks a test, what does not
    "function": ("app/plain.py", "2 * x", "3 * x", "x * 2"),
    "inner-function": ("app/plain.py", "y + 1", "y + 2", "1 + y"),
    "generator": ("app/plain.py", "number % 2 == 0", "number % 2 == 1", "not number % 2"),
    "generator-no-more": ("app/plain.py", "yield number", "return [number]", "yield number + 0"),
    "coroutine": ("app/plain.py", "    return x\n", "    return -x\n", "    await asyncio_sleep()\n    return x\n"),
    "new-argument": ("app/plain.py", "twice(x)", "twice(x, y)", "twice(x, y=0)"),
    "decorator-body": ("app/decorated.py", "f(*args) + n", "f(*args) - n", "n + f(*args)"),
    "decorator-argument": ("app/decorated.py", "@add(1)", "@add(2)", "@add(2 - 1)"),
    "decorated": ("app/decorated.py", "x + 2", "x + 3", "2 + x"),
    "decorator-away": ("app/decorated.py", "@add(1)\n", "", "@add(n=1)\n"),
    "cached": ("app/decorated.py", "x * 10", "x * 11", "10 * x"),
    "method": ("app/classes.py", "x * self.RATE", "x + self.RATE + 1", "self.RATE * x"),
    "property": ("app/classes.py", "'base'", "'face'", "'ba' + 'se'"),
    "static-method": ("app/classes.py", "x - 1", "x", "x + 1 - 2"),
    "class-method": ("app/classes.py", "return cls()", "return None", "made = cls()\n        return made"),
    "class-attribute": ("app/classes.py", "RATE = 2", "RATE = 3", "RATE = 1 + 1"),
    "dataclass-field": ("app/classes.py", "x: int = 1", "x: int = 2", "x: int = +1"),
    "dataclass-method": ("app/classes.py", "abs(self.x)", "self.x - 2", "max(self.x, -self.x)"),
    "runs-at-import": ("app/imported.py", "[1, 2, 3]", "[1, 2]", "[1, 2] + [3]"),
    "default": ("app/imported.py", "by=DEFAULT", "by=4", "by=5"),
    "module-constant": ("app/imported.py", "DEFAULT = 5", "DEFAULT = 6", "DEFAULT = 2 + 3"),
    "imported-late": ("app/lazy.py", "'lazy'", "'early'", "'la' + 'zy'"),
    "windows-line-ends": ("app/windows.py", "'w'", "'v'", "'' + 'w'"),
    "latin-1": ("app/latin.py", "Gr\xf6\xdfe", "Gr\xf6sse", 'Gr\xf6" "\xdfe'),
    "data": ("app/data.json", "3", "4", "3.0"),
    "deleted-function": ("app/classes.py", "def norm(self)", "def form(self)", "def norm(self, *_)"),
    "added-line": ("app/plain.py", "def twice(x):\n", "def twice(x):\n    x += 1\n", "def twice(x):\n    x += 0\n"),
}


def text_of(files: Mapping[str, str | bytes], name: str) -> str:
    content = files[name]
    if isinstance(content, str):
        return content
    return content.decode("latin-1" if name == "app/latin.py" else "utf-8")


def edit(files: Mapping[str, str | bytes], name: str, old: str, new: str) -> Edit:
    start = text_of(files, name).index(old)
    return Edit(name, start, start + len(old), new)


def write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


@contextmanager
def workshop_on(
    folder: Path, files: Files, sandbox: Sandbox | None = None, test_limit_s: float = 10.0
) -> Iterator[PytestWorkshop]:
    """Open a workshop on the files, whose tests that fail are to be repaired."""
    write(folder, files)
    runner = PytestRunner(make_project(str(folder), test_limit_s=test_limit_s), sandbox or BubblewrapSandbox())
    results = runner.report(str(folder)).results
    failing = [result.id for result in results if result.outcome in {"failed", "error", "hung"}]
    passing = [result.id for result in results if result.outcome == "passed"]
    seconds = {result.id: result.seconds for result in results}
    with runner.workshop(str(folder), failing, passing, seconds) as workshop:
        yield workshop


def verdicts(workshop: PytestWorkshop, patches: Sequence[Patch], **options: float) -> list[str]:
    return [trial.verdict for trial in workshop.try_all(patches, **options)]


REPAIR = edit(MODULES, "app/bug.py", "return 0", "return 1")


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PytestWorkshop]:
    """A workshop on many kinds of code, where one function is wrong."""
    with workshop_on(tmp_path_factory.mktemp("modules"), MODULES) as workshop:
        yield workshop


@pytest.mark.parametrize(("name", "old", "breaking", "harmless"), CHANGES.values(), ids=CHANGES)
def test_an_edit_counts_wherever_it_stands(
    modules: PytestWorkshop, name: str, old: str, breaking: str, harmless: str
) -> None:
    """Beside the repair, an edit that breaks a passing test is seen, one that does not is not."""
    harmless = harmless.replace("await asyncio_sleep()", "__import__('time').time()")
    patches = [(REPAIR,), (REPAIR, edit(MODULES, name, old, breaking)), (REPAIR, edit(MODULES, name, old, harmless))]

    assert verdicts(modules, patches) == ["plausible", "broke", "plausible"]


def test_verdicts_say_what_happened(modules: PytestWorkshop) -> None:
    """Where nothing changes, or a name or module is missing, tests fail; what does not compile or fit is invalid."""
    patches = [
        (edit(MODULES, "app/plain.py", "2 * x", "x * 2"),),
        (edit(MODULES, "app/bug.py", "return 0", "return ("),),
        (edit(MODULES, "app/bug.py", "return 0", "return nothing"),),
        (REPAIR, edit(MODULES, "app/__init__.py", "", "import nothing_like_it")),
        (REPAIR, edit(MODULES, "app/bug.py", "def wrong():", "def wrong() -> 1 +:")),
        (REPAIR, Edit("app/new/module.py", 0, 0, "X = 1\n")),
        (Edit("app/bug.py", 0, 10_000, "def wrong():\n    return 1\n"),),
    ]

    expected = ["failed", "invalid", "failed", "failed", "invalid", "plausible", "invalid"]
    assert verdicts(modules, patches) == expected


def test_fixed_counts_the_failing_tests_that_pass(tmp_path: Path) -> None:
    """The failing tests run in the order given, and `fixed` says how many passed before one did not."""
    files: Files = {
        "code.py": "def f(x):\n    return 0\n",
        "test_code.py": "import pytest, code_ as code\n\n\n@pytest.mark.parametrize('x', [1, 2, 3])\n"
        "def test_f(x):\n    assert code.f(x) == x\n",
    }
    files["code_.py"] = files.pop("code.py")

    with workshop_on(tmp_path, files) as workshop:
        patches = [(edit(files, "code_.py", "return 0", new),) for new in ("return 1", "return min(x, 2)", "return x")]
        trials = list(workshop.try_all(patches))

    assert [(trial.verdict, trial.fixed) for trial in trials] == [("failed", 1), ("failed", 2), ("plausible", 3)]


TARGETS: dict[str, Files] = {
    "threads-at-import": {
        "code_.py": "import threading, queue, time\n\nASKED, ANSWERED = queue.Queue(), queue.Queue()\n\n\n"
        "def serve():\n    while True:\n        ANSWERED.put(ASKED.get() - 1)\n\n\n"
        "threading.Thread(target=serve, daemon=True).start()\n\n\n"
        "def f(x):\n    ASKED.put(x)\n    return ANSWERED.get(timeout=5) + 0\n"
    },
    "pool-at-import": {
        "code_.py": "from concurrent.futures import ThreadPoolExecutor\n\nPOOL = ThreadPoolExecutor(1)\n"
        "POOL.submit(int).result()\n\n\ndef f(x):\n    return POOL.submit(lambda: x + 0).result(timeout=5) - 1\n"
    },
    "frozen-objects": {"code_.py": "import gc\n\n\ndef f(x):\n    return x + 0 - 1\n\n\ngc.freeze()\n"},
    "asserts-rewritten": {
        "conftest.py": "import pytest\n\npytest.register_assert_rewrite('code_')\n",
        "code_.py": "def f(x):\n    assert x\n    return x + 0 - 1\n",
    },
    "writes-in-the-tree": {
        "log.txt": "",
        "code_.py": "def f(x):\n    with open('log.txt', 'a') as log:\n        log.write('x')\n"
        "    return x + 0 - 1 + (open('log.txt').read() != 'x')\n",
    },
    "state-in-a-module": {"code_.py": "SEEN = []\n\n\ndef f(x):\n    SEEN.append(x)\n    return x + 0 - len(SEEN)\n"},
}


@pytest.mark.parametrize("files", TARGETS.values(), ids=TARGETS)
def test_every_candidate_is_tried_as_if_it_were_the_first(tmp_path: Path, files: Files) -> None:
    """Threads, frozen objects, rewritten code and state that tests leave do not turn verdicts."""
    files = {**files, "test_code.py": "import code_\n\n\ndef test_f():\n    assert code_.f(7) == 7\n"}

    with workshop_on(tmp_path, files) as workshop:
        right, wrong = (edit(files, "code_.py", "+ 0", new) for new in ("+ 1", "+ 2"))
        found = verdicts(workshop, [(wrong,), (right,), (wrong,), (right,)])

    assert found == ["failed", "plausible", "failed", "plausible"]


LEFT = {
    "an element": "(SEEN.add(1) or 1)",
    "a default": "(kept.append(1) or 1)",
    "an attribute of an object": "(BOX.add() or 1)",
    "an attribute of a class": "(setattr(Box, 'left', 5) or 1)",
    "a name": "(globals().update(EXTRA=1) or 1)",
    "a test's argument": "(given.insert(0, 9) or 1)",
    "a cache's entry": "(cached(3) and 1)",
    "a variable of the environment": "(os.environ.update(LEFT='1') or 1)",
    "a file": "(open('left.txt', 'w').close() or 1)",
}


def test_many_candidates_share_a_process_and_nothing_else(tmp_path: Path) -> None:
    """Candidates that come fast are tried many to a process; what one leaves behind turns no verdict on the next."""
    files: Files = {
        "code_.py": "import os\nfrom functools import lru_cache\n\nSEEN = []\nEXTRA = 0\n\n\n"
        "class Box:\n    left = 0\n\n    def add(self):\n        self.left += 1\n\n\nBOX = Box()\n\n\n"
        "@lru_cache\ndef cached(n):\n    return n\n\n\ndef f(given, kept=[]):\n"
        "    left = len(SEEN) + len(kept) + BOX.left + EXTRA + cached.cache_info().currsize\n"
        "    left += len(os.environ.get('LEFT', '')) + os.path.exists('left.txt')\n"
        "    return given[0] + left + 0 - 1\n",
        "test_code.py": "import code_, pytest\n\n\n@pytest.mark.parametrize('given', [[7]])\n"
        "def test_f(given):\n    assert code_.f(given) == 7\n",
    }
    right, wrong = (edit(files, "code_.py", "+ 0", new) for new in ("+ 1", "+ 2"))
    leaving = [edit(files, "code_.py", "+ 0", f"+ 1 + {new}") for new in LEFT.values()]

    with workshop_on(tmp_path, files) as workshop:
        patches = [*[wrong] * 15, *(patch for one in leaving for patch in (one, right))]
        trials = list(workshop.try_all([(patch,) for patch in patches]))

    assert [trial.verdict for trial in trials] == ["failed"] * 15 + ["failed", "plausible"] * len(LEFT)
    assert len({trial.seconds for trial in trials}) < len(trials)  # some shared a process's time


def test_methods_share_a_process_too_and_clean_up_behind_them(tmp_path: Path) -> None:
    """What setUp does is undone after a failure as well, and a candidate that leaves something is the last there."""
    files: Files = {
        "code_.py": "SEEN = []\n\n\ndef f(x):\n    return x + 0 - 1 + len(SEEN)\n",
        "test_code.py": "import unittest\n\nimport code_\n\n\nclass TestUnit(unittest.TestCase):\n"
        "    def setUp(self):\n        self.addCleanup(code_.SEEN.clear)\n        code_.SEEN.append(1)\n"
        "        code_.SEEN.pop()\n        self.x = 7\n\n    def tearDown(self):\n        self.x = None\n\n"
        "    def test_f(self):\n        with self.subTest('f'):\n            self.assertEqual(code_.f(self.x), 7)\n\n\n"
        "class TestPlain:\n    def test_f(self):\n        self.x = 8\n        assert code_.f(self.x) == 8\n",
    }
    right, wrong = (edit(files, "code_.py", "+ 0", new) for new in ("+ 1", "+ 2"))
    leaving = edit(files, "code_.py", "return x + 0", "globals().update(LEFT=1) or SEEN.append(1)\n    return x + 1")

    with workshop_on(tmp_path, files) as workshop:
        trials = list(workshop.try_all([(patch,) for patch in [*[wrong] * 15, right, leaving, wrong, right]]))

    assert [trial.verdict for trial in trials] == [*["failed"] * 15, "plausible", "failed", "failed", "plausible"]
    assert len({trial.seconds for trial in trials[:15]}) < 15  # some shared a process's time


BEFORE_THE_IMPORT = {
    "changes an earlier module": ("import first; first.SEEN.append(1); BY = 1 + len(first.SEEN) - 1", "plausible"),
    "no Python": ("BY = (", "invalid"),
    "raises": ("BY = 1 / 0", "failed"),
    "is not found": ("import nothing_like_it", "failed"),
    "ends the process": ("import os; os._exit(0)", "died"),
    "hangs": ("while True: pass", "hung"),
    "hangs in C": ("import time; time.sleep(1000)", "hung"),
    "leaves a child": ("import os\nif not os.fork():\n    import time; time.sleep(1000)\nBY = 1", "plausible"),
    "changes an earlier file": ("open('first.py', 'w').close(); BY = 1", "plausible"),
    "starts a thread": ("import threading, time; threading.Thread(target=time.sleep, args=(9,)).start(); BY = 1", None),
    "is right": ("BY = 1", "plausible"),
    "is wrong": ("BY = 2", "failed"),
}


def test_what_is_imported_before_an_edited_file_stays_as_it_was(tmp_path: Path) -> None:
    """Candidates that run when they are imported start from one process; none of them sees what another did."""
    files: Files = {
        "first.py": "SEEN = []\n",
        "code_.py": "import first\n\nBY = 0\n",
        "test_code.py": "import first\nimport code_\n\n\ndef test_by():\n    assert code_.BY == 1 and first\n",
    }

    with workshop_on(tmp_path, files) as workshop:
        found = {}
        for name, (text, _) in BEFORE_THE_IMPORT.items():
            ways = [(edit(files, "code_.py", "BY = 0", new),) for new in (text, "BY = 1", "BY = 2")]
            found[name] = verdicts(workshop, ways)

    expected = {name: verdict for name, (_, verdict) in BEFORE_THE_IMPORT.items() if verdict}
    assert {name: found[name][0] for name in expected} == expected
    assert {name: after for name, (_, *after) in found.items() if after != ["plausible", "failed"]} == {}


@pytest.mark.parametrize("at_import", [False, True], ids=["live", "afresh"])
def test_what_a_process_does_but_once_hangs_no_right_candidate(tmp_path: Path, at_import: bool) -> None:
    """A candidate that mends what failed gets more time behind it: there a test may fill what another had filled."""
    files: Files = {
        "code_.py": "def f():\n    return 0\n" + "\n\nf()\n" * at_import,
        "test_code.py": "import time\n\nimport code_\n\n\ndef test_f():\n    assert code_.f() == 1\n\n\n"
        "def test_long_ago():\n    pass\n\n\ndef test_filling():\n    until = time.process_time() + 0.2\n"
        "    while time.process_time() < until:\n        pass\n",
    }
    write(tmp_path, files)
    runner = PytestRunner(make_project(str(tmp_path)), BubblewrapSandbox())
    failing, long_ago, filling = (f"test_code.py::test_{name}" for name in ("f", "long_ago", "filling"))
    seconds = {
        failing: 0.001,
        long_ago: 99.0,
        filling: 0.001,
    }  # the last two are not measured again: it would take long

    with runner.workshop(str(tmp_path), [failing], [long_ago, filling], seconds) as workshop:
        found = verdicts(workshop, [(edit(files, "code_.py", "return 0", f"return {new}"),) for new in (2, 1)])

    assert found == ["failed", "plausible"]


def test_options_of_the_command_that_name_files_keep_their_values(tmp_path: Path) -> None:
    """Where some tests are named, folders of the command give way to their files; what is left out stays so."""
    files: Files = {
        "code_.py": "BY = 0\n",
        "tests/test_code.py": "import code_\n\n\ndef test_by():\n    assert code_.BY == 1\n\n\n"
        "def test_never():\n    assert 0\n",
        "tests/test_other.py": "assert 0\n",
    }
    write(tmp_path, files)
    command = "pytest --deselect tests/test_code.py::test_never --ignore tests/test_other.py -o pythonpath=. tests"
    runner = PytestRunner(make_project(str(tmp_path), test_command=command), BubblewrapSandbox())
    name = "tests/test_code.py::test_by"

    report = runner.report(str(tmp_path), tests=[name], coverage=True)
    with runner.workshop(str(tmp_path), [name], [], {}) as workshop:
        found = verdicts(workshop, [(edit(files, "code_.py", "BY = 0", new),) for new in ("BY = 2", "BY = 1")])

    assert [(result.id, result.outcome) for result in report.results] == [(name, "failed")]
    assert found == ["failed", "plausible"]


def test_a_file_that_could_not_be_collected_is_a_test_of_its_own(tmp_path: Path) -> None:
    """It passes when it is collected and all that is in it does."""
    files: Files = {
        "code_.py": "BY = 1 >> 'a'\n\n\ndef f(x):\n    return x + len(str(BY))\n",
        "test_code.py": "import pytest\n\nimport code_\n\n\ndef test_one():\n    assert code_.f(1) == 3\n\n\n"
        "@pytest.mark.parametrize('x', [2, 3])\ndef test_others(x):\n    assert code_.f(x) == x + 2\n",
        "test_other.py": "def test_other():\n    pass\n",
    }
    write(tmp_path, files)
    runner = PytestRunner(make_project(str(tmp_path)), BubblewrapSandbox())
    ways = {"1 >> 'a'": "plausible", "1 << 'a'": "failed", "1": "failed", "(": "invalid"}

    with runner.workshop(str(tmp_path), ["test_code.py"], ["test_other.py::test_other"], {}) as workshop:
        patches = [(edit(files, "code_.py", "1 >> 'a'", "12" if way == "1 >> 'a'" else way),) for way in ways]
        found = verdicts(workshop, patches)
        broken = (edit(files, "code_.py", "1 >> 'a'", "12"), edit(files, "test_other.py", "pass", "assert 0"))

        assert found == list(ways.values())
        assert verdicts(workshop, [broken]) == ["broke"]


def test_patches_are_told_apart_by_what_they_do(tmp_path: Path) -> None:
    """Calls of the tests, and others made up from them, show which patches behave alike; a hang is a behaviour too."""
    files: Files = {
        "code_.py": "def top(items):\n    best = items[1]\n    return best\n",
        "test_code.py": "import code_\n\n\ndef test_one():\n    assert code_.top([3, 1, 2]) == 3\n\n\n"
        "def test_two():\n    assert code_.top([4, 2]) == 4\n",
    }
    ways = {
        "largest": "max(items)",
        "largest, sorted": "sorted(items)[-1]",
        "first": "items[0]",
        "first, or a hang": "items[0]\n    while items[0] < items[1]: pass",
        "no Python": "items[",
    }

    with workshop_on(tmp_path, files) as workshop:
        patches = [(edit(files, "code_.py", "items[1]", new),) for new in ways.values()]
        seen = dict(zip(ways, workshop.observe(patches), strict=True))
        verdict = verdicts(workshop, patches[:1])

    assert seen["largest"] == seen["largest, sorted"] != seen["first"]
    assert "!hung" in seen["first, or a hang"]
    assert len(seen["largest"]) > 20
    assert seen["no Python"] == ()
    assert verdict == ["plausible"]


def test_a_slow_candidate_gets_its_time_at_a_larger_scale(tmp_path: Path) -> None:
    """What takes longer than the limit is hung, and passes when the limits are stretched."""
    files: Files = {
        "code_.py": "def f(x):\n    return 0\n",
        "test_code.py": "import code_\n\n\ndef test_f():\n    assert code_.f(7) == 7\n",
    }
    slow = (
        "import time\n    until = time.process_time() + 0.4\n    while time.process_time() < until: pass\n    return x"
    )

    with workshop_on(tmp_path, files) as workshop:
        patch = (edit(files, "code_.py", "return 0", slow),)
        first, second = verdicts(workshop, [patch]), verdicts(workshop, [patch], limit_scale=20.0)

    assert (first, second) == (["hung"], ["plausible"])


def test_a_test_that_hung_before_can_be_repaired(tmp_path: Path) -> None:
    """The time that an endless loop took says nothing about the limit of its repair."""
    files: Files = {
        "code_.py": "def f(n):\n    while n > 0:\n        n += 1\n    return n\n",
        "test_code.py": "import code_\n\n\ndef test_f():\n    assert code_.f(3) == 0\n\n\ndef test_g():\n    pass\n",
    }

    with workshop_on(tmp_path, files, test_limit_s=1.0) as workshop:
        trials = list(workshop.try_all([(edit(files, "code_.py", "n += 1", new),) for new in ("n += 2", "n -= 1")]))

    assert [trial.verdict for trial in trials] == ["hung", "plausible"]
    assert trials[0].seconds < 3


def test_tests_that_fail_in_the_workshop_are_left_to_the_cold_run(tmp_path: Path) -> None:
    """A test said to pass that does not, on the unchanged tree in the workshop, does not stand in a repair's way."""
    files: Files = {
        "code_.py": "def f(x):\n    return 0\n",
        "test_code.py": "import code_\ndef test_f():\n    assert code_.f(7) == 7\ndef test_g():\n    assert 0\n",
    }
    write(tmp_path, files)
    runner = PytestRunner(make_project(str(tmp_path)), BubblewrapSandbox())

    with runner.workshop(str(tmp_path), ["test_code.py::test_f"], ["test_code.py::test_g"], {}) as workshop:
        found = verdicts(workshop, [(edit(files, "code_.py", "return 0", "return x"),)])

    assert found == ["plausible"]
    assert workshop.dropped == ("test_code.py::test_g",)


def test_tests_that_pass_only_behind_others_run_in_the_order_of_the_suite(tmp_path: Path) -> None:
    """Given in another order they fail on the unchanged tree; in their own they still tell a bad candidate."""
    files: Files = {
        "code_.py": "def f(x):\n    return 0\ndef g(x):\n    return x\n",
        "test_code.py": "import code_\nSEEN = set()\ndef test_f():\n    assert code_.f(7) == 7\n"
        "def test_first():\n    SEEN.add(1)\ndef test_second():\n    assert code_.g(len(SEEN)) == 1\n",
    }
    write(tmp_path, files)
    runner = PytestRunner(make_project(str(tmp_path)), BubblewrapSandbox())
    passing = ["test_code.py::test_second", "test_code.py::test_first"]
    repair = edit(files, "code_.py", "return 0", "return x")
    harmful = edit(files, "code_.py", "return 0\ndef g(x):\n    return x", "return x\ndef g(x):\n    return -x")

    with runner.workshop(str(tmp_path), ["test_code.py::test_f"], passing, {}) as workshop:
        found = verdicts(workshop, [(repair,), (harmful,)])

    assert workshop.dropped == ()
    assert found == ["plausible", "broke"]


@pytest.mark.parametrize("sandbox", [UnboxedSandbox(), BubblewrapSandbox()], ids=["unboxed", "boxed"])
def test_the_workshop_works_in_either_sandbox(tmp_path: Path, sandbox: Sandbox) -> None:
    """Without a box the same candidates get the same verdicts, and nothing of the host's /tmp is taken away."""
    files: Files = {"code_.py": "X = 0\n", "test_code.py": "import code_\n\n\ndef test_f():\n    assert code_.X\n"}
    (tmp_path / "beside").write_text("kept")

    with workshop_on(tmp_path / "repository", files, sandbox) as workshop:
        found = verdicts(workshop, [(edit(files, "code_.py", "0", new),) for new in ("1", "None", "(")])

    assert found == ["plausible", "failed", "invalid"]
    assert (tmp_path / "beside").read_text() == "kept"


def test_the_workshop_stops_between_two_candidates(tmp_path: Path) -> None:
    """`stop` ends the trials early, and candidates are asked for as they are needed."""
    files: Files = {"code_.py": "X = 0\n", "test_code.py": "import code_\n\n\ndef test_f():\n    assert code_.X\n"}
    write(tmp_path, files)
    seen: list[Trial] = []
    asked: list[int] = []

    def endless() -> Iterator[Patch]:
        while True:
            asked.append(1)
            yield (edit(files, "code_.py", "0", "''"),)

    runner = PytestRunner(make_project(str(tmp_path)), BubblewrapSandbox())
    with runner.workshop(str(tmp_path), ["test_code.py::test_f"], [], {}, stop=lambda: len(seen) >= 3) as workshop:
        for trial in workshop.try_all(endless()):
            seen.append(trial)

    assert len(seen) == 3
    assert len(asked) < 40


def test_the_tree_on_the_host_is_never_written(modules: PytestWorkshop, tmp_path: Path) -> None:
    """Candidates change the box's copy only."""
    with workshop_on(
        tmp_path, {"code_.py": "X = 0\n", "test_code.py": "import code_\ndef test_f(): assert code_.X\n"}
    ) as w:
        before = {path: os.stat(path).st_mtime_ns for path in tmp_path.rglob("*")}
        list(w.try_all([(Edit("code_.py", 4, 5, "1"),)]))

    assert {path: os.stat(path).st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_what_candidates_print_wears_no_box_out(tmp_path: Path) -> None:
    """Tests that print much are tried as often as quiet ones, though a box may print only so much in its life."""
    files: Files = {
        "code_.py": "def f():\n    return 0\n",
        "test_code.py": "import code_\n\n\ndef test_f():\n    print(2**22 * 'x')\n    assert code_.f() == 1\n"
        "\n\ndef test_g():\n    print(40 * 2**20 * 'x')\n",
    }

    with workshop_on(tmp_path, files) as workshop:
        wrong = [(edit(files, "code_.py", "return 0", f"return {value}"),) for value in range(2, 22)]
        right = [(edit(files, "code_.py", "return 0", "return 1"),)]

        assert verdicts(workshop, [*wrong, *right]) == [*["failed"] * 20, "plausible"]
