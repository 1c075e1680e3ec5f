"""Runs carried out in this process: every step by the tasks' own functions, on the real database, without a worker."""

from atra.core.records import to_json
from atra.core.runs import Run, Step, new_id
from atra.meta_architect.records import Target
from atra.wiring import Wiring
from workers.pipelines import repair_plan
from workers.self_repair import STEPS
from workers.task import run_step


def carry_out(wired: Wiring, target: Target, failure_id: str | None = None) -> tuple[Run, list[Step]]:
    """Open a repair and do its steps one after the other to its end; return the run and its steps as they ended."""
    run = wired.runs.open(new_id("r"), repair_plan(wired.settings, target.generator, 1), to_json(target), failure_id)
    for step in wired.runs.steps(run.id):
        if run.state == "open":
            run_step(step.name, run.id, step.shard, STEPS[step.name])
            run = wired.runs.get(run.id)
    return run, wired.runs.steps(run.id)
