"""Risk: what is likely to be wrong by its nature, what a change of it would reach, what only a person may change."""

import ast
import math
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch

from atra.war_room.case import MODULE, Case, Region
from atra.war_room.experts.data_flow import calls_of
from atra.war_room.experts.opinion import ranked
from atra.war_room.records import Ballot, Evidence

MONEY = re.compile(
    r"(?:^|[_/.])(?:payments?|payouts?|billing|invoices?|ledgers?|refunds?|checkout|wallets?)(?:[_/.]|$)"
)
"""Words of a path or a name that say that money moves here."""

VOUCHED = 3
"""A region that moves money may be changed without a person when at least this many passing tests run all of it."""

_BRANCHES = (ast.If, ast.IfExp, ast.For, ast.While, ast.BoolOp, ast.ExceptHandler, ast.comprehension, ast.Assert)
_DECISIONS = (ast.Compare, ast.BinOp, ast.BoolOp, ast.UnaryOp, ast.Subscript, ast.AugAssign)
_SHARPNESS = 4.0


def speak(case: Case) -> Ballot:
    """Rank regions by how much in them can be wrong, and veto those that only a person may change.

    What can be wrong are branches and decisions on lines that failing tests ran (size and McCabe's complexity foretell
    defects; Menzies, Greenwald, Frank 2007, doi:10.1109/TSE.2007.256941), more so where few passing tests run the line.
    A veto stands on protected paths, and on code that moves money and that passing tests hardly run.
    """
    reach = _reach(case)
    scores: dict[str, float] = {}
    reasons: dict[str, list[Evidence]] = {}
    for region in case.regions:
        decisions = _decisions(case, region)
        exposed = math.fsum(1 / (1 + math.log1p(case.vouched(region.path, line))) for line in decisions)
        scores[region.id] = case.share(region) * math.log1p(exposed)
        users = len(reach.get(region.id, ()))
        said = f"{len(decisions)} decisions on lines that failing tests ran; {users} other regions lean on it"
        reasons[region.id] = [Evidence(said, f"{region.path}:{region.first}")]
    vetoes = {region.id: why for region in case.regions if (why := _forbids(case, region))}
    return ranked("risk", case, scores, reasons, sharpness=_SHARPNESS, vetoes=vetoes)


def _decisions(case: Case, region: Region) -> list[int]:
    """Return the line of every branch and operation that a failing test ran, in order."""
    node, ran = case.node(region), case.ran.get(region.id, {})
    if node is None or region.name == MODULE:
        return []
    kinds = (*_BRANCHES, *_DECISIONS)
    return sorted(line for at in ast.walk(node) if isinstance(at, kinds) and (line := getattr(at, "lineno", 0)) in ran)


def _reach(case: Case) -> Mapping[str, frozenset[str]]:
    """Return, per region, which others come to it by calls, near or far."""
    callers: dict[str, set[str]] = {}
    for caller, called in calls_of(case).items():
        for id_ in called:
            callers.setdefault(id_, set()).add(caller)
    return {id_: _all_before(id_, callers) for id_ in callers}


def _all_before(id_: str, callers: Mapping[str, Iterable[str]]) -> frozenset[str]:
    found: set[str] = set()
    waiting = [id_]
    while waiting:
        new = set(callers.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return frozenset(found - {id_})


def _forbids(case: Case, region: Region) -> str:
    """Return why only a person may change the region, or nothing."""
    if any(region.path == path or fnmatch(region.path, path) for path in case.protected):
        return f"{region.path} is protected"
    if not MONEY.search(f"{region.path}/{region.name}".lower()):
        return ""
    vouched = min((case.vouched(region.path, line) for line in case.ran.get(region.id, {})), default=0)
    return "" if vouched >= VOUCHED else f"it moves money, and only {vouched} passing tests run all that failed"
