"""What is learned of the order of candidates: which edits repaired bugs, at statements of which kind.

A conditional logit (McFadden 1974): of the proposals at one statement, one with features x and prior p is right with
the chance p * exp(w x) over the sum of that of all. The prior is the templates' own (see `stream`); the weights `w`
stand in `ranking.json`, if it is there (none is shipped yet), fitted by `benchmarks/train_ranking.py` on bugs made in
published packages by the templates turned round, and never on a benchmark's bugs. Nothing but the standard library is
needed here.
"""

import ast
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from atra.meta_architect.templates.spot import Proposal, Spot, Template

WEIGHTS = Path(__file__).with_name("ranking.json")

_NAME = re.compile(r"[A-Za-z_]\w*")
_LIMIT = 4.0
"""The largest exponent, either way: what was fitted elsewhere decides about order, not about being tried at all."""


@cache
def known_weights() -> Mapping[str, float]:
    """Return the weights that are shipped, by feature; none where there is no file."""
    if not WEIGHTS.is_file():
        return {}
    weights: dict[str, float] = json.loads(WEIGHTS.read_text())["weights"]
    return weights


def chances(
    spot: Spot, proposals: Sequence[tuple[Template, Proposal, float]], weights: Mapping[str, float]
) -> list[float]:
    """Return how likely each proposal is, the sum being that of the priors; the priors where there are no weights.

    Args:
        proposals: all that is proposed at this statement, each with its template and its prior.
    """
    priors = [prior for _, _, prior in proposals]
    if not weights or not proposals:
        return priors
    surroundings = Surroundings(spot)
    raised = []
    for template, proposal, prior in proposals:
        seen = surroundings.features(template, proposal)
        power = sum(weights.get(name, 0.0) * value for name, value in seen)
        raised.append(prior * math.exp(max(-_LIMIT, min(_LIMIT, power))))
    scale = sum(priors) / sum(raised)
    return [chance * scale for chance in raised]


class Surroundings:
    """What features are counted from, worked out once for a statement."""

    def __init__(self, spot: Spot) -> None:
        self._spot = spot
        self._kind = type(spot.statement).__name__
        home = spot.function or spot.source.tree
        self._near = set(_NAME.findall(spot.text(home))) if spot.function else set(_NAME.findall(spot.source.text))
        self._own = set(_NAME.findall(spot.text(spot.statement)))
        self._text = spot.source.text

    def features(self, template: Template, proposal: Proposal) -> Iterator[tuple[str, float]]:
        """Yield the features of a proposal that are not 0, by name."""
        old = "".join(self._text[edit.start : edit.end] for edit in proposal.edits)
        new = "".join(edit.text for edit in proposal.edits)
        brought = set(_NAME.findall(new)) - set(_NAME.findall(old))
        yield f"template {template.name}", 1.0
        yield f"family {template.family} in {self._kind}", 1.0
        yield "characters more", math.log1p(max(0, len(new.strip()) - len(old.strip())))
        yield "characters fewer", math.log1p(max(0, len(old.strip()) - len(new.strip())))
        yield "weight", math.log(proposal.weight) if proposal.weight > 0 else 0.0
        if len(proposal.edits) > 1:
            yield "several places", 1.0
        if brought:
            yield "names brought", float(len(brought))
            yield "names known in the function", len(brought & self._near) / len(brought)
            yield "names known in the statement", len(brought & self._own) / len(brought)
        if len(new.strip()) > 3 and self._text.count(new.strip()) > 1:
            yield "stands elsewhere", 1.0
        if any(character.isdigit() for character in new) and not any(character.isdigit() for character in old):
            yield "number brought", 1.0
        if isinstance(self._spot.statement, ast.If | ast.While) and ":" in new:
            yield "new block before a condition", 1.0
