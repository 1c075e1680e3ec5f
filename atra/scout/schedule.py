"""When a feed is asked again: as often as it brings something, no more often than it asks to be, and never at once.

Everything here is a pure function of what is known; the caller turns seconds into instants by the database's clock.
"""

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from atra.scout.records import Hints

MINUTE_S = 60.0
HOUR_S = 60 * MINUTE_S
DAY_S = 24 * HOUR_S
LEAST_S = 15 * MINUTE_S
MOST_S = DAY_S
UNKNOWN_S = HOUR_S
"""Of a feed that says nothing and of which too little is known."""

LONGEST_PAUSE_S = 7 * DAY_S
"""A server that asks for more is asked once a week whether it has not been mistaken."""

_LOOKED_AT = 20
_DOUBLINGS = 7


def rhythm(published: Sequence[datetime], now: datetime) -> float:
    """Return how long to let a feed alone by how often it brought something: half the usual gap.

    Args:
        published: when its newest items came; those ahead of now count as now.
    """
    times = sorted((min(at, now) for at in published), reverse=True)[:_LOOKED_AT]
    if len(times) < 3:
        return UNKNOWN_S
    span_s = max((now - times[-1]).total_seconds(), 0.0)  # a feed that fell silent is asked less and less
    return _within(span_s / len(times) / 2)


def asked_for(headers: Mapping[str, str], hints: Hints, now: datetime) -> float:
    """Return for how many seconds the server and the document want to be let alone; 0 where they say nothing.

    Args:
        headers: names in small letters.
        now: for an `Expires` without a `Date` beside it.
    """
    return max(_fresh_for(headers, now), hints.ttl_s, 0.0)


def retry_after(headers: Mapping[str, str], now: datetime) -> float:
    """Return the seconds of a `Retry-After`, given as a number or as a date; 0 where there is none that can be read."""
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdecimal():
        seconds = float(said[:12])
    else:
        at = _date(said)
        seconds = (at - (_date(headers.get("date", "")) or now)).total_seconds() if at else 0.0
    return min(max(seconds, 0.0), LONGEST_PAUSE_S)


def wait_after_success(interval_s: float, wanted_s: float, hints: Hints, now: datetime, rng: random.Random) -> float:
    """Return the seconds to the next poll: a quarter of an hour to a day, spread, and out of hours that are skipped.

    Args:
        interval_s: by its own rhythm.
        wanted_s: what it asks for.
    """
    wait_s = _within(max(interval_s, wanted_s)) * (1 + rng.random() / 10)
    return wait_s + _skipped(hints, now + timedelta(seconds=wait_s))


def wait_after_failure(failures: int, pause_s: float, rng: random.Random) -> float:
    """Return the seconds to the next try: doubled with each failure in a row, up to a day, and spread.

    Args:
        failures: in a row, this one included; at least 1.
        pause_s: what a `Retry-After` asks for; never less than that.
    """
    backoff_s = _within(LEAST_S * 2.0 ** min(failures - 1, _DOUBLINGS))
    return max(backoff_s, pause_s) * (1 + rng.random() / 5)


def _within(seconds: float) -> float:
    return min(max(seconds, LEAST_S), MOST_S)


def _fresh_for(headers: Mapping[str, str], now: datetime) -> float:
    """Return for how long a response says that it is good, by RFC 9111: `max-age` before `Expires`, less its age."""
    for directive in headers.get("cache-control", "").split(","):
        name, _, value = directive.strip().partition("=")
        value = value.strip('" ')
        if name.strip().lower() == "max-age" and value.isascii() and value.isdecimal():
            age = headers.get("age", "").strip()
            return float(value[:12]) - (float(age[:12]) if age.isascii() and age.isdecimal() else 0.0)
    expires = _date(headers.get("expires", ""))
    return (expires - (_date(headers.get("date", "")) or now)).total_seconds() if expires else 0.0


def _skipped(hints: Hints, at: datetime) -> float:
    """Return how many seconds later the first instant is that is not skipped; 0 where none is, or all are."""
    hour = at.astimezone(UTC)
    for ahead in range(24 * 8):
        if hour.hour not in hints.skip_hours and hour.weekday() not in hints.skip_days:
            return (hour - at).total_seconds() if ahead else 0.0
        hour = hour.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return 0.0


def _date(text: str) -> datetime | None:
    """Return the instant that an HTTP date names; None for what is none."""
    try:
        at = parsedate_to_datetime(text)
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
