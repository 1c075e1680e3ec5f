"""How often the gate promotes: an equal model (it should not), better ones (it should), and many equal ones in a row.

Simulated answers, fixed seed: of the items, 20 % are answered differently by the two models; the gain says how these
fall. The candidate answers a target set and one regression set of the same size. Beside the gate stands the rule that
everybody writes first: the higher accuracy wins.
"""

import argparse
import random
from collections.abc import Sequence
from datetime import UTC, datetime

from atra.local_brain.gate import Answered, Rules, judge
from benchmarks.results import FOLDER, about, console, table, write

DIFFERING = 0.2
SIZES = (200, 500, 1000, 2000)
GAINS = (0.0, 0.03, 0.05, 0.1)
RETRAININGS = 52  # a year of weekly candidates

Answers = tuple[list[Answered], list[Answered]]


def answers(chance: random.Random, items: int, gain: float) -> Answers:
    """Return what a candidate and the brain in service say, with this true gain between them."""
    candidate, present = [], []
    for number in range(items):
        drawn = chance.random()
        gained, lost = drawn < (DIFFERING + gain) / 2, (DIFFERING + gain) / 2 <= drawn < DIFFERING
        alike = chance.random() < 0.6
        name = str(number)
        candidate.append(Answered(name, gained or (alike and not lost)))
        present.append(Answered(name, lost or (alike and not gained)))
    return candidate, present


def naive(target: Answers) -> bool:
    """Return what the rule of the higher accuracy says."""
    return sum(one.right for one in target[0]) > sum(one.right for one in target[1])


def once(items: int, gain: float, repeats: int, seed: int) -> dict[str, object]:
    """Return the shares in which each rule promotes one candidate with this true gain, as good elsewhere."""
    chance = random.Random(seed)
    gate = target_only = higher = 0
    for _ in range(repeats):
        target, other = answers(chance, items, gain), answers(chance, items, 0.0)
        gate += judge(target, {"other": other}, Rules()).promote
        target_only += judge(target, {}, Rules()).promote
        higher += naive(target)
    return {
        "items": items,
        "true gain": f"{gain:+.2f}",
        "gate": gate / repeats,
        "gate without regression set": target_only / repeats,
        "higher wins": higher / repeats,
    }


def many(items: int, repeats: int, seed: int) -> dict[str, object]:
    """Return the shares of years in which a rule promotes at least one of 52 equal candidates on the same items."""
    chance = random.Random(seed)
    gate = unspent = higher = 0
    for _ in range(repeats):
        tried = [answers(chance, items, 0.0) for _ in range(RETRAININGS)]
        gate += any(judge(target, {}, Rules(), tries=number).promote for number, target in enumerate(tried))
        unspent += any(judge(target, {}, Rules()).promote for target in tried)
        higher += any(naive(target) for target in tried)
    return {
        "items": items,
        "gate": gate / repeats,
        "gate without spending": unspent / repeats,
        "higher wins": higher / repeats,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, print both tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    single = [once(items, gain, given.repeats, given.seed) for items in SIZES for gain in GAINS]
    year = [many(items, max(20, given.repeats // 2), given.seed) for items in SIZES[:2]]
    show = console()
    for title, rows in (("one candidate: share promoted", single), ("52 equal candidates: any promoted", year)):
        shown = [
            {name: f"{value:.3f}" if isinstance(value, float) else value for name, value in row.items()} for row in rows
        ]
        show.print(table(title, shown, list(rows[0])))
    worst = max(float(str(row["gate"])) for row in single if row["true gain"] == "+0.00")
    show.print(f"the gate promotes an equal model in at most {worst:.3f} of {given.repeats} tries")
    totals = {"repeats": given.repeats, "seed": given.seed, "worst_false_promotion": worst, "year": year}
    write(FOLDER / "gate.json", about(datetime.now(UTC)), totals, single)


if __name__ == "__main__":
    main()
