"""How commands speak: tables and sentences for people, JSON for programs, errors once and clearly."""

import json
import os
import re
import sys
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from atra.core.errors import as_facts


class Speech(Console):
    """A console that tells of a reader who has left by BrokenPipeError, as any other file does.

    Rich would end the process with exit code 1, which says that a repair found nothing.
    """

    def on_broken_pipe(self) -> None:
        """Raise the error anew, for `main` to judge."""
        raise BrokenPipeError


out = Speech(highlight=False)
err = Speech(stderr=True, highlight=False)

_LONG_WORD = 14  # an id, which is never broken, has 13

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


class Listing(Table):
    """A table that becomes a paragraph for each row on a screen whose columns could not hold single words."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Print the table, or the paragraphs."""
        rows = list(zip(*(column.cells for column in self.columns), strict=True))
        if self._least_width() <= options.max_width or not rows:
            yield from super().__rich_console__(console, options)
            return
        for row in rows:
            for column, cell in zip(self.columns, row, strict=True):
                if cell:
                    yield Padding(f"[dim]{column.header}[/] {cell}", (0, 0, 0, 0 if column is self.columns[0] else 2))

    def _least_width(self) -> int:
        """Return the columns that are needed so that no word is broken but those that are long anywhere."""
        texts = ([str(column.header), *map(str, column.cells)] for column in self.columns)
        longest = [max(len(word) for text in column for word in text.split() or [""]) for column in texts]
        return sum(min(width, _LONG_WORD) for width in longest) + 2 * (len(longest) - 1)


def table(*columns: str) -> Table:
    """Return an empty table; what is too long for its column goes on in the next line, so no name is cut short.

    The first column stays whole, for what stands there is copied into the next command.
    """
    made = Listing(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        made.add_column(column, overflow="fold", no_wrap=not made.columns)
    return made


def deaf() -> None:
    """Let what is still to be written to a reader who has left go nowhere, so that nothing complains at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
