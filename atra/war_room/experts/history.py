"""History: what was written lately, what changes often, and what changes together with the failing tests."""

from collections import Counter

from atra.war_room.case import Case, Region
from atra.war_room.experts.opinion import abstained, ranked
from atra.war_room.records import Ballot, Evidence

_RECENT_DAYS = 30.0
_AGE, _CHURN, _TOGETHER = 0.6, 0.2, 0.2
_SHARPNESS = 0.5


def speak(case: Case) -> Ballot:
    """Rank regions by the age of the newest line that a failing test ran, by churn, and by co-change with the tests.

    Young code is wrong more often than old, and so is code that many commits touched (Nagappan and Ball 2005, ICSE,
    doi:10.1145/1062455.1062514). A line of age a counts 1 / (1 + a / 30 days).
    """
    known = {commit.id: commit for commit in case.commits}
    wrote = {id_ for lines in case.blame.values() for id_ in lines.values()}
    if len(wrote & known.keys()) < 2:
        return abstained("history", "one commit wrote all that the failing tests ran")
    touched = Counter(path for commit in case.commits for path in set(commit.paths))
    together = _together(case)
    scores: dict[str, float] = {}
    reasons: dict[str, list[Evidence]] = {}
    for region in case.regions:
        newest = _newest(case, region)
        if newest is None:
            continue
        line, id_ = newest
        youth = 1 / (1 + known[id_].age_days / _RECENT_DAYS)
        churn = touched[region.path] / max(touched.values())
        scores[region.id] = _AGE * youth + _CHURN * churn + _TOGETHER * together.get(region.path, 0.0)
        said = f"written {known[id_].age_days:.0f} days ago; its file is in {touched[region.path]} recent commits"
        reasons[region.id] = [Evidence(said, f"commit {id_}"), Evidence("the newest line", f"{region.path}:{line}")]
    return ranked("history", case, scores, reasons, sharpness=_SHARPNESS)


def _newest(case: Case, region: Region) -> tuple[int, str] | None:
    """Return the region's newest line and who wrote it: of the lines that failing tests ran, else of all."""
    ages = {commit.id: commit.age_days for commit in case.commits}
    blame = case.blame.get(region.path, {})
    lines = case.ran.get(region.id) or range(region.first, region.last + 1)
    dated = [(ages[id_], line, id_) for line in lines if (id_ := blame.get(line, "")) in ages]
    if not dated:
        return None
    _, line, id_ = min(dated)
    return line, id_


def _together(case: Case) -> dict[str, float]:
    """Return, per path, the share of the commits touching a failing test's file that touched the path too."""
    tests = {result.id.partition("::")[0] for result in case.failing}
    beside = [set(commit.paths) for commit in case.commits if tests & set(commit.paths)]
    counted = Counter(path for paths in beside for path in paths)
    return {path: number / len(beside) for path, number in counted.items()}
