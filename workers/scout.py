"""The tasks of the scout."""

import time

import structlog

from atra.wiring import wiring
from workers.app import app
from workers.polling import poll
from workers.task import AtraTask

log = structlog.get_logger(__name__)

_ENOUGH_S = 240.0  # then no other host is begun; what is left is taken by the next tick's task


@app.task(base=AtraTask, name="scout.poll", soft_time_limit=500, time_limit=560, ignore_result=True)
def poll_feeds() -> int:
    """Poll the feeds that are due; return how many. Any number of workers may do so at one time."""
    wired = wiring()
    if not wired.scout.due():
        return 0
    begun = time.monotonic()
    count = poll(wired, over=lambda: time.monotonic() - begun > _ENOUGH_S)
    log.info("feeds polled", feeds=count)
    return count
