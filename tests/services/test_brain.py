"""A candidate is compared, promoted, asked, watched and taken out of service again: all parts together."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from atra.cli.main import run as command_line
from atra.core.errors import BadInput, MissingPart
from atra.core.records import from_json, to_json
from atra.core.runs import Run, new_id
from atra.core.settings import BrainSettings, Settings, load_settings
from atra.distillation.traces import HUMAN, Origin, Trace
from atra.local_brain import versions
from atra.local_brain.versions import Lineage
from atra.meta_architect.records import Reproduction
from atra.orchestrator.answers import Answered, Asked
from atra.repository import Repository
from atra.storage.brains import Brain, Evaluation
from atra.wiring import Wiring, use
from tests.services.watching import eventually
from tests.targets import small_shop
from tests.unit.llm.tiny import make_tiny
from tests.unit.local_brain.test_versions import weights
from tests.wires import Status, Step, Turn, WireServer
from workers import ask as asking
from workers import self_repair
from workers.brain import compare, follow, judge, look_after, open_evaluation, promote, roll_back
from workers.distillation import make_data_set
from workers.owners import is_dead
from workers.pipelines import ask as asking_plan
from workers.pipelines import self_repair as repair_plan
from workers.pointing import measure_leads
from workers.targets import make_target
from workers.task import run_step

ITEMS = 40
QUESTION = "what is 6 times 7 plus 0 minus 0"


def write_set(folder: Path, items: int = ITEMS) -> Path:
    rows = [{"question": f"what is 42 times 1 plus {number} minus {number}", "answer": "42"} for number in range(items)]
    file = folder / "sums.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def model_folder(folder: Path, name: str) -> Path:
    """Write what looks like a model; who runs it is a server here."""
    made = folder / name
    made.mkdir()
    (made / "config.json").write_text(json.dumps({"name": name}))
    (made / "model.safetensors").write_bytes(weights())
    return made


@pytest.fixture
def wired(settings: Settings, tmp_path: Path) -> Wiring:
    """An installation with an evaluation set and a data set of one trace."""
    brain = BrainSettings(evaluation=(write_set(tmp_path),), timeout_s=10, window=10)
    made = use(settings.model_copy(update={"brain": brain}))
    origin = Origin(HUMAN, "somebody", source="human")
    told = Trace("Why is the sky blue?", "Blue light is scattered more than red light is.", "It is.", "human", origin)
    made.traces.keep(told)
    return made


def served_by(wired: Wiring, server: WireServer) -> Wiring:
    known = {"server": "transformers", "base_url": server.url}
    return use(wired.settings.model_copy(update={"brain": wired.settings.brain.model_copy(update=known)}))


def candidate(wired: Wiring, model: Path, base: Path) -> Brain:
    """Admit a model as a training does."""
    built, known = make_data_set(wired, lambda count: None)
    assert known is not None
    lineage = Lineage(built.id, str(base), "main", "apache-2.0", training={"steps": 10})
    return wired.brains.add(versions.admit(model, lineage, wired.brain_folder))


@pytest.fixture
def pair(wired: Wiring, tmp_path: Path) -> tuple[Brain, Path]:
    """A candidate, and the base it was trained from."""
    base = model_folder(tmp_path, "base")
    return candidate(wired, model_folder(tmp_path, "model"), base), base


def says(*, base: str = "7", other: str = "42", logprob: float = -0.1) -> Any:
    """Return what a server does that runs both: the base says one thing, every version another."""

    def step(body: dict[str, Any]) -> Step:
        if Path(body["model"]).name == "base":
            return Turn(base, reasoning="hm", logprobs=(-0.2,))
        return Turn(other, reasoning="hm\nso", logprobs=(logprob,))

    return step


def evaluate(wired: Wiring, brain: Brain) -> tuple[Evaluation, Run]:
    evaluation, run = open_evaluation(wired, brain.id)
    run_step("compare", run.id, 0, compare)
    run_step("judge", run.id, 0, judge)
    return wired.brains.evaluation(evaluation.id), wired.runs.get(run.id)


def ask(wired: Wiring, question: str = QUESTION, **more: Any) -> Answered:
    run = wired.runs.open(new_id("q"), asking_plan(), to_json(Asked(question, **more)))
    run_step("answer", run.id, 0, asking.answer)
    [output] = wired.runs.outputs(run.id, "answer")
    return from_json(Answered, output)


@pytest.fixture
def serving(wired: Wiring, pair: tuple[Brain, Path]) -> Iterator[tuple[Wiring, Brain, WireServer]]:
    """A brain that the gate has passed and that serves, behind a server."""
    with WireServer(says()) as server:
        served = served_by(wired, server)
        evaluate(served, pair[0])
        assert promote(served, pair[0].id) == ""
        server.requests.clear()
        yield served, served.brains.get(pair[0].id), server


def test_a_model_that_is_better_serves_and_answers(wired: Wiring, tmp_path: Path) -> None:
    """With real weights in this process: compared with its base, promoted, asked, kept, and credited to itself."""
    base = make_tiny(tmp_path / "base", ["<think>\nhm\n</think>\n\n", "7"])
    brain = candidate(wired, make_tiny(tmp_path / "model", ["<think>\nhm\n</think>\n\n", "42"]), base)
    evaluation, run = evaluate(wired, brain)
    assert evaluation.verdict is not None
    assert (run.outcome, evaluation.verdict.promote, evaluation.contaminated) == ("better", True, 0), run.reason
    said = wired.brains.answers(evaluation.id)
    assert [len(said[side, "target"]) for side in ("candidate", "present")] == [ITEMS, ITEMS]
    assert ask(wired).passed[0] == "local: no model was promoted here"
    assert promote(wired, brain.id[:9]) == ""
    assert versions.serving(wired.brain_folder) == brain.id
    found = ask(wired)
    assert (found.source, found.answer, found.price_usd) == ("local", "42", 0.0)
    assert (found.made_by, found.steps) == (f"atra-brain/{brain.id[:12]}", ("hm",))
    again = ask(wired)
    assert (again.source, again.made_by) == ("cache", found.made_by)
    [trace] = [one for one in wired.traces.all() if one.prompt == QUESTION]
    assert (trace.origin.provider, trace.origin.model, trace.kind) == ("local", found.made_by, "raw")
    assert not trace.permission.allowed
    assert wired.brains.uses(brain.id, 10) == ["answered"]


def test_the_newest_word_of_the_gate_counts(wired: Wiring, pair: tuple[Brain, Path], tmp_path: Path) -> None:
    """What passed once and was refused since, on sets that hold more, does not serve."""
    brain, _ = pair
    more = tmp_path / "talk.jsonl"
    rows = [{"question": f"Say it {n} times", "answer": "7", "kind": "regression"} for n in range(ITEMS)]
    more.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with WireServer(says()) as server:
        served = served_by(wired, server)
        assert evaluate(served, brain)[1].outcome == "better"
        sets = served.settings.brain.model_copy(update={"evaluation": (*served.settings.brain.evaluation, more)})
        wider = use(served.settings.model_copy(update={"brain": sets}))
        assert evaluate(wider, brain)[1].outcome == "not_better"
        assert "has not passed" in promote(wider, brain.id)
        assert wider.brains.serving() == ""


def test_an_equal_model_does_not_serve(wired: Wiring, pair: tuple[Brain, Path]) -> None:
    """The gate's word is kept, promotion refuses and says why; a reason overrides it, and is kept."""
    brain, _ = pair
    with WireServer(says(base="42")) as server:
        served = served_by(wired, server)
        evaluation, run = evaluate(served, brain)
        assert run.outcome == "not_better"
        assert "significance" in (run.reason or "")
        assert served.brains.get(brain.id).state == "refused"
        assert "has not passed" in promote(served, brain.id)
        assert served.brains.serving() == ""
        asked = len(server.requests)
        assert evaluate(served, brain)[0] == evaluation
        assert len(server.requests) == asked
        assert promote(served, brain.id, override="for the demonstration") == ""
    assert [(one.kind, one.why) for one in served.brains.changes()] == [("override", "for the demonstration")]


def test_an_evaluation_that_was_killed_goes_on_where_it_was(
    wired: Wiring, pair: tuple[Brain, Path], tmp_path: Path
) -> None:
    """No item is asked twice but the one that was under way."""
    brain, _ = pair
    with WireServer(says()) as server:
        served = served_by(wired, server)
        lines = [
            f"[brain]\nserver = 'transformers'\nbase_url = '{server.url}'",
            f"evaluation = ['{tmp_path}/sums.jsonl']",
        ]
        (tmp_path / "atra.toml").write_text("\n".join([*lines, "timeout_s = 10", "window = 10"]))
        assert served.settings.database_url is not None
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ATRA_")} | {
            "ATRA_CONFIG": str(tmp_path / "atra.toml"),
            "ATRA_HOME": str(served.settings.home),
            "ATRA_DATABASE_URL": served.settings.database_url.get_secret_value(),
            "ATRA_REDIS_URL": served.settings.redis_url.get_secret_value(),  # type: ignore[union-attr]
        }
        command = (sys.executable, "-m", "atra", "brain", "evaluate", brain.id)
        with subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL) as evaluating:
            eventually(lambda: len(server.requests) > 20)
            evaluating.send_signal(signal.SIGKILL)
        [run] = served.runs.recent(1)
        assert run.state == "open"
        served.runs.forfeit(is_dead)
        run_step("compare", run.id, 0, compare)
        run_step("judge", run.id, 0, judge)
        assert served.runs.get(run.id).outcome == "better"
        assert 2 * ITEMS + 4 <= len(server.requests) <= 2 * ITEMS + 6  # four to see that both are there


def test_no_step_can_take_longer_than_it_may(wired: Wiring, pair: tuple[Brain, Path]) -> None:
    """Where each answer may take ten minutes, a step asks both models two items: shards share the work by that."""
    slow = wired.settings.brain.model_copy(update={"timeout_s": 600.0})
    with WireServer(says()) as server:
        patient = served_by(use(wired.settings.model_copy(update={"brain": slow})), server)
        _, run = open_evaluation(patient, pair[0].id)
        steps = patient.runs.steps(run.id)
        assert [step.name for step in steps] == ["compare"] * (ITEMS // 2) + ["judge"]
        run_step("compare", run.id, 3, compare)
        assert patient.runs.outputs(run.id, "compare") == [{"new": 4, "items": 2}]


def test_sets_that_were_changed_are_other_sets(wired: Wiring, pair: tuple[Brain, Path], tmp_path: Path) -> None:
    """What was begun on the old ones ends with an error, and what is begun now is another try."""
    with WireServer(says()) as server:
        served = served_by(wired, server)
        _, run = open_evaluation(served, pair[0].id)
        write_set(tmp_path, ITEMS + 1)
        with pytest.raises(BadInput, match="were changed"):
            run_step("compare", run.id, 0, compare)
        assert (served.runs.get(run.id).outcome, server.requests) == ("error", [])
        assert evaluate(served, pair[0])[0].tries == 1


def test_items_that_it_learned_from_are_counted(wired: Wiring, tmp_path: Path) -> None:
    """Also where what it was trained from learned them; a data set that is not here is not taken for clean."""
    [file] = wired.settings.brain.evaluation
    file.rename(tmp_path / "elsewhere")  # so that curation does not hold it out
    copied = "what is 42 times 1 plus 3 minus 3"
    wired.traces.keep(
        Trace(copied, "so it is", "it is 42 of course", "human", Origin(HUMAN, "somebody", source="human"))
    )
    bare = use(wired.settings.model_copy(update={"brain": BrainSettings()}))
    parent = candidate(bare, model_folder(tmp_path, "model"), model_folder(tmp_path, "base"))
    (tmp_path / "elsewhere").rename(file)
    with WireServer(says()) as server:
        served = served_by(wired, server)
        child = candidate(served, model_folder(tmp_path, "child"), Path(parent.path))
        evaluation, run = evaluate(served, child)
        assert (evaluation.contaminated, run.outcome) == (1, "not_better")
        assert "contamination: 1 evaluation items" in (run.reason or "")
        (Path(served.data_sets.find(parent.lineage.data_set)[0].path) / "rows.jsonl").write_text("")
        write_set(tmp_path, ITEMS + 1)
        with pytest.raises(MissingPart, match="to look for evaluation items"):
            evaluate(served, child)


def test_without_a_base_nothing_is_the_opponent_only_if_that_is_wished(wired: Wiring, tmp_path: Path) -> None:
    """Better than nothing is nearly anything: that is said on purpose."""
    brain = candidate(wired, model_folder(tmp_path, "model"), Path("hub/name"))
    with WireServer(says()) as server:
        served = served_by(wired, server)
        with pytest.raises(BadInput, match="no folder with a model: hub/name"):
            open_evaluation(served, brain.id)
        first = served.settings.brain.model_copy(update={"first": "nothing"})
        wished = use(served.settings.model_copy(update={"brain": first}))
        evaluation, run = evaluate(wished, brain)
        assert (evaluation.against, run.outcome) == ("", "better")
        assert "has not passed" in promote(use(served.settings), brain.id)
        assert promote(use(wished.settings), brain.id) == ""
        with pytest.raises(BadInput, match="serves already"):
            open_evaluation(wished, brain.id)
        assert promote(wished, brain.id) == "it serves already"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"model": "cheap"}, "another model is to answer"),
        ({"context": {"a.md": "b"}}, "it answers questions alone"),
        ({"language": "de"}, "it answers questions alone"),
        ({"question": "what is the latest version of Kestrel?"}, "changes from day to day"),
        ({"question": "what do rivers carry"}, "not measured on questions like this one"),
    ],
)
def test_the_brain_is_passed_over_where_it_cannot_know(serving: Any, more: dict[str, Any], why: str) -> None:
    wired, _, server = serving
    assert any(one.startswith("local: ") and why in one for one in ask(wired, **more).passed)
    assert server.requests == []


@pytest.mark.parametrize(
    ("step", "outcome", "why"),
    [
        (Turn("43", logprobs=(-0.2,)), "unsure", "not sure enough (-0.200, not -0.100)"),
        (Turn("43"), "unsure", "does not tell how sure"),
        (Turn("", reasoning="hm", logprobs=(-0.01,)), "empty", "it gave no answer"),
        (Turn("4", finish="length", logprobs=(-0.01,)), "truncated", "did not end"),
        (Status(500), "error", "status 500"),
    ],
)
def test_what_is_not_sure_or_not_well_is_passed_on_and_counted(
    serving: Any, monkeypatch: pytest.MonkeyPatch, step: Step, outcome: str, why: str
) -> None:
    wired, brain, server = serving
    monkeypatch.setattr(server, "_steps", lambda body: step)
    found = ask(wired)
    assert found.source == "none"
    assert any(one.startswith("local: ") and why in one for one in found.passed)
    assert wired.brains.uses(brain.id, 5) == [outcome]


def test_a_brain_that_cannot_be_opened_is_passed_over_and_not_counted(serving: Any) -> None:
    """A server without an address says nothing of the brain."""
    wired, brain, _ = serving
    nowhere = wired.settings.brain.model_copy(update={"server": "vllm", "base_url": None})
    asked = ask(use(wired.settings.model_copy(update={"brain": nowhere})))
    assert any("local: " in one and "needs its base_url" in one for one in asked.passed)
    assert wired.brains.uses(brain.id, 5) == []


def test_a_brain_that_is_ill_is_taken_out_with_its_answers(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By beat, from what it did; a brain that is well is left alone."""
    wired, brain, server = serving
    assert ask(wired).source == "local"
    assert look_after(wired) == ""
    assert ask(wired).source == "cache"
    monkeypatch.setattr(server, "_steps", lambda body: Status(500))
    for number in range(10, 19):
        ask(wired, f"what is {number} times 7 plus 0 minus 0")
    assert "9 went ill (9 error)" in look_after(wired)
    assert (wired.brains.serving(), wired.brains.get(brain.id).state) == ("", "refused")
    assert versions.serving(wired.brain_folder) == ""
    assert ask(wired).source == "none"
    assert look_after(wired) == ""
    assert "it was taken out of service (of its last 10" in promote(wired, brain.id)


def test_where_the_server_is_away_no_brain_is_to_blame(serving: Any) -> None:
    """The one before it would run on the same server, and the one before that."""
    wired, brain, server = serving
    gone = served_by(wired, server)
    gone.settings.brain.base_url = "http://127.0.0.1:9/v1"
    for number in range(10):
        assert ask(gone, f"what is {number} times 7 plus 0 minus 0").source == "none"
    assert wired.brains.uses(brain.id, 20) == ["error"] * 10
    assert "does not answer" in look_after(gone)
    assert wired.brains.serving() == brain.id
    assert "10 went ill" in look_after(served_by(gone, server))


def test_a_brain_of_a_revoked_source_serves_no_longer(
    serving: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command that revokes names it, and takes it out of service."""
    wired, brain, _ = serving
    as_a_user(wired, monkeypatch)
    assert command_line(["distill", "policy", "revoke", "--provider", "human", "--reason", "taken back"]) == 0
    told = capsys.readouterr().out
    assert brain.id in told
    assert "taken out of service" in told
    assert wired.brains.serving() == ""
    with pytest.raises(BadInput, match="a trace it holds was revoked"):
        promote(wired, brain.id, override="all the same, please")


def test_a_process_that_dies_between_database_and_link_leaves_no_doubt(
    wired: Wiring, pair: tuple[Brain, Path], tmp_path: Path
) -> None:
    """The database says who serves; whoever looks next mends the link."""
    brain, _ = pair
    died = (
        "import os, signal; from atra.wiring import wiring; from atra.local_brain import versions;"
        " from workers.brain import promote;"
        " versions.serve = lambda *_: os.kill(os.getpid(), signal.SIGKILL);"
        f" promote(wiring(), {brain.id!r}, override='to die on the way')"
    )
    assert wired.settings.database_url is not None
    environment = {**os.environ, "ATRA_CONFIG": os.devnull, "ATRA_HOME": str(wired.settings.home),
                   "ATRA_DATABASE_URL": wired.settings.database_url.get_secret_value()}  # fmt: skip
    assert subprocess.run([sys.executable, "-c", died], env=environment, check=False).returncode == -signal.SIGKILL
    assert (wired.brains.serving(), versions.serving(wired.brain_folder)) == (brain.id, "")
    assert look_after(wired) == "the link was mended"
    assert versions.serving(wired.brain_folder) == brain.id
    assert not follow(wired)
    assert roll_back(wired, "no longer wanted") == (brain.id, "")
    assert roll_back(wired, "no longer wanted") is None


def test_a_brain_whose_files_are_gone_takes_nobodys_place(
    wired: Wiring, pair: tuple[Brain, Path], tmp_path: Path
) -> None:
    """The one before it does; where the one that serves is not whole here, nobody is in the way of whoever looks."""
    base = Path(pair[0].lineage.base)
    older, newer, newest = pair[0], *(candidate(wired, model_folder(tmp_path, name), base) for name in ("two", "three"))
    for one in (older, newer, newest):
        assert promote(wired, one.id, override="in turn") == ""
    shutil.rmtree(newer.path)
    assert roll_back(wired, "it is slow") == (newest.id, older.id)

    (Path(older.path) / "model.safetensors").write_bytes(b"torn")
    versions.serve_none(wired.brain_folder)
    assert f"brain {older.id[:12]} is not whole here" in look_after(wired)
    assert (wired.brains.serving(), versions.serving(wired.brain_folder)) == (older.id, "")
    assert roll_back(wired, "its files are torn") == (older.id, "")


def test_repairs_look_first_where_the_brain_would_once_that_was_measured(
    serving: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is measured on repairs that were proved; one is not enough to show it; off unless the settings ask for it."""
    wired, brain, server = serving
    target = make_target(Repository.open(small_shop(tmp_path / "shop")), wired.settings, budget_s=60)

    def begun(*, leads: bool) -> Run:
        """Open a repair with the setting as it is said."""
        chosen = wired.settings.brain.model_copy(update={"leads": leads})
        now = use(wired.settings.model_copy(update={"brain": chosen}))
        return now.runs.open(new_id("r"), repair_plan(1), to_json(target))

    def diagnosed(*, leads: bool) -> Run:
        """Diagnose what the whole repair has reproduced."""
        run = begun(leads=leads)
        run_step("reproduce", run.id, 0, lambda work: (from_json(Reproduction, seen), None))
        run_step("diagnose", run.id, 0, self_repair.diagnose)
        return run

    def named(run: Run) -> list[str]:
        [found] = wired.runs.outputs(run.id, "diagnose")
        return [f"{at['path']}:{at['line']}" for at in found["places"] if "the brain" in at["reasons"]]

    repaired = begun(leads=True)
    for step in wired.runs.steps(repaired.id):
        run_step(step.name, repaired.id, step.shard, self_repair.STEPS[step.name])
    assert (wired.runs.get(repaired.id).outcome, named(repaired), server.requests) == ("fixed", [], [])
    [proof], [seen] = (wired.runs.outputs(repaired.id, name) for name in ("verify", "reproduce"))
    monkeypatch.setattr(server, "_steps", lambda body: Turn(proof["diff"], logprobs=(-0.01,)))
    told = measure_leads(wired, brain, lambda count: None)
    assert (told.repairs, told.more, told.helps, told.looks) == (1, 0, False, 1)
    assert told.led <= told.without
    wired.brains.keep_leads(brain.id, replace(told, helps=True))
    assert named(diagnosed(leads=False)) == []
    where = proof["winner"]["candidate"]
    assert named(diagnosed(leads=True)) == [f"{where['path']}:{where['line']}"]
    monkeypatch.setattr(server, "_steps", lambda body: Status(500))
    assert named(diagnosed(leads=True)) == []


def as_a_user(wired: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment name what this wiring has."""
    settings, brain = wired.settings, wired.settings.brain
    file = settings.home / "atra.toml"
    sets = ", ".join(f"'{one}'" for one in brain.evaluation)
    server = f"server = '{brain.server}'\nbase_url = '{brain.base_url}'\n" if brain.base_url else ""
    file.write_text(f"[brain]\nevaluation = [{sets}]\n{server}timeout_s = 10\nwindow = 10\n")
    monkeypatch.setenv("ATRA_CONFIG", str(file))
    monkeypatch.setenv("ATRA_HOME", str(settings.home))
    monkeypatch.setenv("ATRA_DATABASE_URL", settings.database_url.get_secret_value())  # type: ignore[union-attr]
    monkeypatch.setenv("ATRA_REDIS_URL", settings.redis_url.get_secret_value())  # type: ignore[union-attr]
    load_settings.cache_clear()


def test_the_commands_show_and_do_it(
    wired: Wiring, pair: tuple[Brain, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a candidate to the one that serves and back, as a person and as a program reads it."""
    brain, _ = pair

    def atra(*arguments: str) -> tuple[int, str]:
        code = command_line(["brain", *arguments])
        told = capsys.readouterr()
        return code, told.out + told.err

    with WireServer(says()) as server:
        as_a_user(served_by(wired, server), monkeypatch)
        assert atra("promote", brain.id)[0] == 1
        code, told = atra("evaluate", brain.id[:8])
        assert code == 0
        assert f"{ITEMS} gained, 0 lost" in told
        assert "may serve: `atra brain promote`" in told
        code, told = atra("promote", brain.id[:8], "--json")
        assert (code, json.loads(told)["promoted"]) == (0, True)
        code, told = atra("list")
        assert "better, +1.000" in told
        assert "serving" in told
        listed = json.loads(atra("list", "--json")[1])
        run_id = wired.runs.recent(1)[0].id
        code = command_line(["show", run_id])
        assert (code, f"{2 * ITEMS} answers to {ITEMS} items" in capsys.readouterr().out) == (0, True)
        assert (listed["link"], listed["brains"][0]["state"]) == (brain.id, "serving")
        assert listed["brains"][0]["evaluations"][0]["verdict"]["promote"]
        code, told = atra("rollback", "--reason", "no longer wanted")
        assert (code, "none serves" in told) == (0, True)
        assert atra("rollback", "--reason", "no longer wanted")[0] == 1
        assert "0 repairs replayed" in atra("leads", brain.id)[1]
        for wrong in (("promote", "nobody"), ("promote", brain.id, "--override", "so"), ("evaluate", "")):
            assert atra(*wrong)[0] == 2
    load_settings.cache_clear()
