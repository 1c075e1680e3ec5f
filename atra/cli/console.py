"""How commands speak: tables and sentences for people, JSON for programs, errors once and clearly."""

import json
import re
import sys
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape

from atra.core.errors import as_facts

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

# Codes that steer a terminal, but for tab and line feed, and those that turn the direction of text round.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: object) -> str:
    """Return text from outside so that it can neither style nor steer the terminal."""
    return escape(harmless(str(text)))


def harmless(text: str) -> str:
    """Return text from outside so that it cannot steer the terminal; for what rich does not read as markup."""
    return _CONTROL.sub("�", text)


def print_json(value: Any) -> None:
    """Print one JSON value to standard output; pure ASCII, so that no text from outside can steer a terminal."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")
    sys.stdout.flush()


def print_error(facts: dict[str, Any], *, as_json: bool) -> None:
    """Print an error: one sentence and, where there is one, what to do about it."""
    if as_json:
        print_json({"error": facts["error"], "hint": facts.get("hint", "")})
        return
    err.print(f"[red]error:[/] {plain(facts['error'])}", soft_wrap=True)
    if facts.get("hint"):
        err.print(f"[dim]{plain(facts['hint'])}[/]", soft_wrap=True)


def facts_of(error: BaseException) -> dict[str, Any]:
    """Return an error as facts, see `as_facts`."""
    return dict(as_facts(error))


def age(instant: datetime | None) -> str:
    """Return how long ago this was, in a few letters."""
    if instant is None:
        return "-"
    seconds = max(0, int((datetime.now(UTC) - instant).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def seconds_between(start: datetime | None, end: datetime | None) -> str:
    """Return a duration to the tenth of a second, up to now when it has not ended."""
    if start is None:
        return ""
    return f"{((end or datetime.now(UTC)) - start).total_seconds():.1f} s"
