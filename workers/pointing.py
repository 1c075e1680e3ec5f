"""The brain's leads for repairs: asked for where that was measured to help, and measured on proved repairs."""

import ast
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

import structlog

from atra.core.edits import apply
from atra.core.errors import AtraError, BudgetSpent
from atra.core.records import from_json
from atra.core.texts import decode
from atra.distillation.own_work import Failing, question_of
from atra.llm.records import Message, Request
from atra.local_brain.leading import Measured, Replayed, measure
from atra.meta_architect.leads import Lead, follow
from atra.meta_architect.pointing import code_around, point
from atra.meta_architect.records import Candidate, Diagnosis, Reproduction, Target, Verification
from atra.meta_architect.source import UNREADABLE
from atra.meta_architect.stream import candidates
from atra.repository import Repository
from atra.storage.brains import Brain
from atra.wiring import Wiring
from workers.task import Work

log = structlog.get_logger(__name__)

MOST = 3000
"""Candidates that are looked at for one repair; what comes later counts as one more."""

_DAYS = 90


def leads_for(work: Work, reproduction: Reproduction, found: Diagnosis, sources: Mapping[str, str]) -> tuple[Lead, ...]:
    """Return where the brain that serves would look first.

    None unless the settings ask for that and it was measured to help; none either where it cannot be asked, for a
    repair goes on without.
    """
    wired = work.wired
    if not wired.settings.brain.leads or not (serving := wired.brains.serving()):
        return ()
    brain = wired.brains.get(serving)
    if brain.withdrawn or brain.leads is None or not brain.leads.helps:
        return ()
    try:
        return _pointed(wired, brain, work.run.id, reproduction, found, sources, work.over)
    except (AtraError, BudgetSpent) as error:
        log.info("no leads of the brain", why=str(error))
        return ()


def measure_leads(wired: Wiring, brain: Brain, report: Callable[[int], None]) -> Measured:
    """Replay the proved repairs of ninety days that the brain has not learned from, with its leads and without.

    Args:
        report: told how many were replayed.
    """
    replayed: list[Replayed] = []
    for run_id in wired.brains.unlearned_repairs(brain.id, _DAYS):
        one = _replayed(wired, brain, run_id)
        if one is not None:
            replayed.append(one)
            report(len(replayed))
    found = measure(replayed, tries=max((one.leads.looks for one in wired.brains.all() if one.leads), default=0))
    wired.brains.keep_leads(brain.id, found)
    return found


def _replayed(wired: Wiring, brain: Brain, run_id: str) -> Replayed | None:
    """Return what leads do to one repair; None where its search, its tree or its repository do not tell."""
    proofs = [from_json(Verification, one) for one in wired.runs.outputs(run_id, "verify") if "excused" not in one]
    seen, places = (wired.runs.outputs(run_id, name) for name in ("reproduce", "diagnose"))
    winner = next((one.winner for one in proofs if one.winner), None)
    if winner is None or winner.candidate.generator != "templates" or not seen or not places:
        return None
    reproduction, found = from_json(Reproduction, seen[0]), from_json(Diagnosis, places[0])
    target = from_json(Target, wired.runs.get(run_id).input)
    try:
        sources = _sources(Repository.open(target.path), target.revision, found)
        leads = _pointed(wired, brain, None, reproduction, found, sources, bool)
    except (AtraError, ValueError) as error:
        log.info("a repair is not replayed", run_id=run_id, why=str(error)[:300])
        return None
    without, led = (_came(winner.candidate, sources, one) for one in (found, follow(found, leads)))
    return Replayed(run_id, without, led) if without <= MOST else None


def _pointed(
    wired: Wiring,
    brain: Brain,
    run_id: str | None,
    reproduction: Reproduction,
    found: Diagnosis,
    sources: Mapping[str, str],
    stop: Callable[[], bool],
) -> tuple[Lead, ...]:
    chosen = wired.settings.brain
    failing = [Failing(one.id, one.error_type, one.message) for one in reproduction.failing]
    asked = Message("user", question_of(failing, code_around(found, sources)))
    request = Request((asked,), max_output_tokens=chosen.max_output_tokens, timeout_s=chosen.timeout_s)
    model = wired.brain_model(Path(brain.path), run_id=run_id, purpose="point", stop=stop)
    return point(model, request, sources)


def _sources(repository: Repository, revision: str, found: Diagnosis) -> dict[str, str]:
    return {path: decode(repository.read(revision, path)) for path in {place.path for place in found.places}}


def _came(proved: Candidate, sources: Mapping[str, str], found: Diagnosis) -> int:
    """Return which candidate of the stream makes the same of its file as the proved one, from 1."""
    wanted = _result(proved, sources)
    for number, candidate in enumerate(islice(candidates(sources, found), MOST), 1):
        if candidate.path == proved.path and _result(candidate, sources) == wanted:
            return number
    return MOST + 1


def _result(candidate: Candidate, sources: Mapping[str, str]) -> str:
    edits = [edit for edit in candidate.patch if edit.path == candidate.path]
    try:
        return ast.dump(ast.parse(apply(sources[candidate.path], edits)))
    except (*UNREADABLE, KeyError):
        return ""
