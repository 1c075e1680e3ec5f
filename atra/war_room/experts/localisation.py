"""Fault localisation: lines that failing tests run and passing ones do not, and the frames of tracebacks."""

import math

from atra.war_room.case import MODULE, Case, Region, by_line
from atra.war_room.experts.opinion import ranked
from atra.war_room.records import Ballot, Evidence

FRAME = 0.6
"""How much the innermost frame of a traceback adds; each frame further out adds half of the one before."""

_SPECTRUM = 0.8
_ALIKE = 0.02  # tells regions of one score apart, and hardly more
_MODULE_LEVEL = 0.3  # constants are read by what is suspect; few bugs are in them
_SHARPNESS = 7.0


def speak(case: Case) -> Ballot:
    """Rank regions by their most suspect line, and by how deep in a traceback they stand.

    A line that `ef` of F failing tests and `ep` passing ones ran scores ef / sqrt(F * (ef + ep)) (Ochiai; Abreu,
    Zoeteweij, van Gemund 2007, TAICPART). Of regions whose worst lines score the same, the one with more such lines
    comes first: it has more that may be wrong.
    """
    scores: dict[str, float] = {}
    reasons: dict[str, list[Evidence]] = {}
    for region in case.regions:
        if found := _spectrum(case, region):
            scores[region.id], line, text = found
            reasons[region.id] = [Evidence(text, f"{region.path}:{line}")]
    _add_frames(case, scores, reasons)
    _add_module_levels(case, scores)
    return ranked("localisation", case, scores, reasons, sharpness=_SHARPNESS)


def _spectrum(case: Case, region: Region) -> tuple[float, int, str] | None:
    """Return the region's score, its most suspect line, and what is to be said of it."""
    whole = max(1, len(case.lines))
    lines = {
        line: len(tests) / math.sqrt(whole * (len(tests) + case.vouched(region.path, line)))
        for line, tests in case.ran.get(region.id, {}).items()
    }
    if not lines:
        return None
    best = max(lines, key=lambda line: (lines[line], -line))
    ef, ep = len(case.ran[region.id][best]), case.vouched(region.path, best)
    alike = sum(score >= lines[best] - 1e-9 for score in lines.values())
    return (
        lines[best] * (_SPECTRUM + _ALIKE * math.log1p(alike)),
        best,
        f"run by {ef} of {whole} failing and {ep} passing tests",
    )


def _add_frames(case: Case, scores: dict[str, float], reasons: dict[str, list[Evidence]]) -> None:
    where = by_line(case.regions)
    deepest: dict[str, tuple[float, Evidence]] = {}
    for result in case.failing:
        inside = [(frame, region) for frame in result.frames if (region := where.get((frame.path, frame.line)))]
        for depth, (frame, region) in enumerate(reversed(inside)):
            said = f"{result.error_type or 'the failure'} passed here, {depth} calls out from the innermost frame"
            added = (FRAME / 2**depth, Evidence(said, f"{frame.path}:{frame.line}"))
            deepest[region.id] = max(deepest.get(region.id, added), added, key=lambda pair: pair[0])
    for id_, (score, evidence) in deepest.items():
        scores[id_] = 1 - (1 - scores.get(id_, 0.0)) * (1 - score)
        reasons.setdefault(id_, []).append(evidence)


def _add_module_levels(case: Case, scores: dict[str, float]) -> None:
    """Suspect a file's constants a little, where its functions are suspect."""
    worst: dict[str, float] = {}
    for region in case.regions:
        worst[region.path] = max(worst.get(region.path, 0.0), scores.get(region.id, 0.0))
    for region in case.regions:
        if region.name == MODULE and region.id not in scores:
            scores[region.id] = _MODULE_LEVEL * worst[region.path]
