"""The tasks of a war-room: convene, hear each seat blind, weigh; where the vote is close, answer once, prove, settle.

Every seat's ballot is in the database before its step settles, so a room survives any worker's death. Whoever is late,
hangs or fails is done without at the deadline. One decision stands, whoever reduces the ballots first.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import structlog

from atra.core.clock import utc_now
from atra.core.errors import AtraError, BudgetSpent, LeaseLost, ModelUnavailable, NoModel, Transient
from atra.core.records import from_json, to_json
from atra.core.redaction import CodeRedactor
from atra.core.runs import OVERDUE, Ending, Opening
from atra.llm.chat import ChatModel
from atra.meta_architect.context import tell
from atra.meta_architect.localisation import diagnose
from atra.meta_architect.records import Reproduction, Target
from atra.meta_architect.replies import fit, read_answer
from atra.meta_architect.screening import Bench, patch_to, screen
from atra.war_room.ballots import sound
from atra.war_room.calibration import weights
from atra.war_room.case import Region, by_line
from atra.war_room.consensus import decide, needs_exchange, tally
from atra.war_room.experts.registry import EXPERTS
from atra.war_room.hints import HintedPatch, Hints, hints_of
from atra.war_room.records import Ballot, Decision, Option, Tally
from atra.war_room.seats import HINTS, ROOM, Agenda, Seat, asked_of, repair_after
from atra.war_room.voices import Brief, Spoken, Terms, answer_peers, claims_of, find_options, judge, speak
from workers.app import app
from workers.cases import case_of
from workers.desks import reply_tokens
from workers.pipelines import repair_plan
from workers.self_repair import reproduce
from workers.task import StepFunction, Work, step_task
from workers.workspace import Workspace, python_files, workspace

log = structlog.get_logger(__name__)

_ASK_TRIES = 3
"""How often a model that does not answer is asked for options."""

_SEAT_TRIES = 2
"""How often a seat is asked for one ballot: the others do not wait for what fails or is killed twice."""

_PROMPT_TOKENS = 6000
"""What a model is told at most besides the evidence: instructions, options, its own ballot and what others found."""

_LEAST_TOKENS = 1000  # of evidence; a model that cannot hold that says so itself

_REASON = 500  # characters of why a seat abstains


@dataclass(frozen=True)
class Heard:
    """What became of one seat's turn; the ballot itself stands among the room's."""

    expert: str
    late: bool = False
    abstained: str = ""
    skipped: str = ""
    calls: int = 0
    tokens: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True)
class Weighed:
    """What the blind round came to: how the options compare, and whether the models answer one another."""

    tally: Tally
    exchange: bool


@dataclass(frozen=True)
class Proof:
    """A patch that a seat proposed and that passed the whole suite: the option it belongs to, and its files."""

    expert: str
    model: str
    option: str
    after: Mapping[str, str]


@dataclass(frozen=True)
class Proved:
    """What the sandbox made of the patches: those that passed, and of each other one why not, by expert."""

    proofs: tuple[Proof, ...] = ()
    refused: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Concluded:
    """How the room ended and what it tells the next repair."""

    decision: Decision
    hints: Hints


class Room:
    """A room's facts, read from its run."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.asked = asked_of(work.run.input)

    @cached_property
    def agenda(self) -> Agenda:
        """What is decided among."""
        return self.work.output_of("convene", Agenda)

    @property
    def ballots(self) -> list[Ballot]:
        """Every ballot cast so far."""
        return self.work.wired.rooms.ballots(self.work.run.id)

    @cached_property
    def weights(self) -> Mapping[str, float]:
        """What each expert's ballots weigh, by its record at this kind of question."""
        return weights(self.work.wired.rooms.records(self.asked.task))

    def vetoers(self, ballots: list[Ballot]) -> frozenset[str]:
        """Return whose vetoes count: seats with that right, and persons."""
        persons = {ballot.expert for ballot in ballots if ballot.kind == "person"}
        return frozenset(persons | {seat.expert for seat in self.asked.seats if seat.may_veto})

    @property
    def models(self) -> tuple[Seat, ...]:
        """The seats that models fill, in order."""
        return tuple(seat for seat in self.asked.seats if seat.kind == "model")

    def tally(self) -> Tally:
        """Return how the options compare by now."""
        return tally(self.agenda.options, self.ballots, len(self.asked.seats), self.weights)

    def left_s(self) -> float:
        """Return the seconds to the deadline, at least one."""
        deadline = self.work.run.deadline_at
        return self.asked.deadline_s if deadline is None else max(1.0, (deadline - utc_now()).total_seconds())

    def model(self, seat: Seat) -> ChatModel:
        """Return the seat's model, or the first one where it is configured no more.

        Raises:
            NoModel: none is configured any more.
        """
        asked, wired = self.asked, self.work.wired
        found = wired.models(
            run_id=self.work.run.id,
            purpose=seat.expert,
            budget_usd=asked.budget_usd,
            budget_tokens=asked.budget_tokens,
        )
        if not found:
            raise NoModel(f"the seat {seat.expert}")
        return next((model for model in found if model.name == seat.model), found[0])

    def terms(self, model: ChatModel) -> Terms:
        """Return how long and how large one reply may be."""
        known = self.work.wired.settings.models[model.name]
        return Terms(reply_tokens(known), known.effort, min(known.timeout_s, self.left_s()))

    def say(self, kind: str, said: Mapping[str, object]) -> None:
        """Say something on the channel; nobody depends on its being heard."""
        masked = self.work.wired.redactor.value(dict(said))
        try:
            self.work.wired.signals.channel(self.work.run.id, deadline_s=self.asked.deadline_s).post(kind, masked)
        except AtraError as error:
            log.warning("not heard on the channel", error=str(error))


def convene(work: Work) -> tuple[Agenda | Concluded, Ending | None]:
    """Find what is to be decided among, and open the channel.

    Raises:
        MissingPart: what every seat of a room on a question would need is not installed.
    """
    room = Room(work)
    if room.asked.task == "question" and room.models:
        room.model(room.models[0])  # told once, not by each seat
    agenda, why = _agenda(room)
    seats = [{"expert": seat.expert, "department": seat.department, "kind": seat.kind} for seat in room.asked.seats]
    options = {option.id: option.text for option in agenda.options[:20]}
    room.say("opened", {"question": room.asked.question, "seats": seats, "options": options, "notes": room.asked.notes})
    if not room.asked.seats and not (room.asked.hold and agenda.options):
        why = "no expert has anything to go by"
    if why:
        nothing = tally(agenda.options, (), max(1, len(seats)))
        return _ended(room, agenda, lambda _: Decision("no_consensus", None, why, nothing), ())
    return agenda, None


def hear(work: Work) -> tuple[Heard, None]:
    """Let one seat look at the evidence, alone, and cast its ballot."""
    room = Room(work)
    seat = room.asked.seats[work.claim.shard]
    return _cast(room, seat, 1, lambda: blind(room, seat)), None


def weigh(work: Work) -> tuple[Weighed | Concluded, Ending | None]:
    """Compare the blind ballots; decide at once where nothing more can change it, and nobody else is waited for."""
    room = Room(work)
    ballots, found = room.ballots, room.tally()
    exchange = len(room.models) > 0 and needs_exchange(found, ballots, room.vetoers(ballots))
    open_questions = exchange or any(ballot.patch for ballot in ballots) or len(found.tied) > 1
    if room.asked.hold or (room.models and open_questions):
        said = {"order": list(found.order[:5]), "margin": found.margin, "counted": found.counted, "exchange": exchange}
        room.say("weighed", said)
        return Weighed(found, exchange), None
    return _conclude(room)


def answer(work: Work) -> tuple[Heard, None]:
    """Let one model read what the others found, without their names, and vote again."""
    room = Room(work)
    seat = room.models[work.claim.shard]
    if not work.output_of("weigh", Weighed).exchange:
        return Heard(seat.expert, skipped="the blind round was clear"), None
    own = next((one for one in room.ballots if one.expert == seat.expert and one.round == 1), None)
    if own is None or own.late or own.abstained:
        return Heard(seat.expert, skipped="it had no opinion in the blind round"), None
    return _cast(room, seat, 2, lambda: _again(room, seat, own)), None


def prove(work: Work) -> tuple[Proved, None]:
    """Try the patches that seats proposed, by the whole suite in cold boxes."""
    room = Room(work)
    latest = {ballot.expert: ballot for ballot in room.ballots if ballot.patch and not ballot.late}
    if not latest:
        return Proved(), None
    proofs, refused = [], {}
    with workspace(work) as here:
        bench = _bench(room, here)
        models = {seat.expert: seat.model for seat in room.asked.seats}
        for expert, ballot in sorted(latest.items()):
            work.report(trying=expert)
            found = _tried(ballot, models.get(expert, ""), bench, room.agenda.regions)
            if isinstance(found, Proof):
                proofs.append(found)
            else:
                refused[expert] = found
    return Proved(tuple(proofs), refused), None


def settle(work: Work) -> tuple[Concluded, Ending]:
    """Reduce the ballots to the one decision; where they are tied, a model that is asked for nothing else judges."""
    return _conclude(Room(work))


def _agenda(room: Room) -> tuple[Agenda, str]:
    """Return what is decided among, and why there is nothing to decide, if so."""
    asked = room.asked
    if asked.task == "code":
        with workspace(room.work) as here:
            regions = case_of(room.work, here, asked.question).regions
        options = tuple(Option(region.id, f"{region.path}:{region.first} {region.name}") for region in regions)
        return Agenda(options, regions), "" if options else "the failing tests ran no code of the repository"
    if asked.options or not room.models:
        return Agenda(asked.options), ""
    try:
        model = room.model(room.models[0])
        found = find_options(_brief(room, ()), model, room.terms(model))
    except BudgetSpent as spent:
        return Agenda(()), str(spent)
    except ModelUnavailable as error:
        if room.work.claim.attempt < _ASK_TRIES:
            raise
        return Agenda(()), f"no options were given, and {error}"
    except AtraError as error:
        return Agenda(()), f"no options were given, and {error}"
    return Agenda(found), "" if found else "no options were given, and the model that was asked for some named none"


def _cast(room: Room, seat: Seat, number: int, speak_up: Callable[[], Spoken]) -> Heard:
    """Keep the seat's ballot of this round, once; what keeps it from having an opinion is an abstention.

    Raises:
        Transient: it may answer when it is asked again.
    """
    work = room.work
    kept = next((one for one in room.ballots if (one.expert, one.round) == (seat.expert, number)), None)
    spoken = Spoken(kept or _abstained(seat, number, ""), 0, 0, 0.0)
    if kept is None:  # else another worker died between the ballot and the settling of its step
        try:
            spoken = speak_up()
        except LeaseLost:
            raise
        except Transient as error:
            if work.claim.attempt < _SEAT_TRIES:
                raise
            spoken = replace(spoken, ballot=_abstained(seat, number, str(error)))
        except BudgetSpent as spent:
            spoken = replace(spoken, ballot=_abstained(seat, number, str(spent)))
        except Exception as error:
            log.exception("a seat failed", expert=seat.expert)
            spoken = replace(
                spoken,
                ballot=_abstained(
                    seat, number, str(error) if isinstance(error, AtraError) else f"{type(error).__name__}: {error}"
                ),
            )
        ballot = sound(spoken.ballot, {option.id for option in room.agenda.options})
        kept = work.wired.rooms.cast(work.run.id, _masked(work, ballot))
        room.say("ballot", _told(kept))
    return Heard(seat.expert, kept.late, kept.abstained, "", spoken.calls, spoken.tokens, spoken.cost_usd)


def _abstained(seat: Seat, number: int, why: str) -> Ballot:
    why = why[:_REASON] or "it said nothing"
    return Ballot(seat.expert, seat.department, seat.kind, abstained=why, round=number)


def _masked(work: Work, ballot: Ballot) -> Ballot:
    """Mask secrets; in a patch by the rules for code, which leave `token = lexer.next()` alone."""
    told = from_json(Ballot, work.wired.redactor.value(to_json(replace(ballot, patch=""))))
    return replace(told, patch=work.wired.settings.redactor(CodeRedactor).text(ballot.patch))


def _told(ballot: Ballot) -> dict[str, object]:
    """Return what the channel hears of a ballot; all of it stands in the database."""
    told = {
        "expert": ballot.expert,
        "department": ballot.department,
        "round": ballot.round,
        "ranking": list(ballot.ranking[:3]),
        "probability": ballot.probability,
        "abstained": ballot.abstained,
        "vetoes": dict(ballot.vetoes),
        "late": ballot.late,
        "evidence": [f"{one.text} ({one.reference})" if one.reference else one.text for one in ballot.evidence[:3]],
    }
    return {name: value for name, value in told.items() if value not in ("", [], {}, False)}


def blind(room: Room, seat: Seat) -> Spoken:
    """Return what the seat says before it knows what anybody else says."""
    if seat.kind == "model":
        model = room.model(seat)
        return speak(seat, _brief(room, room.agenda.options), model, room.terms(model))
    expert = next(one for one in EXPERTS if one.department == seat.expert)
    with workspace(room.work) as here:
        history = seat.expert == "history"
        case = case_of(room.work, here, room.asked.question, room.agenda.regions, blame=history)
    return Spoken(expert.speak(case), 0, 0, 0.0)


def _again(room: Room, seat: Seat, own: Ballot) -> Spoken:
    model = room.model(seat)
    first = [ballot for ballot in room.ballots if ballot.round == 1 and not ballot.late]
    claims = claims_of(first, without=seat.expert, seed=f"{room.work.run.id} {seat.expert}")
    return answer_peers(seat, _brief(room, room.agenda.options), model, room.terms(model), own, claims)


def _brief(room: Room, options: tuple[Option, ...]) -> Brief:
    """Return what every model of the room is told."""
    asked, nonce = room.asked, secrets.token_hex(6)
    known = min(room.work.wired.settings.models.values(), key=lambda one: one.context_tokens)
    tokens = max(_LEAST_TOKENS, known.context_tokens - 2 * reply_tokens(known) - _PROMPT_TOKENS)
    if asked.task == "question":
        return Brief.on_question(asked.question, options, asked.context, nonce, tokens=tokens)
    found = room.work.output_of("reproduce", Reproduction)
    with workspace(room.work) as here:
        sources = here.sources(python_files(here))
        places = diagnose(found, sources, protected=here.protected)
        context = tell(found, places, sources, tokens=tokens, nonce=nonce, protected=here.protected)
    return Brief("code", asked.question, options, context.text, tuple(sources), nonce)


def _bench(room: Room, here: Workspace) -> Bench:
    return Bench(
        room.work.output_of("reproduce", Reproduction),
        here.runner,
        here.read,
        here.patched,
        here.protected,
        deadline_s=time.monotonic() + room.left_s(),
        stop=room.work.over,
    )


def _tried(ballot: Ballot, model: str, bench: Bench, regions: tuple[Region, ...]) -> Proof | str:
    """Return the proof of a proposed patch, or why there is none."""
    read = read_answer(ballot.patch)
    if outside := sorted({block.path for block in read.blocks if bench.protected(block.path)}):
        return f"it would change {outside[0]}"
    fitted = fit(read.blocks, bench.read)
    after = {path: text for path, text in fitted.after.items() if text != bench.read(path)}
    if faults := (*read.faults, *fitted.faults):
        return faults[0][:_REASON]
    if not after:
        return "it changes nothing"
    screened = screen(after, bench)
    if screened.verdict != "plausible":
        return f"{screened.verdict}: {screened.why}"[:_REASON]
    first = patch_to(after, bench.read)[0]
    where = by_line(regions).get((first.path, (bench.read(first.path) or "").count("\n", 0, first.start) + 1))
    return Proof(ballot.expert, model, where.id if where else next(iter(ballot.ranking), ""), after)


def _conclude(room: Room) -> tuple[Concluded, Ending]:
    """Reduce the ballots to the room's decision, keep it, and end the run; hints go to the repair that follows."""
    work, agenda = room.work, room.agenda
    proved = (output for output in work.wired.runs.outputs(work.run.id, "prove") if "excused" not in output)
    proofs = tuple(proof for output in proved for proof in from_json(Proved, output).proofs)
    ballots, found, expired = room.ballots, room.tally(), _expired(room)
    judged = _judged(room, found, ballots) if len(found.tied) > 1 and not proofs else None

    def reduce(ballots: list[Ballot]) -> Decision:
        return decide(
            agenda.options,
            ballots,
            len(room.asked.seats),
            room.weights,
            vetoers=room.vetoers(ballots),
            judged=judged,
            proved=[proof.option for proof in proofs],
            expired=expired,
        )

    return _ended(room, agenda, reduce, proofs)


def _ended(
    room: Room, agenda: Agenda, reduce: Callable[[list[Ballot]], Decision], proofs: tuple[Proof, ...]
) -> tuple[Concluded, Ending]:
    work = room.work
    kept, ballots = work.wired.rooms.decide(work.run.id, reduce), room.ballots
    hints = hints_of(kept, ballots, agenda.regions, room.weights, room.vetoers(ballots))
    hints = replace(hints, patches=tuple(HintedPatch(proof.model, proof.after) for proof in proofs))
    said = {"outcome": kept.outcome, "option": kept.option, "reason": kept.reason, "settled_by": kept.settled_by}
    room.say("decision", {**said, "dissent": [one.expert for one in kept.dissent]})
    if work.run.failure_id and kept.outcome != "decided":
        said_of_it = f"war-room {work.run.id} came to no decision, a person is asked: {kept.reason}"
        work.wired.failures.say(work.run.failure_id, "report", said_of_it)
    reason = f"{kept.option}: {kept.reason}" if kept.option else kept.reason
    return Concluded(kept, hints), Ending(kept.outcome, reason, _repair(room, kept, hints))


def _repair(room: Room, decision: Decision, hints: Hints) -> Opening | None:
    """Return the repair that the room's decision starts, if it is to start one."""
    if decision.outcome != "decided" or not room.asked.repair:
        return None
    run, settings = room.work.run, room.work.wired.settings
    target = room.work.given(Target)
    target = replace(target, protected=(*target.protected, *hints.forbidden))
    given = {**to_json(target), HINTS: to_json(hints), ROOM: run.id}
    plan = repair_plan(settings, target.generator, settings.shards)
    return Opening(repair_after(run.id), plan, given, run.failure_id).hurried(run.urgent)


def _judged(room: Room, found: Tally, ballots: list[Ballot]) -> str | None:
    """Return which of the tied options a judge chooses: a model that no seat of the room has, where there is one."""
    if not room.models or found.counted < found.needed:
        return None
    if room.work.wired.rooms.decision(room.work.run.id):  # by a worker that died before its step was settled
        return None
    taken = {seat.model for seat in room.models}
    name = next((name for name in room.work.wired.settings.models if name not in taken), "")
    tied = [option for option in room.agenda.options if option.id in found.tied]
    claims = claims_of(ballots, without="", seed=room.work.run.id)
    try:
        model = room.model(Seat("judge", "judge", "model", model=name))
        return judge(_brief(room, tuple(tied)), model, room.terms(model), tied, claims).option
    except (AtraError, BudgetSpent) as error:
        log.warning("no judge", error=str(error))
        return None


def _expired(room: Room) -> bool:
    """Return whether the deadline came before every seat was heard."""
    names = ("hear", "answer", "prove")
    outputs = (output for name in names for output in room.work.wired.runs.outputs(room.work.run.id, name))
    return any(output.get("excused") == OVERDUE for output in outputs)


_ATTEMPTS = {"hear": _SEAT_TRIES, "answer": _SEAT_TRIES}

STEPS: dict[str, StepFunction] = {
    "reproduce": reproduce,
    "convene": convene,
    "hear": hear,
    "weigh": weigh,
    "answer": answer,
    "prove": prove,
    "settle": settle,
}

TASKS = {
    name: step_task(app, "war_room", name, work_on, attempts=_ATTEMPTS.get(name)) for name, work_on in STEPS.items()
}
