"""The shell round a step, on the real database: how its run ends, and what is told of it."""

import time

import pytest
from celery.exceptions import Ignore, SoftTimeLimitExceeded
from sqlalchemy import text

from atra.core.errors import BoxFailed, BudgetSpent, NoTests, Permanent
from atra.core.runs import Ending, Plan, Run, new_id
from atra.core.settings import Settings
from atra.wiring import Wiring, use
from workers.app import app
from workers.task import AtraTask, Work, run_step

SECRET = "password=canary-of-a-test"


@pytest.fixture
def wired(settings: Settings) -> Wiring:
    return use(settings.model_copy(update={"lease_s": 0.3}))


@pytest.fixture
def run(wired: Wiring) -> Run:
    return wired.runs.open(new_id("r"), Plan("self_repair", (("first", 1), ("last", 1))), {})


def until_over(work: Work) -> None:
    until = time.monotonic() + 10
    while not work.over():
        assert time.monotonic() < until
        time.sleep(0.02)


def cancelled_then(work: Work, wired: Wiring) -> None:
    """Have the run cancelled while the step works, and wait until the step knows."""
    wired.runs.cancel(work.run.id)
    until = time.monotonic() + 10
    while not work.cancelled:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_step_that_stops_with_an_error_because_it_was_cancelled_is_cancelled(wired: Wiring, run: Run):
    """A suite that was cut off may look as if it had no tests; the run is not in error for that."""

    def step(work: Work):
        cancelled_then(work, wired)
        raise NoTests("/shop")

    with pytest.raises(NoTests):
        run_step("first", run.id, 0, step)

    assert wired.runs.get(run.id).outcome == "cancelled"


@pytest.mark.parametrize("error", [None, NoTests("/shop")], ids=["result", "error"])
def test_a_step_whose_heartbeat_is_not_written_in_time_stops_and_is_done_again(
    wired: Wiring, run: Run, error: Exception | None
):
    """The database holds its heartbeat up until the lease is over; what the step has by then is no result."""

    def step(work: Work):
        with wired.engine.begin() as db:
            db.execute(text("SELECT id FROM runs WHERE id = :id FOR UPDATE"), {"id": run.id})
            until_over(work)
        if error:
            raise error
        return {"half": True}, Ending("not_fixed", "nothing was found")

    with pytest.raises(type(error) if error else Ignore):
        run_step("first", run.id, 0, step)
    lost = wired.runs.steps(run.id)[0]
    time.sleep(0.35)
    run_step("first", run.id, 0, lambda work: ({"whole": work.claim.fence}, None))

    assert (lost.state, lost.output, wired.runs.get(run.id).state) == ("leased", None, "open")
    assert wired.runs.outputs(run.id, "first") == [{"whole": 2}]


@pytest.mark.parametrize(("outcome", "told"), [("fixed", "fixed"), ("not_fixed", "cancelled"), (None, "cancelled")])
def test_what_has_landed_is_told_though_it_was_cancelled(wired: Wiring, run: Run, outcome: str | None, told: str):
    """A commit that was made before the step learned of it is not hidden; what was cut off is not a result."""

    def step(work: Work):
        cancelled_then(work, wired)
        return None, Ending(outcome, "why") if outcome else None

    run_step("first", run.id, 0, step)

    assert wired.runs.get(run.id).outcome == told


def test_a_second_copy_stops_its_chain_and_a_third_passes(wired: Wiring, run: Run):
    """While the step is held a copy is ignored; when it is settled a copy goes on."""
    copies = []

    def step(work: Work):
        with pytest.raises(Ignore) as caught:
            run_step("first", run.id, 0, step)
        copies.append(str(caught.value))
        return None, None

    assert run_step("first", run.id, 0, step) == run.id
    assert copies == ["leased"]
    assert run_step("first", run.id, 0, step) == run.id


def test_a_secret_in_an_error_is_in_no_row(wired: Wiring, run: Run):
    """Neither a step that is given back nor one that fails writes it down."""

    def breaks(work: Work):
        raise BoxFailed(SECRET)

    def fails(work: Work):
        raise ValueError(SECRET)

    with pytest.raises(BoxFailed):
        run_step("first", run.id, 0, breaks)
    given_back = wired.runs.steps(run.id)[0]
    with pytest.raises(ValueError, match="canary"):
        run_step("first", run.id, 0, fails)
    failed, ended = wired.runs.steps(run.id)[0], wired.runs.get(run.id)

    assert (given_back.state, failed.state, ended.outcome) == ("ready", "failed", "error")
    assert "canary" not in f"{given_back} {failed} {ended}"


@pytest.mark.parametrize("kind", [BoxFailed, ValueError], ids=["retried", "failed"])
def test_a_secret_in_an_error_is_not_told_by_celery(wired: Wiring, kind: type[Exception]):
    """Events and results, which Flower shows, get the masked text of the error and of what caused it."""

    @app.task(base=AtraTask, name=f"test.raises_{kind.__name__}", shared=False)
    def raises() -> None:
        raise kind("harmless") from KeyError(SECRET)

    try:
        result = raises.apply(throw=False)
    finally:
        app.tasks.unregister(raises.name)

    assert result.failed()
    assert "canary" not in f"{result.result!r} {result.traceback}"
    assert kind.__name__ in repr(result.result)


SPENT = BudgetSpent("run r1", "$0.009", "$0.01", "$0.002")


def spends(work: Work):
    raise SPENT


def test_a_spent_budget_ends_the_run_and_not_the_task(wired: Wiring, run: Run):
    """The run is not fixed, for that reason; its chain runs out quietly, and nothing is tried again."""
    assert run_step("first", run.id, 0, spends) == run.id
    assert run_step("last", run.id, 0, spends) == run.id

    ended, step = wired.runs.get(run.id), wired.runs.steps(run.id)[0]
    assert (ended.outcome, ended.reason) == ("not_fixed", str(SPENT))
    assert "The budget of run r1 is spent: $0.009 of $0.01" in (ended.reason or "")
    assert (step.state, step.attempt, (step.error or {})["type"]) == ("failed", 1, "BudgetSpent")


def test_a_step_may_settle_with_what_it_has_when_the_budget_is_spent(wired: Wiring, run: Run):
    """It catches the end of the budget by its name; the run goes on."""

    def step(work: Work):
        try:
            return spends(work)
        except BudgetSpent as spent:
            return {"skipped": str(spent)}, None

    run_step("first", run.id, 0, step)

    assert wired.runs.get(run.id).state == "open"
    assert "spent" in wired.runs.outputs(run.id, "first")[0]["skipped"]


@pytest.mark.parametrize("error", [SPENT, NoTests("/shop"), SoftTimeLimitExceeded()], ids=["budget", "error", "time"])
def test_a_run_goes_on_without_an_excusable_step_that_fails(wired: Wiring, error: BaseException):
    """It settles with the reason, and the task ends well, so that the steps after it are started."""
    run = wired.runs.open(new_id("r"), Plan("self_repair", (("ask", 1), ("last", 1)), frozenset({"ask"})), {})

    def step(work: Work):
        raise error

    assert run_step("ask", run.id, 0, step) == run.id

    assert wired.runs.get(run.id).state == "open"
    assert wired.runs.outputs(run.id, "ask")[0]["excused"]


def test_no_task_of_ours_raises_what_is_no_exception(wired: Wiring):
    """Out of a task, a spent budget is a failure like others: not retried, and no reason for a worker to end."""

    @app.task(base=AtraTask, name="test.spends", shared=False)
    def task() -> None:
        raise SPENT

    try:
        result = task.apply(throw=False)
    finally:
        app.tasks.unregister(task.name)

    assert isinstance(result.result, Permanent)
    assert str(SPENT) in str(result.result)


def test_every_task_is_one_of_ours(wired: Wiring):
    """So what holds of `AtraTask` holds of all."""
    app.loader.import_default_modules()

    others = [name for name, task in app.tasks.items() if not isinstance(task, AtraTask)]
    assert [name for name in others if not name.startswith("celery.")] == []
