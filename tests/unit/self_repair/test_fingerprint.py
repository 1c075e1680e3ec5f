"""Which reports are the same failure."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.self_repair.fingerprint import fingerprint, in_application, normalised
from atra.self_repair.records import Report, ReportFrame

AT = datetime(2026, 1, 2, tzinfo=UTC)
LIBRARY = ReportFrame("/usr/lib/python3.11/json/decoder.py", 355, "raw_decode", False)


def _frame(path: str = "/srv/app/shop/cart.py", line: int = 3, function: str = "total") -> ReportFrame:
    return ReportFrame(path, line, function, True)


def _report(*frames: ReportFrame, message: str = "no price", error_type: str = "KeyError") -> Report:
    return Report("shop", error_type, message, frames or (_frame(),), "", "celery", AT)


@pytest.mark.parametrize(
    "other",
    [
        _report(_frame(line=99)),
        _report(_frame("/home/ada/src/shop/cart.py")),
        _report(_frame(), _frame(), _frame()),
        _report(_frame(), LIBRARY),
        replace(_report(), seen_at=datetime(2027, 1, 1, tzinfo=UTC), urgent=True, text="longer", task="a.b"),
    ],
    ids=["another line", "another place", "recursion", "a library below", "circumstances"],
)
def test_it_is_the_same_failure(other: Report) -> None:
    """Circumstances do not make another failure of it."""
    assert fingerprint(other) == fingerprint(_report())


@pytest.mark.parametrize(
    "other",
    [
        _report(error_type="TypeError"),
        _report(_frame(function="tax")),
        _report(_frame("/srv/app/shop/tax.py")),
        _report(_frame(), _frame("/srv/app/shop/tax.py")),
        _report(message="no tax"),
        replace(_report(), repository="blog"),
    ],
    ids=["type", "function", "file", "way", "message", "repository"],
)
def test_it_is_another_failure(other: Report) -> None:
    """What the code did differs."""
    assert fingerprint(other) != fingerprint(_report())


def test_depth_of_mutual_recursion_does_not_count() -> None:
    """a calls b calls a …, however deep."""
    a, b = _frame(function="a"), _frame(function="b")

    assert fingerprint(_report(*[a, b] * 2)) == fingerprint(_report(*[a, b] * 400))


def test_without_frames_of_its_own_the_innermost_stands_for_all() -> None:
    """Two calls into a library from nowhere known are told apart by where they ended."""
    other = replace(LIBRARY, function="scan_once")

    assert fingerprint(_report(other, LIBRARY)) == fingerprint(_report(LIBRARY))
    assert fingerprint(_report(LIBRARY)) != fingerprint(_report(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("order 17 has 3 items", "order 4711 has 12 items"),
        ("<Cart object at 0x7f391777a050>", "<Cart object at 0x7f3917870a10>"),
        ("no user 123e4567-e89b-12d3-a456-426614174000", "no user 00000000-0000-4000-8000-00000000000f"),
        ("invalid literal for int() with base 10: 'x1'", 'invalid literal for int() with base 10: "it\'s"'),
        ("cannot read /var/lib/shop/17.json", "cannot read /srv/other/place.json"),
        ("commit deadbeef01 is gone", "commit 0123abcdef is gone"),
        ("took 1.5e-3 s at 12:30:01", "took 7 s at 11:11:59"),
        ("a  b\n c", "a b c"),
    ],
)
def test_what_differs_from_time_to_time_is_left_out(one: str, other: str) -> None:
    """Numbers, addresses, ids, quotes and paths."""
    assert normalised(one) == normalised(other)


def test_words_are_kept() -> None:
    """Different complaints stay different."""
    assert normalised("no price for the cart") != normalised("no tax for the cart")


@given(st.text(max_size=2000))
def test_normalising_twice_changes_nothing_and_any_text_has_a_fingerprint(message: str) -> None:
    """Whatever an exception says."""
    assert len(fingerprint(_report(message=message))) == 64
    assert len(normalised(message)) <= 5000


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/srv/app/shop/cart.py", True),
        ("tests/test_cart.py", True),
        ("/srv/app/.venv/lib/python3.11/site-packages/celery/app/trace.py", False),
        ("/usr/lib/python3/dist-packages/yaml/__init__.py", False),
        ("/usr/lib/python3.11/json/decoder.py", False),
        ("/home/ada/.pyenv/versions/3.11.7/lib/python3.11/asyncio/base_events.py", False),
        ("<frozen importlib._bootstrap>", False),
        ("<string>", False),
        ("C:\\app\\venv\\Lib\\site-packages\\x.py", False),
        ("", False),
    ],
)
def test_own_code_is_told_from_libraries(path: str, own: bool) -> None:
    """By where the file lies."""
    assert in_application(path) is own
