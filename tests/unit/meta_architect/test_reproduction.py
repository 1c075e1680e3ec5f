"""The first step: what counts as failing, what is set aside and why, what cannot be worked with."""

from pathlib import Path

import pytest

from atra.core.errors import NoTests, TargetBroken, TestsHang, UnknownTest
from atra.meta_architect.records import Reproduction, Target
from atra.meta_architect.reproduction import Green, reproduce
from atra.sandbox.reports import TestResult
from tests.fakes import ScriptedRunner

OWN = frozenset({"shop"})


def target(**given) -> Target:
    return Target(repository="shop", path="/shop", revision="a" * 40, **given)


def always(**outcomes):
    return lambda tree, seed: outcomes


def test_a_failing_test_is_reproduced_with_its_lines():
    """Failing and passing tests are told apart, and the traced lines are split the same way."""
    lines = {"bad": {"shop/a.py": (1, 2)}, "good": {"shop/a.py": (2, 3)}}
    runner = ScriptedRunner(always(bad="failed", good="passed"), lines=lines)

    found = reproduce(target(), runner, "/tree", OWN)

    assert isinstance(found, Reproduction)
    assert [result.id for result in found.failing] == ["bad"]
    assert found.passing == ("good",)
    assert found.lines == {"bad": {"shop/a.py": (1, 2)}}
    assert found.passing_hits == {"shop/a.py": {2: 1, 3: 1}}


def test_a_green_suite_leaves_nothing_to_repair():
    """When all tests pass, the reason says how many."""
    found = reproduce(target(), ScriptedRunner(always(a="passed", b="skipped")), "/tree", OWN)

    assert isinstance(found, Green)
    assert found.reason == "all 2 tests pass"


def test_a_test_that_passes_on_a_rerun_is_flaky():
    """A failing test that passes under another hash seed is set aside by name."""
    runner = ScriptedRunner(lambda tree, seed: {"luck": "passed" if seed == 2 else "failed", "bad": "failed"})

    found = reproduce(target(), runner, "/tree", OWN)

    assert isinstance(found, Reproduction)
    assert [result.id for result in found.failing] == ["bad"]
    assert "flaky" in found.aside["luck"]


@pytest.mark.parametrize(
    ("error", "message", "why"),
    [
        ("gaierror", "[Errno -3] Temporary failure in name resolution", "network"),
        ("ConnectionError", "HTTPSConnectionPool: NewConnectionError", "network"),
        ("OSError", "[Errno 101] Network is unreachable", "network"),
        ("FileNotFoundError", "[Errno 2] No such file or directory: 'ffmpeg'", "ffmpeg"),
        ("ModuleNotFoundError", "No module named 'numpy.linalg'", "numpy"),
        ("FixtureLookupError", "fixture 'mocker' not found", "mocker"),
    ],
)
def test_what_only_the_box_lacks_is_set_aside(error: str, message: str, why: str):
    """A failure for want of the network, a program or a foreign module says nothing about the code."""
    runner = ScriptedRunner(always(outside="failed", good="passed"))
    runner.errors["outside"] = (error, message)

    found = reproduce(target(), runner, "/tree", OWN)

    assert isinstance(found, Green)
    assert why in found.aside["outside"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("ModuleNotFoundError", "No module named 'shop.carts'"),
        ("FileNotFoundError", "[Errno 2] No such file or directory: 'data/prices.csv'"),
        ("ConnectionRefusedError", "[Errno 111] Connection refused"),
    ],
)
def test_what_may_be_the_codes_fault_is_not_set_aside(error: str, message: str):
    """An own module, a data file and a refused loopback connection may well be bugs."""
    runner = ScriptedRunner(always(bad="failed"))
    runner.errors["bad"] = (error, message)

    found = reproduce(target(), runner, "/tree", OWN)

    assert isinstance(found, Reproduction)


@pytest.mark.parametrize("wanted", ["t.py::a", "t.py", "t.py::C"])
def test_named_tests_alone_matter(wanted: str):
    """A file, a class or one test can be named; other failures are set aside as not asked for."""
    runner = ScriptedRunner(lambda tree, seed: {"t.py::a": "failed", "t.py::C::b": "failed", "u.py::c": "failed"})

    found = reproduce(target(tests=(wanted,)), runner, "/tree", OWN)

    assert isinstance(found, Reproduction)
    assert found.aside["u.py::c"] == "not asked for"
    assert all(result.id.startswith("t.py") for result in found.failing)


def test_an_unknown_test_is_refused():
    """A test id that the suite does not have is an error that names it."""
    with pytest.raises(UnknownTest, match="nowhere"):
        reproduce(target(tests=("nowhere",)), ScriptedRunner(always(a="failed")), "/tree", OWN)


def test_no_tests_is_refused():
    """A suite without tests cannot be worked with."""
    with pytest.raises(NoTests):
        reproduce(target(), ScriptedRunner(always()), "/tree", OWN)


def test_a_suite_that_cannot_be_imported_is_refused_with_its_error():
    """When nothing could be collected, the sentence carries the error itself."""
    runner = ScriptedRunner(always())
    runner.broken = ("tests/test_a.py\nE     File 'shop.py', line 3\nE   SyntaxError: invalid syntax",)

    with pytest.raises(TargetBroken, match="SyntaxError: invalid syntax"):
        reproduce(target(), runner, "/tree", OWN)


def test_what_is_broken_names_its_place_in_the_repository():
    """The sentence says which file and line kept the tests from being collected, not where Python's machinery was."""
    runner = ScriptedRunner(always())
    runner.broken = (
        "tests/test_a.py: /venv/lib/importlib/__init__.py:126: in import_module\n    return _gcd_import(name)\n"
        "tests/test_a.py:1: in <module>\n    import shop\n"
        "E     File \"/shop/shop/cart.py\", line 8\nE       def total(\nE   SyntaxError: '(' was never closed",
    )

    with pytest.raises(TargetBroken, match=r"never closed \(shop/cart\.py, line 8\)"):
        reproduce(target(), runner, "/tree", OWN)


def test_tests_that_the_code_keeps_from_being_seen_are_no_success():
    """The tests that were collected pass; those of a module that does not import are not known to."""
    runner = ScriptedRunner(always(good="passed"))
    runner.broken = ("tests/test_a.py: tests/test_a.py:1: in <module>\nE   ImportError: cannot import name 'total'",)

    with pytest.raises(TargetBroken, match="cannot import name 'total'"):
        reproduce(target(), runner, "/tree", OWN)


RAISED = "tests/test_a.py: tests/test_a.py:1: in <module>\n    import shop\n{place}:3: in <module>\nE   {error}"


@pytest.mark.parametrize("others", [{}, {"good": "passed"}], ids=["nothing else", "with others"])
def test_code_that_raises_while_it_is_imported_is_to_be_repaired(others: dict[str, str]):
    """The file of tests that it keeps from being collected is the failing test, with the frames of its traceback."""
    runner = ScriptedRunner(always(**others))
    runner.broken = (RAISED.format(place="shop/cart.py", error="TypeError: unsupported operand type(s) for >>"),)

    found = reproduce(target(), runner, "/tree", OWN)

    assert isinstance(found, Reproduction)
    assert [(result.id, result.error_type) for result in found.failing] == [("tests/test_a.py", "TypeError")]
    assert [(frame.path, frame.line) for frame in found.failing[0].frames] == [("shop/cart.py", 3)]
    assert found.passing == tuple(others)


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("shop/cart.py", "ModuleNotFoundError: No module named 'shop.prices'"),
        ("shop/cart.py", "SyntaxError: invalid syntax"),
        ("tests/helpers.py", "NameError: name 'x' is not defined"),
    ],
)
def test_what_never_ran_is_for_a_person(place: str, error: str):
    """A module that is missing, a file that cannot be read and an error in the tests are told and not searched."""
    runner = ScriptedRunner(always(good="passed"))
    runner.broken = (RAISED.format(place=place, error=error),)

    with pytest.raises(TargetBroken, match=error.partition(":")[0]):
        reproduce(target(), runner, "/tree", OWN)


def test_a_module_of_tests_that_lacks_a_dependency_is_set_aside():
    """What the interpreter does not have says nothing about the code; the other tests decide."""
    runner = ScriptedRunner(always(good="passed"))
    runner.broken = (
        "tests/test_a.py: tests/test_a.py:1: in <module>\nE   ModuleNotFoundError: No module named 'numpy'",
    )

    found = reproduce(target(), runner, "/tree", OWN)

    assert isinstance(found, Green)
    assert "numpy" in found.aside["tests/test_a.py"]


def test_a_test_asked_for_in_a_module_that_does_not_import_is_told_with_the_error():
    """The test is not unknown: its module is broken."""
    runner = ScriptedRunner(always(good="passed"))
    runner.broken = ("tests/test_a.py: tests/test_a.py:1: in <module>\nE   NameError: name 'x' is not defined",)

    with pytest.raises(TargetBroken, match="NameError"):
        reproduce(target(tests=("tests/test_a.py::test_total",)), runner, "/tree", OWN)


def test_a_command_that_never_ends_hangs():
    """A command has no limit per test: one that takes all the time there is cannot be worked with."""

    class Hanging(ScriptedRunner):
        def report(self, tree: str, **options):
            hung = TestResult("sleep 1000", "hung", options["wall_s"] + 0.1)
            return super().report(tree, **options).__class__(("sleep 1000",), (hung,), complete=True)

    with pytest.raises(TestsHang, match="sleep 1000"):
        reproduce(target(test_command="sleep 1000"), Hanging(always()), "/tree", OWN)


def test_a_suite_of_which_nothing_ended_hangs():
    """Tests were collected and none came to an end: that is named, with the first one."""

    class Hanging(ScriptedRunner):
        def report(self, tree: str, **options):
            return super().report(tree, **options).__class__(collected=("t.py::a",), results=(), complete=False)

    with pytest.raises(TestsHang, match=r"t\.py::a"):
        reproduce(target(), Hanging(always(), lines=None), str(Path("/tree")), OWN)


def test_a_reported_failure_takes_only_tests_that_run_its_file():
    """Of two failing tests, the one that never runs the reported file is set aside."""
    lines = {"near": {"shop/cart.py": (1,)}, "far": {"shop/mail.py": (1,)}}
    runner = ScriptedRunner(always(near="failed", far="failed"), lines=lines)

    found = reproduce(target(suspect="/srv/app/shop/cart.py"), runner, "/tree", OWN)

    assert isinstance(found, Reproduction)
    assert [result.id for result in found.failing] == ["near"]
    assert "far" in found.aside


def test_passing_tests_that_share_code_with_failing_ones_come_first():
    """A slow test of the same line comes before a quick one of another file."""
    lines = {"bad": {"shop/a.py": (1,)}, "far": {"shop/b.py": (1,)}, "near": {"shop/a.py": (1, 2)}}
    runner = ScriptedRunner(always(bad="failed", far="passed", near="passed"), lines=lines)

    found = reproduce(target(), runner, "/tree", OWN)

    assert isinstance(found, Reproduction)
    assert found.passing == ("near", "far")
