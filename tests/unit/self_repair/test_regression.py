"""Recorded calls become tests: what is written, what is refused, and that a hostile report writes no code."""

import ast
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.self_repair.records import RecordedCall, Report
from atra.self_repair.regression import LABEL, RegressionTest, regression_test

CALL = RecordedCall("/srv/app/shop/cart.py", "shop.cart", "mean", ("[]",))
REPORT = Report(
    "shop", "ZeroDivisionError", "division by zero", (), "", "celery", datetime(2026, 11, 22, tzinfo=UTC), call=CALL
)
FILES = ("shop/__init__.py", "shop/cart.py", "tests/test_cart.py")


def written(report: Report = REPORT, files=FILES, below: str = "", **call: object) -> RegressionTest | str:
    changed = replace(report, call=replace(report.call, **call)) if report.call else report
    return regression_test(changed, "f" * 64, files, below=below)


def called(test: RegressionTest | str) -> str:
    """Return the one statement of the written test, as Python reads it; the module must hold nothing else."""
    assert isinstance(test, RegressionTest)
    document, *imports, function = ast.parse(test.text).body
    assert isinstance(document, ast.Expr)
    assert all(isinstance(one, ast.Import | ast.ImportFrom) for one in imports)
    assert isinstance(function, ast.FunctionDef)
    (statement,) = function.body
    return ast.unparse(statement)


def test_a_call_becomes_a_test_that_says_what_it_is():
    """It imports the function, calls it, and is labelled as no person's work."""
    test = written()

    assert isinstance(test, RegressionTest)
    assert (test.path, test.error) == ("tests/test_atra_ffffffffffff.py", "ZeroDivisionError")
    assert f"{LABEL}: shop.cart.mean raised ZeroDivisionError." in test.text
    assert "from shop.cart import mean\n" in test.text
    assert called(test) == "mean([])"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"positional": ("1",), "named": {"scale": "'a'"}}, "mean(1, scale='a')"),
        ({"function": "Cart.mean", "receiver": {"prices": "[]"}, "positional": ()}, "Cart(prices=[]).mean()"),
        ({"function": "Cart.mean", "receiver": {}, "positional": ()}, "Cart().mean()"),
        ({"function": "Cart.of", "positional": ("{'a': (1,)}",)}, "Cart.of({'a': (1,)})"),
        ({"asynchronous": True}, "asyncio.run(mean([]))"),
        ({"positional": ("set()",)}, "mean(set())"),
        ({"positional": tuple(repr("x" * 60) for _ in range(3))}, f"mean({', '.join([repr('x' * 60)] * 3)})"),
    ],
    ids=["keyword", "dataclass", "no state", "class", "coroutine", "empty set", "long"],
)
def test_every_kind_of_call_is_written(call: dict[str, object], expected: str):
    """As Python reads it back."""
    assert called(written(**call)) == expected


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ({"why_not": "x is a Cart"}, "x is a Cart"),
        ({"positional": ("__import__('os').system('touch /tmp/x')",)}, "no literal"),
        ({"positional": ("1)\nimport os\n(",)}, "no literal"),
        ({"positional": ("(" * 500,)}, "no literal"),
        ({"positional": ("f'{1}'",)}, "no literal"),
        ({"positional": ("1_000" * 9000,)}, "no literal|too large"),
        ({"named": {"a=1); import os; f(b": "1"}}, "name that is none"),
        ({"named": {"class": "1"}}, "name that is none"),
        ({"function": "mean(1) or mean"}, "name that is none"),
        ({"function": "__import__"}, "name that is none"),
        ({"function": "mean\nimport os\n"}, "name that is none"),
        ({"function": "mean.<locals>.inner"}, "name that is none"),
        ({"module": "os; import shutil"}, "name that is none"),
        ({"module": ""}, "name that is none"),
        ({"module": "os", "path": "/usr/lib/python3.11/os.py"}, "no module os"),
        ({"module": "shop.elsewhere"}, "no module shop.elsewhere"),
        ({"path": "/srv/app/other/cart.py"}, "no module shop.cart in"),
        ({"receiver": {"a": "1"}}, "no literal"),
        ({"function": "Cart.mean", "receiver": {"a": "open('x')"}}, "no literal"),
    ],
)  # fmt: skip
def test_what_cannot_be_trusted_is_not_written(call: dict[str, object], why: str):
    """Names are identifiers of the repository's own modules, values are literals; else there is no test, and why."""
    found = written(**call)

    assert isinstance(found, str)
    assert any(words in found for words in why.split("|"))


@pytest.mark.parametrize("error", ["Bad\nError", 'X"""\nimport os', "", "a b"])
def test_an_exceptions_name_writes_no_code(error: str):
    """It stands in the test's docstring."""
    assert isinstance(written(replace(REPORT, error_type=error)), str)


def test_without_a_recorded_call_there_is_no_test():
    """A pasted traceback has none."""
    assert "no call was recorded" in str(written(replace(REPORT, call=None)))


@pytest.mark.parametrize(
    ("files", "below", "path"),
    [
        (("shop/cart.py", "test/test_cart.py"), "", "test/test_atra_ffffffffffff.py"),
        (("shop/cart.py", "checks/cart_test.py"), "", "checks/test_atra_ffffffffffff.py"),
        (("shop/cart.py",), "", "test_atra_ffffffffffff.py"),
        (("src/shop/cart.py", "tests/unit/test_a.py"), "", "tests/test_atra_ffffffffffff.py"),
        (("api/shop/cart.py", "api/tests/test_a.py", "tests/test_b.py"), "api", "api/tests/test_atra_ffffffffffff.py"),
    ],
)
def test_it_lies_where_the_other_tests_lie(files: tuple[str, ...], below: str, path: str):
    """So that the target's own run of its tests finds it."""
    test = written(files=files, below=below)

    assert isinstance(test, RegressionTest)
    assert test.path == path


LITERALS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(LITERALS)
def test_the_written_argument_is_the_recorded_one(value: object):
    """Whatever text is in it: quotes, line ends, surrogates."""
    expected = f"mean({value!r})"

    assert called(written(positional=(repr(value),))) == ast.unparse(ast.parse(expected))


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_no_text_in_a_report_becomes_code(module: str, function: str, value: str):
    """Either there is no test, or it is one import and one call with a literal."""
    found = written(module=module, function=function, positional=(value,))

    assert isinstance(found, str) or called(found).startswith("mean(")
