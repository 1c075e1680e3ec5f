"""Writes what a benchmark measured: with when, on which commit, with which versions and on what machine."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "benchmarks" / "results"

_VERSIONS = ("atra", "celery", "kombu", "pytest", "redis", "SQLAlchemy")

_TENTHS = 2
"""How many tenths of confidence one row of the table of reliability covers."""


def about(now: datetime) -> dict[str, Any]:
    """Return what a reader needs to judge numbers: date, commit, versions, cores; no host name and no path."""
    return {
        "date": now.astimezone(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "changed_since_commit": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _VERSIONS},
        "machine": {"cores": len(os.sched_getaffinity(0)), "architecture": platform.machine()},
    }


def write(path: Path, facts: Mapping[str, Any], totals: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one measurement as JSON, replacing what the file held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**facts, "totals": totals, "rows": rows}, indent=1) + "\n")


def table(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    """Return the rows as a table; numbers stand to the right, floats with one digit, what is absent as a dash."""
    shown = Table(title=title)
    for column in columns:
        numeric = any(isinstance(row.get(column), int | float) for row in rows)
        shown.add_column(column.replace("_", " "), justify="right" if numeric else "left")
    for row in rows:
        shown.add_row(*(_cell(row.get(column)) for column in columns))
    return shown


def reliability(told: Iterable[tuple[float, bool]]) -> list[dict[str, Any]]:
    """Return how many repairs of each confidence there were, and how many of them were right."""
    pairs = list(told)
    edges = [(low / 10, (low + _TENTHS) / 10) for low in range(0, 10, _TENTHS)]
    return [
        {
            "confidence": f"{low:g} to {high:g}",
            "repairs": len(some := [right for confidence, right in pairs if low <= confidence < high]),
            "correct": sum(some),
        }
        for low, high in edges
    ]


def console() -> Console:
    """Return the console for tables: as wide as the terminal, and wide enough for a row where there is none."""
    return Console() if Console().is_terminal else Console(width=160)


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
