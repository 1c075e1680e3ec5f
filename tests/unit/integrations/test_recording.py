"""What a call is recorded as: literals that give the arguments back, or why it cannot be made again."""

import ast
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from atra.core.redaction import Redactor
from atra.integrations.recording import LITERAL_SIZE, checkout_of, recorded
from atra.self_repair.records import RecordedCall

REDACTOR = Redactor(["canary-of-a-test"])


class Odd(int):
    """An int that would run code when it is shown."""

    def __repr__(self) -> str:
        raise AssertionError("the application's code was run")


class Sly:
    """An object that would run code when it is asked anything."""

    def __getattribute__(self, name: str) -> object:
        raise AssertionError("the application's code was run")

    def fails(self) -> None:
        raise ValueError


@dataclass
class Cart:
    prices: list[int]
    name: str = "basket"

    def mean(self, scale: int = 1) -> float:
        return scale * sum(self.prices) / len(self.prices)


class Plain:
    """A class without state."""

    def half(self, number: object) -> object:
        return number / 2  # type: ignore[operator]

    @classmethod
    def of(cls, number: object) -> None:
        raise ValueError(number)

    @staticmethod
    def still(number: object) -> None:
        raise ValueError(number)


class Counter:
    """One with state that nobody can give it."""

    def __init__(self) -> None:
        self.count = 0

    def fails(self) -> None:
        raise ValueError


def fails(first, /, second, *rest, third=3, **more):
    raise ValueError


async def fails_later(first):
    raise ValueError(first)


def generates(first):
    yield first
    raise ValueError


def rebinds(first):
    first = [*first, "seen"]
    raise ValueError(first)


def record(function, *positional, **named) -> RecordedCall:
    """Return the record of the innermost frame that this call fails in."""
    try:
        made = function(*positional, **named)
        if hasattr(made, "send"):
            list(made) if not hasattr(made, "cr_code") else made.send(None)
    except Exception as error:
        trace = error.__traceback__
        while trace and trace.tb_next:
            trace = trace.tb_next
        assert trace
        return recorded(trace.tb_frame, "shop/cart.py", REDACTOR)
    raise AssertionError("it did not fail")


def test_every_way_to_pass_an_argument_is_recorded():
    """By position, further ones, by keyword with a default, and further keywords."""
    call = record(fails, [1, "two"], 2.5, None, (b"x", {3}), fourth={"a": True})

    assert (call.module, call.function, call.path) == (__name__, "fails", "shop/cart.py")
    assert [ast.literal_eval(text) for text in call.positional] == [[1, "two"], 2.5, None, (b"x", {3})]
    assert {name: ast.literal_eval(text) for name, text in call.named.items()} == {"third": 3, "fourth": {"a": True}}
    assert (call.receiver, call.asynchronous, call.why_not) == (None, False, "")


def test_an_object_that_can_be_made_again_is():
    """A dataclass by its fields, a class without state by its name alone; for others no object is needed."""
    carts = record(Cart([]).mean, 2)
    plain, of_class, static = record(Plain().half, "a"), record(Plain.of, 1), record(Plain.still, 1)

    assert (carts.function, carts.receiver, carts.positional) == (
        "Cart.mean",
        {"prices": "[]", "name": "'basket'"},
        ("2",),
    )
    assert (plain.function, plain.receiver) == ("Plain.half", {})
    assert [call.receiver for call in (of_class, static)] == [None, None]
    assert [call.positional for call in (of_class, static)] == [("1",), ("1",)]


def test_a_coroutine_says_so():
    """It has to be awaited to fail again."""
    assert record(fails_later, 1).asynchronous


def test_what_was_bound_anew_is_recorded_as_it_stands():
    """Nobody knows what it was; whether that fails the same way is for the sandbox to say."""
    assert record(rebinds, [1]).positional == ("[1, 'seen']",)


NESTED: list[object] = []
NESTED.append(NESTED)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (Odd(1), "holds a Odd"),
        ([Odd(1)], "holds a Odd"),
        (Sly, "holds a type"),
        (object(), "holds a object"),
        (float("nan"), "holds a float"),
        (float("inf"), "holds a float"),
        (2**300, "holds a int"),
        ("x" * (LITERAL_SIZE + 1), "holds a str"),
        (["x" * 100] * 100, "too large"),
        (list(range(1000)), "too large"),
        (NESTED, "too large"),
        ("postgres://me:canary-of-a-test@db", "may be a secret"),
        ({"password": "short"}, "may be a secret"),
        ({"a": [{"api_key": "hunter2hunter2"}]}, "secret"),
        (frozenset({1}), "holds a frozenset"),
    ],
    ids=lambda given: str(type(given).__name__) if not isinstance(given, str) or len(given) > 50 else given,
)
def test_what_is_no_literal_is_not_recorded(value: object, why: str):
    """No subclass, no object, nothing without end, nothing large, no secret; and none of their code is run."""
    call = record(fails, value, 1)

    assert why in call.why_not
    assert (call.positional, call.named, call.receiver) == ((), {}, None)


def test_a_parameter_whose_name_says_secret_is_not_recorded():
    """Whatever its value is."""

    def log_in(password):
        raise ValueError

    log_in.__code__ = log_in.__code__.replace(co_qualname="log_in")

    assert "may be a secret" in record(log_in, "abc").why_not


@pytest.mark.parametrize(
    ("function", "arguments", "why"),
    [
        (lambda: 1 / 0, (), "cannot be named"),
        (generates, (1,), "is a generator"),
        (Counter().fails, (), "a Counter cannot be made again"),
        (Sly.fails, (Counter(),), "the object is a Counter"),
    ],
    ids=["lambda", "generator", "with state", "another class"],
)
def test_a_call_that_cannot_be_made_again_says_why(function, arguments: tuple[object, ...], why: str):
    """There is no name to call it by, or no way to make its object."""
    assert why in record(function, *arguments).why_not


def test_no_code_of_an_object_is_run_to_record_it():
    """One that would raise whatever it is asked is read all the same."""
    assert record(Sly.fails, Sly()).receiver == {}


def test_the_commit_that_is_checked_out_is_found_without_git(tmp_path: Path):
    """On a branch, packed or not, detached, in a linked working tree, in a folder below; elsewhere there is none."""

    def git(*arguments: str, at: Path = tmp_path / "shop") -> str:
        named = ("-c", "user.name=A", "-c", "user.email=a@localhost")
        return subprocess.run(("git", *named, *arguments), cwd=at, check=True, capture_output=True, text=True).stdout

    (tmp_path / "shop/below").mkdir(parents=True)
    git("init", "-q", "-b", "main")
    empty = checkout_of(tmp_path / "shop")
    git("commit", "-q", "--allow-empty", "-m", "one")
    head = git("rev-parse", "HEAD").strip()
    loose = checkout_of(tmp_path / "shop/below")
    git("pack-refs", "--all")
    packed = checkout_of(tmp_path / "shop")
    git("worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    linked = checkout_of(tmp_path / "linked")
    git("checkout", "-q", "--detach")

    assert [loose, packed, linked, checkout_of(tmp_path / "shop")] == [head] * 4
    assert [empty, checkout_of(tmp_path), checkout_of(tmp_path / "nowhere")] == ["", "", ""]
