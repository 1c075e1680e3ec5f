"""What is to be done about a failure."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from atra.self_repair.records import Report, ReportFrame
from atra.self_repair.triage import triage

OWN = ReportFrame("shop/cart.py", 3, "total", True)
FOREIGN = ReportFrame("/x/site-packages/lib.py", 3, "f", False)


def _report(
    error_type: str, message: str = "", *, lineage: tuple[str, ...] = (), causes: tuple[str, ...] = ()
) -> Report:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    return Report("shop", error_type, message, (OWN, FOREIGN), "", "celery", at, lineage=lineage, causes=causes)


@pytest.mark.parametrize(
    ("report", "path"),
    [
        (_report("TypeError"), "repair"),
        (_report("KeyError", "'price'"), "repair"),
        (_report("RecursionError"), "repair"),
        (_report("shop.errors.CartBroken"), "repair"),
        (_report("shop.errors.CartBroken", lineage=("shop.errors.CartBroken", "ValueError", "Exception")), "repair"),
        (_report("ConnectionError"), "report"),
        (_report("requests.exceptions.ReadTimeout"), "report"),
        (_report("billiard.exceptions.WorkerLostError"), "report"),
        (_report("MemoryError"), "report"),
        (_report("OSError", "[Errno 28] No space left on device"), "report"),
        (_report("sqlalchemy.exc.OperationalError", "could not connect to server"), "report"),
        (_report("openai.RateLimitError"), "report"),
        (_report("FileNotFoundError"), "report"),
        (_report("ModuleNotFoundError", "No module named 'yaml'"), "report"),
        (_report("shop.errors.Down", lineage=("shop.errors.Down", "OSError")), "report"),
        (_report("shop.errors.Down", causes=("redis.exceptions.ConnectionError",)), "report"),
        (_report("ValueError", causes=("KeyError",)), "repair"),
        (_report("psycopg2.errors.UndefinedColumn", 'column "vat" does not exist'), "migrate"),
        (_report("sqlalchemy.exc.ProgrammingError", "(x) x", causes=("psycopg2.errors.UndefinedTable",)), "migrate"),
        (_report("sqlite3.OperationalError", "no such column: vat"), "migrate"),
        (_report("SystemExit"), "report"),
    ],
    ids=lambda value: f"{value.error_type} {value.message}"[:40] if isinstance(value, Report) else value,
)
def test_each_kind_takes_its_path(report: Report, path: str) -> None:
    """Code is repaired, surroundings are reported, a schema that is behind is named."""
    decision = triage(report)

    assert decision.path == path
    assert decision.reason


def test_a_failure_outside_the_application_is_only_reported() -> None:
    """There is nothing of ours to repair."""
    assert triage(replace(_report("TypeError"), frames=(FOREIGN,))).path == "report"


def test_a_failing_test_is_repaired_even_for_a_missing_file() -> None:
    """It can be run again at will, and the reproduction finds out the rest; a connection the box never has."""
    assert triage(replace(_report("FileNotFoundError"), test="tests/test_x.py::test_x", frames=())).path == "repair"
    assert triage(replace(_report("ConnectionError"), test="tests/test_x.py::test_x", frames=())).path == "report"
