"""What every expert of a room on code is given. All evidence is in it; who fills it reads files, git and tables.

Source text, messages and commit subjects were written by strangers: they are data to be counted and compared, and what
they say is never followed.
"""

import ast
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from atra.sandbox.reports import TestResult

MODULE = "<module>"
"""The name of the region that holds a file's lines outside any function: imports, constants, bodies of classes."""

UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Region:
    """A function, a method, or a file's module level: a place that may be wrong.

    `name` is qualified (`Cart.total`); a second one of the same name in the file is `Cart.total:2`. Functions inside a
    function belong to it. Lines count from 1, `last` included, decorators included; those of the module level reach
    over the whole file, and functions take theirs out of it.
    """

    path: str
    name: str
    first: int
    last: int

    @property
    def id(self) -> str:
        """The id under which it is an option."""
        return f"{self.path}::{self.name}"


@dataclass(frozen=True)
class Commit:
    """One commit of the history. `age_days` counts back from the base revision; nothing says who wrote it."""

    id: str
    age_days: float
    paths: tuple[str, ...]
    subject: str = ""


@dataclass(frozen=True)
class PastRepair:
    """A repair of this installation: what failed, what fixed it and where, and whether the fix held.

    `generator` is `templates` or `model/NAME`; `name` is the region's, where it is known.
    """

    error_type: str
    template: str
    path: str
    held: bool
    generator: str = "templates"
    name: str = ""


@dataclass(frozen=True)
class Case:
    """One question on code with all its evidence.

    Args:
        regions: the options, in order of path and line: all regions that the failing tests ran.
        lines: per failing test and path, the lines that it ran.
        passing_hits: per path and line, how many passing tests ran it.
        passing: how many tests passed.
        sources: the code's text by path.
        tests: the tests' text by path, with the fixtures' homes.
        blame: per path and line, the id of the commit that wrote it.
        commits: the recent ones, newest first.
        protected: paths that no patch may touch.
        flaky: test id -> why it was set aside.
        past: newest first.
    """

    question: str
    regions: tuple[Region, ...]
    failing: tuple[TestResult, ...]
    lines: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)
    passing_hits: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    passing: int = 0
    sources: Mapping[str, str] = field(default_factory=dict)
    tests: Mapping[str, str] = field(default_factory=dict)
    blame: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    commits: tuple[Commit, ...] = ()
    protected: tuple[str, ...] = ()
    flaky: Mapping[str, str] = field(default_factory=dict)
    past: tuple[PastRepair, ...] = ()

    @cached_property
    def trees(self) -> Mapping[str, ast.Module]:
        """The code and the tests, parsed; what is no Python is absent."""
        texts = {**self.sources, **self.tests}
        return {path: tree for path, text in texts.items() if (tree := parsed(text)) is not None}

    @cached_property
    def ran(self) -> Mapping[str, Mapping[int, frozenset[str]]]:
        """Per region and line, the failing tests that ran the line; lines that none ran are absent."""
        where = by_line(self.regions)
        found: dict[str, dict[int, set[str]]] = {}
        for test, paths in self.lines.items():
            for path, numbers in paths.items():
                for line in numbers:
                    if region := where.get((path, line)):
                        found.setdefault(region.id, {}).setdefault(line, set()).add(test)
        return {id_: {line: frozenset(tests) for line, tests in sorted(lines.items())} for id_, lines in found.items()}

    def vouched(self, path: str, line: int) -> int:
        """Return how many passing tests ran the line."""
        return self.passing_hits.get(path, {}).get(line, 0)

    def share(self, region: Region) -> float:
        """Return the share of failing tests that ran any line of the region; 0 for a module level, which none runs."""
        tests = frozenset[str]().union(*self.ran.get(region.id, {}).values())
        return len(tests) / max(1, len(self.lines))

    def node(self, region: Region) -> ast.AST | None:
        """Return the parsed function, or the whole file for a module level; None where the file cannot be read."""
        tree = self.trees.get(region.path)
        if tree is None or region.name == MODULE:
            return tree
        return next((node for name, node in _functions(tree) if _first(node) == region.first), None)


def regions_of(sources: Mapping[str, str]) -> tuple[Region, ...]:
    """Return every region of the files, in order of path and line, a file's module level first; odd syntax has none."""
    found: list[Region] = []
    for path, text in sorted(sources.items()):
        if (tree := parsed(text)) is None:
            continue
        found.append(Region(path, MODULE, 1, max(1, text.count("\n") + (not text.endswith("\n")))))
        seen: dict[str, int] = {}
        for name, node in _functions(tree):
            seen[name] = number = seen.get(name, 0) + 1
            named = name if number == 1 else f"{name}:{number}"
            found.append(Region(path, named, _first(node), node.end_lineno or node.lineno))
    return tuple(found)


def options_of(regions: Iterable[Region], lines: Mapping[str, Mapping[str, tuple[int, ...]]]) -> tuple[Region, ...]:
    """Return the regions that the failing tests ran, and the module level of each file of which they ran a line.

    A constant is read when a function runs, and set long before, so no test is seen to run it.
    """
    regions = tuple(regions)
    where = by_line(regions)
    ran = {(path, line) for paths in lines.values() for path, numbers in paths.items() for line in numbers}
    hit = {where[at].id for at in ran if at in where}
    files = {path for path, _ in ran}
    return tuple(region for region in regions if region.id in hit or (region.name == MODULE and region.path in files))


def by_line(regions: Iterable[Region]) -> Mapping[tuple[str, int], Region]:
    """Return the region of each (path, line): the function where there is one, else the module level."""
    found: dict[tuple[str, int], Region] = {}
    for region in sorted(regions, key=lambda region: region.name != MODULE):
        found |= {(region.path, line): region for line in range(region.first, region.last + 1)}
    return found


def parsed(text: str) -> ast.Module | None:
    """Return the text as a tree, or None where it is no Python that this interpreter reads."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text.removeprefix("\ufeff"))
    except UNREADABLE:
        return None


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield the outermost functions with their qualified names, in order of the text."""
    waiting: list[tuple[str, ast.AST]] = [("", tree)]
    found: list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]] = []
    while waiting:
        prefix, node = waiting.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, _FUNCTIONS):
                found.append((f"{prefix}{child.name}", child))
            elif isinstance(child, ast.ClassDef):
                waiting.append((f"{prefix}{child.name}.", child))
            elif not isinstance(child, ast.expr):
                waiting.append((prefix, child))
    yield from sorted(found, key=lambda pair: (_first(pair[1]), pair[0]))


def _first(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
