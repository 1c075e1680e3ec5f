"""A failure that was repaired is seen again: whether its fix failed, or what failed ran without the fix.

Nothing here is guessed in favour of a regression: a fix is undone only where the reported revision is known to hold it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from atra.core.runs import following


@dataclass(frozen=True)
class Fix:
    """The commit that repaired a failure, and the run that made it."""

    run_id: str
    commit: str
    branch: str
    made_at: datetime


@dataclass(frozen=True)
class Sighting:
    """A repaired failure, reported again.

    Args:
        revision: what the report says it comes from; empty where it says nothing.
        holds: whether that revision holds the fix; None where the repository does not know the revision.
        merged: whether the checked out revision holds it.
        undone: whether the fix was taken back there or on its own branch.
        seen_at: when it failed, by the clock of where it did.
    """

    fix: Fix
    revision: str
    holds: bool | None
    merged: bool
    undone: bool
    seen_at: datetime


@dataclass(frozen=True)
class Regression:
    """What a run of the watch is about: the fix, and why it is taken for failed."""

    fix: Fix
    reason: str


@dataclass(frozen=True)
class Undone:
    """The commit that undoes a fix, and its branch; or why there is none."""

    branch: str = ""
    commit: str = ""
    why: str = ""


@dataclass(frozen=True)
class Judgement:
    """What a sighting means.

    `regressed`: the fix is in and the failure is back; `undone`: there is no fix any more, so it is to be repaired
    anew; `without`: what failed ran without the fix; `unknown`: nobody can tell.
    """

    name: Literal["regressed", "undone", "without", "unknown"]
    reason: str


def watch_id(repair_id: str) -> str:
    """Return the id of the run that watches over this repair's fix: there is one at most."""
    return following(repair_id, "w")


def judge(sighting: Sighting) -> Judgement:
    """Decide what it means that a repaired failure was reported again."""
    fix, revision = sighting.fix, sighting.revision[:12]
    if sighting.holds:
        return Judgement("regressed", f"it came back at {revision}, which holds its fix {fix.commit[:12]}")
    if sighting.undone:
        return Judgement("undone", f"its fix {fix.commit[:12]} is undone")
    if sighting.holds is False:
        return Judgement("without", f"{revision} does not hold the fix {fix.commit[:12]}; it stays repaired")
    nameless = f"nobody here knows the revision {revision}" if revision else "the report names no revision"
    if sighting.seen_at < fix.made_at:
        return Judgement("without", f"{nameless}, but it was seen before the fix was made; it stays repaired")
    if not sighting.merged:
        why = f"the fix is on {fix.branch} and the checked out revision does not hold it"
        return Judgement("without", f"{nameless}, but {why}; it stays repaired")
    return Judgement("unknown", f"{nameless}, so nobody can tell whether what failed ran with {fix.commit[:12]}")
