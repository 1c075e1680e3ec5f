"""AtraTask, and the shell that makes a durable step of a plain function: claim, work with a heartbeat, settle.

A copy of a message that finds its step settled returns at once, and one that finds it held elsewhere stops its own
chain, so that sending a whole chain again is always safe.
"""

import contextlib
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import structlog
from celery import Celery, Task, current_app
from celery.exceptions import Ignore, SoftTimeLimitExceeded, TaskPredicate
from kombu.exceptions import OperationalError

from atra.core.errors import AtraError, BudgetSpent, LeaseLost, Permanent, Transient, as_facts
from atra.core.records import from_json, to_json
from atra.core.runs import Claim, Ending, Refusal, Run
from atra.storage.runs import RunStore
from atra.wiring import Wiring, wiring
from workers.owners import this_process

log = structlog.get_logger(__name__)
R = TypeVar("R")

CANCELLED = Ending("cancelled", "cancelled on request")
_LANDED = frozenset({"fixed", "written", "migrated", "reverted", "delivered"})


class AtraTask(Task):  # type: ignore[misc]
    """Retries what is worth another try, with backoff; there is no other retry loop in ATRA.

    What Celery tells of a failure, in events (Flower) and results, has no secret in it. A spent budget leaves as an
    `Exception`: one that is none would end a worker whose pool is `solo`, and with it all that it holds.
    """

    max_retries = 5
    acks_late = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        told: Exception
        try:
            return super().__call__(*args, **kwargs)
        except TaskPredicate:
            raise
        except BudgetSpent as spent:
            told, again = Permanent(str(spent)), False
        except Exception as error:
            told, again = _without_secrets(error), isinstance(error, Transient)
            if told is error and not again:
                raise
        # Raised out here, the masked error does not carry the original one along as its context.
        if again:
            countdown = min(30, 2**self.request.retries)
            log.warning("trying again", error=str(told), countdown_s=countdown)
            raise self.retry(exc=told, countdown=countdown)
        raise told


def _without_secrets(error: Exception) -> Exception:
    """Return the error, or one with its masked text where its traceback, with all causes, holds a secret."""
    told = "".join(traceback.format_exception(error))
    redactor = wiring().redactor
    if redactor.text(told) == told:
        return error
    return AtraError(f"{type(error).__name__}: {redactor.text(str(error))}")


class Work:
    """A step under way: what it was given, whether to go on, and how far it is.

    Args:
        claim: the right to this step.
        runs: where heartbeats go.
        lease_s: how long the claim holds without one.
    """

    def __init__(self, claim: Claim, runs: RunStore, wired: Wiring) -> None:
        self.claim = claim
        self.run: Run = claim.run
        self.wired = wired
        self._runs = runs
        self._lease_s = wired.settings.lease_s
        self._over = threading.Event()
        self._held_until_s = time.monotonic() + self._lease_s
        self._lost = False
        self._progress: Mapping[str, Any] | None = None
        self._cancelled = False

    def given(self, kind: type[R]) -> R:
        """Return the run's input as a record."""
        return from_json(kind, self.run.input)

    def output_of(self, name: str, kind: type[R]) -> R:
        """Return what an earlier step of this run put out."""
        return self.outputs_of(name, kind)[0]

    def outputs_of(self, name: str, kind: type[R]) -> list[R]:
        """Return what the shards of an earlier step put out, in order."""
        return [from_json(kind, output) for output in self._runs.outputs(self.run.id, name)]

    def report(self, **progress: Any) -> None:
        """Say how far the step is; the next heartbeat writes it down."""
        self._progress = progress

    def got_further(self) -> None:
        """Say that the step would go on from further than ever before: earlier attempts no longer count."""
        self._runs.got_further(self.claim)

    def over(self) -> bool:
        """Return whether to stop: the run was cancelled, or the step is somebody else's by now, or may be.

        It may be once no heartbeat was written for as long as the lease is, whatever keeps the database from answering.
        """
        if not self._over.is_set() and time.monotonic() > self._held_until_s:
            log.warning("no heartbeat for as long as the lease is", lease_s=self._lease_s)
            self._lost = True
            self._over.set()
        return self._over.is_set()

    @property
    def lost(self) -> bool:
        """Whether the step was told to stop since nobody could say that its lease holds: it came to no result."""
        return self._lost

    @property
    def cancelled(self) -> bool:
        """Whether the run was asked to stop."""
        return self._cancelled

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Extend the lease from a thread of its own while the body works."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(self._lease_s / 3):
                asked_s = time.monotonic()
                try:
                    pulse = self._runs.heartbeat(self.claim, self._lease_s, self._progress)
                except AtraError as error:
                    log.warning("no heartbeat", error=str(error))
                    continue
                self._cancelled = self._cancelled or pulse.cancelled
                self._held_until_s = asked_s + self._lease_s
                if not pulse.held or pulse.cancelled:
                    self._over.set()

        thread = threading.Thread(target=beat, name=f"heartbeat-{self.run.id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(timeout=5)


StepFunction = Callable[[Work], tuple[Any, Ending | None]]
"""What a step is to its shell: from the work to its output (a record, or None) and, where the run ends, how."""


def run_step(name: str, run_id: str, shard: int, work_on: StepFunction, *, attempts: int | None = None) -> str:
    """Claim the step, do it, settle it; return the run's id.

    Args:
        attempts: how often it may be tried, where that is less often than the settings allow.

    Raises:
        Ignore: this copy of the message has nothing to do, and its chain stops.
        Transient: the step was given back and is worth another try.
    """
    wired = wiring()
    structlog.contextvars.bind_contextvars(run_id=run_id, step=name, shard=shard)
    settings = wired.settings
    tries = min(attempts or settings.max_attempts, settings.max_attempts)
    claim = wired.runs.claim(run_id, name, shard, owner=this_process(), lease_s=settings.lease_s, max_attempts=tries)
    if isinstance(claim, Refusal):
        if claim.why in {"settled", "ended"}:
            return run_id
        log.info("nothing to do here", why=claim.why)
        raise Ignore(claim.why)
    work = Work(claim, wired.runs, wired)
    log.info("step claimed", attempt=claim.attempt, fence=claim.fence)
    if claim.run.cancel_requested:
        wired.runs.fail(claim, {"type": "Cancelled", "error": CANCELLED.reason}, CANCELLED)
        return run_id
    try:
        with work.heartbeat():
            output, ending = work_on(work)
        if work.lost:
            raise LeaseLost(run_id, name)
        if work.cancelled and not (ending and ending.outcome in _LANDED):  # what has landed is told
            ending = CANCELLED
        wired.runs.settle(claim, None if output is None else to_json(output), ending)
    except LeaseLost as error:
        log.warning("step lost", error=str(error))
        raise Ignore(str(error)) from error
    except Transient as error:
        wired.runs.release(claim, wired.redactor.value(as_facts(error)))
        raise
    except BudgetSpent as spent:
        _fail(work, as_facts(spent), "not_fixed")
    except Exception as error:
        _fail(work, _facts(error, name), "error")
        if not claim.excusable:
            raise
    else:
        log.info("step settled", outcome=ending.outcome if ending else None)
        if ending is not None and ending.then is not None:
            _wake(ending.then.run_id)
    return run_id


def _wake(run_id: str) -> None:
    """Have a run sent that was just opened; where the broker is away, the sweeper sends it."""
    with contextlib.suppress(OperationalError):
        current_app.send_task("maintenance.send", (run_id,), argsrepr=f"run={run_id}", ignore_result=True)


def _facts(error: Exception, name: str) -> dict[str, Any]:
    if isinstance(error, SoftTimeLimitExceeded):
        return {"type": "TimeLimit", "error": f"step {name} ran into its time limit"}
    return as_facts(error)


def step_task(
    app: Celery, kind: str, name: str, work_on: StepFunction, *, attempts: int | None = None, **limits: int
) -> Task:
    """Make the Celery task of one step of a kind of run.

    Args:
        attempts: how often the step may be tried, where that is less often than the settings allow.
        limits: `soft_time_limit` and `time_limit` in seconds, where the application's own do not fit.
    """

    def run(run_id: str, shard: int = 0) -> str:
        return run_step(name, run_id, shard, work_on, attempts=attempts)

    run.__doc__ = work_on.__doc__
    return app.task(run, base=AtraTask, name=f"{kind}.{name}", **limits)


def _fail(work: Work, facts: dict[str, Any], outcome: str) -> None:
    """End the run with this error and outcome, or let it go on without a step that may be excused; log it.

    A step that is cancelled may stop with an error; then the run is cancelled and not in error. A lease that was lost
    meanwhile leaves all that to the one who has it, or will have it.
    """
    known = isinstance(sys.exception(), (AtraError, BudgetSpent))  # its sentence says it all
    facts = work.wired.redactor.value(facts)
    why = str(facts["error"])
    (log.error if known else log.exception)("step failed", **facts)
    if work.lost:
        log.warning("step lost", error=str(LeaseLost(work.run.id, work.claim.name)))
        return
    try:
        if work.claim.excusable and not work.cancelled:
            work.wired.runs.excuse(work.claim, why)
        else:
            work.wired.runs.fail(work.claim, facts, CANCELLED if work.cancelled else Ending(outcome, why))
    except LeaseLost as error:
        log.warning("step lost", error=str(error))
