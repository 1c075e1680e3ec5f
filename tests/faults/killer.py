"""The real worker application, which kills its whole worker by SIGKILL at one moment of one step, once.

`KILL_STEP` names the step, `KILL_MOMENTS` the moments, each of which kills once; a file in `KILL_MARKS` remembers that
it did. The moments are `claimed`, `unsettled`, `settled`, and, of a step with a journal, `unwritten-N` and `written-N`,
just before and after its event N.
"""

import os
import signal
from pathlib import Path

from atra.storage.events import EventStore
from atra.storage.runs import RunStore
from workers.app import app

__all__ = ["app"]

STEP = os.environ["KILL_STEP"]
MOMENTS = os.environ["KILL_MOMENTS"].split(",")
MARKS = Path(os.environ["KILL_MARKS"])

_claim, _settle, _append = RunStore.claim, RunStore.settle, EventStore.append


def _die(name: str, moment: str) -> None:
    if name != STEP or moment not in MOMENTS:
        return
    try:
        (MARKS / f"{name}-{moment}").touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def claim(self, run_id, name, shard, **options):
    taken = _claim(self, run_id, name, shard, **options)
    if hasattr(taken, "fence"):
        _die(name, "claimed")
    return taken


def settle(self, held, output, ending=None):
    _die(held.name, "unsettled")
    _settle(self, held, output, ending)
    _die(held.name, "settled")


def append(self, held, event):
    _die(held.name, f"unwritten-{len(self.of(held.run.id, held.name, held.shard))}")
    position = _append(self, held, event)
    _die(held.name, f"written-{position}")
    return position


RunStore.claim = claim
RunStore.settle = settle
EventStore.append = append
