"""What is written beside the numbers."""

import json
import platform
import socket
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.quixbugs import Row, total
from benchmarks.results import ROOT, about, table, write

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_results_say_when_on_what_and_with_which_versions(tmp_path: Path) -> None:
    """Date, commit and versions are in the file; neither the host's name nor a path is."""
    file = tmp_path / "results" / "one.json"

    write(file, about(NOW), {"fixed": 1}, [{"program": "gcd"}])

    text = file.read_text()
    written = json.loads(text)
    assert written["date"] == "2030-01-02T03:04:05+00:00"
    assert len(written["commit"]) == 40
    assert written["python"] == platform.python_version()
    assert (written["totals"], written["rows"]) == ({"fixed": 1}, [{"program": "gcd"}])
    assert socket.gethostname() not in text
    assert str(ROOT) not in text


def test_a_table_has_a_line_per_row_and_a_dash_for_nothing() -> None:
    """Rows are shown in order, with what is absent marked."""
    shown = table("T", [{"a": 1.25, "b": True}, {"a": None, "b": False}], ["a", "b"])

    cells = [list(column.cells) for column in shown.columns]
    assert cells == [["1.2", "-"], ["yes", "no"]]


def test_totals_count_what_became_of_each_program() -> None:
    """Medians are over repaired programs only."""
    rows = [
        Row("a", "fixed", "t", 5, 10, 100.0, 2.0, same=True),
        Row("b", "fixed", "t", 7, 10, 200.0, 4.0, same=False),
        Row("c", "not_fixed", tried=30, seconds=60.0),
        Row("d", "error", error="no"),
    ]

    totals = total(rows)

    assert (totals["programs"], totals["fixed"], totals["same_as_correct"]) == (4, 2, 1)
    assert (totals["different"], totals["not_fixed"], totals["errors"]) == (["b"], ["c"], ["d"])
    assert (totals["median_seconds"], totals["median_rank"], totals["candidates_tried"]) == (3.0, 6.0, 50)
