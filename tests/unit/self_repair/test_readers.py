"""Reports read from text: what Python and pytest really print, and what somebody made up."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.core.errors import BadReport
from atra.core.records import from_json, to_json
from atra.self_repair.fingerprint import fingerprint
from atra.self_repair.readers import read_junit, read_text
from atra.self_repair.records import Report, as_message
from atra.self_repair.triage import triage

AT = datetime(2026, 1, 2, tzinfo=UTC)


def _printed(tmp_path: Path, code: str) -> str:
    """Return what Python prints when a file with this code runs."""
    (tmp_path / "app.py").write_text(code)
    done = subprocess.run([sys.executable, str(tmp_path / "app.py")], capture_output=True, text=True)
    return done.stderr


def _read(text: str) -> list[Report]:
    return read_text(text, "shop", AT)


class TestPythonTracebacks:
    """What the interpreter prints."""

    def test_a_plain_one(self, tmp_path: Path) -> None:
        """Type, message of several lines, and frames from the outermost to the innermost."""
        [report] = _read(_printed(tmp_path, "def total(x):\n    raise ValueError('two\\nlines')\ntotal(1)\n"))

        assert (report.error_type, report.message) == ("ValueError", "two\nlines")
        assert [(f.line, f.function, f.in_app) for f in report.frames] == [(3, "<module>", True), (2, "total", True)]
        assert triage(report).path == "repair"

    @pytest.mark.parametrize(
        "handler", ["raise RuntimeError('late') from e", "raise RuntimeError('late')"], ids=["cause", "context"]
    )
    def test_a_chain_is_one_report_of_the_last(self, tmp_path: Path, handler: str) -> None:
        """The types behind it are kept."""
        code = f"def f():\n    {{}}['price']\ntry:\n    f()\nexcept KeyError as e:\n    {handler}\n"
        [report] = _read(_printed(tmp_path, code))

        assert (report.error_type, report.message, report.causes) == ("RuntimeError", "late", ("KeyError",))
        assert [frame.function for frame in report.frames] == ["<module>"]
        assert "KeyError: 'price'" in report.text

    def test_the_members_of_a_group_are_reports(self, tmp_path: Path) -> None:
        """Nested groups too; one that was never raised takes the group's frames."""
        code = (
            "def bad():\n    raise ValueError('one')\n"
            "errors = [TypeError('never raised')]\n"
            "try:\n    bad()\nexcept ValueError as e:\n    errors.append(e)\n"
            "def go():\n    raise ExceptionGroup('many', [*errors, ExceptionGroup('inner', [KeyError('deep')])])\n"
            "go()\n"
        )
        reports = _read(_printed(tmp_path, code))

        assert [(r.error_type, r.message) for r in reports] == [
            ("TypeError", "never raised"),
            ("ValueError", "one"),
            ("KeyError", "'deep'"),
        ]
        assert [r.frames[-1].function for r in reports] == ["go", "bad", "go"]

    def test_recursion_has_the_same_fingerprint_at_any_depth(self, tmp_path: Path) -> None:
        """Python prints `[Previous line repeated …]`."""
        code = "def f(n):\n    if n == 0:\n        raise KeyError(n)\n    f(n - 1)\nf({})\n"
        [shallow], [deep] = _read(_printed(tmp_path, code.format(5))), _read(_printed(tmp_path, code.format(500)))

        assert fingerprint(shallow) == fingerprint(deep)

    def test_a_syntax_error_has_its_place(self, tmp_path: Path) -> None:
        """It is printed without a function."""
        (tmp_path / "broken.py").write_text("def f(:\n")
        code = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport broken\n"
        [report] = _read(_printed(tmp_path, code))

        assert report.error_type == "SyntaxError"
        assert (Path(report.frames[-1].path).name, report.frames[-1].line) == ("broken.py", 1)

    def test_logs_around_it_and_indentation_do_not_matter(self, tmp_path: Path) -> None:
        """Two unrelated failures in one log are two reports."""
        one = _printed(tmp_path, "raise KeyError('a')\n")
        two = "".join(f"    {line}\n" for line in _printed(tmp_path, "raise TypeError\n").splitlines())
        log = f"[2026-01-02 10:00:00,1: ERROR] Task x raised\n{one}[2026-01-02 10:00:01] INFO fine\n{two}\nbye\n"

        assert [(r.error_type, r.message) for r in _read(log)] == [("KeyError", "'a'"), ("TypeError", "")]

    def test_secrets_are_masked(self, tmp_path: Path) -> None:
        """In the message and in the text."""
        canary = "sk-canary0123456789abcdefXYZ"
        [report] = _read(_printed(tmp_path, f"raise ValueError('bad key {canary}')\n"))

        assert canary not in str(as_message(report))

    def test_a_very_long_message_is_cut(self) -> None:
        """Its beginning and end are kept."""
        text = f'Traceback (most recent call last):\n  File "a.py", line 1, in f\nValueError: start{"x" * 100_000}end\n'
        [report] = _read(text)

        assert len(report.message) <= 2000
        assert report.message.startswith("start")
        assert report.message.endswith("end")


TESTS = """
import pytest

def price(cart):
    return cart["price"]

def test_total():
    assert sum([1]) == 2

class TestCart:
    def test_price(self):
        price({})

@pytest.mark.parametrize("n", [1])
def test_many(n):
    raise ConnectionError("a b")

def test_fine():
    pass

@pytest.fixture
def broken():
    raise RuntimeError("no fixture")

def test_setup(broken):
    pass
"""


class TestPytest:
    """What pytest prints and writes, in a real run."""

    @pytest.fixture
    def ran(self, tmp_path: Path) -> Path:
        """A folder with a test file whose tests fail in every way."""
        (tmp_path / "tests").mkdir()
        (tmp_path / "tests/test_cart.py").write_text(TESTS)
        return tmp_path

    def _run(self, folder: Path, *arguments: str) -> str:
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir=.", *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout

    @pytest.mark.parametrize("style", ["long", "short", "native"])
    def test_its_output_is_read(self, ran: Path, style: str) -> None:
        """Each failing test with its type, and the frame where it failed; the passing one is not there."""
        reports = {report.error_type: report for report in _read(self._run(ran, f"--tb={style}"))}

        assert set(reports) == {"AssertionError", "KeyError", "ConnectionError", "RuntimeError"}
        assert reports["KeyError"].message == "'price'"
        assert reports["KeyError"].frames[-1].function == "price"
        assert Path(reports["KeyError"].frames[-1].path).name == "test_cart.py"

    @pytest.mark.parametrize("style", ["long", "short"])
    def test_the_tests_are_named(self, ran: Path, style: str) -> None:
        """By the ids of the summary."""
        reports = {report.error_type: report.test for report in _read(self._run(ran, f"--tb={style}"))}

        assert reports == {
            "AssertionError": "tests/test_cart.py::test_total",
            "KeyError": "tests/test_cart.py::TestCart::test_price",
            "ConnectionError": "tests/test_cart.py::test_many[1]",
            "RuntimeError": "tests/test_cart.py::test_setup",
        }

    @pytest.mark.parametrize("style", ["long", "short", "native", "line", "no"])
    def test_its_junit_file_is_read(self, ran: Path, style: str) -> None:
        """The same failures from the XML, with the tests' ids where the file shows a path."""
        self._run(ran, f"--tb={style}", "--junit-xml=out.xml")
        reports = {report.test.rpartition("test_")[2]: report for report in self._junit(ran)}

        assert {name: report.error_type for name, report in reports.items()} == {
            "total": "AssertionError",
            "price": "KeyError",
            "many[1]": "ConnectionError",
            "setup": "RuntimeError",
        }
        if style in ("long", "short"):
            assert reports["price"].test == "tests/test_cart.py::TestCart::test_price"

    def _junit(self, folder: Path) -> list[Report]:
        return read_junit((folder / "out.xml").read_bytes(), "shop", AT)

    def test_a_green_file_has_no_reports(self, ran: Path) -> None:
        """That is an answer, not an error."""
        self._run(ran, "--junit-xml=out.xml", "-k", "fine")

        assert self._junit(ran) == []


BOMB = '<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><testsuite>&b;</testsuite>'
FILE = '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuite>&x;</testsuite>'


@pytest.mark.parametrize(
    "data", [BOMB, FILE, "", "hello", "<html/>", "<testsuite>", "<testsuite>&x;</testsuite>", b"\xff\xfe<"]
)
def test_xml_that_is_no_junit_is_refused(data: str | bytes) -> None:
    """Entities are not expanded, files are not opened, nothing else is taken for a report."""
    with pytest.raises(BadReport):
        read_junit(data, "shop", AT)


def test_only_as_many_as_are_asked_for_are_read() -> None:
    """The first ones, in the order of the file and of the text."""
    junit = "".join(f'<testcase name="t{n}"><failure message="KeyError: {n}"/></testcase>' for n in range(5))
    text = "\n".join(
        f"Traceback (most recent call last):\n  File 'a.py', line 1, in f\nKeyError: {n}\n" for n in range(5)
    )

    assert [one.message for one in read_junit(f"<testsuite>{junit}</testsuite>", "shop", AT, most=2)] == ["0", "1"]
    assert [one.message for one in read_text(text, "shop", AT, most=2)] == ["0", "1"]


@pytest.mark.parametrize("text", ["", "all is well", "Traceback (most recent call last):\n", "x" * 16_000_001])
def test_text_without_a_failure_is_refused(text: str) -> None:
    """One clear error."""
    with pytest.raises(BadReport):
        _read(text)


PIECES = [
    "Traceback (most recent call last):",
    '  File "a.py", line 3, in f',
    "E   x",
    "ValueError: x",
    "  | ",
    "  +-+----------- 1 -----------",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=20), max_size=30))
def test_no_text_breaks_the_reader(lines: list[str]) -> None:
    """It reads, or it refuses."""
    try:
        reports = _read("\n".join(lines))
    except BadReport:
        return
    assert all(report.error_type for report in reports)


def test_a_report_survives_json(tmp_path: Path) -> None:
    """What a host without pydantic sends is what ATRA reads."""
    [report] = _read(_printed(tmp_path, "raise KeyError('a')\n"))

    assert from_json(Report, as_message(report)) == report
    assert from_json(Report, to_json(report)) == report
