"""Keeps the promise that at most a given share of the hits by meaning is wrong, from those hits that were judged.

A model says how likely a kept answer is right, and a hit is served from a threshold upwards. No model stays calibrated
for the questions of tomorrow, so the threshold follows what was judged: a wrong hit raises it at once, each right one
lowers it a little. An account of the wrong hits that the promise still allows decides how little.

Nothing here needs the model to be calibrated, the questions to be alike over time, or the threshold to stand still.
What it does need: that hits are judged by chance or all of them, not by who complains, and that what is served at the
highest threshold is right.

Sources: the steps are those of Gibbs, Candes 2021 (arXiv:2106.00170), taken on the scale of odds. The bound that is
shown comes from Howard, Ramdas, McAuliffe, Sekhon 2020, arXiv:1808.03204.
"""

from dataclasses import dataclass
from math import exp, expm1, log, sqrt

LOWEST, HIGHEST = 0.5, 0.999
"""Between which probabilities the threshold stands."""

_STEP = 0.7  # of the log odds, for one wrong hit; a right one takes back a share of it
_LEAST = 0.2  # of the promised error, that is aimed at while the account is empty
_UNSURE = 0.05  # how often the bound that is shown may be untrue, ever
_EPOCH = 200  # judged hits, after which those before the last epoch no longer count as recent
_LAMBDAS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)


@dataclass(frozen=True)
class Sample:
    """A hit by meaning that was judged.

    Args:
        probability: that it is right, as it was believed when it was served.
    """

    probability: float
    right: bool


@dataclass(frozen=True)
class Standing:
    """Where the promise stands. It goes to JSON and back with `atra.core.records`.

    Args:
        strictness: by how much the log odds of the threshold are above those before any hit was judged.
        judged: hits, ever.
        wrong: of those judged.
        account: wrong hits that the promise allowed and that did not come; below 0 it is broken for now.
        epoch: which stretch of judged hits this is, from 1.
        recent_judged, recent_wrong: in this epoch.
        before_judged, before_wrong: in the one before it.
    """

    strictness: float = 0.0
    judged: int = 0
    wrong: int = 0
    account: float = 0.0
    epoch: int = 1
    recent_judged: int = 0
    recent_wrong: int = 0
    before_judged: int = 0
    before_wrong: int = 0

    @property
    def bound(self) -> float:
        """The share of wrong hits that is not exceeded, ever, with 95 % confidence, whatever the questions do."""
        return at_most(self.judged, self.wrong, _UNSURE)

    @property
    def bound_lately(self) -> float:
        """The same for the last two epochs, 200 to 400 judged hits."""
        # The confidence is shared among all epochs that will ever be: 1/(1*2) + 1/(2*3) + ... = 1.
        unsure = _UNSURE / (self.epoch * (self.epoch + 1))
        return at_most(self.recent_judged + self.before_judged, self.recent_wrong + self.before_wrong, unsure)

    def __str__(self) -> str:
        """One sentence for people."""
        if not self.judged:
            return "no hit in other words was judged yet"
        return (
            f"{self.wrong} of {self.judged} judged hits were wrong, at most {self.bound:.1%} of all "
            f"(lately {self.bound_lately:.1%}) with 95 % confidence"
        )


def threshold_of(standing: Standing, max_error: float) -> float:
    """Return the least probability that is served.

    Before any hit was judged it is the one from which a hit is wrong with at most twice the promised probability, as
    the model says: most hits are likelier than the least one, and the labels that the model is fitted to are
    themselves wrong in a few of a hundred sure pairs (docs/cache-decision.md), so it believes these less than it might.

    Args:
        max_error: the promise, the share of wrong hits; 0 < max_error < 1.
    """
    return _probability(_first(max_error) + standing.strictness)


def updated(standing: Standing, sample: Sample, max_error: float) -> Standing:
    """Return where the promise stands after one more judged hit.

    As long as what is served at HIGHEST is right, the judged wrong hits are never more than `max_error` times the
    judged ones, and as many as it takes to get from the first threshold to HIGHEST, and one.

    Args:
        max_error: the promise, the share of wrong hits; 0 < max_error < 1.
    """
    wrong = standing.wrong + (not sample.right)
    account = standing.account + max_error - (not sample.right)
    # Aims lower until the account holds what chance alone may cost: one deviation of the wrong hits so far.
    aim = max_error * min(1.0, max(_LEAST, account / sqrt(1 + wrong)))
    step = -_STEP * aim if sample.right else _STEP * (1 - aim)
    first = _first(max_error)
    stands = min(_log_odds(HIGHEST), max(_log_odds(LOWEST), first + standing.strictness + step))
    recent = (standing.recent_judged + 1, standing.recent_wrong + (not sample.right))
    closes = recent[0] >= _EPOCH
    return Standing(
        strictness=stands - first,
        judged=standing.judged + 1,
        wrong=wrong,
        account=account,
        epoch=standing.epoch + closes,
        recent_judged=0 if closes else recent[0],
        recent_wrong=0 if closes else recent[1],
        before_judged=recent[0] if closes else standing.before_judged,
        before_wrong=recent[1] if closes else standing.before_wrong,
    )


def at_most(judged: int, wrong: int, unsure: float) -> float:
    """Return the upper end for the mean probability of being wrong, valid at all times together.

    With e_i the probability that hit i is wrong, given all before it, exp((1 - exp(-k)) * sum(e_i) - k * wrong) is a
    supermartingale for every k > 0, because 1 - e(1 - exp(-k)) <= exp(-e(1 - exp(-k))). By Ville's inequality it stays
    below 1 / unsure with probability 1 - unsure. The best of a few k is taken, each with its part of `unsure`.
    """
    if not judged:
        return 1.0
    surprise = log(len(_LAMBDAS) / unsure)
    return min(1.0, min((k * wrong + surprise) / -expm1(-k) for k in _LAMBDAS) / judged)


def _first(max_error: float) -> float:
    """Return the log odds of the threshold before any hit was judged."""
    return _log_odds(max(LOWEST, 1 - 2 * max_error))


def _log_odds(probability: float) -> float:
    return log(probability / (1 - probability))


def _probability(log_odds: float) -> float:
    return min(HIGHEST, max(LOWEST, 1 / (1 + exp(-log_odds))))
