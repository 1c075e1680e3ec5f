"""What the judged hits of one entry say of its next one: an answer that was wrong for others is believed less."""

_PRIOR_RIGHT, _PRIOR_WRONG = 12.0, 0.5  # hits, before any was judged
_MOST = 4.0  # times the odds, that right hits may earn


def believed(probability: float, right: int, wrong: int) -> float:
    """Return the probability that a hit is right, given how often hits on its entry were.

    The odds that the model gives are multiplied by how much better or worse than expected the entry did. What is
    expected is a prior worth `_PRIOR_RIGHT + _PRIOR_WRONG` hits, so a few judgements weigh little, and an entry
    without any is believed as the model says. Right hits are bounded in what they earn: they came from questions that
    were near, and say little of one that is not.

    Args:
        probability: what the model says, 0 to 1.
        right, wrong: hits on the entry that were judged so.

    Source: shrinkage by a beta prior, the empirical Bayes of Efron, Morris 1975, J. Am. Stat. Assoc. 70.
    """
    better = (_PRIOR_RIGHT + right) / _PRIOR_RIGHT * (_PRIOR_WRONG / (_PRIOR_WRONG + wrong))
    weighed = probability * min(_MOST, better)
    return weighed / (weighed + (1 - probability))
