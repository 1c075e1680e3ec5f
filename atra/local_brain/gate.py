"""The gate: a candidate goes into service only when it was shown to be better than the brain that is there.

Both answer the same pinned items with the same prompts, and are compared item by item. "Higher wins" would promote an
equal model every second time; here it is promoted in at most `alpha` of all tries, those of later candidates on the
same items included.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

Trace = Literal["valid", "empty", "truncated", "none"]


@dataclass(frozen=True)
class Answered:
    """How one model did on one item of an evaluation set."""

    item: str
    right: bool
    trace: Trace = "valid"
    seconds: float = 0.0


@dataclass(frozen=True)
class Rules:
    """What a candidate must show.

    Args:
        alpha: the share of equal models that may pass, over all tries on one target set.
        least_gain: the least gain on the target, as a share of its items, that is worth a change.
        margin: how much worse, as a share of the items, it may be on a regression set.
        confidence: of the bound on each regression set.
        trace_margin: how much lower its share of valid traces may be, and how much higher that of empty and cut off
            ones, on any set.
        slowdown: the most its 95th percentile of seconds may be, as a multiple of the present brain's, with `slack_s`
            on top: the times of models that answer at once are a machine's noise.
    """

    alpha: float = 0.05
    least_gain: float = 0.02
    margin: float = 0.02
    confidence: float = 0.95
    trace_margin: float = 0.02
    slowdown: float = 1.5
    slack_s: float = 0.1


@dataclass(frozen=True)
class Check:
    """One thing the gate looked at: whether it passed, and the figures in words."""

    name: str
    passed: bool
    said: str


@dataclass(frozen=True)
class Verdict:
    """Whether to promote, and every check, those that passed too."""

    promote: bool
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Pairs:
    """Two models on the same items: how many only the candidate got right (`gained`), only the other (`lost`)."""

    items: int
    gained: int
    lost: int

    @property
    def gain(self) -> float:
        """The candidate's share of right answers less the other's."""
        return (self.gained - self.lost) / self.items if self.items else 0.0


def judge(
    target: tuple[Sequence[Answered], Sequence[Answered]],
    regressions: Mapping[str, tuple[Sequence[Answered], Sequence[Answered]]],
    rules: Rules,
    *,
    tries: int = 0,
    contaminated: int = 0,
) -> Verdict:
    """Compare a candidate with the brain in service and say whether it may take its place.

    Every regression set must be passed at the full confidence; since all must hold, several of them need no correction
    (Berger 1982, intersection-union tests).

    Args:
        target: answers of the candidate and of the brain in service to the set it is to be better at.
        regressions: by name, the same for sets it must not be worse at.
        tries: candidates that were judged on this target set before; each later one must show more.
        contaminated: items of any set that occur in what the candidate was trained on.

    Raises:
        ValueError: a pair does not answer the same items once each, or there are none.
    """
    pairs = pair(*target)
    level = alpha_of(tries, rules.alpha)
    p_value = mcnemar(pairs.gained, pairs.lost)
    checks = [
        Check("contamination", contaminated == 0, f"{contaminated} evaluation items are in the training data"),
        Check("gain", pairs.gain >= rules.least_gain, f"{pairs.gain:+.3f} on {pairs.items} items"),
        Check(
            "significance",
            p_value < level,
            f"{pairs.gained} gained, {pairs.lost} lost: p = {p_value:.2g}; try {tries + 1} must be below {level:.2g}",
        ),
    ]
    for name, (candidate, present) in sorted(regressions.items()):
        found = pair(candidate, present)
        bound = gain_bound(found, rules.confidence)
        checks.append(
            Check(f"no worse at {name}", bound > -rules.margin, f"{found.gain:+.3f}, surely above {bound:+.3f}")
        )
    for name, (candidate, present) in sorted({"target": target, **regressions}.items()):
        checks += _form(name, candidate, present, rules)
    return Verdict(all(check.passed for check in checks), tuple(checks))


def pair(candidate: Sequence[Answered], present: Sequence[Answered]) -> Pairs:
    """Count where the two differ.

    Raises:
        ValueError: they do not answer the same items, once each, or there are none.
    """
    one, other = ({answer.item: answer.right for answer in answers} for answers in (candidate, present))
    if not one or one.keys() != other.keys() or (len(one), len(other)) != (len(candidate), len(present)):
        raise ValueError("both must answer the same items, once each, and at least one")
    gained = sum(one[item] and not other[item] for item in one)
    lost = sum(other[item] and not one[item] for item in one)
    return Pairs(len(one), gained, lost)


def mcnemar(gained: int, lost: int) -> float:
    """Return the exact one-sided p-value of "no better": P(X >= gained) for X binomial(gained + lost, 1/2).

    Source: McNemar 1947, Psychometrika 12; exact as in Agresti, Categorical Data Analysis, 10.1.
    """
    n = gained + lost
    term = total = 1  # C(n, n), then downwards to C(n, gained); integers, so that nothing underflows
    for k in range(n, gained, -1):
        term = term * k // (n - k + 1)
        total += term
    return float(total / 2**n)


def gain_bound(pairs: Pairs, confidence: float) -> float:
    """Return the lower bound of the true gain, one-sided, by inverting the score test for paired shares.

    It keeps its level also where few items differ, where the textbook interval does not.

    Source: Tango 1998, Statistics in Medicine 17:891-908.
    """
    quantile = NormalDist().inv_cdf(confidence)
    low, high = -1.0, pairs.gain
    for _ in range(60):
        middle = (low + high) / 2
        if _score(pairs, middle) > quantile:
            low = middle
        else:
            high = middle
    return low


def alpha_of(tries: int, alpha: float) -> float:
    """Return the level for the next candidate after so many on the same items; all together spend at most `alpha`.

    The k-th gets alpha x 6 / (pi k)^2, whose sum over all k is alpha. A fresh target set starts anew.
    """
    return alpha * 6 / (math.pi * (tries + 1)) ** 2


def _score(pairs: Pairs, gain: float) -> float:
    """Return the standardised distance of what was seen from a true gain of `gain`; larger means more than that."""
    n, gained, lost = pairs.items, pairs.gained, pairs.lost
    a, b, c = 2 * n, -gained - lost + (2 * n - gained + lost) * gain, -lost * gain * (1 - gain)
    likeliest = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)  # the share of losses, given that gain
    variance = n * (2 * likeliest + gain * (1 - gain))
    distance = gained - lost - n * gain
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def _form(name: str, candidate: Sequence[Answered], present: Sequence[Answered], rules: Rules) -> list[Check]:
    """Check what accuracy does not show: traces that collapsed, and time."""
    (valid, broken), (valid_before, broken_before) = (_shares(answers) for answers in (candidate, present))
    kept = valid >= valid_before - rules.trace_margin and broken <= broken_before + rules.trace_margin
    slow, was = (_percentile([one.seconds for one in answers]) for answers in (candidate, present))
    quick = slow <= was * rules.slowdown + rules.slack_s
    told = f"{valid:.3f} valid, {broken:.3f} empty or cut off; before {valid_before:.3f} and {broken_before:.3f}"
    return [
        Check(f"traces of {name}", kept, told),
        Check(f"time of {name}", quick, f"{slow:.3g} s at the 95th percentile, {was:.3g} before"),
    ]


def _shares(answers: Sequence[Answered]) -> tuple[float, float]:
    """Return the shares of (valid, empty or cut off) traces; where there is none to begin with, it is neither."""
    valid = sum(one.trace == "valid" for one in answers)
    broken = sum(one.trace in {"empty", "truncated"} for one in answers)
    return valid / len(answers), broken / len(answers)


def _percentile(values: Sequence[float], share: float = 0.95) -> float:
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
