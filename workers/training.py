"""Training on the queue `gpu`: a process that learns, watched by the step that owns it; what comes out is a candidate.

The step holds the lease and beats; the process writes checkpoints into a folder of that claim. Where either dies, the
next claim goes on from the newest checkpoint that is whole, on any node that sees the same home of ATRA.
"""

import hashlib
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import structlog
from celery.signals import worker_ready, worker_shutting_down

from atra.core.errors import AtraError, BadInput, MissingPart, Transient
from atra.core.runs import Ending, Run, new_id
from atra.distillation.data_set import ROWS
from atra.distillation.data_set import is_whole as is_whole_data_set
from atra.local_brain import versions
from atra.local_brain.checkpoints import clear, newest
from atra.local_brain.curve import draw
from atra.local_brain.launching import Job, Launcher, carry_out, going_on, history
from atra.local_brain.training import Recipe, Result, after, told
from atra.storage.data_sets import DataSet
from atra.wiring import Wiring
from workers.app import app
from workers.brain import open_evaluation
from workers.pipelines import TRAINING, send, training
from workers.task import Work, step_task

log = structlog.get_logger(__name__)

CURVE = "loss.png"
_TURN_S = 3000.0  # of one message; what takes longer goes on in another, so that no limit of Celery's is in its way

_leaving = threading.Event()


class Interrupted(Transient):
    """The turn is over, or this node shuts down; the training goes on from step {0}."""


@dataclass(frozen=True)
class Order:
    """The input of a run: from which data set, by which recipe."""

    data_set: str
    recipe: Recipe


@dataclass(frozen=True)
class Trained:
    """What a training came to."""

    brain: str
    steps: int
    tokens: int
    left_out: int
    loss: float | None


@dataclass(frozen=True)
class Offered:
    """The run that compares what came out with what serves; empty where there is no evaluation set."""

    run_id: str


def open_training(wired: Wiring, data_set: str, recipe: Recipe) -> Run:
    """Open a run that trains from this data set; whoever works on the queue `gpu` carries it out.

    Raises:
        BadInput: there is no such data set, it was withdrawn or changed, or no base is named.
    """
    if not recipe.base:
        raise BadInput("name the model that training begins with: --base, or base in [training] of atra.toml")
    if recipe.base.startswith(("/", ".", "~")) and not (Path(recipe.base) / "config.json").is_file():
        raise BadInput(f"{recipe.base} holds no model to begin with: it has no config.json")
    found = usable(wired, data_set)
    return wired.runs.open(new_id("t"), training(), {"data_set": found.id, "recipe": dict(vars(recipe))})


def recipe_of(wired: Wiring, base: str = "") -> Recipe:
    """Return the recipe of the settings, with this base in place of theirs if one is named."""
    chosen = wired.settings.training.model_dump()
    named = {field.name: chosen[field.name] for field in fields(Recipe) if field.name in chosen}
    given = base or wired.settings.training.base
    local = Path(given).expanduser()
    return Recipe(**{**named, "base": str(local.resolve()) if given and local.is_dir() else given})


def usable(wired: Wiring, data_set: str) -> DataSet:
    """Return the data set that is meant, if it may be learned from.

    Raises:
        BadInput: see `open_training`.
    """
    found = wired.data_sets.find(data_set) if data_set else wired.data_sets.recent(1)
    if len(found) != 1:
        several = f"several data sets begin with {data_set}" if found else f"there is no data set {data_set}".rstrip()
        raise BadInput(f"{several}; `atra distill report` shows the newest, `atra distill build` makes one")
    one = found[0]
    if one.withdrawn_at is not None:
        raise BadInput(f"data set {one.id[:12]} was withdrawn ({one.withdrawn_why}): nothing may be learned from it")
    if not is_whole_data_set(Path(one.path)):
        raise BadInput(f"data set {one.id[:12]} is not at {one.path}, or its files were changed")
    return one


def train(work: Work) -> tuple[Trained, None]:
    """Train to the end, attempt by attempt, and take what comes out among the brains."""
    wired, order = work.wired, work.given(Order)
    data_set = usable(wired, order.data_set)
    run = _folder(work)
    out = run / f"{work.claim.fence:06d}"
    out.mkdir(parents=True, exist_ok=True)
    result, recipe = _attempts(work, order.recipe, Path(data_set.path) / ROWS, run, out)
    if result.outcome == "stopped":
        if work.over():
            raise AtraError(f"it was stopped at step {result.step}; its checkpoints are kept")
        raise Interrupted(result.step)
    if result.outcome == "device":
        raise MissingPart(result.why)
    if result.outcome == "data":
        raise BadInput(result.why)
    if result.outcome != "done":
        raise AtraError(f"{_FAILED[result.outcome]}: {result.why}")
    usable(wired, data_set.id)  # it may have been withdrawn meanwhile
    version = versions.admit(out / "model", lineage(wired, order, recipe), wired.brain_folder)
    wired.brains.add(version)
    losses = history(run)
    draw(losses, run / CURVE, f"brain {version.id[:12]}")
    last = losses[-1]["loss"] if losses else None
    return Trained(version.id, result.step, result.tokens, result.left_out, last if type(last) is float else None), None


def offer(work: Work) -> tuple[Offered, Ending]:
    """Have the candidate compared with what serves, where there is something to compare them on, and clear up."""
    trained = work.output_of("train", Trained)
    clear(_folder(work), None)
    for model in _folder(work).glob("*/model"):
        shutil.rmtree(model, ignore_errors=True)
    told_as = f"brain {trained.brain[:12]} is a candidate"
    if not work.wired.settings.brain.evaluation:
        return Offered(""), Ending("trained", f"{told_as}; [brain] names no evaluation sets to compare it on")
    try:
        _, run = open_evaluation(work.wired, trained.brain)
    except BadInput as error:
        return Offered(""), Ending("trained", f"{told_as}, not compared: {error}")
    send(app, work.wired.runs, run)
    return Offered(run.id), Ending("trained", f"{told_as}; run {run.id} compares it with what serves")


def lineage(wired: Wiring, order: Order, recipe: Recipe) -> versions.Lineage:
    """Return what a version was made of."""
    base = Path(recipe.base)
    weights = sorted(base.glob("*.safetensors")) if base.is_dir() else []
    revision = hashlib.sha256("".join(map(versions.digest, weights)).encode()).hexdigest() if weights else ""
    settings = dict(told(recipe, order.recipe))
    licence = wired.settings.training.licence
    return versions.Lineage(order.data_set, recipe.base, revision, licence, wired.brains.serving(), settings)


_FAILED = {
    "memory": "the memory is too small even for one row at a time",
    "diverged": "the loss diverged twice, the second time at half the rate",
    "crashed": "the trainer ended three times at the same place",
}


def _folder(work: Work) -> Path:
    return work.wired.brain_folder / "training" / work.run.id


def _attempts(work: Work, recipe: Recipe, rows: Path, run: Path, out: Path) -> tuple[Result, Recipe]:
    """Try until it is done or nothing helps; return how that ended, and by which recipe."""
    chosen = work.wired.settings.training
    recipe, tries = going_on(recipe, newest(run))
    launcher = Launcher(chosen.launcher, chosen.processes, chosen.launcher_options)
    saved, begun = -1, time.monotonic()

    def report(said: Mapping[str, Any]) -> None:
        nonlocal saved
        work.report(**{name: value for name, value in said.items() if name != "saved"})
        if int(said.get("saved", -1)) > saved:
            saved = int(said["saved"])
            work.got_further()

    def stop() -> bool:
        return work.over() or _leaving.is_set() or time.monotonic() - begun > _TURN_S

    while True:
        found = newest(run)
        clear(run, found)
        begin = (str(found.path), found.tokens) if found else ("", 0)
        job = Job(recipe, str(rows), str(out), *begin, cpu=work.wired.settings.allow_cpu_training)
        result = carry_out(job, out, launcher, stop=stop, report=report, grace_s=chosen.grace_s)
        log.info("training attempt ended", outcome=result.outcome, step=result.step, why=result.why)
        again = after(recipe, result, tries)
        if again is None:
            return result, recipe
        recipe, tries = again.recipe, again.tries
        if again.anew:
            clear(run, None)


@worker_ready.connect
def _stay(**_: object) -> None:
    _leaving.clear()


@worker_shutting_down.connect
def _leave(**_: object) -> None:
    """A worker that is asked to end has its trainer write a checkpoint first."""
    _leaving.set()


TASKS = {
    "train": step_task(app, TRAINING, "train", train),
    "offer": step_task(app, TRAINING, "offer", offer),
}
