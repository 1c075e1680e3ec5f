"""Which questions are answered ahead: the worthiest first, within the budgets, none twice.

Whether a question will be asked is learned by counting. What was made in its way (its template, and within that its
subject) was asked in time or answered for nobody; the counts begin with a prior that expects little.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from atra.precache.records import Candidate, Ranked, Tally

PRIOR = Tally(asked=1, wasted=24)
"""Of a template that was never tried: one question in 25 is asked."""

_OF_TEMPLATE = 10.0  # a subject begins with what its template is like, as if that had been seen so often
_MOST_EVIDENCE = 4.0  # what is asked about here, and much spoken of, counts like so many questions that were asked
_PER_STORY, _PER_SUBJECT = 4, 3


@dataclass(frozen=True)
class Known:
    """What was learned so far, and what is of interest now.

    Args:
        templates: tallies by template.
        subjects: tallies by template and subject, the subject in small letters.
        heat: by subject in small letters, 0 to 1: how much of interest it is here or how much it is spoken of.
    """

    templates: Mapping[str, Tally] = field(default_factory=dict)
    subjects: Mapping[tuple[str, str], Tally] = field(default_factory=dict)
    heat: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Budget:
    """What one run may answer: how many questions, for how much; and what an answer costs and its hit saves."""

    questions: int
    usd: float = 0.0
    answer_usd: float = 0.0
    hit_usd: float = 0.001


def rank(
    candidates: Sequence[Candidate], known: Known, budget: Budget, near: Callable[[Candidate], float] = lambda _: 0.0
) -> list[Ranked]:
    """Return the candidates, worthiest first; ties as they come.

    Args:
        near: 0 to 1, how near the candidate is to questions that were asked here.
    """
    ranked = []
    for one in candidates:
        probability = chance(one, known, near(one))
        ranked.append(Ranked(one, probability, probability * budget.hit_usd - budget.answer_usd))
    return sorted(ranked, key=lambda one: -one.worth_usd)


def chance(candidate: Candidate, known: Known, near: float = 0.0) -> float:
    """Return the probability that the question is asked in time: the mean of a Beta distribution over the counts.

    A subject that is hot, and questions near it that were asked, count like questions that were asked.
    """
    subject = candidate.subject.casefold()
    template = known.templates.get(candidate.template, Tally())
    asked, wasted = PRIOR.asked + template.asked, PRIOR.wasted + template.wasted
    mean = asked / (asked + wasted)
    own = known.subjects.get((candidate.template, subject), Tally())
    evidence = _MOST_EVIDENCE * (known.heat.get(subject, 0.0) + near) / 2
    return (_OF_TEMPLATE * mean + own.asked + evidence) / (_OF_TEMPLATE + own.asked + own.wasted + evidence)


def choose(ranked: Sequence[Ranked], budget: Budget, same: Callable[[Candidate, Candidate], bool]) -> list[Ranked]:
    """Return those that are answered, in order: as many as the budget allows, a few of each story and each subject.

    Args:
        same: whether two of them ask the same.
    """
    chosen: list[Ranked] = []
    stories: Counter[str] = Counter()
    subjects: Counter[str] = Counter()
    for one in ranked:
        candidate = one.candidate
        subject = candidate.subject.casefold()
        spent = budget.answer_usd * (len(chosen) + 1)
        if len(chosen) >= budget.questions or (budget.answer_usd and spent > budget.usd):
            break
        if stories[candidate.story.source] >= _PER_STORY or (subject and subjects[subject] >= _PER_SUBJECT):
            continue
        if any(same(candidate, other.candidate) for other in chosen):
            continue
        chosen.append(one)
        stories[candidate.story.source] += 1
        subjects[subject] += 1
    return chosen
