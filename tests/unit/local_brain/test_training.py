"""What is done after an attempt, what a checkpoint is, and what a supervisor hears: without learning anything."""

import json
import subprocess
import sys
import textwrap
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.core.errors import BadInput
from atra.local_brain.checkpoints import clear, newest, seal
from atra.local_brain.launching import JOB, PROGRESS, RESULT, Job, Launcher, carry_out, going_on, history
from atra.local_brain.training import MOST_CRASHES, Again, Recipe, Result, Tries, after, diverging, told

RECIPE = Recipe("base", rows_per_step=16, micro_batch=8)


@given(st.integers(1, 512), st.integers(1, 64), st.integers(1, 16))
def test_a_step_learns_from_no_fewer_rows_than_asked(rows: int, micro: int, devices: int) -> None:
    recipe = replace(RECIPE, rows_per_step=rows, micro_batch=micro)
    taken = recipe.gathered(devices) * micro * devices
    assert rows <= taken < rows + micro * devices


def test_too_little_memory_halves_what_is_held_and_keeps_what_is_learned() -> None:
    recipe, tries, seen = RECIPE, Tries(), []
    while (again := after(recipe, Result("memory"), tries)) is not None:
        assert not again.anew
        recipe, tries = again.recipe, again.tries
        seen.append((recipe.micro_batch, recipe.micro_batch * recipe.gathered(1)))
    assert seen == [(4, 16), (2, 16), (1, 16)]


def test_a_loss_that_diverged_is_tried_once_more_at_half_the_rate_from_the_beginning() -> None:
    again = after(RECIPE, Result("diverged"), Tries())
    assert again == Again(replace(RECIPE, learning_rate=1e-4), Tries(slowed=True), anew=True)
    assert after(again.recipe, Result("diverged"), again.tries) is None


def test_crashes_are_borne_as_long_as_it_gets_further() -> None:
    tries = Tries()
    for step in range(0, 100, 10):
        again = after(RECIPE, Result("crashed", step=step), tries)
        assert again is not None
        tries = again.tries
    for _ in range(MOST_CRASHES - 2):
        again = after(RECIPE, Result("crashed", step=90), tries)
        assert again is not None
        tries = again.tries
    assert after(RECIPE, Result("crashed", step=90), tries) is None


@pytest.mark.parametrize("outcome", ["data", "device", "done", "stopped"])
def test_what_another_attempt_would_not_change_has_none(outcome: str) -> None:
    assert after(RECIPE, Result(outcome), Tries()) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("losses", "lost"),
    [([], False), ([2.0, 1.0], False), ([2.0, float("nan")], True), ([float("inf")], True), ([1.0, 9.0, 1.0], False),
     ([2.0, 5.0, 5.0, 5.0, 5.0, 5.0], True), ([2.0, 5.0, 5.0, 3.0, 5.0, 5.0], False)],
)  # fmt: skip
def test_a_loss_is_lost_when_it_is_no_number_or_stays_high(losses: list[float], lost: bool) -> None:
    assert diverging(losses[0] if losses else 0.0, losses) is lost


def test_a_lineage_names_the_rate_and_nothing_of_the_machine() -> None:
    assert told(replace(RECIPE, micro_batch=1), RECIPE) == told(RECIPE, RECIPE)
    assert told(replace(RECIPE, learning_rate=1e-5), RECIPE)["learning_rate"] == 1e-5
    assert not {"base", "micro_batch"} & told(RECIPE, RECIPE).keys()


def checkpoint(run: Path, claim: str, step: int, *, sealed: bool = True) -> Path:
    path = run / claim / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"w" * 100)
    (path / "trainer_state.json").write_text("{}")
    if sealed:
        seal(path, 10 * step)
    return path


def test_the_furthest_whole_checkpoint_counts_whoever_wrote_it(tmp_path: Path) -> None:
    assert newest(tmp_path) is None
    checkpoint(tmp_path, "000001", 10)
    second = checkpoint(tmp_path, "000001", 20)
    checkpoint(tmp_path, "000002", 15)
    checkpoint(tmp_path, "000002", 30, sealed=False)  # its writer was killed
    torn = checkpoint(tmp_path, "000002", 40)
    (torn / "model.safetensors").write_bytes(b"w" * 50)
    (checkpoint(tmp_path, "000003", 50) / "trainer_state.json").unlink()
    (checkpoint(tmp_path, "000003", 60) / "whole.json").write_text('{"step": ')
    found = newest(tmp_path)
    assert found is not None
    assert (found.path, found.step, found.tokens) == (second, 20, 200)
    clear(tmp_path, found)
    assert list(tmp_path.glob("*/*")) == [second]


TRAINER = """
    import json, os, signal, sys, time
    from pathlib import Path
    run = Path(sys.argv[-1])
    what = json.loads((run / "job.json").read_text())["recipe"]["base"]
    def tell(**line):
        with (run / "progress.jsonl").open("a") as file:
            file.write(json.dumps(line) + chr(10))
    tell(step=1, of=9, loss=2.5)
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "raise":
        raise RuntimeError("the disk is full")
    if what == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
    if what == "wait":
        def end(*_):
            (run / "result.json").write_text(json.dumps({"outcome": "stopped", "why": "asked", "step": 4}))
            sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        tell(step=3, of=9, loss=1.5)
        time.sleep(60)
    (run / "result.json").write_text(json.dumps({"outcome": "done", "step": 9, "tokens": 99}))
"""


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a script of a few lines stands where the trainer would."""
    script = tmp_path / "played.py"
    script.write_text(textwrap.dedent(TRAINER))
    monkeypatch.setattr(Launcher, "command", lambda self, run: [sys.executable, str(script), str(run)])
    return tmp_path


@pytest.mark.parametrize(
    ("what", "stopped", "outcome", "why"),
    [("run", False, "done", ""), ("die", False, "crashed", "signal 9"), ("raise", False, "crashed", "the disk is full"),
     ("wait", True, "stopped", "asked"), ("stubborn", True, "stopped", "killed")],
)  # fmt: skip
def test_how_a_trainer_ended_is_told_apart(played: Path, what: str, stopped: bool, outcome: str, why: str) -> None:
    heard: list[dict[str, object]] = []
    (played / RESULT).write_text(json.dumps({"outcome": "done"}))  # of the attempt before
    job = Job(Recipe(what), "rows", str(played))
    result = carry_out(
        job, played, Launcher(), stop=lambda: stopped and bool(heard), report=lambda said: heard.append(dict(said)),
        grace_s=1.0,
    )  # fmt: skip
    assert result.outcome == outcome
    assert why in result.why
    assert heard[0] == {"step": 1, "of": 9, "loss": 2.5}


def test_half_a_line_of_a_killed_trainer_is_passed_over(tmp_path: Path) -> None:
    lines = ['{"step": 1, "loss": 3.0}', '{"step": 2, "lo{"step": 2, "loss": 2.0}', '{"step": 1, "loss": 4.0}', "7"]
    for claim, text in (("000001", "\n".join(lines) + '\n{"step": 9'), ("000002", '{"step": 3, "loss": 1.0}\n')):
        (tmp_path / claim).mkdir()
        (tmp_path / claim / PROGRESS).write_text(text)
    assert history(tmp_path) == [{"step": 1, "loss": 4.0}, {"step": 3, "loss": 1.0}]


def test_another_claim_goes_on_by_the_recipe_its_checkpoint_came_from(tmp_path: Path) -> None:
    assert going_on(RECIPE, None) == (RECIPE, Tries())
    slower = replace(RECIPE, learning_rate=RECIPE.rate / 2, micro_batch=4)
    for claim, recipe, step in (("000001", RECIPE, 10), ("000002", slower, 20)):
        path = checkpoint(tmp_path, claim, step)
        (path.parent / JOB).write_text(json.dumps(asdict(Job(recipe, "rows", str(path.parent)))))
    assert going_on(RECIPE, newest(tmp_path)) == (slower, Tries(slowed=True))


def test_profiles_are_those_of_trl(tmp_path: Path) -> None:
    command = Launcher("zero3", 8, ("--num_machines", "2")).command(tmp_path)
    assert command[1:4] == ["-m", "accelerate.commands.launch", "--config_file"]
    assert Path(command[4]).is_file()
    assert command[5:] == [
        "--num_processes", "8", "--num_machines", "2", "-m", "atra.local_brain.trainer", str(tmp_path),
    ]  # fmt: skip
    with pytest.raises(BadInput, match="not zero9"):
        Launcher("zero9").command(tmp_path)


def test_the_supervisor_needs_no_torch() -> None:
    code = "import sys, atra.local_brain.launching, atra.local_brain.checkpoints; print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"
