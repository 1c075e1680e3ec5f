"""What somebody who looked before tells a repair: where to look first. Leads move places up; they hide none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from atra.meta_architect.records import Diagnosis, Place
from atra.meta_architect.source import UNREADABLE, Source

_LIFT = 6.0
"""How much more suspect a place becomes that a lead of score 1 names: sevenfold. Fitted by `benchmarks.leads --half
fitting`; 15 did a little better there, and would follow a liar further."""


_NEW, _FADING = 0.25, 0.8
"""How sure a lead is to what the last commit wrote, and what is left of that with each commit more: by judgement."""


@dataclass(frozen=True)
class Lead:
    """Lines of a file, both ends included, and how sure the lead is, in [0, 1]."""

    path: str
    first: int
    last: int
    score: float
    why: str = ""


def recent(sources: Mapping[str, str], ages: Mapping[str, Mapping[int, int]]) -> list[Lead]:
    """Return leads to the statements that were written lately: what worked before is seldom what broke.

    Args:
        sources: text by path.
        ages: per path and line, how many commits ago it was written, 0 the newest; older lines are absent.
    """
    newest: dict[tuple[str, int], int] = {}
    for path, lines in ages.items():
        try:
            first_lines = Source(path, sources[path]).first_lines
        except UNREADABLE:
            continue
        for line, age in lines.items():
            if (first := first_lines.get(line)) is not None:
                newest[path, first] = min(age, newest.get((path, first), age))
    return [
        Lead(
            path,
            line,
            line,
            _NEW * _FADING**age,
            f"written by the last commit but {age}" if age else "written by the last commit",
        )
        for (path, line), age in sorted(newest.items())
    ]


def follow(diagnosis: Diagnosis, leads: Sequence[Lead]) -> Diagnosis:
    """Return the diagnosis with the places that the leads name moved up, each by its surest lead.

    Scores stay in [0, 1]: the largest becomes what the largest was. A diagnosis without leads stays as it is.
    """
    if not leads or not diagnosis.places:
        return diagnosis
    lifted = [_lifted(place, leads) for place in diagnosis.places]
    most = max(place.score for place in diagnosis.places)
    scale = most / max(place.score for place in lifted) if most > 0 else 1.0
    places = (replace(place, score=round(place.score * scale, 6)) for place in lifted)
    return replace(diagnosis, places=tuple(sorted(places, key=lambda one: (-one.score, one.path, one.line))))


def _lifted(place: Place, leads: Sequence[Lead]) -> Place:
    naming = [lead for lead in leads if lead.path == place.path and lead.first <= place.line <= lead.last]
    if not naming:
        return place
    surest = max(naming, key=lambda lead: (lead.score, lead.why))
    reasons = (*place.reasons, *([surest.why] if surest.why else ()))
    return replace(place, score=place.score * (1 + _LIFT * surest.score), reasons=reasons)
