"""Tells whether a repaired program does what the known correct one does: on recorded inputs and on made-up ones.

Everything runs in boxes. Made-up inputs are used only where the correct program returns a result within its limit.
"""

import json
import random
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from atra.sandbox.interpreter import paths_of
from atra.sandbox.policy import Limits, Policy
from atra.sandbox.protocol import Sandbox
from benchmarks.inputs import Input, mutate
from benchmarks.programs import Program

WANTED = 300
"""How many made-up inputs are compared, where the program's conditions allow so many."""

_RECORDED_LIMIT_S = 10.0  # levenshtein's slowest takes 2 s
_MADE_UP_LIMIT_S = 0.05
_PATIENCE = 20.0
"""How much longer than the correct program's limit the repaired one may take."""

_HUNG_CORRECT, _HUNG_REPAIRED = 300, 5
"""After so many calls that ran out of time the rest is not tried."""

_TOTAL_S = 30.0


@dataclass(frozen=True)
class Agreement:
    """Of `of` inputs on which both were run, `same` gave the same; `difference` shows the first that did not."""

    same: int
    of: int
    difference: str = ""


def recorded_inputs(program: Program, sandbox: Sandbox) -> list[Input]:
    """Return the arguments of each call the published tests make, in order, without repeats."""
    lines = _run(program, program.correct, sandbox, "record", {})
    return list({json.dumps(line): line for line in lines}.values())


def made_up_inputs(program: Program, recorded: Sequence[Input], seed: int) -> list[Input]:
    """Return inputs changed from the recorded ones, more than are wanted since the correct program refuses some."""
    return mutate(program.name, recorded, 10 * WANTED, random.Random(f"{program.name} {seed}"))


def compare_recorded(program: Program, source: str, inputs: Sequence[Input], sandbox: Sandbox) -> Agreement:
    """Compare this source of the program with the correct one on inputs that a test vouches for."""
    return _compare(program, source, inputs, sandbox, _RECORDED_LIMIT_S, patience=1.0)


def compare_made_up(program: Program, source: str, inputs: Sequence[Input], sandbox: Sandbox) -> Agreement:
    """Compare this source of the program with the correct one on the first `WANTED` inputs the correct one answers."""
    return _compare(program, source, inputs, sandbox, _MADE_UP_LIMIT_S, patience=_PATIENCE)


def _compare(
    program: Program, source: str, inputs: Sequence[Input], sandbox: Sandbox, limit_s: float, *, patience: float
) -> Agreement:
    truth = _call(program, program.correct, inputs, sandbox, limit_s=limit_s, hung=_HUNG_CORRECT)
    answered = [(i, t) for i, t in zip(inputs, truth, strict=False) if t["ended"] == "returned"][:WANTED]
    given = [i for i, _ in answered]
    found = _call(program, source, given, sandbox, limit_s=limit_s * patience, hung=_HUNG_REPAIRED)
    compared = list(zip(answered, found, strict=False))
    different = [(i, t, f) for (i, t), f in compared if not same(program.name, i, t, f)]
    return Agreement(len(compared) - len(different), len(compared), _show(*different[0]) if different else "")


def same(name: str, given: Input, truth: dict[str, Any], found: dict[str, Any]) -> bool:
    """Tell whether two outcomes mean the same; square roots may each be off by the error that was asked for."""
    if name == "sqrt" and found["ended"] == "returned" and isinstance(found["value"], int | float):
        _, epsilon = given["value"]
        return bool(abs(truth["value"] - found["value"]) <= 2 * epsilon)
    return truth == found


def _call(
    program: Program, source: str, inputs: Sequence[Input], sandbox: Sandbox, *, limit_s: float, hung: int
) -> list[dict[str, Any]]:
    request = {"inputs": inputs, "limit_s": limit_s, "wanted": WANTED, "hung": hung, "total_s": _TOTAL_S}
    return _run(program, source, sandbox, "call", request)


def _run(program: Program, source: str, sandbox: Sandbox, what: str, request: dict[str, Any]) -> list[dict[str, Any]]:
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        program.write(folder, source)
        for name in ("evaluate.py", "encoding.py"):
            shutil.copy(Path(__file__).with_name(name), folder)
        (folder / "request.json").write_text(json.dumps(request))
        policy = Policy(
            tree=temporary,
            at=temporary,
            readable=paths_of(sys.executable),
            environment={"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
            limits=Limits(wall_s=240.0, cpu_s=120),
        )
        finished = sandbox.run([sys.executable, "evaluate.py", what, program.name], policy)
    whole = finished.result[: finished.result.rfind(b"\n") + 1]
    lines = [json.loads(line) for line in whole.splitlines()]
    if what == "call":
        return lines[:-1] if lines[-1:] == ["over"] else [*lines, {"ended": "died"}]
    if finished.exit_code:
        raise RuntimeError(f"recording {program.name} failed: {finished.output.decode(errors='replace')[-2000:]}")
    return lines


def _show(given: Input, truth: dict[str, Any], found: dict[str, Any]) -> str:
    shown = (given["value"], truth.get("value"), found.get("value", found.get("type", found["ended"])))
    return " / ".join(json.dumps(part)[:200] for part in shown)
