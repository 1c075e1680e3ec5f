"""Failures in the real database: counted by fingerprint, open again when they come back, whatever their text."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from atra.core.clock import utc_now
from atra.core.errors import UnknownFailure
from atra.core.settings import Settings
from atra.self_repair.records import Report
from atra.storage.database import connect
from atra.storage.failures import FailureStore

REPORT = Report("shop", "KeyError", "'x'", (), "KeyError: 'x'", "celery", utc_now())


@pytest.fixture
def store(settings: Settings) -> FailureStore:
    return FailureStore(connect(settings.database_url.get_secret_value()))


def record(store: FailureStore, report: Report = REPORT, fingerprint: str = "f" * 64):
    return store.record(report, fingerprint, "repair", "a mistake in the code")


def test_reports_of_one_fingerprint_are_one_failure(store: FailureStore):
    """The count goes up, the newest text is kept, and urgent once is urgent for good."""
    first = record(store, replace(REPORT, urgent=True))
    second = record(store, replace(REPORT, message="'y'"))
    other = record(store, fingerprint="0" * 64)

    assert (second.id, second.count, second.message, second.urgent) == (first.id, 2, "'y'", True)
    assert {failure.id for failure in store.recent()} == {first.id, other.id}
    assert store.count_open() == 2


def test_a_report_that_arrives_twice_is_counted_once(store: FailureStore):
    """By its id, under its fingerprint; another report, and the same id under another fingerprint, count."""
    report = replace(REPORT, id="a" * 32)
    first, again = record(store, report), record(store, report)
    other, elsewhere = record(store, replace(REPORT, id="b" * 32)), record(store, report, fingerprint="0" * 64)

    assert (first.count, again.count, other.count, elsewhere.count) == (1, 1, 2, 1)


def test_a_report_that_arrives_twice_at_once_is_counted_once(store: FailureStore):
    """Two workers that take in two copies of one message agree."""
    report = replace(REPORT, id="a" * 32)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: record(store, report), range(8)))

    assert {failure.count for failure in found} == {1}


def test_a_repaired_failure_that_comes_back_stays_so_until_somebody_looks(store: FailureStore):
    """Which revision it came from decides what it is, and the store does not know."""
    failure = record(store)
    store.mark_repaired(failure.id)

    assert (record(store).state, store.get(failure.id).count) == ("repaired", 2)


def test_a_regressed_failure_is_urgent_and_says_why_until_it_is_repaired(store: FailureStore):
    """A further report counts; it takes nothing of that back."""
    failure = record(store)
    store.mark_repaired(failure.id)
    store.mark_regressed(failure.id, "it is in")
    store.mark_open(failure.id)

    again = record(store)

    assert (again.state, again.urgent, again.path, again.reason) == ("regressed", True, "escalate", "it is in")
    assert again.count == 2
    store.mark_repaired(failure.id)
    mended = store.get(failure.id)
    assert (mended.state, mended.path) == ("repaired", "repair")
    assert "after an earlier fix had failed" in mended.reason


def test_text_that_postgresql_cannot_keep_loses_no_report(store: FailureStore):
    """NUL and lone surrogates, which a message or a variable may hold, are marked; the rest is kept."""
    report = replace(
        REPORT, message="nul \0 and \ud800 half", text="\0", error_type="Odd\0Error", arguments={"a": "\0"}
    )

    failure = record(store, report)

    assert failure.message == "nul \ufffd and ? half"
    assert store.get(failure.id).latest.arguments == {"a": "\ufffd"}


def test_an_unknown_failure_is_named(store: FailureStore):
    """The error carries the id that was asked for."""
    with pytest.raises(UnknownFailure, match="nowhere"):
        store.get("nowhere")
