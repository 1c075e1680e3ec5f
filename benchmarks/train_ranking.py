"""Fits the order of candidates on bugs made in published packages by the templates turned round.

    python -m benchmarks.train_ranking [--bugs N] [--seed N] [--weights FILE] [--json FILE]

A bug is made by a template at a random statement of a function; its repair is whatever proposal at that statement makes
the original text again. What is easily made is not what often happens, a statement too many above all, so bugs count by
how often people's fixes are of their repair's kind, as the templates' shares have it. Weights are fitted on the bugs of
some packages and measured on those of others; a fit that does not rank the repairs of the others better than the
shipped weights do is not written. QuixBugs and the student programs are no part of it.
"""

import argparse
import ast
import importlib.util
import json
import math
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import packages_distributions, version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy.optimize import minimize  # type: ignore[import-untyped]

from atra.core.edits import apply
from atra.meta_architect.learned import WEIGHTS, Surroundings, known_weights
from atra.meta_architect.scope import Scope
from atra.meta_architect.source import UNREADABLE, Source
from atra.meta_architect.stream import propose, shares_of
from atra.meta_architect.templates import TEMPLATES
from atra.meta_architect.templates.spot import Spot
from benchmarks import results

FITTED = ("click", "dateutil", "jinja2", "markdown_it", "networkx", "packaging", "pyparsing", "structlog", "tenacity")
MEASURED = ("h11", "humanize", "mako", "mpmath", "parso", "sortedcontainers")

_LONGEST = 400
"""Files of more lines are left out: they take long to read."""

_MOST_PROPOSALS = 4000
_PENALTY = 0.02
"""Of a weight's square, for each bug on average: rare features stay near 0."""

_MOST = 10.0
"""How much more than the usual a bug may count."""

_FEWEST = 5
"""A feature that fewer bugs show is not fitted."""


@dataclass(frozen=True)
class Bug:
    """One made-up bug as a choice: each proposal's features and the log of its prior, and which of them repair it.

    `repair` names the template of the likeliest of these.
    """

    repair: str
    features: tuple[dict[str, float], ...]
    priors: tuple[float, ...]
    right: tuple[int, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Make bugs, fit, measure, and write the weights where they are better; the exit code is 1 where they are not."""
    options = _parser().parse_args(arguments)
    fitted = list(make(FITTED, options.bugs, options.seed))
    measured = list(make(MEASURED, options.bugs // 2, options.seed))
    weights = fit(fitted)
    totals: dict[str, Any] = {
        "bugs_fitted": len(fitted),
        "bugs_measured": len(measured),
        "features": len(weights),
        "without": places(measured, {}),
        "shipped_before": places(measured, known_weights()),
        "fitted": places(measured, weights),
    }
    better = totals["fitted"]["mean_log2"] < totals["shipped_before"]["mean_log2"]
    results.console().print(totals)
    recipe = {
        "packages": {name: version(packages_distributions()[name][0]) for name in (*FITTED, *MEASURED)},
        "fitted_on": FITTED,
        "measured_on": MEASURED,
        "seed": options.seed,
        "templates": dict(Counter(bug.repair for bug in fitted).most_common()),
    }
    results.write(options.json, {**results.about(datetime.now(UTC)), **recipe}, {**totals, "taken": better}, [])
    if better:
        kept = {name: round(weight, 4) for name, weight in sorted(weights.items()) if abs(weight) >= 0.005}
        options.weights.write_text(json.dumps({"weights": kept}, indent=1) + "\n")
    return int(not better)


def make(packages: Sequence[str], count: int, seed: int) -> Iterator[Bug]:
    """Yield made-up bugs of the packages that some proposal repairs, at most so many."""
    chance = random.Random(f"{seed} {' '.join(packages)}")
    files = [path for name in packages for path in _files(name)]
    shares = shares_of(TEMPLATES, {})
    made = 0
    while made < count:
        bug = _make(files[chance.randrange(len(files))], shares, chance)
        if bug is not None:
            made += 1
            print(f"[{made}/{count}] {bug.repair}, {len(bug.priors)} proposals", file=sys.stderr, flush=True)
            yield bug


def fit(bugs: Sequence[Bug]) -> dict[str, float]:
    """Return the weights that make the repairs likeliest, a little nearer to 0 than the bugs alone would have them."""
    shown = Counter(name for bug in bugs for name in {name for seen in bug.features for name in seen})
    names = sorted(name for name, number in shown.items() if number >= _FEWEST)
    place = {name: at for at, name in enumerate(names)}
    cases = []
    for bug in bugs:
        matrix = np.zeros((len(bug.features), len(names)))
        for row, seen in enumerate(bug.features):
            for name, value in seen.items():
                if name in place:
                    matrix[row, place[name]] = value
        cases.append((matrix, np.array(bug.priors), np.array(bug.right)))

    importance = _importance(bugs)

    def loss(weights: Any) -> tuple[float, Any]:
        total, slope = 0.0, np.zeros(len(names))
        for (matrix, priors, right), counts in zip(cases, importance, strict=True):
            scores = matrix @ weights + priors
            chances = np.exp(scores - scores.max())
            chances /= chances.sum()
            share = chances[right].sum()
            total -= counts * math.log(max(share, 1e-300))
            slope += counts * (matrix.T @ chances - matrix[right].T @ (chances[right] / max(share, 1e-300)))
        return total + _PENALTY * float(weights @ weights), slope + 2 * _PENALTY * weights

    found = minimize(loss, np.zeros(len(names)), jac=True, method="L-BFGS-B", options={"maxiter": 150})
    return dict(zip(names, map(float, found.x), strict=True))


def _importance(bugs: Sequence[Bug]) -> list[float]:
    """Return how much each bug counts, 1 in all: each kind of repair by its template's share, at most tenfold."""
    known = Counter(bug.repair for bug in bugs)
    shares = {item.name: item.share for item in TEMPLATES}
    raw = [shares[bug.repair] / known[bug.repair] for bug in bugs]
    usual = sum(raw) / len(raw)
    cut = [min(one, _MOST * usual) for one in raw]
    return [one / sum(cut) for one in cut]


def places(bugs: Sequence[Bug], weights: Mapping[str, float]) -> dict[str, float]:
    """Return where the repairs stand among their statement's proposals: median, mean log2, share of the first ten.

    The mean and the share count bugs by their importance.
    """
    importance = _importance(bugs)
    ranks = []
    for bug in bugs:
        scores = [
            prior + max(-4.0, min(4.0, sum(weights.get(name, 0.0) * value for name, value in seen.items())))
            for seen, prior in zip(bug.features, bug.priors, strict=True)
        ]
        best = max(scores[at] for at in bug.right)
        ranks.append(1 + sum(score > best for score in scores))
    return {
        "median": float(median(ranks)),
        "mean_log2": round(sum(one * math.log2(rank) for one, rank in zip(importance, ranks, strict=True)), 3),
        "among_first_10": round(sum(one for one, rank in zip(importance, ranks, strict=True) if rank <= 10), 3),
    }


def _make(path: Path, shares: Any, chance: random.Random) -> Bug | None:
    text = path.read_text(encoding="utf-8")
    source = Source(path.name, text)
    scope = Scope(source)
    inside = [item for item in source.statements if source.function(item) and not isinstance(item, ast.FunctionDef)]
    if not inside:
        return None
    statement = chance.choice(inside)
    changes = list(propose(Spot(source, scope, statement), shares))
    if not changes:
        return None
    _, change, _ = chance.choices(changes, [prior for _, _, prior in changes])[0]
    broken = apply(text, change.edits)
    try:
        wrong = Source(path.name, broken)
        ast.parse(broken)
    except UNREADABLE:
        return None
    line = wrong.first_lines.get(source.first_line(statement))
    if line is None or ast.dump(wrong.tree) == ast.dump(source.tree):
        return None
    wanted, changed_scope = _squeezed(text), Scope(wrong)
    for spot in (Spot(wrong, changed_scope, item) for item in wrong.by_line.get(line, ())):
        known = list(propose(spot, shares))[:_MOST_PROPOSALS]
        right = [at for at, (_, one, _) in enumerate(known) if _squeezed(apply(broken, one.edits)) == wanted]
        if right:
            surroundings = Surroundings(spot)
            return Bug(
                known[max(right, key=lambda at: known[at][2])][0].name,
                tuple(dict(surroundings.features(item, one)) for item, one, _ in known),
                tuple(math.log(max(prior, 1e-12)) for _, _, prior in known),
                tuple(right),
            )
    return None


def _squeezed(text: str) -> str:
    """Return the text without space and brackets, in which two ways to write one repair may differ."""
    return text.translate(_NOTHING)


_NOTHING = str.maketrans("", "", " \t()")


def _files(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec and spec.submodule_search_locations else []
    found = [path for place in places for path in sorted(Path(place).rglob("*.py")) if "test" not in str(path.name)]
    return [path for path in found if "tests" not in path.parts and _fits(path)]


def _fits(path: Path) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    return 20 <= text.count("\n") <= _LONGEST and "\ufffd" not in text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.train_ranking", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bugs", type=int, default=1000, help="to fit on; half as many are measured on")
    parser.add_argument("--seed", type=int, default=0, help="for which bugs")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="where the weights are written")
    parser.add_argument("--json", type=Path, default=results.FOLDER / "ranking.json", help="where to write")
    return parser


if __name__ == "__main__":
    sys.exit(main())
