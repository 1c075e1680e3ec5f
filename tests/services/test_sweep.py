"""The sweeper removes what killed workers left, however long the others live."""

import os
import time

from atra.core.settings import Settings
from atra.wiring import use
from workers.maintenance import sweep


def test_a_sweep_removes_what_a_killed_worker_left(settings: Settings):
    """No worker has to start for it: a child that was killed is replaced by its parent."""
    left = use(settings).scratch / "rabc-left"
    left.mkdir(parents=True)
    os.utime(left, (time.time() - 120,) * 2)

    sweep()

    assert not left.exists()
