"""What models came to, in a sentence for people: what they proposed, what brought no answer, what was not asked."""

from collections import Counter
from collections.abc import Iterable, Sequence

from atra.meta_architect.records import Proposal, Proposals

_MOST_REASONS = 2

_VERDICTS = {
    "plausible": "passed the tests",
    "failed": "left a test red",
    "broke": "broke a test",
    "hung": "ran too long",
    "died": "ended the tests early",
    "invalid": "could not be read as code",
    "unapplied": "fit nowhere",
    "outside": "would have changed what no patch may",
    "empty": "had no change in it",
}


def what_was_asked(asked: Sequence[Proposals]) -> str:
    """Return what the samples and the agent came to, why some brought nothing, and why no more were asked."""
    made = [proposal for one in asked for proposal in one.made]
    silent = [proposal for proposal in made if proposal.verdict == "unanswered"]
    proposed = [proposal for proposal in made if proposal.verdict != "unanswered"]
    parts = [_proposed(proposed)] if proposed else []
    if silent:
        questions = "1 question" if len(silent) == 1 else f"{len(silent)} questions"
        parts.append(f"{questions} to models brought no answer: {_reasons(_whys(silent))}")
    if skipped := [one.skipped for one in asked if one.skipped]:
        parts.append(f"{'no more was' if made else 'no model was'} asked: {_reasons(skipped)}")
    return "; ".join(parts) or "no model was asked"


def _proposed(made: Sequence[Proposal]) -> str:
    verdicts = Counter[str](proposal.verdict for proposal in made)
    empty = _whys(proposal for proposal in made if proposal.verdict == "empty")
    told = {**_VERDICTS, "empty": _VERDICTS["empty"] + (f" ({_reasons(empty)})" if empty else "")}
    if len(made) == 1:
        return f"the one proposal of a model {told[made[0].verdict]}"
    each = ", ".join(f"{count} {told[verdict]}" for verdict, count in verdicts.most_common())
    return f"of {len(made)} proposals of models {each}"


def _whys(made: Iterable[Proposal]) -> list[str]:
    return [proposal.why for proposal in made if proposal.why]


def _reasons(whys: Iterable[str]) -> str:
    """Return the first reasons; of those that begin alike, as those of one budget do, the last one."""
    different = {why.partition(":")[0]: why.rstrip(".") for why in whys}
    return "; ".join(list(different.values())[:_MOST_REASONS])
