"""The system on one page: each flow is a plan of durable steps, and the Celery canvas that carries it.

    self_repair   reproduce -> diagnose -> propose -> try x shards -> choose -> verify
                  -> ask x samples -> agent -> prove -> commit
    author        plan -> write -> verify -> commit
    migrate_target  draft -> revise -> rehearse -> test -> commit
    war_room      [reproduce ->] convene -> hear x seats -> weigh [-> answer x models [-> prove]]
                  [-> people] [-> settle]
    ask           answer
    distill       gather -> build
    precache      predict -> answer
    brain         compare x shards -> judge

A plan is written to the database when a run is opened; the canvas is made from it whenever the run is sent, the first
time or again. Messages carry the run's id and the shard's number, nothing else.
"""

from celery import Celery, Signature, chain, group

from atra.core.clock import utc_now
from atra.core.errors import NoModel
from atra.core.runs import Plan, Run, Step
from atra.core.settings import Settings
from atra.storage.runs import RunStore

SELF_REPAIR = "self_repair"
MIGRATE_TARGET = "migrate_target"
AUTHOR = "author"
WAR_ROOM = "war_room"
WATCH = "watch"
DELIVERY = "delivery"
ASK = "ask"
DISTILL = "distill"
PRECACHE = "precache"
BRAIN = "brain"
TRAINING = "training"

PEOPLE = "people"
"""A step that nobody works on: it ends, excused, at its run's deadline, and what comes after it begins."""

_SHORTEST_S, _LONGEST_S, _GRACE_S = 10.0, 3000.0, 15.0  # however the clocks of machines differ


def self_repair(shards: int, *, samples: int = 0, agent: bool = False) -> Plan:
    """Return the plan that turns a failing test into a verified commit.

    Args:
        shards: tasks that share the search of the templates; 0 leaves that out.
        samples: proposals asked of models where the search proves nothing; 0 asks none.
        agent: whether a model works at a desk where no sample passes the tests.
    """
    looked = (("reproduce", 1), ("diagnose", 1), ("propose", 1))
    searched = (("try", shards), ("choose", 1), ("verify", 1)) if shards else ()
    asked = (("ask", samples), *((("agent", 1),) if agent else ()), ("prove", 1)) if samples else ()
    excusable = frozenset({"ask", "agent"} if shards else ())  # models alone that cannot be asked are an error
    return Plan(SELF_REPAIR, (*looked, *searched, *asked, ("commit", 1)), excusable=excusable)


def delivery() -> Plan:
    """Return the plan that takes a repair's commit as far as its repository's policy says."""
    return Plan(DELIVERY, (("deliver", 1),))


def ask() -> Plan:
    """Return the plan that answers a question."""
    return Plan(ASK, (("answer", 1),))


def precache() -> Plan:
    """Return the plan that answers questions before they are asked."""
    return Plan(PRECACHE, (("predict", 1), ("answer", 1)))


def distill() -> Plan:
    """Return the plan that keeps what was learned from ATRA's own work, and makes a data set of all traces."""
    return Plan(DISTILL, (("gather", 1), ("build", 1)))


def brain(shards: int) -> Plan:
    """Return the plan that compares a candidate with the brain that serves; each shard asks both its items."""
    return Plan(BRAIN, (("compare", shards), ("judge", 1)))


def training() -> Plan:
    """Return the plan that trains a candidate and has it compared with what serves."""
    return Plan(TRAINING, (("train", 1), ("offer", 1)))


def watch() -> Plan:
    """Return the plan that marks a regression and undoes the fix that failed."""
    return Plan(WATCH, (("mark", 1), ("undo", 1)))


def author() -> Plan:
    """Return the plan that writes new code for given tests."""
    return Plan(AUTHOR, (("plan", 1), ("write", 1), ("verify", 1), ("commit", 1)))


def migrate_target(settings: Settings, generator: str = "auto") -> Plan:
    """Return the plan that turns models which have moved on into a proved migration; `templates` asks no model."""
    revised = (("revise", 1),) if settings.models and generator != "templates" else ()
    return Plan(MIGRATE_TARGET, (("draft", 1), *revised, ("rehearse", 1), ("test", 1), ("commit", 1)))


def war_room(seats: int, models: int, *, code: bool, deadline_s: float, hold: bool = False) -> Plan:
    """Return the plan of a room: each seat is heard blind, and where the vote is close models answer one another once.

    Args:
        seats: how many are heard.
        models: how many of them are models, which alone may change their minds.
        code: whether it is about failing tests, which are reproduced first, and patches for which are proved.
        deadline_s: from the opening on; whoever is late then is done without.
        hold: whether it waits for people until then.
    """
    looked = (("reproduce", 1),) if code else ()
    heard = (("hear", seats),) if seats else ()
    again = (("answer", models), *((("prove", 1),) if code else ())) if models else ()
    waited = ((PEOPLE, 1),) if hold else ()
    end = (("settle", 1),) if models or hold else ()
    steps = (*looked, ("convene", 1), *heard, ("weigh", 1), *again, *waited, *end)
    return Plan(WAR_ROOM, steps, frozenset({"hear", "answer", "prove", PEOPLE}), deadline_s)


def repair_plan(settings: Settings, generator: str, shards: int) -> Plan:
    """Return the plan of a repair for whom proposes patches: `auto`, `templates` or `model`.

    Raises:
        NoModel: a model is asked for and none is configured.
    """
    if generator == "model" and not settings.models:
        raise NoModel("--generator model")
    samples = settings.samples if settings.models and generator != "templates" else 0
    return self_repair(0 if generator == "model" else shards, samples=samples, agent=settings.agent_steps > 0)


def canvas(app: Celery, run: Run, steps: list[Step]) -> Signature | None:
    """Return the chain of the run's steps that are not settled; shards of one step become a group, and so a chord.

    It ends before a step that waits for people; None where nothing is to be done before that.
    """
    names = list(dict.fromkeys(step.name for step in steps))
    links = []
    for name in names:
        shards = [step for step in steps if step.name == name]
        if all(step.state == "settled" for step in shards):
            continue
        if name == PEOPLE:
            break
        signatures = [_signature(app, run, step, alone=len(shards) == 1) for step in shards]
        links.append(signatures[0] if len(signatures) == 1 else group(signatures))
    return chain(*links) if links else None


def send(app: Celery, runs: RunStore, run: Run) -> bool:
    """Send the run's canvas, and return whether there was anything to send; copies that are under way do no harm."""
    links = canvas(app, run, runs.steps(run.id))
    if links is not None:
        links.apply_async()
    return links is not None


def _signature(app: Celery, run: Run, step: Step, *, alone: bool) -> Signature:
    shown = f"run={run.id}" if alone else f"run={run.id} shard={step.shard}"
    return app.signature(
        f"{run.kind}.{step.name}",
        args=(run.id, step.shard),
        immutable=True,
        argsrepr=shown,
        kwargsrepr="",
        **({"queue": "urgent"} if run.urgent else {}),
        **_limits(run, step),
        ignore_result=alone,  # what a step puts out stands in the database; only a chord counts results
    )


def _limits(run: Run, step: Step) -> dict[str, float]:
    """Return the time limits of a step that the run goes on without at its deadline: what hangs frees its worker."""
    if run.deadline_at is None or not step.excusable:
        return {}
    left_s = (run.deadline_at - utc_now()).total_seconds()
    soft_s = min(_LONGEST_S, max(_SHORTEST_S, left_s)) + _GRACE_S
    return {"soft_time_limit": soft_s, "time_limit": soft_s + _GRACE_S}
