"""A worker killed while a fix that failed is marked and undone: it is undone all the same, and once."""

import time
from pathlib import Path

import pytest

from atra.core.settings import Settings
from tests.faults.test_kill_every_step import MOMENTS, Workers
from tests.services.test_after_commit import Shop
from tests.targets import git
from workers.app import app


@pytest.mark.parametrize("step", ["mark", "undo"])
def test_a_worker_killed_at_every_moment_undoes_once(
    step: str, settings: Settings, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Between marking and undoing too; the failure is regressed, and one commit takes the fix back."""
    monkeypatch.setattr(app.conf, "broker_url", redis_url)
    quick = settings.model_copy(update={"lease_s": 1.5, "sweep_s": 0.5, "patience_s": 1.0})
    shop = Shop(quick, tmp_path / "shop")
    marks = tmp_path / "marks"
    marks.mkdir()
    kills = {"KILL_STEP": step, "KILL_MOMENTS": ",".join(MOMENTS), "KILL_MARKS": str(marks)}

    with Workers(shop.settings, tmp_path / "worker.log", **kills):
        run = shop.record(revision=shop.fix).run
        assert run
        until = time.monotonic() + 400
        while run.state == "open" and time.monotonic() < until:
            time.sleep(0.1)
            run = shop.wired.runs.get(run.id)

    assert run.outcome == "reverted", (tmp_path / "worker.log").read_text()[-5000:]
    assert {mark.name for mark in marks.iterdir()} >= {f"{step}-claimed", f"{step}-unsettled"}
    assert shop.failure.state == "regressed"
    assert git(shop.root, "rev-list", "--count", f"{shop.base}..{shop.branch}") == "2"
    assert git(shop.root, "diff", shop.base, shop.branch) == ""
