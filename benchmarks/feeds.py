"""Whether the scout reads what feeds are made of: the suites of feedparser and of the W3C's validator, every file.

    python -m benchmarks.feeds --feedparser CHECKOUT --validator CHECKOUT [--json F]

Each file goes through a reader's process, as a fetched document does. Counted is what came of it: a document with
items, one without, no feed, or a fault: a reader that ended, or took longer than it may. No fault is the aim. What the
suites expect of each file is about a parser's and a validator's answers and is not compared.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from atra.scout.reader import Readers, Unread, reading
from benchmarks import results

_COLUMNS = ("suite", "files", "with_items", "items", "empty", "no_feed", "faults", "slowest_ms", "files_per_s")
_ADDRESS = "http://feeds.example/feed"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.feeds", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--feedparser", type=Path, required=True, help="a checkout of kurtmckee/feedparser")
    parser.add_argument("--validator", type=Path, required=True, help="a checkout of w3c/feedvalidator")
    parser.add_argument("--json", type=Path, default=results.FOLDER / "feeds.json", help="where to write")
    given = parser.parse_args(arguments)
    suites = {
        "feedparser": sorted((given.feedparser / "tests").rglob("*.xml")),
        "W3C validator": sorted(file for file in (given.validator / "testcases").rglob("*") if file.is_file()),
    }
    with reading(1) as readers:
        rows = [_read(name, files, readers) for name, files in suites.items()]
    totals = {"faulty": [fault for row in rows for fault in row.pop("faulty")]}
    results.console().print(results.table("feeds", rows, _COLUMNS))
    results.write(given.json, results.about(datetime.now(UTC)), totals, rows)


def _read(name: str, files: Iterable[Path], readers: Readers) -> dict[str, Any]:
    count: Counter[str] = Counter()
    faulty: list[str] = []
    slowest_s = 0.0
    begun = time.perf_counter()
    for file in files:
        started = time.perf_counter()
        said = readers.read(file.read_bytes(), {"content-type": "application/xml"}, _ADDRESS)
        slowest_s = max(slowest_s, time.perf_counter() - started)
        count["files"] += 1
        if not isinstance(said, Unread):
            count["with_items" if said.items else "empty"] += 1
            count["items"] += len(said.items)
        elif said.why == "it is no feed":
            count["no_feed"] += 1
        else:
            count["faults"] += 1
            faulty.append(f"{file.name}: {said.why}")
    spent_s = time.perf_counter() - begun
    return {
        "suite": name,
        **{column: count[column] for column in _COLUMNS[1:7]},
        "slowest_ms": round(slowest_s * 1000),
        "files_per_s": round(count["files"] / spent_s),
        "faulty": faulty,
    }


if __name__ == "__main__":
    main()
