"""How many candidates stand before the right patch when a repair follows a room's hints, one expert's, or nobody's.

    python -m benchmarks.leads --cases FOLDER --packages FOLDER [--half H] [--most N] [--json FILE]

The cases are the mutants of `benchmarks.collect`, their originals the source distributions they were made of. No test
is run: a candidate is right where it makes of the mutant's file what the original is, as a tree. Bugs whose repair no
order brings within the first N candidates are left out; in the means what one order does not bring counts as N.
"""

import argparse
import ast
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Any

from atra.core.edits import apply
from atra.core.records import from_json
from atra.meta_architect.leads import Lead, follow
from atra.meta_architect.localisation import diagnose
from atra.meta_architect.records import Diagnosis, Reproduction
from atra.meta_architect.stream import candidates
from atra.war_room.calibration import weights
from atra.war_room.case import Case
from atra.war_room.consensus import decide
from atra.war_room.hints import hints_of
from atra.war_room.records import Ballot
from benchmarks import mutants, results
from benchmarks.cases import Known
from benchmarks.rooms import Heard, halves, hear, lying, records_of

_NEAR = 6  # lines between a candidate's statement and the mutant's line, for statements span lines
COLUMNS = ("who", "found", "median", "mean", "first_100", "fewer", "more")


def main(arguments: Sequence[str] | None = None) -> int:
    """Count for every mutant of the half that nothing was fitted on, print the table, write the JSON."""
    options = _parser().parse_args(arguments)
    known = [from_json(Known, json.loads(file.read_text())) for file in sorted(options.cases.glob("*.json"))]
    fitting = halves(known)
    heard = [hear(one, one.package in fitting) for one in known]
    rows = []
    with TemporaryDirectory(prefix="atra-leads-") as work:
        folders = mutants.unpack(options.packages, Path(work))
        wanted = options.half == "fitting"
        reported = [one for one in heard if one.fitting is wanted and one.known.kind == "mutant"]
        for number, one in enumerate(reported, 1):
            original = (folders[one.known.package] / _place(one.known)[0]).read_text()
            rows.append({"bug": one.known.id, **_counts(one, original, heard, options.most)})
            print(f"\r[{number}/{len(reported)}] {one.known.id[:80]:<80}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    totals = totals_of(rows, options.most)
    results.console().print(results.table("candidates before the right patch", totals, COLUMNS))
    facts = {**results.about(datetime.now(UTC)), "half": options.half, "most": options.most, "bugs": len(rows)}
    results.write(options.json, facts, {"rows": totals}, rows)
    return 0


def totals_of(rows: Sequence[Mapping[str, Any]], most: int) -> list[dict[str, Any]]:
    """Return, per adviser, how often the right patch came and where, and how often sooner or later than by nobody."""
    advisers = [name for name in rows[0] if name != "bug"]
    reached = [row for row in rows if any(row[name] is not None for name in advisers)]
    totals = []
    for name in advisers:
        places = [row[name] for row in reached if row[name] is not None]
        pairs = [(row[name] or 10**9, row["nobody"] or 10**9) for row in reached]
        totals.append(
            {
                "who": name,
                "found": len(places),
                "median": median(places) if places else None,
                "mean": round(mean(min(row[name] or most, most) for row in reached)),
                "first_100": sum(place <= 100 for place in places),
                "fewer": sum(mine < theirs for mine, theirs in pairs),
                "more": sum(mine > theirs for mine, theirs in pairs),
            }
        )
    return totals


def _counts(one: Heard, original: str, heard: Sequence[Heard], most: int) -> dict[str, int | None]:
    """Return the right patch's place in the stream, per adviser."""
    learned = weights(records_of([other for other in heard if other.fitting]))
    found: dict[str, int | None] = {"nobody": _place_of(one, original, (), most)}
    for ballot in one.ballots:
        alone = _leads(one, [ballot], {}, 1)
        found[ballot.expert] = _place_of(one, original, alone, most) if alone else found["nobody"]
    seats = len(one.ballots)
    found["plain vote"] = _place_of(one, original, _leads(one, one.ballots, {}, seats), most)
    found["room"] = _place_of(one, original, _leads(one, one.ballots, learned, seats), most)
    liar = "localisation"  # whose lie costs the room most, see benchmarks.rooms
    knows = weights(records_of([other for other in heard if other.fitting], liar))
    found["room, localisation lies"] = _place_of(one, original, _leads(one, lying(one, liar), knows, seats), most)
    return found


def _leads(one: Heard, ballots: Sequence[Ballot], weigh: Mapping[str, float], seats: int) -> tuple[Lead, ...]:
    """Return what a room of these ballots would tell the repair."""
    decision = decide(one.options, ballots, seats, weigh)
    hints = hints_of(decision, ballots, one.known.case.regions, weigh, frozenset())
    return tuple(Lead(place.path, place.first, place.last, place.score) for place in hints.places)


def _place_of(one: Heard, original: str, leads: Sequence[Lead], most: int) -> int | None:
    case: Case = one.known.case
    path, line = _place(one.known)
    wanted = ast.dump(ast.parse(original))
    for number, candidate in enumerate(candidates(case.sources, follow(_diagnosis(case), leads)), 1):
        if number > most:
            return None
        if candidate.path != path or abs(candidate.line - line) > _NEAR:
            continue
        try:
            if ast.dump(ast.parse(apply(case.sources[path], candidate.patch))) == wanted:
                return number
        except (SyntaxError, ValueError):
            continue
    return None


def _diagnosis(case: Case) -> Diagnosis:
    passing = tuple(f"passing {number}" for number in range(case.passing))
    found = Reproduction(case.failing, passing, lines=case.lines, passing_hits=case.passing_hits)
    return diagnose(found, {**case.sources, **case.tests}, protected=lambda path: path in case.protected)


def _place(known: Known) -> tuple[str, int]:
    """Return the path and line of the change, which the case's own note tells."""
    path, _, line = known.change.rpartition(" at ")[2].rpartition(":")
    return path, int(line)


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
