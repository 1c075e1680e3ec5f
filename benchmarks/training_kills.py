"""Whether a training comes out the same however often its trainer is killed.

    python -m benchmarks.training_kills [--kills N] [--seed N] [--json F]

One training runs undisturbed. Another one, of the same data set by the same recipe, has its trainer killed by SIGKILL
again and again, at random: while it starts, at some moment of a step, and while it writes a checkpoint. Compared are
the bytes of the weights, what was learned twice, and what the registry holds. Steps that a kill took are done again
from the checkpoint before; a step that is done again though a whole checkpoint had it is counted as done in vain.
"""

import argparse
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from atra.core.records import from_json
from atra.core.settings import TrainingSettings
from atra.local_brain.checkpoints import newest
from atra.local_brain.launching import PROGRESS, job_of
from atra.local_brain.versions import digest, version
from atra.wiring import Wiring
from benchmarks import results
from benchmarks.lessons import installation, make_base

_SAVE_STEPS, _STEPS_PER_KILL, _ROWS = 5, 16, 400
_MOMENTS = ("starting", "learning", "saving")
_COLUMNS = ("kill", "moment", "at_step", "half_a_checkpoint", "went_on_from", "steps_again")


@dataclass(frozen=True)
class Kill:
    """One SIGKILL: when it came, the last step that was told by then, the newest whole checkpoint, and half ones."""

    moment: str
    at_step: int
    whole: int
    half: bool


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the JSON; exit code 1 where the weights differ."""
    parser = argparse.ArgumentParser(prog="benchmarks.training_kills", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", type=Path, default=results.FOLDER / "training_kills.json", help="where to write")
    given = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    with TemporaryDirectory(prefix="atra-base-") as folder:
        base = make_base(Path(folder), width=64, layers=2)
        chosen = TrainingSettings(
            base=str(base), method="full", steps=_STEPS_PER_KILL * (given.kills + 1), save_steps=_SAVE_STEPS,
            rows_per_step=8, micro_batch=4, learning_rate=1e-3, licence="none: random weights",
        )  # fmt: skip
        with installation(chosen, _ROWS) as (wired, data_set):
            begun = time.monotonic()
            quiet = _trained(wired, data_set.id, None)
            between = time.monotonic()
            killer = _Killer(given.kills, random.Random(given.seed))
            killed = _trained(wired, data_set.id, killer)
            totals = {
                "kills": len(killer.kills),
                "moments": dict(Counter(one.moment for one in killer.kills)),
                "half_checkpoints": sum(one.half for one in killer.kills),
                "steps": chosen.steps,
                "save_steps": _SAVE_STEPS,
                "same_weights": quiet["weights"] == killed["weights"],
                "same_losses": quiet["losses"] == killed["losses"],
                "brains": len(wired.brains.all()),
                "steps_again": sum(one["steps_again"] for one in _rows(killer.kills, killed["resumed"])),
                "steps_again_in_vain": in_vain(killer.kills, killed["resumed"]),
                "quiet_s": round(between - begun, 1),
                "killed_s": round(time.monotonic() - between, 1),
            }
    rows = _rows(killer.kills, killed["resumed"])
    results.console().print(results.table("a trainer that is killed again and again", rows, _COLUMNS))
    results.console().print(", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in totals.items()))
    results.write(given.json, results.about(datetime.now(UTC)), totals, rows)
    if not totals["same_weights"]:
        raise SystemExit(1)


def in_vain(kills: Sequence[Kill], resumed: Sequence[int]) -> int:
    """Return how many steps were done again though a whole checkpoint had them when the kill came."""
    return sum(max(0, kill.whole - begun) for kill, begun in zip(kills, resumed, strict=True))


def _rows(kills: Sequence[Kill], resumed: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {
            "kill": number,
            "moment": kill.moment,
            "at_step": kill.at_step,
            "half_a_checkpoint": kill.half,
            "went_on_from": begun,
            "steps_again": max(0, kill.at_step - begun),
        }
        for number, (kill, begun) in enumerate(zip(kills, resumed, strict=True), start=1)
    ]


def _trained(wired: Wiring, data_set: str, killer: "_Killer | None") -> dict[str, Any]:
    """Train once to the end; return the weights' digest, the losses, and where it went on after each kill."""
    from workers.task import run_step
    from workers.training import Trained, open_training, recipe_of, train

    run = open_training(wired, data_set, recipe_of(wired))
    folder = wired.brain_folder / "training" / run.id
    if killer is not None:
        killer.watch(folder)
    run_step("train", run.id, 0, train)
    [output] = wired.runs.outputs(run.id, "train")
    brain = from_json(Trained, output).brain
    lines = _lines(folder)
    losses = {line["step"]: line["loss"] for line in lines if "loss" in line}
    return {
        "weights": digest(version(wired.brain_folder, brain).path / "model.safetensors"),
        "losses": losses,
        "resumed": killer.resumed() if killer is not None else [],
    }


def _lines(folder: Path) -> list[dict[str, Any]]:
    found = []
    for line in (line for file in sorted(folder.glob(f"*/{PROGRESS}")) for line in file.read_bytes().splitlines()):
        try:
            found.append(json.loads(line))
        except ValueError:  # half a line of one that was killed
            continue
    return found


class _Killer(threading.Thread):
    """Kills the trainer of a run so many times: a random number of steps beyond the last time, and some milliseconds.

    Never twice in a row while it starts: three deaths at the same place end a training, and are meant to.
    """

    def __init__(self, kills: int, chance: random.Random) -> None:
        super().__init__(daemon=True)
        self.kills: list[Kill] = []
        self._begun: list[int] = []
        self._wanted, self._chance = kills, chance
        self._folder = Path()

    def watch(self, folder: Path) -> None:
        """Begin with the run that has this folder."""
        self._folder = folder
        self.start()

    def resumed(self) -> list[int]:
        """Return the step that the attempt after each kill went on from."""
        return self._begun

    def run(self) -> None:
        """Kill, see where it goes on, kill again."""
        before: psutil.Process | None = None
        furthest = 0
        while len(self.kills) < self._wanted:
            before = self._next(before)
            if self.kills:
                self._begun.append(self._resumes())
            moments = _MOMENTS if not self.kills or self.kills[-1].moment != "starting" else _MOMENTS[1:]
            moment, lines = self._chance.choice(moments), len(_lines(self._folder))
            self._wait(moment, furthest)
            before.send_signal(signal.SIGKILL)
            _await_end(before)
            told, whole = self._step(lines) or (self._begun[-1] if self._begun else 0), newest(self._folder)
            half = any(not (path / "whole.json").exists() for path in self._folder.glob("*/checkpoint-*"))
            self.kills.append(Kill(moment, told, whole.step if whole else 0, half))
            furthest = max(furthest, told)
        self._next(before)
        self._begun.append(self._resumes())

    def _wait(self, moment: str, furthest: int) -> None:
        """Return at the moment to kill."""
        if moment == "starting":
            time.sleep(self._chance.uniform(0.0, 8.0))
            return
        beyond = furthest + self._chance.randint(1, 8)
        while self._step() < beyond:
            time.sleep(0.005)
        if moment == "learning":
            time.sleep(self._chance.uniform(0.0, 0.2))
            return
        known = set(self._folder.glob("*/checkpoint-*"))
        while not set(self._folder.glob("*/checkpoint-*")) - known:
            time.sleep(0.0005)
        time.sleep(self._chance.uniform(0.0, 0.03))

    def _next(self, before: "psutil.Process | None") -> psutil.Process:
        """Wait for a trainer of this run that is not the one before, and return it."""
        while True:
            for process in psutil.process_iter(["cmdline"]):
                line = process.info["cmdline"] or []
                if "atra.local_brain.trainer" in line and str(self._folder) in line[-1] and process != before:
                    return process
            time.sleep(0.02)

    def _resumes(self) -> int:
        resume = job_of(max(self._folder.glob("[0-9]*"))).resume
        return int(resume.rpartition("-")[2]) if resume else 0

    def _step(self, beyond: int = 0) -> int:
        """Return the last step that was told after so many lines; 0 where none was."""
        return max((int(line["step"]) for line in _lines(self._folder)[beyond:][-3:]), default=0)


def _await_end(process: psutil.Process) -> None:
    """Return once the process does nothing more, whether or not its parent has noticed."""
    with suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.001)


if __name__ == "__main__":
    main()
