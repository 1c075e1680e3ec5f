"""The trainer as a process: started, watched, stopped. The worker that does this never loads torch itself.

RUN/FENCE/job.json        what the attempt is to do
RUN/FENCE/owner           a number that its owner counts up as long as he lives
RUN/FENCE/progress.jsonl  a line for every step that is told
RUN/FENCE/result.json     how it ended
RUN/FENCE/log.txt         what it printed

Each claim of the step has a folder of its own for these: the trainer of a dead one must not hear the next one's owner,
nor write into what that one reads.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from atra.local_brain.checkpoints import Checkpoint
from atra.local_brain.training import Recipe, Result, Tries

JOB, OWNER, PROGRESS, RESULT, LOG = "job.json", "owner", "progress.jsonl", "result.json", "log.txt"
_POLL_S, _TAIL = 0.3, 4000

_PASSED_ON = re.compile(
    r"(?i:path|home|user|lang|tz|tmpdir|hostname|virtual_env|(no|http|https)_proxy|rank|local_rank|world_size)"
    r"|(LC|LD|PYTHON|CUDA|NVIDIA|NCCL|GLOO|ROCM|HIP|HSA|HF|HUGGINGFACE|TRANSFORMERS|TOKENIZERS|TORCH|TORCHINDUCTOR|TRITON"
    r"|PYTORCH|OMP|MKL|OPENBLAS|ACCELERATE|FSDP|DEEPSPEED|MASTER|XDG)\w*"
)
"""The variables that a trainer may see: none of ATRA's, and no key of a model's provider."""


@dataclass(frozen=True)
class Job:
    """What one attempt is to do.

    Args:
        rows: the file of rows.
        out: the folder of its claim: checkpoints, and at the end `model`.
        resume: the checkpoint to go on from; empty for the beginning.
        cpu: whether it may train without a GPU.
    """

    recipe: Recipe
    rows: str
    out: str
    resume: str = ""
    tokens: int = 0
    cpu: bool = False


@dataclass(frozen=True)
class Launcher:
    """What starts the trainer.

    Args:
        kind: `process`, one device; else a profile of TRL for `accelerate launch` (`multi_gpu`, `fsdp2`, `zero2`,
            `zero3`), or the path of a configuration of one's own.
        processes: devices over all nodes.
        options: for `accelerate launch`, like `--num_machines 2 --machine_rank 0 --main_process_ip 10.0.0.1`.
    """

    kind: str = "process"
    processes: int = 1
    options: tuple[str, ...] = ()

    def command(self, claim: Path) -> list[str]:
        """Return the command that trains what `claim` holds the job of."""
        trainer = ["-m", "atra.local_brain.trainer", str(claim)]
        if self.kind == "process":
            return [sys.executable, *trainer]
        profile = self.kind if os.sep in self.kind else str(_profile(self.kind))
        chosen = ("--config_file", profile, "--num_processes", str(self.processes), *self.options)
        return [sys.executable, "-m", "accelerate.commands.launch", *chosen, *trainer]


def carry_out(
    job: Job,
    claim: Path,
    launcher: Launcher,
    *,
    stop: Callable[[], bool],
    report: Callable[[Mapping[str, Any]], None],
    grace_s: float,
) -> Result:
    """Run one attempt to its end and return how it ended.

    Args:
        stop: asked several times a second; once it says so, the trainer writes a checkpoint and ends.
        report: called with what the trainer tells: `step`, `of`, `loss`, `tokens`, `tokens_per_s`, `saved`.
        grace_s: how long a checkpoint may take then, before the trainer is killed.
    """
    (claim / RESULT).unlink(missing_ok=True)
    draft = claim / f"{JOB}.draft"  # of a job that was being written when its owner died nothing is left
    draft.write_text(json.dumps(asdict(job)), encoding="utf-8")
    draft.replace(claim / JOB)
    heard: dict[str, Any] = {"step": 0}
    lines, beats, asked_at = _Lines(claim / PROGRESS, from_now=True), 0, None
    with open(os.open(claim / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as log:
        trainer = subprocess.Popen(
            launcher.command(claim),
            env={name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)},
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            while trainer.poll() is None:
                beats += 1
                (claim / OWNER).write_text(str(beats), encoding="ascii")
                for line in lines.new():
                    heard = {**heard, **line}
                    report(heard)
                if asked_at is None and stop():
                    asked_at = time.monotonic()
                    _signal(trainer, signal.SIGTERM)
                if asked_at is not None and time.monotonic() - asked_at > grace_s:
                    _signal(trainer, signal.SIGKILL)
                time.sleep(_POLL_S)
        finally:
            _signal(trainer, signal.SIGKILL)  # the launcher's children too, whatever became of it
            trainer.wait()
    for line in lines.new():
        heard = {**heard, **line}
        report(heard)
    return _result(claim, trainer.returncode, int(heard["step"]), stopped=asked_at is not None)


def job_of(claim: Path) -> Job:
    """Return what the attempt of this claim is to do."""
    given = json.loads((claim / JOB).read_text(encoding="utf-8"))
    return Job(**{**given, "recipe": Recipe(**given["recipe"])})


def going_on(asked: Recipe, found: Checkpoint | None) -> tuple[Recipe, Tries]:
    """Return the recipe to begin a claim with, and what was tried: an earlier claim may have had to change it."""
    if found is None:
        return asked, Tries()
    recipe = job_of(found.path.parent).recipe
    return recipe, Tries(slowed=recipe.rate < asked.rate)


def history(run: Path) -> list[dict[str, Any]]:
    """Return what the trainer told, by step; a step that was done again after a crash counts once."""
    told = (line for file in sorted(run.glob(f"*/{PROGRESS}")) for line in _Lines(file).new())
    by_step = {int(line["step"]): line for line in told if "loss" in line}
    return [by_step[step] for step in sorted(by_step)]


class _Lines:
    """The whole lines that a file gained since it was asked last."""

    def __init__(self, file: Path, *, from_now: bool = False) -> None:
        self._file, self._at = file, file.stat().st_size if from_now and file.exists() else 0

    def new(self) -> list[dict[str, Any]]:
        with suppress(FileNotFoundError), self._file.open("rb") as opened:
            opened.seek(self._at)
            text = opened.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._at += len(whole)
            return [line for part in whole.splitlines() if (line := _line(part)) is not None]
        return []


def _line(part: bytes) -> dict[str, Any] | None:
    """Return a line's values; None for half of one that a killed trainer left, to which another one was joined."""
    with suppress(ValueError):
        found = json.loads(part)
        return found if isinstance(found, dict) and "step" in found else None
    return None


def _result(claim: Path, code: int, step: int, *, stopped: bool) -> Result:
    with suppress(OSError, ValueError, TypeError):
        return Result(**json.loads((claim / RESULT).read_text(encoding="utf-8")))
    if stopped:
        return Result("stopped", "it was killed before it had written a checkpoint", step)
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return Result("crashed", f"the trainer ended with {how}: {_tail(claim / LOG)}", step)


def _tail(log: Path) -> str:
    """Return the last line of a log, shortened."""
    with suppress(OSError), log.open("rb") as opened:
        opened.seek(max(0, log.stat().st_size - _TAIL))
        lines = opened.read().decode("utf-8", "replace").split("\n")
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it said nothing")
    return "it said nothing"


def _signal(trainer: "subprocess.Popen[bytes]", number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(trainer.pid, number)


def _profile(name: str) -> Path:
    """Return the file of one of TRL's profiles for accelerate.

    Raises:
        MissingPart, BadInput: TRL is not installed, or has no such profile.
    """
    from importlib.util import find_spec

    from atra.core.errors import BadInput, MissingPart

    found = find_spec("trl")
    if found is None or found.origin is None:
        raise MissingPart("trl (`pip install 'atra[distill]'`)")
    known = {file.stem: file for file in Path(found.origin).parent.glob("accelerate_configs/*.yaml")}
    if name not in known:
        raise BadInput(f"[training] launcher is process, {', '.join(sorted(known))}, or a path; not {name}")
    return known[name]
