"""How long choosing takes, how much memory, and what is found of what was planted: a hundred thousand traces.

The traces are made up: sentences of English words, of which a known part is planted with a fault each. What is found is
counted by fault; a trace without any that is dropped is a false alarm. Each size runs in a process of its own, whose
peak memory is what the kernel says; the time in which the traces are made up is measured apart and taken off.

    python -m benchmarks.curation [--sizes 10000 100000] [--json FILE]
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from atra.distillation.curation import Agreement, Bounds, Curation
from atra.distillation.data_set import ROWS, build
from atra.distillation.duplicates import Evaluation
from atra.distillation.policy import policy_of
from atra.distillation.screening import Screen
from atra.distillation.tokens import Estimate
from atra.distillation.traces import Origin, Trace
from benchmarks.results import FOLDER, about, console, table, write

PLANTED = {
    **{"duplicate": 5, "near_duplicate": 5, "secret": 3, "personal": 3, "contaminated": 3},
    **{"language": 2, "refused": 2, "not_allowed": 2},
}
"""Of every hundred traces, so many have this fault."""

_EVALUATION = 500
_ENGLISH = (
    "the a this that each every some and but because when after before while although so then first next last result "
    "order cart price item stock customer invoice payment address delivery worker queue message retry test function "
    "method value number string list table row index column query request response server client cache entry key lock "
    "thread process memory disk file path error warning reason cause change line branch commit review adds removes "
    "checks finds returns keeps drops reads writes sends waits fails passes holds opens closes moves takes gives shows "
    "small large old new empty full wrong right early late same other with without from into over under between for"
)
_WORDS = _ENGLISH.split()
_FOREIGN = (
    "der Warenkorb zieht den Rabatt erst nach der Steuer ab und deshalb schlagen die Tests fehl weil niemand prüft ob",
    "el carrito aplica el descuento después de los impuestos y por eso fallan las pruebas porque nadie comprueba si",
    "le panier applique la remise après les taxes et pour cette raison les tests échouent car personne ne vérifie si",
)


def evaluation() -> list[str]:
    """Return the questions that no data set may hold."""
    chosen = random.Random("evaluation")
    return [_said(chosen, 30) for _ in range(_EVALUATION)]


def fault_of(number: int) -> str:
    """Return the fault that is planted in the trace of this number; most have none."""
    place = (number * 37 + 99) % 100  # every hundred in a row has each in its part
    for fault, count in PLANTED.items():
        if place < count:
            return fault
        place -= count
    return ""


def made(number: int, questions: list[str]) -> Trace:
    """Return the trace of this number, with its fault."""
    chosen, fault = random.Random(number), fault_of(number)
    if fault in ("duplicate", "near_duplicate"):
        return _again(number, near=fault == "near_duplicate")
    trace = _clean(number)
    match fault:
        case "secret":
            return replace(trace, reasoning=_with(chosen, trace.reasoning, _secret(chosen)))
        case "personal":
            return replace(trace, answer=_with(chosen, trace.answer, _personal(chosen)))
        case "contaminated":
            words = chosen.choice(questions).split()
            start = chosen.randrange(len(words) - 12)
            return replace(trace, prompt=_with(chosen, trace.prompt, " ".join(words[start : start + 12])))
        case "language":
            said = chosen.choice(_FOREIGN)
            return replace(trace, reasoning=f"{said} {number}. " * chosen.randint(4, 8), answer=f"{said} {number}.")
        case "refused":
            return replace(trace, origin=replace(trace.origin, finish="refusal", refusal="policy"))
        case "not_allowed":
            return replace(trace, origin=Origin("openai", "gpt-x"))
    return trace


def _clean(number: int) -> Trace:
    chosen = random.Random(f"clean {number}")
    return Trace(
        f"{_said(chosen, chosen.randint(15, 60))}?",
        ". ".join(_said(chosen, chosen.randint(8, 20)) for _ in range(chosen.randint(6, 16))),
        f"{_said(chosen, chosen.randint(10, 50))}.",
        "raw",
        Origin("local", "folder"),
    )


def _again(number: int, *, near: bool) -> Trace:
    """Return an earlier trace without a fault once more, word for word or with three words of it changed."""
    chosen = random.Random(number)
    while fault_of(earlier := chosen.randrange(max(number, 1))) and number > 1:
        pass
    trace = _clean(earlier)
    if not near:
        return replace(trace, prompt=trace.prompt.upper())
    words = trace.reasoning.split()
    for _ in range(3):
        words[chosen.randrange(len(words))] = chosen.choice(_WORDS)
    return replace(trace, reasoning=" ".join(words))


def _said(chosen: random.Random, count: int) -> str:
    return " ".join(chosen.choices(_WORDS, k=count))


def _with(chosen: random.Random, text: str, piece: str) -> str:
    words = text.split()
    place = chosen.randrange(len(words) + 1)
    return " ".join([*words[:place], piece, *words[place:]])


def _secret(chosen: random.Random) -> str:
    def signs(count: int) -> str:
        return "".join(chosen.choices("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz23456789", k=count))

    return chosen.choice(
        (
            f"AKIA{signs(16).upper()}",
            f"ghp_{signs(36)}",
            f"https://admin:{signs(14)}@db.internal/shop",
            f"sk_live_{signs(24)}",
            "-----BEGIN RSA PRIVATE KEY-----",
            f"glpat-{signs(20)}",
        )
    )


def _personal(chosen: random.Random) -> str:
    digits = "".join(chosen.choices("0123456789", k=7))
    return chosen.choice(
        (f"jane.{digits}@corp.io", f"+49 30 {digits}", "4111 1111 1111 1111", f"+1 202 555 {digits[:4]}")
    )


def measured(count: int) -> dict[str, Any]:
    """Return what choosing among this many traces took, and what it found. To be run in a process of its own."""
    questions = evaluation()

    def all_of_them() -> Iterator[Trace]:
        return (made(number, questions) for number in range(count))

    before = _peak_mib()
    begun = time.perf_counter()
    for _ in all_of_them():
        pass
    making_s = time.perf_counter() - begun
    begun = time.perf_counter()
    looks = Screen(["en"])
    with TemporaryDirectory() as folder:
        agreement = Agreement(all_of_them())
        curation = Curation(Bounds(), policy_of(), Estimate(), looks, Evaluation(questions), (agreement,))
        built = build(curation, all_of_them(), Path(folder))
        seconds = time.perf_counter() - begun - 2 * making_s
        kept = set(built.trace_ids())
        size_bytes = (built.path / ROWS).stat().st_size
    planted, found = Counter[str](), Counter[str]()
    for number, trace in enumerate(all_of_them()):
        fault = fault_of(number) or "none"
        planted[fault] += 1
        found[fault] += trace.id not in kept or fault == "duplicate"
    found["duplicate"] = min(planted["duplicate"], curation.dropped["duplicate"])  # a copy has its original's words
    return {
        "traces": count,
        "seconds": round(seconds, 1),
        "traces_per_second": round(count / seconds),
        "peak_mib": round(_peak_mib()),
        "of_it_before_mib": round(before),
        "rows": built.summary["rows"],
        "rows_mib": round(size_bytes / 2**20, 1),
        "dropped": built.summary["dropped"],
        "planted": dict(planted),
        "found": dict(found),
    }


def main() -> None:
    """Measure each size in a process of its own, print a table and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--json", type=Path, default=FOLDER / "curation.json")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(given.one)))
        return
    rows = [_apart(size) for size in given.sizes]
    columns = ("traces", "seconds", "traces_per_second", "peak_mib", "of_it_before_mib", "rows", "rows_mib")
    shown = console()
    shown.print(table("Choosing what to learn from", rows, columns))
    last = rows[-1]
    faults = [
        {
            "fault": fault,
            "planted": count,
            "found": last["found"][fault],
            "share": f"{last['found'][fault] / count:.4f}",
        }
        for fault, count in last["planted"].items()
    ]
    shown.print(table(f"Found of what was planted in {last['traces']} (none: false alarms)", faults, list(faults[0])))
    growth = {
        "times_the_traces": last["traces"] / rows[0]["traces"],
        "times_the_seconds": round(last["seconds"] / rows[0]["seconds"], 2),
    }
    shown.print(f"{growth['times_the_traces']:g} times the traces took {growth['times_the_seconds']} times as long.")
    write(given.json, about(datetime.now(UTC)), growth, rows)


def _apart(size: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.curation", "--one", str(size)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured_there: dict[str, Any] = json.loads(ran.stdout)
    return measured_there


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
