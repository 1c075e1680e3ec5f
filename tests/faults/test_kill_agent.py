"""A worker that is killed by SIGKILL in the middle of an agent's work: the next one goes on with the next turn."""

import time
from pathlib import Path
from typing import Any

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

FIX = {"path": "shop/pricing.py", "search": "    if pieces > 10:", "replace": "    if pieces >= 10:"}
TURNS = [
    Turn(calls=[("read", {"path": "shop/pricing.py"})]),
    Turn(calls=[("edit", FIX)]),
    Turn(calls=[("run_tests", {})]),
]
MOMENTS = ("unwritten-4", "unwritten-5", "unsettled")  # the third reply is not kept yet; its result; all is


def test_no_turn_that_was_kept_is_paid_for_again(settings: Settings, tmp_path: Path):
    """Killed while a reply is on its way, while the tests run, and when all is done: only the first is asked again."""
    repository, taken = small_shop(tmp_path / "shop"), []

    def play(body: dict[str, Any]) -> Turn:
        if "tools" not in body:
            return Turn("I cannot tell.")
        taken.append(sum(message["role"] == "assistant" for message in body["messages"]))
        return TURNS[taken[-1]]

    marks = tmp_path / "marks"
    marks.mkdir()
    kills = {"KILL_STEP": "agent", "KILL_MOMENTS": ",".join(MOMENTS), "KILL_MARKS": str(marks)}
    with WireServer(play) as server:
        model = ModelSettings(
            provider="openai-compatible", model="m", base_url=server.url, api_key=SecretStr("a key of this model"),
            input_usd=1.0, output_usd=1.0,
        )  # fmt: skip
        quick = {"lease_s": 1.5, "sweep_s": 0.5, "patience_s": 1.0}
        settings = settings.model_copy(update={**quick, "samples": 1, "models": {"cheap": model}})
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
    assert {mark.name for mark in marks.iterdir()} == {f"agent-{moment}" for moment in MOMENTS}
    assert taken == [0, 1, 2, 2]  # the third reply died with its worker
    assert [kept.event["kind"] for kept in wired.events.of(run.id, "agent")] == ["reply", "result"] * 3
    assert git(repository, "rev-list", "--count", f"HEAD..atra/repair-{run.id}") == "1"
