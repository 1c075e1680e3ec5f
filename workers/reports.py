"""The task by which other people's applications report their failures."""

from dataclasses import replace
from typing import Any

import structlog
from celery import Task
from pydantic import ValidationError

from atra.core.errors import BadReport
from atra.core.records import from_json
from atra.self_repair.records import Report
from atra.wiring import wiring
from workers.app import app
from workers.intake import take_in
from workers.task import AtraTask

log = structlog.get_logger(__name__)


@app.task(bind=True, base=AtraTask, name="self_repair.receive", soft_time_limit=100, time_limit=120, ignore_result=True)
def receive(self: Task, report: dict[str, Any]) -> str:
    """Take in one report; return the failure's id.

    The database may fail half way through; the same message then finds what was done, and does the rest.

    Raises:
        BadReport: what came is no report.
    """
    try:
        known = from_json(Report, report)
    except ValidationError as error:
        raise BadReport(str(error.errors()[0]["msg"])) from error
    taken = take_in(wiring(), replace(known, id=known.id or self.request.id))
    log.info(
        "failure taken in",
        failure_id=taken.failure.id,
        count=taken.failure.count,
        run_id=taken.run.id if taken.run else None,
        why=taken.why,
    )
    return taken.failure.id
