"""Entries of the cache for tests that need no database."""

from datetime import UTC, datetime, timedelta

from atra.semantic_cache.records import Entry, Fresh

AT = datetime(2026, 1, 1, tzinfo=UTC)


def entry(question: str, fresh: Fresh, *, scope: str = "s", key: str = "k", number: int = 1) -> Entry:
    """Return the entry that such an answer becomes."""
    return Entry(
        number,
        scope,
        key,
        question,
        fresh.answer,
        fresh.sources,
        fresh.topics,
        fresh.cost_usd,
        fresh.predicted,
        fresh.meta,
        AT,
        AT + timedelta(days=1),
        60.0,
    )
