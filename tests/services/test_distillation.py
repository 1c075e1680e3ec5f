"""From a real repair to a data set, and back when a trace is revoked."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from atra.core.errors import BadInput
from atra.core.records import from_json, to_json
from atra.core.runs import Ending, Run, new_id
from atra.core.settings import DistillSettings, Settings
from atra.distillation.data_set import build, is_whole
from atra.distillation.policy import Rule
from atra.distillation.traces import Trace
from atra.repository import Repository
from atra.war_room.records import Ballot, Decision, Evidence, Option, Tally
from atra.war_room.seats import ROOM, Agenda, Asked, Seat
from atra.wiring import Wiring, use
from tests.targets import small_shop
from tests.unit.distillation.given import trace
from workers import distillation, self_repair
from workers.distillation import Gathered, Made, curation_of, folder_of, make_data_set, questions_of, why_not_yet
from workers.pipelines import distill, war_room
from workers.pipelines import self_repair as repair_plan
from workers.targets import make_target
from workers.task import StepFunction, run_step


@pytest.fixture
def wired(settings: Settings) -> Wiring:
    return use(settings)


def carried(wired: Wiring, run: Run, steps: Mapping[str, StepFunction]) -> Run:
    """Do a run's steps one after the other to its end."""
    for step in wired.runs.steps(run.id):
        if run.state == "open":
            run_step(step.name, run.id, step.shard, steps[step.name])
            run = wired.runs.get(run.id)
    return run


def learned(wired: Wiring) -> tuple[Gathered, Made, Run]:
    """Carry a run that learns to its end."""
    steps = {"gather": distillation.gather, "build": distillation.build_data_set}
    run = carried(wired, wired.runs.open(new_id("l"), distill(), {}), steps)
    (gathered,), (made,) = (wired.runs.outputs(run.id, name) for name in steps)
    return from_json(Gathered, gathered), from_json(Made, made), run


def test_a_verified_repair_becomes_a_row(wired: Wiring, tmp_path: Path):
    """Once, allowed as ATRA's own; the same day's second run makes the same data set."""
    target = make_target(Repository.open(small_shop(tmp_path / "shop")), wired.settings, budget_s=60)
    repaired = carried(wired, wired.runs.open(new_id("r"), repair_plan(1), to_json(target)), self_repair.STEPS)
    assert repaired.outcome == "fixed"

    gathered, made, run = learned(wired)
    (kept,) = wired.traces.of_run(repaired.id)

    assert (gathered.repairs, made.rows, run.outcome) == (1, 1, "built")
    assert (kept.origin.provider, kept.origin.proof, kept.permission.allowed) == ("atra", "tests", True)
    assert "pieces > 10" in kept.prompt
    assert "Proof:" in kept.reasoning
    again, _, day_after = learned(wired)
    assert (again, day_after.outcome) == (Gathered(), "nothing_new")
    built, _ = make_data_set(wired, lambda count: None)
    assert (built.id, built.new) == (made.data_set, False)
    assert wired.data_sets.holding(kept.id) == [made.data_set]
    assert is_whole(folder_of(wired) / made.data_set)


def test_a_repair_that_did_not_hold_is_taken_back(wired: Wiring, tmp_path: Path):
    """Its trace is revoked, its data set withdrawn, and neither comes back."""
    repaired = wired.runs.open(new_id("r"), repair_plan(1), {})
    wired.traces.keep(replace(trace(1), origin=replace(trace(1).origin, source="repair", run_id=repaired.id)))
    _, made, _ = learned(wired)
    wired.runs.open(f"w{repaired.id[1:]}", replace(repair_plan(1), kind="watch"), {})

    gathered, nothing, run = learned(wired)

    assert (gathered.revoked, nothing.data_set, run.outcome) == (1, "", "nothing_to_learn")
    assert [one.withdrawn_at is None for one in wired.data_sets.find(made.data_set)] == [False]
    assert learned(wired)[0] == Gathered()


def test_a_room_that_was_right_becomes_a_trace(wired: Wiring):
    """Only where a seat that looks at evidence alone had named what was decided."""
    right, wrong = (_decided(wired, expert_right=right) for right in (True, False))

    gathered, _, _ = learned(wired)

    assert gathered.rooms == 1
    (kept,) = wired.traces.of_run(right)
    assert (kept.answer, kept.origin.source, wired.traces.of_run(wrong)) == ("shop.py::f", "war_room", [])
    assert "a model's words" not in kept.reasoning


def _decided(wired: Wiring, *, expert_right: bool) -> str:
    seats = (Seat("history", "History", "evidence"), Seat("ml", "ML", "model", model="m"))
    asked = Asked("code", f"Which place? {expert_right}", seats)
    run = wired.runs.open(new_id("m"), war_room(1, 0, code=True, deadline_s=60), {ROOM: to_json(asked)})
    agenda = Agenda((Option("shop.py::f", "shop.py::f"), Option("shop.py::g", "shop.py::g")))
    tally = Tally(("shop.py::f",), {"shop.py::f": 1.0}, 1.0, ("shop.py::f",), 2, 2)

    def put(name: str, output: object, ending: Ending | None = None) -> None:
        run_step(name, run.id, 0, lambda work: (output, ending))

    put("reproduce", Made("", 0, 0))
    put("convene", agenda)
    for expert, kind, said in (("history", "evidence", "it changed"), ("ml", "model", "a model's words")):
        wired.rooms.cast(run.id, Ballot(expert, expert, kind, ("shop.py::f",), 0.8, (Evidence(said, "shop.py:3"),)))
    decision = wired.rooms.decide(run.id, lambda _: Decision("decided", "shop.py::f", "both say so", tally))
    wired.rooms.judge(run.id, "code", {"history": expert_right, "ml": True}, wired.rooms.ballots(run.id), 2)
    put("hear", Made("", 0, 0))
    put("weigh", decision, Ending("decided", "both say so"))
    return run.id


def test_a_data_set_that_was_written_and_not_registered_is_registered(wired: Wiring):
    """Its process was killed between the two; the next finds it there."""
    wired.traces.keep(trace(1))
    written = build(curation_of(wired), wired.traces.all(), folder_of(wired))
    assert wired.data_sets.recent() == []

    again, known = make_data_set(wired, lambda count: None)

    assert (again.id, again.new) == (written.id, False)
    assert [one.id for one in wired.data_sets.recent()] == [written.id]
    assert known is not None
    assert wired.data_sets.holding(trace(1).id) == [written.id]


def test_revoking_withdraws_every_data_set_that_holds_the_trace(wired: Wiring):
    """And no other; a trace of which none was built is found nowhere."""
    wired.traces.keep(trace(1), trace(2))
    both, _ = make_data_set(wired, lambda count: None)
    assert wired.traces.revoke("asked for", ids=[trace(1).id]).data_sets == (both.id,)
    one, known = make_data_set(wired, lambda count: None)

    assert list(one.trace_ids()) == [trace(2).id]
    assert known is not None
    assert known.withdrawn_at is None
    assert wired.traces.revoke("nobody", ids=["0" * 64]).data_sets == ()


def test_what_is_revoked_while_a_data_set_is_built_withdraws_it(wired: Wiring):
    """The one waits for the other, whichever comes first; many times over."""
    for number in range(10):
        traces = [trace(100 * number + place) for place in range(3)]
        wired.traces.keep(*traces)
        start = threading.Barrier(2)

        def revoke(gone: Trace = traces[0], start: threading.Barrier = start) -> None:
            start.wait()
            wired.traces.revoke("asked for", ids=[gone.id])

        thread = threading.Thread(target=revoke)
        thread.start()
        start.wait()
        known = wired.data_sets.register(f"set{number}", "nowhere", {}, [one.id for one in traces])
        thread.join()

        assert wired.data_sets.find(known.id)[0].withdrawn_at is not None


def test_a_data_set_is_made_anew_where_it_is_worth_it(wired: Wiring):
    """When traces grew by a twentieth, the rules changed, or the newest was withdrawn; not each day."""
    wired.traces.keep(*(trace(number) for number in range(60)))
    first, _ = make_data_set(wired, lambda count: None)
    assert "3 make another" in why_not_yet(wired)

    wired.traces.keep(trace(60), trace(61))
    assert why_not_yet(wired).startswith(f"2 new traces since data set {first.id[:12]}")
    wired.traces.keep(trace(62))
    assert why_not_yet(wired) == ""

    make_data_set(wired, lambda count: None)
    assert why_not_yet(wired) != ""
    wired.traces.decide(Rule("openai", "*", "*", False, "we read the terms"))
    assert why_not_yet(wired) == ""
    make_data_set(wired, lambda count: None)
    wired.traces.revoke("asked for", ids=[trace(5).id])
    assert why_not_yet(wired) == ""


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.txt", "Who?\n\nWhy?\n", ["Who?\n", "Why?\n"]),
        ("a.jsonl", '{"question": "Who?"}\n{"problem": "Why?", "answer": 2}\n', ["Who?", "Why?"]),
        ("a.jsonl", '{"answer": 1}\n', "line 1"),
        ("a.jsonl", "[1]\n", "line 1"),
        ("a.jsonl", "no\n", "line 1"),
        ("a.txt", None, "cannot be read"),
    ],
)
def test_an_evaluation_set_is_read_or_refused(tmp_path: Path, name: str, text: str | None, found: list[str] | str):
    """With the file and the line."""
    if text is not None:
        (tmp_path / name).write_text(text)

    if isinstance(found, list):
        assert list(questions_of(tmp_path / name)) == found
    else:
        with pytest.raises(BadInput, match=found):
            list(questions_of(tmp_path / name))


def test_the_settings_say_what_is_chosen(settings: Settings, tmp_path: Path):
    """Evaluation sets are kept out, and lengths are bounds."""
    (tmp_path / "pinned.txt").write_text(f"{trace(1).prompt}\n")
    chosen = DistillSettings(evaluation=(tmp_path / "pinned.txt",), longest_tokens=4000, languages=())
    wired = use(settings.model_copy(update={"distill": chosen}))
    wired.traces.keep(trace(1), trace(2))

    built, _ = make_data_set(wired, lambda count: None)

    assert built.summary["dropped"] == {"contaminated": 1}
    assert built.summary["bounds"]["longest_tokens"] == 4000


def test_the_day_has_one_run(wired: Wiring):
    """However often the tick comes; the next day has its own."""
    morning = datetime(2030, 1, 2, 3, tzinfo=UTC)
    opened = [distillation.open_day(wired, morning + timedelta(hours=hours)).id for hours in (0, 1, 20, 21)]

    assert opened == ["l20300102", "l20300102", "l20300102", "l20300103"]
    assert {run.id for run in wired.runs.recent()} == set(opened)
