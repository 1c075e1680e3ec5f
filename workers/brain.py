"""The brain: a candidate is compared with what serves, what serves is watched, and the link on the disk follows.

`compare` asks both every item, shard by shard; `judge` lets the gate decide. Every answer is kept at once, so that an
evaluation that was broken off goes on where it was, in another run too.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from celery import Celery
from celery.signals import worker_ready

from atra.core.errors import AtraError, BadInput, MissingPart
from atra.core.runs import Ending, Run, new_id
from atra.distillation.data_set import ROWS
from atra.distillation.data_set import is_whole as is_whole_data_set
from atra.distillation.duplicates import Evaluation as HeldOut
from atra.distillation.duplicates import words_of
from atra.llm.chat import ChatModel
from atra.local_brain import versions
from atra.local_brain.confidence import calibrate
from atra.local_brain.evaluation import EvaluationSet, Item, Said, answer_to, sets_of, unanswered
from atra.local_brain.gate import Answered, Rules
from atra.local_brain.gate import judge as decide
from atra.local_brain.health import Bounds, breach
from atra.local_brain.serving import is_there
from atra.storage.brains import Brain, Evaluation, Side
from atra.wiring import Wiring, wiring
from workers.app import app
from workers.pipelines import BRAIN, brain
from workers.task import AtraTask, Work, step_task

log = structlog.get_logger(__name__)

SOURCE = "brain:"
"""How the source of a kept answer begins that a brain gave; its id follows."""

PASSED = "better"
"""The outcome of an evaluation that the gate passed."""

_TURN_S, _MOST = 3000.0, 100
"""The seconds that one step's answers may take together, which is within a step's time limit, and its items at most."""


@dataclass(frozen=True)
class Compared:
    """The input of a run: which evaluation it carries out."""

    evaluation: str


@dataclass(frozen=True)
class Asked:
    """How many answers a step has got, those that were kept before left out."""

    new: int
    items: int


def open_evaluation(wired: Wiring, brain_id: str) -> tuple[Evaluation, Run]:
    """Open the evaluation of a brain against what serves now, on the sets of the settings, and a run for it.

    Raises:
        BadInput: the sets cannot be read, it serves already, or there is nothing to compare it with.
    """
    chosen = wired.settings.brain
    candidate, sets = wired.brains.get(brain_id), sets_of(chosen.evaluation)
    versions.version(wired.brain_folder, candidate.id)
    evaluation = wired.brains.open_evaluation(candidate.id, opponent(wired, candidate), sets)
    of_a_step = min(_MOST, max(1, int(_TURN_S / (2 * chosen.timeout_s))))
    shards = -(-sum(len(one.items) for one in sets) // of_a_step)
    return evaluation, wired.runs.open(new_id("b"), brain(shards), {"evaluation": evaluation.id})


def opponent(wired: Wiring, candidate: Brain) -> str:
    """Return what a candidate must be better than: the brain that serves; where none does, its base, or nothing.

    Returns:
        The id of a brain, the folder of a base model, or nothing where the settings say so.

    Raises:
        BadInput: it serves itself, or its base is no folder.
    """
    serving = wired.brains.serving()
    if serving == candidate.id:
        raise BadInput(f"brain {candidate.id[:12]} serves already")
    if serving or wired.settings.brain.first == "nothing":
        return serving
    base = candidate.lineage.base
    if not (Path(base) / "config.json").is_file():
        told = f"no brain serves, and the base of {candidate.id[:12]} is no folder with a model: {base}"
        raise BadInput(f'{told}; [brain] first = "nothing" compares with nothing')
    return base


def compare(work: Work) -> tuple[Asked, None]:
    """Ask the candidate and what serves the items of one shard, in turns, so that both bear the same load."""
    wired, chosen = work.wired, work.wired.settings.brain
    evaluation = wired.brains.evaluation(work.given(Compared).evaluation)
    if evaluation.verdict is not None:
        return Asked(0, 0), None
    sets = _pinned(wired, evaluation)
    shards = sum(step.name == "compare" for step in wired.runs.steps(work.run.id))
    mine = [(one.name, item) for one in sets for item in one.items][work.claim.shard :: shards]
    kept = {
        (side, name, said.item)
        for (side, name), answers in wired.brains.answers(evaluation.id).items()
        for said in answers
    }
    limits: dict[str, Any] = {"max_output_tokens": chosen.max_output_tokens, "timeout_s": chosen.timeout_s}
    models, new = _models(wired, evaluation), 0
    for side, model in models:
        if waiting := [item for name, item in mine if (side, name, item.id) not in kept]:
            answer_to(model, waiting[0], **{**limits, "max_output_tokens": 1})  # whoever is first loads the weights
    for number, (name, item) in enumerate(mine, start=1):
        for side, model in models:
            if (side, name, item.id) in kept:
                continue
            if work.over():
                raise AtraError("it was stopped")
            wired.brains.keep_answer(evaluation.id, side, name, answer_to(model, item, **limits))
            new += 1
        work.report(items=number, of=len(mine))
    return Asked(new, len(mine)), None


def judge(work: Work) -> tuple[None, Ending]:
    """Let the gate decide, keep what it said, and how often the candidate is right when it is so sure."""
    wired = work.wired
    evaluation = wired.brains.evaluation(work.given(Compared).evaluation)
    if evaluation.verdict is None:
        sets, said = _pinned(wired, evaluation), wired.brains.answers(evaluation.id)
        pairs = {one.name: _pair(one, said, evaluation) for one in sets}
        items = [item for one in sets for item in one.items]
        copied = contaminated(wired, evaluation.brain_id, items)
        verdict = decide(pairs.pop("target"), pairs, Rules(), tries=evaluation.tries, contaminated=copied)
        sureness = [
            (one.confidence, one.right)
            for (side, _), answers in said.items()
            for one in answers
            if side == "candidate" and one.confidence is not None
        ]
        wired.brains.settle(evaluation.id, verdict, copied, calibrate(sureness, (one.question for one in items)))
        evaluation = wired.brains.evaluation(evaluation.id)
    assert evaluation.verdict is not None
    if evaluation.verdict.promote:
        return None, Ending(PASSED, f"brain {evaluation.brain_id[:12]} may serve: `atra brain promote`")
    failed = [f"{check.name}: {check.said}" for check in evaluation.verdict.checks if not check.passed]
    return None, Ending("not_better", "; ".join(failed))


def contaminated(wired: Wiring, brain_id: str, items: Sequence[Item]) -> int:
    """Return how many items stand in what the brain, or one that it was trained from, learned from.

    Raises:
        MissingPart: a data set is not here: what cannot be looked at is not taken for clean.
    """
    hits = [
        words
        for one in wired.brains.ancestry(brain_id)
        for words in _rows_like(wired, one.lineage.data_set, HeldOut(item.question for item in items))
    ]
    return sum(any(HeldOut([item.question]).holds(*words) for words in hits) for item in items) if hits else 0


def promote(wired: Wiring, brain_id: str, *, override: str = "") -> str:
    """Let a brain serve, if the gate passed it against what serves now; return why not, or nothing where it does.

    Args:
        override: a reason to do so all the same; it is kept.

    Raises:
        BadInput: there is none of this id, its files were changed, or what it learned from was withdrawn.
    """
    found, serving = wired.brains.get(brain_id), wired.brains.serving()
    versions.version(wired.brain_folder, found.id)
    if found.id == serving:
        return "it serves already"
    if not override and found.state == "refused" and found.served_at is not None:
        return f"it was taken out of service ({found.why}); --override gives it another try"
    passed = _passed(wired, found, serving)
    if not override and passed is None:
        return "the gate has not passed it against what serves now: `atra brain evaluate`"
    why = override or (f"it passed evaluation {passed.id[:12]}" if passed else "")
    if not wired.brains.promote(found.id, replacing=serving, why=why, override=bool(override)):
        return "another brain was promoted meanwhile: evaluate against that one"
    follow(wired)
    return ""


def roll_back(wired: Wiring, why: str, brain_id: str = "") -> tuple[str, str] | None:
    """Take the brain that serves out of service, and what it said out of the cache.

    The last one before it that may be used serves again; one whose files are not whole here is passed over.

    Args:
        brain_id: which one is meant; the one that serves unless said.

    Returns:
        The ids of the one that went and of the one that serves now, which may be empty; None where none serves.
    """
    gone = brain_id or wired.brains.serving()
    lost = set[str]()
    for before in wired.brains.retired():
        if versions.is_whole(Path(before.path)):
            break
        lost.add(before.id)
    now = wired.brains.roll_back(gone, why, lost=lost)
    if now is None:
        return None
    follow(wired)
    log.warning("brain rolled back", brain=gone[:12], now=now[:12], why=why)
    return gone, now


def follow(wired: Wiring) -> bool:
    """Let the link on the disk name the brain that serves, and the cache hold no answer of one that was taken out.

    A process may die between the database and these two; whoever comes next does this. Where the brain's files are not
    whole on this machine, the link names none: another machine may have them.

    Returns:
        Whether the link named another one before.
    """
    root, serving = wired.brain_folder, wired.brains.serving()
    gone = [f"{SOURCE}{one.id}" for one in wired.brains.all() if one.state == "refused" and one.served_at is not None]
    wired.cache_store.invalidate("the brain was taken out of service", (), None, (), gone)
    if versions.serving(root) == serving:
        return False
    try:
        if serving:
            versions.serve(root, serving)
            return True
    except BadInput:
        log.error("the brain that serves is not whole here", brain=serving[:12], folder=str(root))
    linked = versions.serving(root)
    versions.serve_none(root)
    return bool(linked)


def look_after(wired: Wiring) -> str:
    """Take a brain out of service that may not or should not serve, and mend the link; return what was done."""
    chosen = wired.settings.brain
    wired.brains.forget()
    if serving := wired.brains.serving():
        bounds = Bounds(chosen.window, min(Bounds.least, chosen.window), chosen.ill)
        why = wired.brains.get(serving).withdrawn
        if not why and (ill := breach(wired.brains.uses(serving, chosen.window), bounds)):
            if not is_there(wired.brain_server):  # the one before it would fare no better
                return f"the server of the brain does not answer; {ill}"
            why = ill
        if why and roll_back(wired, why, serving):
            return f"brain {serving[:12]} was taken out of service: {why}"
    mended = follow(wired)
    if versions.serving(wired.brain_folder) != wired.brains.serving():
        return f"brain {wired.brains.serving()[:12]} is not whole here: `atra brain rollback`, or bring its files back"
    return "the link was mended" if mended else ""


@app.task(base=AtraTask, name="brain.watch", soft_time_limit=100, time_limit=120, ignore_result=True)
def watch() -> str:
    """See that the brain in service is well and may serve, and that the link names it."""
    return look_after(wiring())


@worker_ready.connect
def _look_at_the_link(sender: Celery, **_: object) -> None:
    """A worker that starts may be the one that died between the database and the link."""
    sender.app.send_task("brain.watch", expires=60)


def _pinned(wired: Wiring, evaluation: Evaluation) -> list[EvaluationSet]:
    """Return the sets of an evaluation.

    Raises:
        BadInput: they were changed since it was opened.
    """
    sets = sets_of(wired.settings.brain.evaluation)
    if {one["hash"] for one in evaluation.sets} != {one.hash for one in sets}:
        raise BadInput("the evaluation sets were changed since this was begun; `atra brain evaluate` begins anew")
    return sets


def _models(wired: Wiring, evaluation: Evaluation) -> list[tuple[Side, ChatModel]]:
    known = {one.id: one.path for one in wired.brains.all()}
    sides: list[tuple[Side, str]] = [("candidate", evaluation.brain_id), ("present", evaluation.against)]
    return [(side, wired.brain_of(Path(known.get(id, id)))) for side, id in sides if id]


def _pair(
    one: EvaluationSet, said: Mapping[tuple[Side, str], Sequence[Said]], evaluation: Evaluation
) -> tuple[list[Answered], list[Answered]]:
    candidate = [answer.answered() for answer in said.get(("candidate", one.name), [])]
    if not evaluation.against:
        return candidate, [unanswered(item) for item in one.items]
    return candidate, [answer.answered() for answer in said.get(("present", one.name), [])]


def _rows_like(wired: Wiring, id: str, held_out: HeldOut) -> Iterator[tuple[list[str], list[str]]]:
    """Yield (words of the question, words of the rest) of the rows of a data set that hold some of the items.

    Raises:
        MissingPart: see `contaminated`.
    """
    found = wired.data_sets.find(id) if id else []
    if len(found) != 1 or not is_whole_data_set(Path(found[0].path)):
        raise MissingPart(f"the data set {id[:12] or 'without a name'}, to look for evaluation items in it")
    with (Path(found[0].path) / ROWS).open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            row = json.loads(line)
            question = words_of(" ".join(turn["content"] for turn in row["prompt"]))
            rest = words_of(" ".join(f"{turn['reasoning_content']} {turn['content']}" for turn in row["completion"]))
            if held_out.holds(question, rest):
                yield question, rest


def _passed(wired: Wiring, found: Brain, serving: str) -> Evaluation | None:
    """Return the newest evaluation against the one that serves, if it lets this brain take that one's place."""
    against = serving or ("" if wired.settings.brain.first == "nothing" else found.lineage.base)
    judged = ((one, one.verdict) for one in wired.brains.evaluations(found.id) if one.against == against)
    newest, verdict = next(((one, verdict) for one, verdict in judged if verdict is not None), (None, None))
    return newest if verdict is not None and verdict.promote else None


TASKS = {
    "compare": step_task(app, BRAIN, "compare", compare),
    "judge": step_task(app, BRAIN, "judge", judge, soft_time_limit=600, time_limit=660),
}
