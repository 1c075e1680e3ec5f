"""The repair chain's tasks: each loads what the steps before it put out, does its step, and puts out a record."""

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path

import structlog

from atra.core.errors import AtraError, BoxFailed, KeyRefused, ModelRejected, ModelUnavailable, NoPrice, NoTests
from atra.core.records import from_json
from atra.core.redaction import Redactor
from atra.core.runs import Ending
from atra.core.texts import decode
from atra.llm.chat import ChatModel
from atra.meta_architect.agent_repair import TEMPLATE as AGENT
from atra.meta_architect.agent_repair import proposals_of, tests_said
from atra.meta_architect.asking import what_was_asked
from atra.meta_architect.context import tell
from atra.meta_architect.leads import Lead, follow, recent
from atra.meta_architect.localisation import diagnose as locate
from atra.meta_architect.message import message
from atra.meta_architect.one_shot import TEMPLATE as ONE_SHOT
from atra.meta_architect.one_shot import Question, Sample, sample
from atra.meta_architect.ranking import choose as rank
from atra.meta_architect.ranking import confidence
from atra.meta_architect.records import (
    Area,
    Candidate,
    Choice,
    Commit,
    Diagnosis,
    Plausible,
    Proposal,
    Proposals,
    Reproduction,
    Search,
    Target,
    Verification,
)
from atra.meta_architect.reproduction import Green
from atra.meta_architect.reproduction import reproduce as run_suite
from atra.meta_architect.screening import Bench, NearMiss, candidate_of
from atra.meta_architect.search import search
from atra.meta_architect.second_edits import second_edits
from atra.meta_architect.seeding import Seeded, search_from
from atra.meta_architect.stream import candidates
from atra.meta_architect.verification import verify as prove
from atra.repository import Repository
from atra.self_repair.triage import drifted
from atra.war_room.hints import Hints
from workers.app import app
from workers.cases import recently_written
from workers.delivery import start_delivery
from workers.desks import asked_again, at_desk, models_of, reply_tokens
from workers.journals import nonce_of
from workers.orchestrator import escalating
from workers.pointing import leads_for
from workers.recorded import from_recording, may_be_recorded
from workers.rooms import hints_for, learn
from workers.targets import entry_of
from workers.task import StepFunction, Work, step_task
from workers.watch import refusal_of
from workers.workspace import (
    Workspace,
    contents,
    left_s,
    own_modules,
    proof_deadline_s,
    python_files,
    target_of,
    workspace,
)

log = structlog.get_logger(__name__)

_SEARCH_SHARE = 0.6
"""The share of a repair's budget that the search may use; the rest is for the suite, before and after."""

_SEARCH_SHARE_WITH_MODELS = 0.35
"""The same where models are asked after the search."""

_LEAST_SHARE = 0.1
"""The least share of the budget that hints may leave the search."""

_LIKELY = 3.0
"""How much likelier templates are that a war-room advises."""

_SEEDED_SHARE = 0.15
"""The share of a repair's budget that a search from one near miss may use."""

_PROMPT_TOKENS = 1000
"""About what a model is told besides the context."""

_LONGEST_WHY, _LONGEST_DIFF = 500, 20_000

_WEAK = 0.3
"""How sure a repair can be at most whose only failing test asks that a call raises nothing."""


def reproduce(work: Work) -> tuple[Reproduction | Green, Ending | None]:
    """Run the suite on the base revision; where none of it fails, make a test of the reported failure's own call."""
    with workspace(work) as here:
        try:
            found = run_suite(here.target, here.runner, str(here.tree), own_modules(here.tree), stop=work.over)
        except NoTests as error:
            if not may_be_recorded(work, here):
                raise
            found = Green(str(error), (), {})
        if isinstance(found, Green) and work.run.failure_id:
            found = from_recording(work, here, found)
    if isinstance(found, Green):
        return found, Ending("nothing_to_repair", found.reason)
    return _masked(_compared(work, _hinted(found)), work.wired.redactor), None


def diagnose(work: Work) -> tuple[Diagnosis, None]:
    """Rank the places that may be wrong."""
    reproduction = work.output_of("reproduce", Reproduction)
    with workspace(work) as here:
        sources = here.sources(python_files(here))
        found = locate(reproduction, sources, protected=here.protected)
        ages = recently_written(here, [place.path for place in found.places])
    leads = [Lead(place.path, place.first, place.last, place.score, "the war-room") for place in hints_for(work).places]
    leads += recent(sources, ages)
    return follow(found, [*leads, *leads_for(work, reproduction, found, sources)]), None


def propose(work: Work) -> tuple[Area, Ending | None]:
    """Say which files the search may change, in which order."""
    diagnosis = work.output_of("diagnose", Diagnosis)
    paths = tuple(dict.fromkeys(place.path for place in diagnosis.places))
    shards = sum(step.name == "try" for step in work.wired.runs.steps(work.run.id))
    area = Area(paths, len(diagnosis.places), shards, work.wired.experience.factors())
    if paths or _models_follow(work):
        return area, None
    return area, Ending("not_fixed", "the failing tests touch no file that a patch may change")


def try_candidates(work: Work) -> tuple[Search, None]:
    """Try this shard's share of the candidates in a workshop."""
    reproduction = work.output_of("reproduce", Reproduction)
    diagnosis = work.output_of("diagnose", Diagnosis)
    area = work.output_of("propose", Area)
    failing = sorted(reproduction.failing, key=lambda result: result.seconds)
    hints = hints_for(work)
    share = _SEARCH_SHARE_WITH_MODELS if _models_follow(work) else _SEARCH_SHARE
    share = min(_SEARCH_SHARE, max(_LEAST_SHARE, hints.settings.get("search_share", share)))
    deadline_s = time.monotonic() + work.given(Target).budget_s * share
    if not area.paths:
        return Search((), 0, 0.0, exhausted=True), None
    with workspace(work) as here:
        likely = {**area.learned, **dict.fromkeys(hints.templates, _LIKELY)}  # by template, and by family
        sources = here.sources(area.paths)
        stream = chain(_hinted_patches(hints, here), candidates(sources, diagnosis, hints=likely))
        workshop = here.runner.workshop(
            str(here.tree),
            [result.id for result in failing],
            reproduction.passing,
            reproduction.seconds,
            stop=work.over,
        )
        with workshop:
            found = search(
                stream,
                workshop,
                work.wired.signals.horizon(work.run.id),
                shard=work.claim.shard,
                shards=area.shards,
                deadline_s=deadline_s,
                further=lambda partial: second_edits(partial, sources, diagnosis, hints=likely),
                stop=work.over,
                report=lambda tried, plausible: work.report(tried=tried, plausible=plausible),
            )
    return found, None


def choose(work: Work) -> tuple[Choice, Ending | None]:
    """Put the plausible candidates of all shards in order."""
    reproduction = work.output_of("reproduce", Reproduction)
    found = work.outputs_of("try", Search)
    plausible = [candidate for one in found for candidate in one.plausible]
    if not plausible:
        ending = Ending("not_fixed", _what_was_tried(found, reproduction))
        return Choice(()), None if _models_follow(work) else ending
    with workspace(work) as here:
        return _ranked(plausible, reproduction, here), None


def verify(work: Work) -> tuple[Verification, Ending | None]:
    """Prove the best choice by the whole suite in cold boxes."""
    choice = work.output_of("choose", Choice)
    if not choice.ranked:
        return Verification(None), None
    with workspace(work) as here:
        proof = _proved(work, here, choice)
    if proof.winner is None and _models_follow(work):
        return proof, None
    return proof, _ending_of(proof, here.target)


def ask(work: Work) -> tuple[Proposals, None]:
    """Ask a model for one patch and try it; search on from a near miss."""
    if why := _no_need(work):
        return Proposals(skipped=why), None
    number = work.claim.shard + 1
    models = models_of(work, "ask")
    hinted = hints_for(work).generator
    model = sorted(models, key=lambda one: f"model/{one.name}" != hinted)[work.claim.shard % len(models)]
    began = time.monotonic()
    work.report(model=model.name)
    with workspace(work) as here:
        bench = _bench(work, here)
        question = _question(work, model, here, number)
        asked = _sample(work, model.name, ONE_SHOT, here, lambda: sample(model, question, bench))
        proposals = asked.proposals
        if asked.near and not work.over():
            found = _search_from(work, asked.near, bench, model.name, number)
            plausible = (found.plausible,) if found.plausible else ()
            proposals = replace(proposals, plausible=plausible, tried=found.tried)
    made = tuple(_masked_proposal(proposal, work.wired.redactor) for proposal in proposals.made)
    return replace(proposals, made=made, seconds=round(time.monotonic() - began, 3)), None


def agent(work: Work) -> tuple[Proposals, None]:
    """Let a model work at a desk, turn by turn, where no sample of any model passed the tests."""
    if why := _no_need(work):
        return Proposals(skipped=why), None
    model = models_of(work, "agent")[0]
    began = time.monotonic()
    with workspace(work) as here:
        proposals = _sample(work, model.name, AGENT, here, lambda: _at_the_desk(work, model, here)).proposals
    made = tuple(_masked_proposal(proposal, work.wired.redactor) for proposal in proposals.made)
    return replace(proposals, made=made, seconds=round(time.monotonic() - began, 3)), None


def _at_the_desk(work: Work, model: ChatModel, here: Workspace) -> Sample:
    """Let the model work at a desk on the base revision to its end, or on from where it was."""
    bench = _bench(work, here)
    question = _question(work, model, here, 1, nonce=nonce_of(work))
    done = at_desk(work, here, model, "agent", question.text, lambda after: tests_said(after, bench))
    return Sample(proposals_of(done, bench, model=model.name, number=work.wired.settings.samples + 1))


def prove_proposals(work: Work) -> tuple[Verification, Ending | None]:
    """Prove the best of what models wrote, as what the search found is proved."""
    if _proof_of(work, "verify"):
        return Verification(None), None
    reproduction = work.output_of("reproduce", Reproduction)
    asked = [*_proposals(work, "ask"), *_proposals(work, "agent")]
    plausible = [candidate for one in asked for candidate in one.plausible]
    if not plausible:
        tried = work.outputs_of("try", Search)
        said = [*([_what_was_tried(tried, reproduction)] if tried else []), what_was_asked(asked)]
        refused = [why for proof in work.outputs_of("verify", Verification) for why in proof.refused]
        held = [f"no plausible patch held in the whole suite: {'; '.join(refused[:3])}"] if refused else []
        return Verification(None), Ending("not_fixed", ". ".join([*said[:-1], *held, said[-1]]))
    with workspace(work) as here:
        proof = _proved(work, here, _ranked(plausible, reproduction, here))
    return proof, _ending_of(proof, here.target)


def commit(work: Work) -> tuple[Commit, Ending]:
    """Land the proved patch as one commit on a branch of its own."""
    target = target_of(work)
    reproduction = work.output_of("reproduce", Reproduction)
    proof = _proof_of(work, "verify") or work.output_of("prove", Verification)
    repository = Repository.open(target.path)
    files = contents(repository, target, proof.files)
    branch = f"atra/repair-{work.run.id}"
    review = _review(proof, entry_of(Path(target.path), work.wired.settings)[1].least_confidence)
    told = message(work.run.id, work.run.failure_id, target, reproduction, proof, review)
    landed = repository.commit(target.revision, branch, files, told)
    if work.run.failure_id:
        work.wired.failures.mark_repaired(work.run.failure_id)
    record = Commit(branch, landed, target.revision, tuple(sorted(files)), review)
    if not review:
        start_delivery(work, target, record)
    _learn(work, repository, target, proof)
    return record, Ending("fixed", f"commit {landed[:12]} on {branch}{', needs review' if review else ''}")


def _review(proof: Verification, least: float) -> str:
    """Return why people must look at the patch before it goes any further; nothing where they need not."""
    if proof.confidence >= least:
        return ""
    return f"confidence {proof.confidence:.2f} is below the {least:g} that this repository asks for"


def _hinted_patches(hints: Hints, here: Workspace) -> list[Candidate]:
    """Return the patches that a war-room proved, as the first candidates; those of files there are."""
    return [
        candidate_of(patch.after, here.read, model=patch.model, template="war-room")
        for patch in hints.patches
        if all(here.read(path) not in (None, text) for path, text in patch.after.items())
    ]


def _learn(work: Work, repository: Repository, target: Target, proof: Verification) -> None:
    """Tell the experts of the room behind this repair how right they were; no repair fails for that."""

    def read(path: str) -> str | None:
        return decode(repository.read(target.revision, path))

    if proof.winner is not None:
        try:
            learn(work, proof.winner.candidate.patch, read)
        except (AtraError, ValueError, IndexError) as error:
            log.warning("the room's experts were not judged", error=str(error))


def _models_follow(work: Work) -> bool:
    """Return whether the plan goes on with models where the search finds nothing."""
    return any(step.name == "ask" for step in work.wired.runs.steps(work.run.id))


def _no_need(work: Work) -> str:
    """Return why nothing more is to be asked of a model; nothing where it is."""
    if _proof_of(work, "verify"):
        return "a patch is proved already"
    if any(one.plausible for one in _proposals(work, "ask")):
        return "another sample passed the tests already"
    if left_s(work) <= 0:
        return "the time for this repair is over"
    return ""


def _proof_of(work: Work, name: str) -> Verification | None:
    """Return what an earlier step proved; None where it proved nothing or is not in the plan."""
    found = work.outputs_of(name, Verification)
    return found[0] if found and found[0].winner else None


def _proposals(work: Work, name: str) -> list[Proposals]:
    """Return what the settled shards of a step with models came to; one that was excused was skipped for that."""
    outputs = work.wired.runs.outputs(work.run.id, name)
    return [
        Proposals(skipped=output["excused"]) if "excused" in output else from_json(Proposals, output)
        for output in outputs
    ]


def _bench(work: Work, here: Workspace) -> Bench:
    return Bench(
        work.output_of("reproduce", Reproduction),
        here.runner,
        here.read,
        here.patched,
        here.protected,
        deadline_s=time.monotonic() + max(1.0, left_s(work)),
        stop=work.over,
    )


def _sample(work: Work, model: str, template: str, here: Workspace, ask_it: Callable[[], Sample]) -> Sample:
    """Ask the model; one that gives no answer for long, or may not be asked as it is set up, gives none.

    Raises:
        ModelUnavailable: it may answer when it is asked again.
        KeyRefused, NoPrice: there is nothing but models to repair with.
    """
    try:
        return ask_it()
    except ModelUnavailable as error:
        if asked_again(work):
            raise
        why = str(error)
    except ModelRejected as error:
        why = str(error)
    except (KeyRefused, NoPrice) as error:
        if here.target.generator == "model":
            raise
        why = str(error)
    return Sample(Proposals(made=(Proposal(model, template, "unanswered", why=why),)))


def _search_from(work: Work, near: NearMiss, bench: Bench, model: str, number: int) -> Seeded:
    """Search from what a model wrote; where the sandbox breaks off, nothing was found, since asking again costs."""
    share_s = work.given(Target).budget_s * _SEEDED_SHARE
    try:
        return search_from(
            near,
            work.output_of("diagnose", Diagnosis),
            bench,
            model=model,
            number=number,
            deadline_s=min(bench.deadline_s, time.monotonic() + share_s),
            report=lambda tried, plausible: work.report(model=model, tried=tried, plausible=plausible),
        )
    except BoxFailed:
        return Seeded(None, 0)


def _question(work: Work, model: ChatModel, here: Workspace, number: int, *, nonce: str = "") -> Question:
    """Return what the model is asked: as much of the code as fits beside two answers of it."""
    known = work.wired.settings.models[model.name]
    output_tokens = reply_tokens(known)
    nonce = nonce or secrets.token_hex(6)
    context = tell(
        work.output_of("reproduce", Reproduction),
        work.output_of("diagnose", Diagnosis),
        here.sources(python_files(here)),
        tokens=known.context_tokens - 2 * output_tokens - _PROMPT_TOKENS,
        nonce=nonce,
        protected=here.protected,
    )
    return Question(
        context.text,
        nonce,
        number,
        max_output_tokens=output_tokens,
        seed=here.target.seed + number,
        effort=known.effort,
    )


def _ranked(plausible: list[Plausible], reproduction: Reproduction, here: Workspace) -> Choice:
    paths = {edit.path for one in plausible for edit in one.candidate.patch}
    tests = {path for path in python_files(here) if here.protected(path)}
    sources = {path: text for path in sorted(paths | tests) if (text := here.read(path)) is not None}
    return rank(plausible, sources, reproduction)


def _proved(work: Work, here: Workspace, choice: Choice) -> Verification:
    sources = {path: text for path in _paths_of(choice) if (text := here.read(path)) is not None}
    reproduction = work.output_of("reproduce", Reproduction)
    sure = confidence(choice)
    return prove(
        reproduction,
        choice,
        sources,
        here.runner,
        here.patched,
        here.protected,
        confidence=min(sure, _WEAK) if reproduction.written else sure,
        deadline_s=proof_deadline_s(here.target),
        stop=work.over,
        refuse=refusal_of(work),
    )


def _ending_of(proof: Verification, target: Target) -> Ending | None:
    if proof.winner is None:
        return Ending("not_fixed", f"no plausible patch held in the whole suite: {'; '.join(proof.refused[:3])}")
    if not target.commit:
        return Ending("fixed", "a verified patch was found; it was not committed, as asked for")
    return None


def _masked_proposal(proposal: Proposal, redactor: Redactor) -> Proposal:
    """Mask secrets in what is kept of a model's words, and cut it."""
    return replace(
        proposal,
        why=redactor.text(proposal.why)[:_LONGEST_WHY],
        diff=redactor.text(proposal.diff)[:_LONGEST_DIFF],
    )


def _hinted(found: Reproduction) -> Reproduction:
    """Say where to go on where a test fails because a database lacks what the models have."""
    if not any(drifted(result.error_type, result.message) for result in found.failing):
        return found
    hint = "a database lacks what the code uses; `atra migrate-target` writes the migration"
    return replace(found, warnings=(*found.warnings, hint))


def _compared(work: Work, found: Reproduction) -> Reproduction:
    """Say that this worker and whoever asked for the repair do not know the same models."""
    settings, asked_with = work.wired.settings, work.given(Target).models
    if asked_with in ("", settings.models_digest()):
        return found
    names = ", ".join(settings.models) or "none"
    hint = f"workers know other models ({names}) than whoever asked: a change of atra.toml counts once they start anew"
    return replace(found, warnings=(*found.warnings, hint))


def _masked(found: Reproduction, redactor: Redactor) -> Reproduction:
    """Mask secrets in what the tests said: it is stored, shown, and quoted in the commit."""
    failing = (
        replace(result, message=redactor.text(result.message), text=redactor.text(result.text))
        for result in found.failing
    )
    return replace(found, failing=tuple(failing), warnings=tuple(map(redactor.text, found.warnings)))


def _paths_of(choice: Choice) -> tuple[str, ...]:
    return tuple(sorted({edit.path for plausible in choice.ranked for edit in plausible.candidate.patch}))


def _what_was_tried(found: list[Search], reproduction: Reproduction) -> str:
    tried = sum(one.tried for one in found)
    end = "every candidate was tried" if all(one.exhausted for one in found) else "the budget ended"
    said = f"{tried} candidates were tried and none passed the tests; {end}"
    best = max(found, key=lambda one: one.best_fixed, default=None)
    if best is None or best.best is None:
        return said
    nearest = best.best.candidate
    return (
        f"{said}. The nearest, {nearest.template} at {nearest.path}:{nearest.line}, turned {best.best_fixed} of "
        f"{len(reproduction.failing)} failing tests green"
    )


STEPS: dict[str, StepFunction] = {
    "reproduce": reproduce,
    "diagnose": diagnose,
    "propose": propose,
    "try": try_candidates,
    "choose": choose,
    "verify": verify,
    "ask": ask,
    "agent": agent,
    "prove": prove_proposals,
    "commit": commit,
}

TASKS = {name: step_task(app, "self_repair", name, escalating(work_on)) for name, work_on in STEPS.items()}
