"""From what an expert found at each region to its ballot: a ranking, an honest probability, evidence to look up."""

from collections.abc import Mapping, Sequence

from atra.war_room.case import Case, Region
from atra.war_room.records import Advice, Ballot, Evidence

_SHOWN = 3  # of this many regions the evidence is told
_SAME = 1e-9


def ranked(
    department: str,
    case: Case,
    scores: Mapping[str, float],
    reasons: Mapping[str, Sequence[Evidence]],
    *,
    sharpness: float,
    vetoes: Mapping[str, str] | None = None,
    advice: Advice | None = None,
) -> Ballot:
    """Return the ballot of an expert that found something, or an abstention where no score is above 0.

    Args:
        scores: by region's id, larger is more suspect; of equal ones the region that failing tests ran more of comes
            first, then the shorter one.
        reasons: what each score stands on, by region's id.
        sharpness: the first region's probability is its share of all scores, each raised to this power; fitted on the
            bugs of `benchmarks.rooms` that are set apart for it, so that what is called 0.6 is right six times in ten.
    """
    regions = {region.id: region for region in case.regions}
    positive = {id_: score for id_, score in scores.items() if score > _SAME and id_ in regions}
    if not positive:
        return abstained(department, "nothing in the case tells one region from another", vetoes)
    order = sorted(positive, key=lambda id_: (-round(positive[id_], 9), *_tie(case, regions[id_])))
    top = positive[order[0]]
    weights = [(score / top) ** sharpness for score in positive.values()]
    return Ballot(
        expert=department,
        department=department,
        kind="evidence",
        ranking=tuple(order),
        probability=round(min(0.95, max(0.02, 1 / sum(weights))), 4),
        evidence=tuple(evidence for id_ in order[:_SHOWN] for evidence in reasons.get(id_, ())),
        vetoes=dict(vetoes or {}),
        advice=advice or Advice(),
    )


def abstained(department: str, why: str, vetoes: Mapping[str, str] | None = None) -> Ballot:
    """Return the ballot of an expert that has no opinion, with the reason; a veto stands without one."""
    return Ballot(department, department, "evidence", abstained=why, vetoes=dict(vetoes or {}))


def _tie(case: Case, region: Region) -> tuple[float, int, str]:
    return -case.share(region), region.last - region.first, region.id
