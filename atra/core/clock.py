"""The wall clock, for the edges of a process; steps receive times as values."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the current instant, aware, in UTC."""
    return datetime.now(UTC)
