"""A worker with ATRA's guard whose one task holds a message for a while, late-acknowledged.

Celery's defaults otherwise: they show the fault that the guard mends, which ATRA's own connection settings make rarer.
"""

import os
import time
from pathlib import Path

from celery import Celery

from workers import broker_guard

broker_guard.install()

app = Celery("outage", broker=os.environ["OUTAGE_REDIS"], backend=os.environ["OUTAGE_REDIS"])
app.conf.update(task_acks_late=True, broker_connection_retry_on_startup=True)


@app.task(name="outage.hold")
def hold(seconds: float, started: str, ended: str) -> None:
    Path(started).touch()
    time.sleep(seconds)
    Path(ended).touch()
