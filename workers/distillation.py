"""What is learned from: every answer leaves a trace, ATRA's own work too, and a data set is chosen out of them."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import structlog

from atra.core.clock import utc_now
from atra.core.errors import AtraError, BadInput, MissingPart
from atra.core.records import to_json
from atra.core.runs import Ending, Run
from atra.distillation.curation import Agreement, Bounds, Curation
from atra.distillation.data_set import Built, build
from atra.distillation.duplicates import Evaluation
from atra.distillation.policy import BRAIN
from atra.distillation.screening import Screen, check_libraries
from atra.distillation.tokens import Estimate, TokenizerFile
from atra.distillation.traces import Origin, Trace, request_hash, working
from atra.llm.records import Reply, Request
from atra.storage.data_sets import DataSet
from atra.wiring import Wiring, wiring
from workers.app import app
from workers.own_work import endpoint_of, learn_own_work
from workers.pipelines import DISTILL, distill, send
from workers.task import AtraTask, Work, step_task

log = structlog.get_logger(__name__)

PREFIX = "l"
"""Of the ids of runs that learn; the day follows."""

_GROWTH = 20  # a data set is made anew where traces grew by one part of so many

NOTHING = "no trace may be learned from; `atra distill curate` says why"


def keep_answer(
    wired: Wiring,
    *,
    by: Origin,
    question: str,
    answer: str,
    request: Request,
    reply: Reply,
    steps: Sequence[str] = (),
    tenant: str = "",
    run_id: str = "",
) -> Trace:
    """Keep a model's answer as a trace, without secrets, and return it.

    Args:
        by: which model answered, and under which terms; see `configured` and `of_brain`. The rest is filled in.
        question: what was asked, without ATRA's own instructions.
        steps: the worked solution that was part of the answer, if there was one.
    """
    reasoning, kind = working(reply, tuple(steps))
    origin = replace(
        by,
        model_version=reply.model,
        request_hash=request_hash(request, by.model),
        finish=reply.finish,
        refusal=reply.detail if reply.finish == "refusal" else "",
        input_tokens=reply.usage.input_tokens,
        output_tokens=reply.usage.output_tokens,
        reasoning_tokens=reply.usage.reasoning_tokens,
        cost_usd=reply.cost_usd or 0.0,
        tenant=tenant,
        run_id=run_id,
    )
    hide = wired.redactor.text
    permission = wired.training_policy().permission(origin)
    trace = Trace(hide(question), hide(reasoning), hide(answer), kind, origin, permission)
    wired.traces.keep(trace)
    return trace


def configured(wired: Wiring, model: str) -> Origin:
    """Return who answers under this name of the settings."""
    known = wired.settings.models[model]
    terms = wired.settings.distill.terms.get(known.provider, "")
    return Origin(known.provider, known.model, endpoint=endpoint_of(known.base_url), terms=terms)


def of_brain(brain_id: str) -> Origin:
    """Return who answers where a brain does; as shipped, nobody learns from that."""
    return Origin("local", f"{BRAIN}{brain_id[:12]}")


@dataclass(frozen=True)
class Gathered:
    """How many traces of ATRA's own work are new, and how many were revoked since their fix did not hold."""

    repairs: int = 0
    rooms: int = 0
    revoked: int = 0


@dataclass(frozen=True)
class Made:
    """What a building came to; `data_set` is empty where nothing could be taken."""

    data_set: str
    rows: int
    traces: int
    dropped: dict[str, int] = field(default_factory=dict)


def gather(work: Work) -> tuple[Gathered, None]:
    """Keep what ended repairs and rooms have to teach as traces."""
    return Gathered(*learn_own_work(work.wired)), None


def build_data_set(work: Work) -> tuple[Made, Ending]:
    """Choose from all traces, and keep what was chosen as a data set, unless there is hardly anything new."""
    if why := why_not_yet(work.wired):
        return Made("", 0, 0), Ending("nothing_new", why)

    def report(count: int) -> None:
        if work.over():
            raise AtraError("it was stopped")
        work.report(traces=count)

    built, _ = make_data_set(work.wired, report)
    made = Made(built.id, built.summary["rows"], built.summary["traces"], dict(built.summary["dropped"]))
    if not built.id:
        return made, Ending("nothing_to_learn", NOTHING)
    return made, Ending("built", f"data set {built.id[:12]}, rows: {made.rows}")


def why_not_yet(wired: Wiring) -> str:
    """Return why no data set is worth its space now; nothing where one is.

    Each holds its rows anew. Since one is made only where traces grew by a twentieth, or the rules changed, all of them
    together hold some twenty times the traces, however many days go by.
    """
    newest = next(iter(wired.data_sets.recent(1)), None)
    if newest is None or newest.withdrawn_at is not None:
        return ""
    now = (wired.training_policy().version, to_json(bounds_of(wired)))
    if now != (newest.summary["policy"], newest.summary["bounds"]):
        return ""
    new, wanted = wired.traces.since(newest.created_at), max(1, newest.summary["traces"] // _GROWTH)
    if new >= wanted:
        return ""
    return f"{new} new traces since data set {newest.id[:12]}; {wanted} make another"


def make_data_set(wired: Wiring, report: Callable[[int], None]) -> tuple[Built, DataSet | None]:
    """Choose from all traces, write what was chosen below ATRA's home, and register it.

    Args:
        report: told every thousand traces how many were looked at.
    """
    curation = curation_of(wired)
    built = build(curation, counted(wired.traces.all(), report), folder_of(wired))
    if not built.id:
        return built, None
    known = wired.data_sets.register(built.id, str(built.path), built.summary, built.trace_ids())
    log.info("data set built", data_set=built.id[:12], rows=built.summary["rows"], new=built.new)
    return built, known


def curation_of(wired: Wiring) -> Curation:
    """Return the choosing that the settings describe.

    Raises:
        BadInput: a file of evaluation questions cannot be read.
        MissingPart: the tokenizer's file is not there.
    """
    chosen = wired.settings.distill
    held_out = (*chosen.evaluation, *wired.settings.brain.evaluation)
    questions = [question for path in held_out for question in questions_of(path)]
    return Curation(
        bounds_of(wired),
        wired.training_policy(),
        TokenizerFile(chosen.tokenizer) if chosen.tokenizer else Estimate(),
        Screen(chosen.languages),
        Evaluation(questions),
        (Agreement(_voices(wired)),),
    )


def _voices(wired: Wiring) -> Iterator[Trace]:
    """Yield the traces whose answers count as voices: whole answers that may be learned from."""
    policy = wired.training_policy()
    for trace in wired.traces.all():
        if policy.permission(trace.origin).allowed and trace.origin.finish == "stop" and not trace.origin.refusal:
            yield trace


def bounds_of(wired: Wiring) -> Bounds:
    """Return what the settings want of rows."""
    chosen = wired.settings.distill
    return Bounds(
        chosen.shortest_tokens, chosen.longest_tokens, chosen.per_question, chosen.long_share, chosen.long_tokens
    )


def questions_of(path: Path) -> Iterator[str]:
    """Yield the questions of an evaluation set: in JSON lines the field `question`, `prompt` or `problem`, else lines.

    Raises:
        BadInput: it cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _question(path, number, line)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"the evaluation set {path} cannot be read: {error}") from error


def _question(path: Path, number: int, line: str) -> str:
    if path.suffix not in (".jsonl", ".json"):
        return line
    try:
        given = json.loads(line)
        return next(str(given[name]) for name in ("question", "prompt", "problem") if name in given)
    except (ValueError, TypeError, StopIteration) as error:
        raise BadInput(f"line {number} of {path} is no JSON object with a question, a prompt or a problem") from error


def counted(traces: Iterator[Trace], report: Callable[[int], None]) -> Iterator[Trace]:
    """Yield the traces, telling at every thousand how many there were."""
    for number, trace in enumerate(traces, start=1):
        if number % 1000 == 0:
            report(number)
        yield trace


def folder_of(wired: Wiring) -> Path:
    """Return where data sets lie."""
    return wired.settings.home / "data_sets"


@app.task(base=AtraTask, name="distill.start", soft_time_limit=100, time_limit=120, ignore_result=True)
def start() -> None:
    """Open the day's run, unless it was opened before, and send it. Asked hourly, it works daily."""
    wired = wiring()
    try:
        check_libraries()
    except MissingPart as error:
        log.info("nothing is learned here", why=str(error))
        return
    run = open_day(wired, utc_now())
    if run.state == "open":
        send(app, wired.runs, run)


def open_day(wired: Wiring, now: datetime) -> Run:
    """Return the run that learns on the day of this instant; there is one a day."""
    return wired.runs.open(f"{PREFIX}{now:%Y%m%d}", distill(), {})


TASKS = {
    "gather": step_task(app, DISTILL, "gather", gather),
    "build": step_task(app, DISTILL, "build", build_data_set),
}
