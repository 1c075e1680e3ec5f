"""What verified repairs teach: templates that repaired code here before are likelier to do so again.

The shipped shares are taken for as much as `PRIOR` repairs would say, and the repairs that were proved are counted on
top: the mean of a Dirichlet posterior (Gelman et al. 2013, Bayesian Data Analysis, 3.4). Where it makes repairs that
were left out of the counting no likelier than the shipped shares do, it is not taken.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev

from atra.meta_architect.templates import TEMPLATES
from atra.meta_architect.templates.spot import Template

PRIOR = 100.0
"""How many repairs the shipped shares count for. Of 60 repairs of student programs, each left out in turn, this makes
them twice as likely; what 23 repairs of other code teach makes them less likely by one part in seventy.
"""

LEAST = 10
"""Repairs; of fewer nothing is learned."""


@dataclass(frozen=True)
class Experience:
    """What was learned, and what it is worth.

    Args:
        repairs: how many were counted.
        counts: by template, how often it was in a repair; one of two edits counts for both.
        factors: by template, on its share; empty where nothing is taken.
        gain: in bits, how much likelier a repair's template is that was left out of the counting; `error` of that mean.
        taken: whether it is in use: where the gain is more than its standard error.
    """

    repairs: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    factors: Mapping[str, float] = field(default_factory=dict)
    gain: float = 0.0
    error: float = 0.0
    taken: bool = False


def learn(repairs: Sequence[str], templates: Sequence[Template] = TEMPLATES) -> Experience:
    """Return what repairs teach, each given by its template, or by the two of its edits with a comma between them.

    Names that are no template's any more count for nothing.
    """
    whole = sum(one.share for one in templates)
    shares = {one.name: one.share / whole for one in templates if one.share > 0}
    used = [[name for name in repair.split(", ") if name in shares] for repair in repairs]
    used = [names for names in used if names]
    counts = Counter(name for names in used for name in names)
    total = counts.total()
    found = Experience(len(used), dict(counts.most_common()))
    if len(used) < LEAST:
        return found
    gains = [_gain(Counter(names), counts, total, shares) for names in used]
    gain, error = mean(gains), stdev(gains) / math.sqrt(len(gains))
    if gain <= error:
        return Experience(found.repairs, found.counts, {}, gain, error)
    factors = {name: (PRIOR + counts[name] / share) / (PRIOR + total) for name, share in shares.items()}
    return Experience(found.repairs, found.counts, factors, gain, error, taken=True)


def _gain(left_out: Counter[str], counts: Counter[str], total: int, shares: Mapping[str, float]) -> float:
    """Return in bits how much likelier the templates of one repair are by all other repairs than by the shares."""
    rest = PRIOR + total - left_out.total()
    told = [
        math.log2((PRIOR * shares[name] + counts[name] - left_out[name]) / rest / shares[name]) for name in left_out
    ]
    return mean(told)
