"""Keeps the promise that at most a given share of the hits by meaning is wrong, from those hits that were judged.

A model says how likely a kept answer is right, and a hit is served from a threshold upwards. No model stays calibrated
for the questions of tomorrow, so the threshold follows what was judged, in two ways: if more hits are wrong of late
than the model expected, it is believed that much less; and an account of the wrong hits that the promise still allows
makes the aim stricter when it runs low, looser when it is full.

Nothing here needs the model to be calibrated, the questions to be alike over time, or the threshold to stand still.
What it does need: that hits are judged by chance or all of them, not only those that somebody complains about.

Sources: steering by the errors themselves is from Gibbs, Candes 2021, arXiv:2106.00170; the bound that is shown from
Howard, Ramdas, McAuliffe, Sekhon 2020, arXiv:1808.03204. The numbers below were chosen by `benchmarks/error_bound.py`.
"""

from dataclasses import dataclass
from math import exp, expm1, log, sqrt

LOWEST, HIGHEST = 0.5, 0.98
"""Between which probabilities the threshold stands. The highest leaves hardly more than a spelling: one or two in a
thousand pairs of the same meaning, by which the cache goes on learning after however many wrong hits."""

_LEAST_TO_MEAN = 1.2  # how often the least likely hit may be wrong, in terms of how often the mean of them may
_RESERVE = 3.0  # deviations that the account is to hold once many hits were wrong
_FULL = 4.0  # deviations it holds at most, so that a good past does not pay for a bad present
_TIGHTEST, _LOOSEST = -5.0, 0.7  # between which powers of e the aim is moved from the promise
_DOUBT = 10.0  # wrong hits, both come and expected, before the model is doubted
_FORGET = 0.995  # of what came and was expected, kept at each judged hit: the last 200 count
_UNSURE = 0.05  # how often the bound that is shown may be untrue, ever
_EPOCH = 200  # judged hits, after which those before the last epoch no longer count as lately
_LAMBDAS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
_CALM, _SPOT_CHECK = 2.5, 0.25  # from so many deviations in the account, such a share of hits is enough to judge


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
        judged: hits, ever.
        wrong: of those judged.
        account: wrong hits that the promise allowed and that did not come, up to a limit; below 0 it is broken for now.
        came: wrong hits of late, older ones counting less.
        expected: how many the model expected among the same hits.
        epoch: which stretch of judged hits this is, from 1.
        recent_judged, recent_wrong: in this epoch.
        before_judged, before_wrong: in the one before it.
    """

    judged: int = 0
    wrong: int = 0
    account: float = 0.0
    came: float = 0.0
    expected: float = 0.0
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

    Args:
        max_error: the promise, the share of wrong hits; 0 < max_error < 1.
    """
    # Nothing is held in reserve before the first wrong hit: the cache has to serve in order to learn.
    reserve = _RESERVE * (1 - _deviation(Standing()) / _deviation(standing))
    room = standing.account / _deviation(standing) - reserve
    aim = max_error * exp(min(_LOOSEST, max(_TIGHTEST, room)))
    worse = max(1.0, (standing.came + _DOUBT) / (standing.expected + _DOUBT))
    # A promise that is stricter than HIGHEST from the start stays so.
    highest = max(HIGHEST, 1 - _LEAST_TO_MEAN * max_error)
    return min(highest, max(LOWEST, 1 - _LEAST_TO_MEAN * aim / worse))


def to_judge(standing: Standing) -> float:
    """Return the share of the coming hits that is to be judged: all, until the account is well filled."""
    return _SPOT_CHECK if standing.account >= _CALM * _deviation(standing) else 1.0


def updated(standing: Standing, sample: Sample, max_error: float) -> Standing:
    """Return where the promise stands after one more judged hit.

    If what is served at HIGHEST is right, the judged wrong hits w of n are at most max_error * n + 6 * sqrt(4 + w) + 1,
    whatever else is asked.

    Args:
        max_error: the promise, the share of wrong hits; 0 < max_error < 1.
    """
    missed = not sample.right
    recent = (standing.recent_judged + 1, standing.recent_wrong + missed)
    closes = recent[0] >= _EPOCH
    wrong = standing.wrong + missed
    return Standing(
        judged=standing.judged + 1,
        wrong=wrong,
        account=min(standing.account + max_error - missed, _FULL * _deviation(standing)),
        came=_FORGET * standing.came + missed,
        expected=_FORGET * standing.expected + 1 - sample.probability,
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


def _deviation(standing: Standing) -> float:
    """Return about how far chance takes the number of wrong hits from what is due; the first few mean less."""
    return sqrt(4 + standing.wrong)
