"""Tasks that keep the rest going: the sweeper, what killed workers left, and beat's sign of life."""

import structlog

from atra.wiring import wiring
from workers import scratch
from workers.app import app
from workers.owners import is_dead
from workers.pipelines import send
from workers.task import AtraTask

log = structlog.get_logger(__name__)

_SHORT = {"soft_time_limit": 100, "time_limit": 120, "ignore_result": True}


@app.task(base=AtraTask, name="maintenance.sweep", **_SHORT)
def sweep() -> int:
    """Send every run again of which nothing was heard for too long, remove what the dead left; return how many runs.

    Runs whose deadline has passed go on without what is missing. Steps of processes that died on this machine are free
    at once; those of other machines when their leases end.
    """
    runs = wiring().runs
    runs.excuse_overdue()
    runs.forfeit(is_dead)
    due = runs.take_due()
    for run in due:
        if send(app, runs, run):
            log.warning("run sent again", run_id=run.id, dispatches=run.dispatches)
    if removed := scratch.clear(wiring().scratch):
        log.info("folders of killed workers removed", folders=removed)
    return len(due)


@app.task(base=AtraTask, name="maintenance.tick", **_SHORT)
def tick() -> None:
    """Write down that beat fires and that a worker hears it."""
    wiring().signals.beat_seen()


@app.task(base=AtraTask, name="maintenance.send", **_SHORT)
def send_run(run_id: str) -> None:
    """Send a run's canvas; whoever opens a run asks a worker to do so, since only workers know the flows."""
    runs = wiring().runs
    send(app, runs, runs.get(run_id))
