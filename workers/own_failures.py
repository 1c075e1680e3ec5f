"""ATRA's own failures: what its tasks did not expect is reported to its own self-repair, as repository `atra`.

Only where `[repositories.atra]` names a checkout. What ATRA raises on purpose is no mistake in its code and is not
reported. Nothing that happens while reporting is reported: it is logged. In a storm one report of each kind goes out in
a while, so that a task that fails a thousand times costs one look, not a thousand.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog
from celery.signals import task_failure

from atra.core.clock import utc_now
from atra.core.errors import AtraError
from atra.integrations.capture import capture
from atra.self_repair.fingerprint import fingerprint
from atra.self_repair.records import Report
from atra.wiring import Wiring, wiring
from workers.intake import take_in
from workers.targets import ITSELF

log = structlog.get_logger(__name__)

ROOT = Path(__file__).resolve().parent.parent
_OWN_FOLDERS = ("atra/", "workers/")
_EVERY_S = 60.0
_MOST_KINDS = 1000


class Storm:
    """Lets one failure of each kind through in a minute, and counts the others."""

    def __init__(self, every_s: float = _EVERY_S) -> None:
        self._every_s = every_s
        self._let_through: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def held(self, kind: str, now_s: float) -> int | None:
        """Return how many of the kind were held back since the last one; None where this one is held back, too."""
        before = self._let_through.get(kind)
        if before is not None and now_s - before < self._every_s:
            self._held[kind] = self._held.get(kind, 0) + 1
            return None
        if len(self._let_through) >= _MOST_KINDS:
            self._let_through.clear()
            self._held.clear()
        self._let_through[kind] = now_s
        return self._held.pop(kind, 0)


_storm = Storm()


@task_failure.connect
def _report(
    sender: Any = None,
    task_id: str = "",
    exception: BaseException | None = None,
    traceback: TracebackType | None = None,
    **_: Any,
) -> None:
    """Report a task's failure; never raises, since Celery is about to write the failure down."""
    try:
        own_failure(wiring(), exception, traceback, task=getattr(sender, "name", ""))
    except Exception as error:  # noqa: BLE001 - the task's failure counts, not that of telling it
        log.warning("own failure not reported", task_id=task_id, why=wiring().redactor.text(str(error)))


def own_failure(wired: Wiring, exception: BaseException | None, trace: Any, *, task: str) -> str | None:
    """Take in a failure of one of ATRA's own tasks; return the failure's id, None where it is not reported.

    What has no traceback, because the process was ended, tells nothing of the code.
    """
    if ITSELF not in wired.settings.repositories or not isinstance(trace, TracebackType):
        return None
    if exception is None or isinstance(exception, AtraError):
        return None
    report = _own_frames(
        capture(
            exception,
            trace,
            repository=ITSELF,
            origin="celery",
            seen_at=utc_now(),
            redactor=wired.redactor,
            task=task,
            root=ROOT,
        )
    )
    held = _storm.held(fingerprint(report), time.monotonic())
    if held is None:
        return None
    taken = take_in(wired, report)
    facts: Mapping[str, Any] = {"failure_id": taken.failure.id, "run_id": taken.run and taken.run.id}
    log.warning("own failure reported", task=task, held_back=held, why=taken.why, **facts)
    return taken.failure.id


def _own_frames(report: Report) -> Report:
    """Return the report with ATRA's own frames as the application's, wherever ATRA is installed."""
    own = (replace(frame, in_app=frame.path.startswith(_OWN_FOLDERS)) for frame in report.frames)
    return replace(report, frames=tuple(own))
