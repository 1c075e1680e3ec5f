"""What ended repairs and rooms have to teach: their steps are read again, told as traces, and kept once."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar
from urllib.parse import urlsplit

import structlog

from atra.core.records import from_json
from atra.core.redaction import CodeRedactor
from atra.core.runs import Step
from atra.distillation.own_work import Failing, Heard, Repair, Room, own, repair_trace, room_trace
from atra.distillation.traces import Origin, Trace
from atra.meta_architect.records import Diagnosis, Plausible, Proposals, Reproduction, Search, Verification
from atra.war_room.records import Ballot
from atra.war_room.seats import Agenda, asked_of
from atra.wiring import Wiring

R = TypeVar("R")
log = structlog.get_logger(__name__)

_RECENT_DAYS = 90  # what ended before that was looked at on one of ninety days


def learn_own_work(wired: Wiring) -> tuple[int, int, int]:
    """Keep what is new of repairs and rooms; revoke repairs that did not hold. Return how many of each."""
    repairs = _kept(wired, wired.traces.unlearned("self_repair", "fixed", "repair", _RECENT_DAYS), repair_of)
    rooms = _kept(wired, wired.traces.unlearned("war_room", "decided", "war_room", _RECENT_DAYS), room_of)
    revoked = 0
    for run_id in wired.traces.regressed():
        revoked += wired.traces.revoke("its failure came back although its fix was in", run_id=run_id).traces
    return repairs, rooms, revoked


def repair_of(wired: Wiring, run_id: str) -> Trace | None:
    """Return a repair as a trace; None where its steps do not tell what was proved."""
    steps = [step for step in wired.runs.steps(run_id) if step.state == "settled"]
    proof = next((one for one in _outputs(steps, ("verify", "prove"), Verification) if one.winner), None)
    seen = next(_outputs(steps, ("reproduce",), Reproduction), None)
    if proof is None or proof.winner is None or seen is None or not seen.failing:
        return None
    searches = list(_outputs(steps, ("try",), Search))
    repair = Repair(
        [Failing(one.id, one.error_type, one.message) for one in seen.failing],
        [(at.path, at.line, at.reasons) for one in _outputs(steps, ("diagnose",), Diagnosis) for at in one.places],
        proof.diff,
        proof.winner.candidate.template,
        (proof.winner.candidate.path, proof.winner.candidate.line),
        len(proof.passing_after),
        tried=sum(search.tried for search in searches),
        verdicts=_summed(searches),
        proposals=[
            f"{made.template} by {made.model}: {made.verdict}"
            for one in _outputs(steps, ("ask", "agent"), Proposals)
            for made in one.made
        ],
        refused=proof.refused,
    )
    return repair_trace(repair, _author(wired, run_id, proof.winner))


def room_of(wired: Wiring, run_id: str) -> Trace | None:
    """Return a room as a trace; None unless a repair proved that a seat that looks at evidence alone was right."""
    decision = wired.rooms.decision(run_id)
    right = wired.traces.right_experts(run_id)
    agendas = wired.runs.outputs(run_id, "convene")
    if decision is None or decision.option is None or not right or not agendas:
        return None
    options = {option.id: option.text for option in from_json(Agenda, agendas[0]).options}
    blind = [one for one in wired.rooms.ballots(run_id) if one.kind == "evidence" and one.round == 1 and not one.late]
    heard = [one for one in blind if one.ranking and one.evidence]
    if not any(one.expert in right and one.ranking[0] == decision.option for one in heard):
        return None
    room = Room(
        asked_of(wired.runs.get(run_id).input).question,
        [f"{name}: {text}" if text != name else name for name, text in options.items()],
        [_heard(ballot) for ballot in heard],
        decision.option,
        decision.reason,
    )
    return room_trace(room, own(run_id, room=True))


def _kept(wired: Wiring, run_ids: Iterable[str], trace_of: Callable[[Wiring, str], Trace | None]) -> int:
    count = 0
    policy, hide = wired.training_policy(), wired.settings.redactor(CodeRedactor).text
    for run_id in run_ids:
        try:
            trace = trace_of(wired, run_id)
        except ValueError as error:  # a run of an older version, whose records were others
            log.info("a run is not learned from", run_id=run_id, why=str(error)[:300])
            continue
        if trace is not None:
            count += wired.traces.keep(
                Trace(
                    hide(trace.prompt),
                    hide(trace.reasoning),
                    hide(trace.answer),
                    trace.kind,
                    trace.origin,
                    policy.permission(trace.origin),
                )
            )
    return count


def _outputs(steps: Sequence[Step], names: tuple[str, ...], kind: type[R]) -> Iterator[R]:
    """Yield what the steps of these names put out; those the run went on without put out nothing."""
    for step in steps:
        if step.name in names and step.output and "excused" not in step.output:
            yield from_json(kind, step.output)


def _author(wired: Wiring, run_id: str, winner: Plausible) -> Origin:
    """Return whose the patch is: ATRA's own, or the model's that wrote it, as the settings know it now."""
    generator = winner.candidate.generator
    if generator == "templates":
        return own(run_id)
    name = generator.removeprefix("model/")
    known = wired.settings.models.get(name)
    if known is None:
        return replace(own(run_id), provider="unknown", model=name)
    return replace(
        own(run_id),
        provider=known.provider,
        model=known.model,
        endpoint=endpoint_of(known.base_url),
        terms=wired.settings.distill.terms.get(known.provider, ""),
    )


def endpoint_of(base_url: str | None) -> str:
    """Return the address that is asked, without a user, a password or a query; empty where the settings name none."""
    if not base_url:
        return ""
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _summed(searches: Sequence[Search]) -> dict[str, int]:
    counted = Counter[str]()
    for search in searches:
        counted.update(search.verdicts)
    return dict(counted)


def _heard(ballot: Ballot) -> Heard:
    return Heard(ballot.department, ballot.ranking[0], [(one.text, one.reference) for one in ballot.evidence])
