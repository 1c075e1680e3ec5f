"""A worker that is killed by SIGKILL while a model is asked: what is settled is not paid for again."""

import time
from pathlib import Path

from pydantic import SecretStr

from atra.core.records import to_json
from atra.core.runs import new_id
from atra.core.settings import ModelSettings, Settings
from atra.repository import Repository
from atra.wiring import Wiring
from tests.faults.test_kill_every_step import Workers
from tests.targets import git, small_shop
from tests.wires import Turn, WireServer
from workers.app import make_app
from workers.pipelines import repair_plan
from workers.targets import make_target

ANSWER = "FILE: shop/pricing.py\n<<<<<<< SEARCH\n    if pieces > 10:\n=======\n    if pieces >= 10:\n>>>>>>> REPLACE\n"


def test_a_sample_that_is_settled_is_not_paid_for_again(settings: Settings, tmp_path: Path):
    """Killed on claiming, before settling and after: asked once more for what was lost, never for what was kept."""
    repository = small_shop(tmp_path / "shop")
    marks = tmp_path / "marks"
    marks.mkdir()
    kills = {"KILL_STEP": "ask", "KILL_MOMENTS": "claimed,unsettled,settled", "KILL_MARKS": str(marks)}
    with WireServer(lambda body: Turn(ANSWER)) as server:
        model = ModelSettings(
            provider="openai-compatible", model="m", base_url=server.url, api_key=SecretStr("a key of this model"),
            input_usd=1.0, output_usd=1.0,
        )  # fmt: skip
        settings = settings.model_copy(
            update={
                "lease_s": 1.5, "sweep_s": 0.5, "patience_s": 1.0, "samples": 1, "models": {"cheap": model},
            }
        )  # fmt: skip
        wired, app = Wiring(settings), make_app(settings)
        target = make_target(Repository.open(repository), settings, generator="model", budget_s=120)

        with Workers(settings, tmp_path / "worker.log", **kills):
            run = wired.runs.open(new_id("r"), repair_plan(settings, "model", 1), to_json(target))
            app.send_task("maintenance.send", (run.id,), ignore_result=True)
            until = time.monotonic() + 400
            while run.state == "open" and time.monotonic() < until:
                time.sleep(0.1)
                run = wired.runs.get(run.id)

    assert (run.state, run.outcome) == ("ended", "fixed"), (tmp_path / "worker.log").read_text()[-5000:]
    assert {mark.name for mark in marks.iterdir()} == {"ask-claimed", "ask-unsettled", "ask-settled"}
    assert len(server.requests) == 2  # the one whose answer died with its worker, and the one that was settled
    assert git(repository, "rev-list", "--count", f"HEAD..atra/repair-{run.id}") == "1"
