"""Data flow and types: how the value that a test refused came about, by definitions and calls, and what types say."""

import ast
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from atra.war_room.case import MODULE, Case, Region, by_line
from atra.war_room.experts import names, types
from atra.war_room.experts.opinion import abstained, ranked
from atra.war_room.records import Ballot, Evidence

STAY = 0.85
"""How much of the suspicion that reaches a region goes on to those it calls."""

_ROUNDS = 30
_FLATTENED = 0.25  # fitted: how often the walk comes by tells regions apart, though not in proportion
_NAMED = 0.5  # a region that holds the name an error complains of
_TYPED = 0.5  # a region with a type error, when the failure is one of types
_SHARPNESS = 2.0
_TYPE_ERRORS = frozenset({"TypeError", "AttributeError", "NameError", "UnboundLocalError", "ImportError", "KeyError"})
_QUOTED = re.compile(r"['\"]([A-Za-z_]\w*)['\"]")

Graph = Mapping[str, Mapping[str, float]]


def speak(case: Case) -> Ballot:
    """Rank regions by how much of the refused value flows through them.

    The definitions that the failing statement of a test depends on are followed back (jedi resolves the names); what
    they call gets the suspicion, and hands it on between the regions that failing tests ran, to what they call and to
    what calls them, a little less with each step (a walk as in PageRank; Zhang et al. 2017, ISSTA,
    doi:10.1145/3092703.3092731). Of two regions that it comes by as often, the one that uses more values is the more
    likely to spoil one. An error that names something points at the regions that hold the name; one of types at those
    in which mypy sees an error.
    """
    starts = _starts(case)
    if not starts:
        return abstained("data_flow", "no failing test's source shows what it calls")
    calls = calls_of(case)
    flow = _walk(starts, _both_ways(calls))
    scores = {
        region.id: case.share(region) * flow.get(region.id, 0.0) ** _FLATTENED * math.log1p(_uses(case, region))
        for region in case.regions
    }
    top = max(scores.values()) or 1.0
    scores = {id_: score / top for id_, score in scores.items()}
    reasons = {
        region.id: [Evidence(_said(region, starts, calls), f"{region.path}:{region.first}")] for region in case.regions
    }
    _add_named(case, scores, reasons)
    _add_types(case, scores, reasons)
    return ranked("data_flow", case, scores, reasons, sharpness=_SHARPNESS)


def calls_of(case: Case) -> Graph:
    """Return which region's value each region uses and how often: functions it calls, and constants it reads.

    A name is resolved through imports and the file's own definitions; an attribute stands for every method of that
    name among the regions, for the type of what it is taken from is not known.
    """
    index = _Index(case)
    graph: dict[str, dict[str, float]] = {}
    for region in case.regions:
        node = case.node(region)
        if node is None or region.name == MODULE:
            continue
        for name in _used(node, case.ran.get(region.id, {}).keys()):
            found = index.resolve(region.path, name)
            for id_ in found - {region.id}:
                into = graph.setdefault(region.id, {})
                into[id_] = into.get(id_, 0.0) + 1 / len(found)
    return graph


class _Index:
    """Where the names of a case's files are defined among its regions; built once for a case."""

    def __init__(self, case: Case) -> None:
        self._by_last: dict[str, set[str]] = {}
        self._own: dict[tuple[str, str], set[str]] = {}
        for region in case.regions:
            name = region.name.partition(":")[0]
            *outer, last = name.split(".")
            self._by_last.setdefault(last, set()).add(region.id)
            if not outer:
                self._own.setdefault((region.path, last), set()).add(region.id)
            elif last in {"__init__", "__new__", "__post_init__", "__call__"}:
                self._own.setdefault((region.path, outer[-1]), set()).add(region.id)
        self._modules = modules_of(case.sources)
        self._imported = {path: dict(_imports(path, tree)) for path, tree in case.trees.items()}
        for region in case.regions:
            if region.name == MODULE and (tree := case.trees.get(region.path)) is not None:
                for constant in _constants(tree):
                    self._own.setdefault((region.path, constant), set()).add(region.id)

    def all_of(self, path: str, wanted: Iterable[str]) -> list[str]:
        """Return the regions that these names stand for, one as often as it is named."""
        return [id_ for name in wanted for id_ in sorted(self.resolve(path, name))]

    def resolve(self, path: str, name: str) -> set[str]:
        """Return the regions that `name`, a word or words with dots, may stand for in this file."""
        first, _, rest = name.partition(".")
        if not rest and (found := self._own.get((path, first))):
            return found
        imported = self._imported.get(path, {}).get(first)
        if imported is not None:
            return self._elsewhere(f"{imported}.{rest}".rstrip("."), 4)
        return self._by_last.get(name.rpartition(".")[2], set()) if rest else set()

    def _elsewhere(self, dotted: str, hops: int) -> set[str]:
        """Return what a name of another module stands for, through packages that hand it on."""
        module, _, last = dotted.rpartition(".")
        if not module or not hops:
            return set()
        for path in self._modules.get(module, ()):
            if found := self._own.get((path, last)):
                return found
            if onward := self._imported.get(path, {}).get(last):
                return self._elsewhere(onward, hops - 1)
        found = self._by_last.get(last, set())
        return found if module.partition(".")[0] in {name.partition(".")[0] for name in self._modules} else set()


def modules_of(sources: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """Return the paths by the dotted names under which they may be imported: from the root, or from `src`."""
    found: dict[str, list[str]] = {}
    for path in sources:
        dotted = path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        found.setdefault(dotted, []).append(path)
    return {name: tuple(paths) for name, paths in found.items()}


def _imports(path: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield (name in this file, dotted name of what it stands for)."""
    package = PurePosixPath(path.removeprefix("src/")).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (
                    alias.asname or alias.name.partition(".")[0],
                    alias.name if alias.asname else alias.name.partition(".")[0],
                )
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((alias.asname or alias.name, f"{module}.{alias.name}") for alias in node.names)


def _constants(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (at.id for target in targets for at in ast.walk(target) if isinstance(at, ast.Name))


def _used(node: ast.AST, lines: Iterable[int]) -> Iterator[str]:
    """Yield what the node calls and reads, with dots, on the lines that ran; all lines where none is known."""
    ran = set(lines)
    for at in ast.walk(node):
        if isinstance(at, ast.Attribute | ast.Name) and (not ran or at.lineno in ran):
            yield names.dotted(at)


def _starts(case: Case) -> dict[str, float]:
    """Return the regions that the failing statements of the tests depend on, with shares that sum to 1."""
    index = _Index(case)
    where = by_line(case.regions)
    found: dict[str, float] = {}
    for result in case.failing:
        path = result.id.partition("::")[0]
        inside = [frame.line for frame in result.frames if frame.path == path]
        text, tree = case.tests.get(path, ""), case.trees.get(path)
        function = names.function_named(tree, result.id) if tree is not None else None
        if tree is None or function is None:
            continue
        wanted = names.slice_of(text, function, inside[-1] if inside else None)
        reached = index.all_of(path, wanted)
        reached = reached or index.all_of(path, names.behind(tree, function, wanted))
        reached = reached or index.all_of(path, _used(function, ()))
        entered = [region.id for frame in result.frames if (region := where.get((frame.path, frame.line)))]
        for id_ in reached or entered[:1]:
            found[id_] = found.get(id_, 0.0) + 1 / len(reached or entered[:1])
    whole = sum(found.values())
    return {id_: share / whole for id_, share in found.items()}


def _walk(starts: Mapping[str, float], calls: Graph) -> dict[str, float]:
    """Return how much of the suspicion of the starts comes by each region, along the calls."""
    total = dict(starts)
    moving = dict(starts)
    for _ in range(_ROUNDS):
        onward: dict[str, float] = {}
        for id_, share in moving.items():
            used = calls.get(id_, {})
            whole = sum(used.values())
            for called, times in used.items():
                onward[called] = onward.get(called, 0.0) + STAY * share * times / whole
        moving = {id_: share for id_, share in onward.items() if share > 1e-6}
        for id_, share in moving.items():
            total[id_] = total.get(id_, 0.0) + share
    return total


def _both_ways(calls: Graph) -> Graph:
    found: dict[str, dict[str, float]] = {}
    for caller, called in calls.items():
        for id_, times in called.items():
            for one, other in ((caller, id_), (id_, caller)):
                into = found.setdefault(one, {})
                into[other] = into.get(other, 0.0) + times
    return found


def _uses(case: Case, region: Region) -> int:
    """Return how many names, attributes and constants the region uses on lines that failing tests ran."""
    node, ran = case.node(region), case.ran.get(region.id, {})
    if node is None or region.name == MODULE:
        return 0
    kinds = (ast.Name, ast.Attribute, ast.Constant)
    return sum(isinstance(at, kinds) and at.lineno in ran for at in ast.walk(node))


def _said(region: Region, starts: Mapping[str, float], calls: Graph) -> str:
    seen, edge, distance = set(starts), set(starts), 0
    while edge and region.id not in seen:
        edge = {called for id_ in edge for called in calls.get(id_, {})} - seen
        seen |= edge
        distance += 1
    if region.id not in seen:
        return "no call leads from the failing statement to it"
    return f"{distance} calls from what the failing statement asks for"


def _add_named(case: Case, scores: dict[str, float], reasons: dict[str, list[Evidence]]) -> None:
    """Raise the regions that hold a name which the message of an error, not of an assertion, quotes."""
    for result in case.failing:
        wanted = set(_QUOTED.findall(result.message)) if result.error_type not in {"", "AssertionError"} else set()
        for region in case.regions:
            node = case.node(region)
            if not wanted or node is None or region.name == MODULE:
                continue
            if held := sorted(wanted & names.words_of(node)):
                scores[region.id] = scores.get(region.id, 0.0) + _NAMED / len(case.failing)
                said = f"holds {held[0]}, which {result.error_type} names"
                reasons[region.id].append(Evidence(said, f"{region.path}:{region.first}"))


def _add_types(case: Case, scores: dict[str, float], reasons: dict[str, list[Evidence]]) -> None:
    if not any(result.error_type in _TYPE_ERRORS for result in case.failing):
        return
    where = by_line(case.regions)
    for fault in types.faults(case.sources, modules_of(case.sources)):
        region = where.get((fault.path, fault.line))
        if region is not None and (region.name == MODULE or fault.line in case.ran.get(region.id, {})):
            scores[region.id] = scores.get(region.id, 0.0) + _TYPED
            reasons[region.id].append(Evidence(f"mypy: {fault.text}", f"{fault.path}:{fault.line}"))
