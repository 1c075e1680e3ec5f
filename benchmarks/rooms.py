"""How often the experts of a room name the right place first: each alone, voting, by record, and with a liar.

    python -m benchmarks.rooms --cases FOLDER [--json FILE]

The cases come from `benchmarks.collect`: killed mutants of published packages and bugs of our own over several files.
Packages are split in halves by their names, every second one: one half is for fitting (the experts' weights, and by
hand their constants), the other is reported. What the room's hints give the search is in `benchmarks.leads`.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, median
from typing import Any

from atra.core.records import from_json
from atra.war_room.calibration import Record, added, judge, weights
from atra.war_room.case import Case
from atra.war_room.consensus import tally
from atra.war_room.experts.registry import EXPERTS
from atra.war_room.records import Ballot, Option
from benchmarks import mutants, results
from benchmarks.cases import Known

SURE = 0.95
COLUMNS = ("who", "spoke", "top_1", "top_3", "mean_rank", "probability", "brier")


@dataclass(frozen=True)
class Heard:
    """One bug with what every expert said of it. `fitting` says in which half it is."""

    known: Known
    ballots: tuple[Ballot, ...]
    fitting: bool
    seconds: Mapping[str, float]

    @property
    def options(self) -> tuple[Option, ...]:
        """The regions, as options."""
        return tuple(Option(region.id, region.name) for region in self.known.case.regions)


def main(arguments: Sequence[str] | None = None) -> int:
    """Hear the experts on every case, print the tables and write the JSON."""
    options = _parser().parse_args(arguments)
    known = [from_json(Known, json.loads(file.read_text())) for file in sorted(options.cases.glob("*.json"))]
    if not known:
        raise SystemExit(f"{options.cases} holds no case; make some with python -m benchmarks.collect")
    fitting = halves(known)
    heard = []
    for number, one in enumerate(known, 1):
        heard.append(hear(one, one.package in fitting))
        print(f"\r[{number}/{len(known)}] {one.id[:80]:<80}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    learned = records_of([one for one in heard if one.fitting])
    console = results.console()
    totals: dict[str, Any] = {"weights": weights(learned), "halves": {}}
    for name, half in (("fitting", True), ("reporting", False)):
        rows = rows_of([one for one in heard if one.fitting is half], heard, learned)
        console.print(results.table(f"{name} half", [_shown(row) for row in rows], COLUMNS))
        totals["halves"][name] = rows
    console.print(f"weights from the fitting half: {totals['weights']}")
    facts = {
        **results.about(datetime.now(UTC)),
        "mutants": mutants.version(options.cosmic_ray) if options.cosmic_ray else "",
        "packages": dict(sorted(Counter(one.package for one in known).items())),
        "fitting": sorted(fitting),
        "median_options": median(len(one.case.regions) for one in known),
    }
    if options.json:
        results.write(options.json, facts, totals, [_row(one, learned) for one in heard])
    return 0


def hear(known: Known, fitting: bool) -> Heard:
    """Let each expert speak on the case."""
    ballots, seconds = [], {}
    for expert in EXPERTS:
        began = time.monotonic()
        ballots.append(expert.speak(known.case))
        seconds[expert.department] = round(time.monotonic() - began, 3)
    return Heard(known, tuple(ballots), fitting, seconds)


def rank_of(truth: str, order: Sequence[str], options: int) -> float:
    """Return the truth's place from 1; the middle of the places that are left when the order does not name it."""
    return order.index(truth) + 1.0 if truth in order else (len(order) + 1 + options) / 2


def voted(one: Heard, ballots: Sequence[Ballot], weigh: Mapping[str, float] | None) -> float:
    """Return the truth's place in the room's order."""
    return rank_of(one.known.truth, tally(one.options, ballots, len(EXPERTS), weigh).order, len(one.options))


def lying(one: Heard, expert: str) -> tuple[Ballot, ...]:
    """Return the ballots with this expert's ranking turned round, all options named, and quite sure of it."""

    def turned(ballot: Ballot) -> Ballot:
        if ballot.expert != expert or not ballot.ranking:
            return ballot
        rest = sorted({option.id for option in one.options} - set(ballot.ranking))
        return replace(ballot, ranking=(*rest, *reversed(ballot.ranking)), probability=SURE)

    return tuple(turned(ballot) for ballot in one.ballots)


def halves(known: Sequence[Known]) -> frozenset[str]:
    """Return the packages to fit on: every second one of each kind, by name."""
    kinds = sorted({one.kind for one in known})
    named = [sorted({one.package for one in known if one.kind == kind}) for kind in kinds]
    return frozenset(name for names in named for name in names[1::2])


def records_of(heard: Sequence[Heard], liar: str = "") -> dict[str, Record]:
    """Return each expert's record over these bugs, with one of them lying throughout if a name is given."""
    records: dict[str, Record] = {}
    for one in heard:
        for found in judge(lying(one, liar), frozenset({one.known.truth}), len(one.options)):
            records[found.expert] = added(records.get(found.expert), found)
    return records


def rows_of(half: Sequence[Heard], heard: Sequence[Heard], learned: Mapping[str, Record]) -> list[dict[str, Any]]:
    weigh = weights(learned)
    experts = [expert.department for expert in EXPERTS]
    rows = [_alone(half, number, name) for number, name in enumerate(experts)]
    rows.append(_room("plain vote", half, lambda one: voted(one, one.ballots, None)))
    rows.append(_room("room, learned weights", half, lambda one: voted(one, one.ballots, weigh)))
    speaking = [name for name in experts if any(b.expert == name and b.ranking for one in half for b in one.ballots)]
    for title, told in (("plain vote", False), ("room", True)):
        liars = {}
        for name in speaking:
            known_liar = weights(records_of([one for one in heard if one.fitting], name)) if told else None
            liars[name] = _room(name, half, _with_liar(name, known_liar))
        worst = min(liars, key=lambda name: (liars[name]["top_1"], liars[name]["top_3"], name))
        rows.append({**liars[worst], "who": f"{title}, worst liar ({worst})"})
        rows.append({"who": f"{title}, a liar (mean)", **_means(list(liars.values()))})
    return rows


def _with_liar(name: str, weigh: Mapping[str, float] | None) -> Callable[[Heard], float]:
    return lambda one: voted(one, lying(one, name), weigh)


def _alone(half: Sequence[Heard], number: int, name: str) -> dict[str, Any]:
    """Return how an expert does alone; where it abstains it is wrong."""
    spoke = [one for one in half if one.ballots[number].ranking]
    ranks = [rank_of(one.known.truth, one.ballots[number].ranking, len(one.options)) for one in half]
    right = [one.ballots[number].ranking[0] == one.known.truth for one in spoke]
    sure = [one.ballots[number].probability for one in spoke]
    return {
        "who": name,
        "spoke": len(spoke),
        **_hits([rank if one in spoke else 1e9 for rank, one in zip(ranks, half, strict=True)]),
        "mean_rank": round(mean(ranks), 2),
        "probability": round(mean(sure), 3) if spoke else None,
        "accuracy": round(mean(right), 3) if spoke else None,
        "brier": round(mean((p - hit) ** 2 for p, hit in zip(sure, right, strict=True)), 3) if spoke else None,
        "seconds": round(mean(one.seconds[name] for one in half), 3),
    }


def _room(title: str, half: Sequence[Heard], place: Callable[[Heard], float]) -> dict[str, Any]:
    ranks = [place(one) for one in half]
    return {"who": title, "spoke": len(half), **_hits(ranks), "mean_rank": round(mean(ranks), 2)}


def _hits(ranks: Sequence[float]) -> dict[str, float]:
    return {f"top_{k}": round(mean(rank <= k for rank in ranks), 4) for k in (1, 3)}


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "spoke": rows[0]["spoke"],
        **{key: round(mean(row[key] for row in rows), 4) for key in ("top_1", "top_3", "mean_rank")},
    }


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row as a person reads it: shares in percent, probabilities with two digits."""
    percent = {key: round(100 * row[key], 1) for key in ("top_1", "top_3")}
    words = {key: "" if row.get(key) is None else f"{row[key]:.2f}" for key in ("probability", "brier")}
    return {**row, **percent, **words}


def _row(one: Heard, learned: Mapping[str, Record]) -> dict[str, Any]:
    case: Case = one.known.case
    ranks = {b.expert: rank_of(one.known.truth, b.ranking, len(one.options)) for b in one.ballots if b.ranking}
    return {
        "bug": one.known.id,
        "half": "fitting" if one.fitting else "reporting",
        "change": one.known.change,
        "truth": one.known.truth,
        "options": len(one.options),
        "failing": len(case.failing),
        "ranks": ranks,
        "vote": voted(one, one.ballots, None),
        "room": voted(one, one.ballots, weights(learned)),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.rooms", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=Path, required=True, help="a folder of cases")
    parser.add_argument("--cosmic-ray", type=Path, help="the program that made the mutants, for its version")
    parser.add_argument("--json", type=Path, help="where to write; nothing is written when left out")
    return parser


if __name__ == "__main__":
    sys.exit(main())
