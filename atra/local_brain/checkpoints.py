"""Checkpoints of a training: written in folders of their claim, and used only if they are whole.

RUN/FENCE/checkpoint-STEP/…          what the trainer writes
RUN/FENCE/checkpoint-STEP/whole.json  written last: the size of every file, the step, and the tokens seen until then
"""

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

WHOLE = "whole.json"
_NAME = "checkpoint-"


@dataclass(frozen=True)
class Checkpoint:
    """One that is whole; `tokens` are those that training had seen by then."""

    path: Path
    step: int
    tokens: int


def seal(path: Path, tokens: int) -> None:
    """Say that the checkpoint is whole, once all of it is on the disk."""
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    for file in files.values():
        _to_disk(file)
    step = int(path.name.removeprefix(_NAME))
    told = {"step": step, "tokens": tokens, "files": {name: file.stat().st_size for name, file in files.items()}}
    draft = path / f".{WHOLE}"
    draft.write_text(json.dumps(told), encoding="utf-8")
    _to_disk(draft)
    draft.replace(path / WHOLE)
    _to_disk(path)


def newest(run: Path) -> Checkpoint | None:
    """Return the whole checkpoint that is furthest, of all claims; None where there is none."""
    found = (read for path in run.glob(f"*/{_NAME}*") if (read := _read(path)) is not None)
    return max(found, key=lambda one: (one.step, one.path), default=None)


def clear(run: Path, kept: Checkpoint | None) -> None:
    """Remove what earlier claims left, but for this checkpoint; half of one is not kept for anybody."""
    for path in run.glob(f"*/{_NAME}*"):
        if kept is None or path != kept.path:
            shutil.rmtree(path, ignore_errors=True)


def _read(path: Path) -> Checkpoint | None:
    """Return a checkpoint if every file is there in full size."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        told = json.loads((path / WHOLE).read_text(encoding="utf-8"))
        if all((path / name).stat().st_size == size for name, size in told["files"].items()):
            return Checkpoint(path, int(told["step"]), int(told["tokens"]))
    return None


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
