"""Strategy: which repairs held on failures like this one, where they landed, and what made them."""

from collections import Counter

from atra.war_room.case import Case, PastRepair, Region
from atra.war_room.experts.opinion import abstained, ranked
from atra.war_room.records import Advice, Ballot, Evidence

_LEAST = 3  # repairs that held; fewer say nothing
_SAME_ERROR = 3.0  # how much more a repair counts that answered the same type of error
_SHARPNESS = 1.0
_LITTLE_SEARCH = 0.15  # the share of the time that the search gets where models fixed most of the like


def speak(case: Case) -> Ballot:
    """Rank regions by where fixes that held have landed, those of the same error most; advise what made them.

    A fix in the very region counts once for it and a half for all of its file. A repair that did not hold counts
    against its template, not against its place.
    """
    held = [repair for repair in case.past if repair.held]
    if len(held) < _LEAST:
        return abstained("strategy", f"{len(held)} repairs of this repository held; {_LEAST} would tell something")
    errors = {result.error_type for result in case.failing if result.error_type}
    scores = {region.id: sum(_counts(repair, region, errors) for repair in held) for region in case.regions}
    reasons = {
        region.id: [Evidence(_said(held, region), f"{region.path}:{region.first}")]
        for region in case.regions
        if scores[region.id]
    }
    return ranked("strategy", case, scores, reasons, sharpness=_SHARPNESS, advice=_advice(case, errors))


def _counts(repair: PastRepair, region: Region, errors: set[str]) -> float:
    if repair.path != region.path:
        return 0.0
    here = 1.5 if repair.name == region.name else 0.5
    return here * (_SAME_ERROR if repair.error_type in errors else 1.0)


def _said(held: list[PastRepair], region: Region) -> str:
    file = [repair for repair in held if repair.path == region.path]
    here = sum(repair.name == region.name for repair in file)
    return f"{len(file)} fixes that held are in its file, {here} of them here"


def _advice(case: Case, errors: set[str]) -> Advice:
    """Return the templates and the generator with the most fixes that held on the same errors, less those that fell.

    Where that is a model, it is also advised to spend little on the search.
    """
    like = [repair for repair in case.past if repair.error_type in errors]
    templates, generators = Counter[str](), Counter[str]()
    for repair in like:
        templates[repair.template] += 1 if repair.held else -1
        generators[repair.generator] += 1 if repair.held else -1
    best = sorted(
        (name for name, balance in templates.items() if name and balance > 0), key=lambda n: (-templates[n], n)
    )
    makers = sorted((name for name, balance in generators.items() if balance > 0), key=lambda n: (-generators[n], n))
    maker = makers[0] if makers else ""
    settings = {"search_share": _LITTLE_SEARCH} if maker.startswith("model/") else {}
    return Advice(templates=tuple(best), generator=maker, settings=settings)
