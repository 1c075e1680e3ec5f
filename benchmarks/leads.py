"""How many candidates stand before the right patch when a repair follows a room's hints, one expert's, or nobody's.

    python -m benchmarks.leads --cases FOLDER --packages FOLDER [--half H] [--most N] [--json FILE]

The cases are those of `benchmarks.collect`. A mutant's original is in the source distribution that it was made of, that
of a bug of our own beside the bug. No test is run: a candidate is right where it makes of the wrong file what the
original is, as a tree. For bugs that no template repairs, our own mostly, it is also counted how many candidates come
until the first one at the wrong statement. Bugs that no order brings within the first N candidates are left out; in the
means what one order does not bring counts as N.
"""

import argparse
import ast
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import SequenceMatcher
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Any

from atra.core.edits import apply
from atra.core.records import from_json
from atra.meta_architect.leads import Lead, follow
from atra.meta_architect.localisation import diagnose
from atra.meta_architect.records import Diagnosis, Reproduction
from atra.meta_architect.source import Source
from atra.meta_architect.stream import candidates
from atra.war_room.calibration import weights
from atra.war_room.case import Case
from atra.war_room.consensus import decide
from atra.war_room.hints import hints_of
from atra.war_room.records import Ballot
from benchmarks import mutants, results, room_bugs
from benchmarks.cases import Known
from benchmarks.rooms import Heard, halves, hear, lying, records_of

_NEAR = 6  # lines between a candidate's statement and the mutant's line, for statements span lines
KINDS = {"patch": "candidates up to the right patch", "look": "candidates up to the first at the wrong statement"}
COLUMNS = ("who", "found", "median", "mean", "first_100", "fewer", "more")


@dataclass(frozen=True)
class Repair:
    """What a right patch makes of the wrong file, and where it is wrong.

    Args:
        starts: the first lines of the wrong statements.
        near: the lines on which a statement may begin that a right patch changes.
    """

    path: str
    starts: frozenset[int]
    near: range
    tree: str


@dataclass(frozen=True)
class Came:
    """Which candidate was the first at a wrong statement, and which the right patch, from 1; None for none."""

    look: int | None
    patch: int | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Count for every bug of the half that nothing was fitted on, print the table, write the JSON."""
    options = _parser().parse_args(arguments)
    known = [from_json(Known, json.loads(file.read_text())) for file in sorted(options.cases.glob("*.json"))]
    fitting = halves(known)
    heard = [hear(one, one.package in fitting) for one in known]
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory(prefix="atra-leads-") as work:
        folders = mutants.unpack(options.packages, Path(work))
        wanted = options.half == "fitting"
        reported = [one for one in heard if one.fitting is wanted]
        for number, one in enumerate(reported, 1):
            came = _counts(one, repair_of(one.known, folders), heard, options.most)
            rows.append({"bug": one.known.id, **{kind: _each(came, kind) for kind in KINDS}})
            print(f"\r[{number}/{len(reported)}] {one.known.id[:80]:<80}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    totals = {kind: totals_of([row[kind] for row in rows], options.most) for kind in KINDS}
    for kind, title in KINDS.items():
        results.console().print(results.table(title, totals[kind], COLUMNS))
    facts = {**results.about(datetime.now(UTC)), "half": options.half, "most": options.most, "bugs": len(rows)}
    results.write(options.json, facts, totals, rows)
    return 0


def totals_of(rows: Sequence[Mapping[str, int | None]], most: int) -> list[dict[str, Any]]:
    """Return, per adviser, how often it came and where, and how often sooner or later than by nobody."""
    advisers = list(rows[0])
    reached = [row for row in rows if any(row[name] is not None for name in advisers)]
    totals = []
    for name in advisers:
        places = [place for row in reached if (place := row[name]) is not None]
        pairs = [(row[name] or 10**9, row["nobody"] or 10**9) for row in reached]
        totals.append(
            {
                "who": name,
                "found": len(places),
                "median": median(places) if places else None,
                "mean": round(mean(row[name] or most for row in reached)) if reached else None,
                "first_100": sum(place <= 100 for place in places),
                "fewer": sum(mine < theirs for mine, theirs in pairs),
                "more": sum(mine > theirs for mine, theirs in pairs),
            }
        )
    return totals


def _counts(one: Heard, repair: Repair, heard: Sequence[Heard], most: int) -> dict[str, Came]:
    """Return what came when in the stream, per adviser."""
    learned = weights(records_of([other for other in heard if other.fitting]))
    found = {"nobody": _came(one, repair, (), most)}
    for ballot in one.ballots:
        alone = _leads(one, [ballot], {}, 1)
        found[ballot.expert] = _came(one, repair, alone, most) if alone else found["nobody"]
    seats = len(one.ballots)
    found["plain vote"] = _came(one, repair, _leads(one, one.ballots, {}, seats), most)
    found["room"] = _came(one, repair, _leads(one, one.ballots, learned, seats), most)
    liar = "localisation"  # whose lie costs the room most, see benchmarks.rooms
    knows = weights(records_of([other for other in heard if other.fitting], liar))
    found["room, localisation lies"] = _came(one, repair, _leads(one, lying(one, liar), knows, seats), most)
    return found


def _leads(one: Heard, ballots: Sequence[Ballot], weigh: Mapping[str, float], seats: int) -> tuple[Lead, ...]:
    """Return what a room of these ballots would tell the repair."""
    decision = decide(one.options, ballots, seats, weigh)
    hints = hints_of(decision, ballots, one.known.case.regions, weigh, frozenset())
    return tuple(Lead(place.path, place.first, place.last, place.score) for place in hints.places)


def _came(one: Heard, repair: Repair, leads: Sequence[Lead], most: int) -> Came:
    case: Case = one.known.case
    look = None
    for number, candidate in enumerate(candidates(case.sources, follow(_diagnosis(case), leads)), 1):
        if number > most:
            break
        if candidate.path != repair.path or candidate.line not in repair.near:
            continue
        if look is None and candidate.line in repair.starts:
            look = number
        try:
            if ast.dump(ast.parse(apply(case.sources[repair.path], candidate.patch))) == repair.tree:
                return Came(look or number, number)
        except (SyntaxError, ValueError):
            continue
    return Came(look, None)


def _each(came: Mapping[str, Came], kind: str) -> dict[str, int | None]:
    return {name: getattr(one, kind) for name, one in came.items()}


def _diagnosis(case: Case) -> Diagnosis:
    passing = tuple(f"passing {number}" for number in range(case.passing))
    found = Reproduction(case.failing, passing, lines=case.lines, passing_hits=case.passing_hits)
    return diagnose(found, {**case.sources, **case.tests}, protected=lambda path: path in case.protected)


def repair_of(known: Known, folders: Mapping[str, Path]) -> Repair:
    """Return what repairs the bug.

    Args:
        folders: the unpacked source distribution of each package, for its mutants.
    """
    if known.kind == "own":
        bug = next(bug for bug in room_bugs.read_all() if bug.id == known.id)
        path, _, _ = bug.truth.partition("::")
        return _repair(known, path, changed(bug.original, bug.files[path]), bug.original)
    path, _, line = known.change.rpartition(" at ")[2].rpartition(":")
    return _repair(known, path, [int(line)], (folders[known.package] / path).read_text())


def changed(original: str, wrong: str) -> list[int]:
    """Return the lines of the wrong text that are not the original's; where some are missing, the one they stood at."""
    matcher = SequenceMatcher(None, original.splitlines(), wrong.splitlines(), autojunk=False)
    spans = [(first, max(last, first + 1)) for tag, _, _, first, last in matcher.get_opcodes() if tag != "equal"]
    return [line + 1 for first, last in spans for line in range(first, last)]


def _repair(known: Known, path: str, lines: Sequence[int], original: str) -> Repair:
    first_lines = Source(path, known.case.sources[path]).first_lines
    starts = frozenset(first_lines.get(line, line) for line in lines)
    near = range(min(lines) - _NEAR, max(lines) + _NEAR + 1)
    return Repair(path, starts, near, ast.dump(ast.parse(original)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.leads", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=Path, required=True, help="a folder of cases")
    parser.add_argument("--packages", type=Path, required=True, help="the source distributions they were made of")
    parser.add_argument("--half", choices=("reporting", "fitting"), default="reporting", help="of the packages")
    parser.add_argument("--most", type=int, default=3000, help="candidates to look at")
    parser.add_argument("--json", type=Path, default=results.FOLDER / "leads.json", help="where to write")
    return parser


if __name__ == "__main__":
    sys.exit(main())
