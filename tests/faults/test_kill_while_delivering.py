"""A worker killed while it delivers a commit: it is pushed, and proposed once."""

import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from atra.core.settings import RepositorySettings, Settings
from tests.faults.test_kill_every_step import MOMENTS, Workers
from tests.forges import TOKEN, LoopbackForge
from tests.services.test_delivery import Shop
from tests.targets import git
from workers.app import app


def test_a_worker_killed_at_every_moment_delivers_once(
    settings: Settings, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Before it pushes, after it has opened the pull request and not said so, and after it has."""
    monkeypatch.setattr(app.conf, "broker_url", redis_url)
    quick = settings.model_copy(update={"lease_s": 1.5, "sweep_s": 0.5, "patience_s": 1.0})
    shop = Shop(quick, tmp_path)
    marks = tmp_path / "marks"
    marks.mkdir()
    kills = {"KILL_STEP": "deliver", "KILL_MOMENTS": ",".join(MOMENTS), "KILL_MARKS": str(marks)}

    with LoopbackForge() as forge:
        entry = RepositorySettings(path=shop.root, policy="push", pull_request=True, forge_url=forge.url)
        known = {"repositories": {"shop": entry}, "forge_token": SecretStr(TOKEN)}
        with Workers(quick.model_copy(update=known), tmp_path / "worker.log", **kills):
            run = shop.started(policy="push", pull_request=True, forge_url=forge.url)
            until = time.monotonic() + 400
            while run.state == "open" and time.monotonic() < until:
                time.sleep(0.1)
                run = shop.wired.runs.get(run.id)

    log = (tmp_path / "worker.log").read_text()
    assert run.outcome == "delivered", log[-5000:]
    assert {mark.name for mark in marks.iterdir()} >= {"deliver-claimed", "deliver-unsettled"}
    assert len(forge.pulls) == 1
    assert git(shop.remote, "rev-parse", shop.branch) == shop.commit
    assert TOKEN not in log
