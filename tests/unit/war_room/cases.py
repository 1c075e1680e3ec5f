"""One small case for the tests of experts: a cart whose rounding is wrong, its tests, its history."""

from dataclasses import replace

from atra.sandbox.reports import Frame, TestResult
from atra.war_room.case import Case, Commit, options_of, regions_of

CART = """from shop.money import rounded

RATE = 0.2


class Cart:
    def __init__(self, items):
        self.items = items

    def total(self):
        amount = sum(self.items)
        return rounded(amount * (1 + RATE))

    def size(self):
        return len(self.items)
"""
MONEY = """def rounded(amount):
    if amount < 0:
        return -rounded(-amount)
    return int(amount * 100) / 100


def shown(amount):
    return f"{amount:.2f}"
"""
TESTS = """from shop.cart import Cart


def test_total():
    cart = Cart([1, 2])
    found = cart.total()
    assert found == 3.61


def test_size():
    assert Cart([1]).size() == 1
"""
SOURCES = {"shop/cart.py": CART, "shop/money.py": MONEY}
TEST = "tests/test_cart.py::test_total"
LINES = {TEST: {"shop/cart.py": (8, 11, 12), "shop/money.py": (2, 4)}}
FAILED = TestResult(
    TEST, "failed", 0.1, "AssertionError", "assert 3.6 == 3.61", (Frame("tests/test_cart.py", 7, "test_total"),)
)
CASE = Case(
    question="Which place is wrong?",
    regions=options_of(regions_of(SOURCES), LINES),
    failing=(FAILED,),
    lines=LINES,
    passing_hits={"shop/cart.py": {8: 5, 15: 4, 11: 1, 12: 1}},
    passing=6,
    sources=SOURCES,
    tests={"tests/test_cart.py": TESTS},
    blame={"shop/cart.py": dict.fromkeys(range(1, 16), "old"), "shop/money.py": dict.fromkeys(range(1, 9), "new")},
    commits=(
        Commit("new", 2.0, ("shop/money.py", "tests/test_cart.py"), "Round by cents"),
        Commit("old", 400.0, ("shop/cart.py", "tests/test_cart.py"), "Sell"),
    ),
)

ROUNDED, TOTAL, INIT = "shop/money.py::rounded", "shop/cart.py::Cart.total", "shop/cart.py::Cart.__init__"


def case(**changes: object) -> Case:
    """Return the case with other facts."""
    return replace(CASE, **changes)  # type: ignore[arg-type]


def raised(error: str, message: str, *frames: Frame) -> TestResult:
    """Return a result of the failing test that ended in an error."""
    return TestResult(TEST, "failed", 0.1, error, message, frames)
