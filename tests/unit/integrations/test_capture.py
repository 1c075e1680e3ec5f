"""An exception becomes a report: safely, shortly, without secrets, whatever the application's objects do."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from atra.core.redaction import Redactor
from atra.integrations.capture import capture
from atra.self_repair.records import Report

CANARY = "hunter2-canary"


class Hostile:
    """Whoever asks it anything waits, or fails."""

    def __repr__(self) -> str:
        time.sleep(30)
        raise SystemExit("never asked")

    __str__ = __repr__
    __len__ = __hash__ = __repr__  # type: ignore[assignment]

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __eq__(self, other: object) -> bool:
        raise RuntimeError


class HostileKind(type):
    """A class that hides its name."""

    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(name)


class Hidden(metaclass=HostileKind):
    """See above."""


class HostileList(list[int]):
    """A subclass of a builtin type is no builtin type."""

    def __iter__(self) -> Any:
        time.sleep(30)


def _capture(function: Callable[[], object], **options: Any) -> Report:
    try:
        function()
    except BaseException as error:
        redactor = options.pop("redactor", Redactor([CANARY]))
        at = datetime(2026, 1, 2, tzinfo=UTC)
        return capture(
            error, error.__traceback__, repository="shop", origin="celery", seen_at=at, redactor=redactor, **options
        )
    raise AssertionError("it did not raise")


def test_type_way_and_values_are_told() -> None:
    """The innermost frame is the last, with its variables as short texts."""

    def total(cart: dict[str, object]) -> None:
        rate, ready = 1.5, None  # noqa: F841
        cart["price"]

    report = _capture(lambda: total({"items": [1, "two", (3, 4)]}))

    assert (report.error_type, report.message, report.lineage[:2]) == (
        "KeyError",
        "'price'",
        ("KeyError", "LookupError"),
    )
    assert report.frames[-1].function == "total"
    assert report.frames[-1].in_app
    assert report.frames[-1].locals == {"cart": "{'items': [1, 'two', (3, 4)]}", "rate": "1.5", "ready": "None"}
    assert report.text.rstrip().endswith("KeyError: 'price'")


def test_paths_below_the_checkout_are_relative() -> None:
    """They then mean the same on another machine."""
    report = _capture(lambda: 1 / 0, root=Path(__file__).parent)

    assert report.frames[-1].path == "test_capture.py"


def test_objects_of_the_application_are_never_asked_anything() -> None:
    """Their `repr`, `len`, `iter`, attributes and metaclasses may hang or raise; only their type's name is shown."""

    def fail(*_: object) -> None:
        one, kind, many, inside = Hostile(), object.__new__(Hidden), HostileList([1]), [Hostile()]  # noqa: F841
        raise ValueError

    started = time.monotonic()
    report = _capture(lambda: fail(), arguments={"cart": Hostile()})

    shown = {name: value.rpartition(".")[2] for name, value in report.frames[-1].locals.items()}
    assert shown == {"_": "()", "one": "Hostile>", "kind": "Hidden>", "many": "HostileList>", "inside": "Hostile>]"}
    assert report.arguments["cart"].endswith("Hostile>")
    assert time.monotonic() - started < 2


def test_an_exception_that_cannot_say_what_it_is() -> None:
    """Its own text fails; the report does not."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def fail() -> None:
        raise Mute

    assert _capture(fail).message == "<its text could not be made: RuntimeError>"


def test_huge_values_take_little_time_and_room() -> None:
    """Measured: a million items, ten megabytes of text, a number of a million digits, ten thousand variables."""

    def fail() -> None:
        many, text, number = dict.fromkeys(range(1_000_000)), "password=x " * 1_000_000, 1 << 4_000_000  # noqa: F841
        exec("; ".join(f"v{i} = {i}" for i in range(10_000)) + "; raise ValueError(text)", {"text": text})

    times = []
    for _ in range(3):
        try:
            fail()
        except ValueError as error:
            started = time.process_time()
            report = capture(
                error,
                error.__traceback__,
                repository="shop",
                origin="celery",
                seen_at=datetime(2026, 1, 2, tzinfo=UTC),
                redactor=Redactor([CANARY]),
                text="printed already",
            )
            times.append(time.process_time() - started)

    assert min(times) < 0.05
    assert all(len(value) <= 210 for frame in report.frames for value in frame.locals.values())
    assert all(len(frame.locals) <= 20 for frame in report.frames)
    assert len(report.message) <= 2000


@pytest.mark.parametrize(
    "message", ["a." * 50_000, "secret_" * 20_000, "token-" * 20_000 + "= x", "'" * 100_000, "://a:" * 20_000]
)
def test_masking_a_hostile_message_takes_little_time(message: str) -> None:
    """Patterns that backtrack meet bounded lines only."""

    def fail() -> None:
        raise ValueError(message)

    started = time.process_time()
    _capture(fail)

    assert time.process_time() - started < 0.5


def test_deep_recursion_keeps_both_ends() -> None:
    """How it began and how it ended; variables of the innermost frames only."""

    def down(n: int) -> None:
        down(n + 1)

    report = _capture(lambda: down(0))

    assert report.error_type == "RecursionError"
    assert len(report.frames) <= 100
    assert report.frames[0].function == "_capture"
    assert sum(bool(frame.locals) for frame in report.frames) <= 20


def test_what_led_to_it_is_named() -> None:
    """Causes and contexts, nearest first; a ring of them ends."""

    def fail() -> None:
        try:
            try:
                {}["a"]
            except KeyError as error:
                raise ConnectionError from error
        except ConnectionError as error:
            other = ValueError()
            error.__cause__.__cause__ = other  # type: ignore[union-attr]
            other.__cause__ = error
            raise RuntimeError from error

    assert _capture(fail).causes == ("ConnectionError", "KeyError", "ValueError")


def test_no_secret_passes() -> None:
    """By name (variables, keys, parameters, text), by value, and by shape, however deep or cut."""
    key = "sk-" + "a1b2c3d4" * 5

    def charge(password: str, config: dict[str, object]) -> None:
        url = f"postgres://shop:{CANARY}@db/shop"
        nested = [{"deep": {"api_key": CANARY, "note": f"key {key}"}}]
        long = {"password": CANARY * 50, "x": "y" * 190 + CANARY}
        raise ValueError(f"cannot charge with {CANARY}, token=abc{CANARY[:3]}def, {key}, {url}", nested, long)

    report = _capture(
        lambda: charge(CANARY, {"secret": CANARY}), arguments={"password": CANARY, "config": {"secret": CANARY}}
    )

    told = str(report)
    assert CANARY not in told
    assert key not in told
    assert "abchundef" not in told
    assert report.arguments["password"] == "[redacted]"
    assert {"password", "config", "url", "nested", "long"} <= set(report.frames[-1].locals)


def test_a_secret_of_unknown_value_is_hidden_by_its_name() -> None:
    """The redactor was told of no values at all."""

    def login(password: str, options: dict[str, object]) -> None:
        headers = {"Authorization": "Basic dXNlcjpwYXNz", "items": [{"client_secret": "s3cr3t-v4lue"}]}  # noqa: F841
        raise ValueError("db_password='s3cr3t-v4lue' is wrong")

    report = _capture(lambda: login("s3cr3t-v4lue", {"api_key": "s3cr3t-v4lue" * 30}), redactor=Redactor())

    assert "s3cr3t" not in str(report).replace('login("s3cr3t-v4lue"', "").replace('"s3cr3t-v4lue" * 30', "")
    assert "dXNlcjpwYXNz" not in str(report.frames)
