"""Where the bug may be: statements that failing tests ran and passing ones did not, and those that tracebacks name.

Without coverage of the code the tracebacks alone speak, then every file outside the tests, those that the tests import
first.
"""

import ast
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import PurePosixPath

from atra.meta_architect.records import Diagnosis, Place, Reproduction
from atra.meta_architect.source import FUNCTIONS, UNREADABLE, Function, Source
from atra.sandbox.reports import TestResult

TEST_FILES = ("test_*.py", "*_test.py", "tests.py", "conftest.py")
TEST_FOLDERS = frozenset({"tests", "test", "testing"})
FOREIGN_FOLDERS = frozenset({"site-packages", "dist-packages", ".venv", "venv", ".tox", ".nox", "node_modules", ".git"})

FRAME = 0.6
"""How much the innermost frame of a traceback adds; each frame further out adds half of the one before."""

_LITERAL = re.compile(
    r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])|\b(?:True|False|None)\b"
)
_WORD = re.compile(r"[A-Za-z_]\w+")


def nothing(path: str) -> bool:
    """Protect no path."""
    return False


def is_test(path: str) -> bool:
    """Say whether the path is a test, a fixture's home or foreign code, by its name alone."""
    parts = PurePosixPath(path).parts
    folders = {part.lower() for part in parts[:-1]}
    return bool(folders & (TEST_FOLDERS | FOREIGN_FOLDERS)) or any(fnmatch(parts[-1], glob) for glob in TEST_FILES)


def diagnose(
    reproduction: Reproduction, sources: Mapping[str, str], *, protected: Callable[[str], bool] = nothing
) -> Diagnosis:
    """Return the statements under suspicion, most suspect first, and what the failing tests said.

    A statement that F failing tests could have run, `ef` did run and `ep` passing ones ran has the spectrum score
    ef / sqrt(F * (ef + ep)) (Ochiai; Abreu, Zoeteweij, van Gemund 2007, TAICPART). Frames of tracebacks outside the
    tests add to it, the innermost most. A place is the first line of a statement. Test files, foreign code and
    protected paths are never places.

    Args:
        sources: text by path of the repository's Python files, tests included; the tests' are read for what they ask.
        protected: says of a path whether no patch may touch it.
    """
    tests = {result.id.partition("::")[0] for result in reproduction.failing} | {
        name.partition("::")[0] for name in reproduction.passing
    }
    files = {
        path: source
        for path, text in sources.items()
        if path.endswith(".py") and path not in tests and not is_test(path) and not protected(path)
        if (source := _read(path, text))
    }
    suspects = _Suspects(files)
    _add_spectrum(suspects, reproduction)
    _add_frames(suspects, reproduction.failing)
    traced = {path for paths in reproduction.lines.values() for path in paths}
    if any(path not in tests and not is_test(path) for path in traced):
        _add_definitions(suspects)
    else:  # for want of coverage, or the tests start the code in a process of its own or read its constants only
        _add_everything(suspects, reproduction, {path: sources[path] for path in sources.keys() - files.keys()})
    errors = tuple(dict.fromkeys((item.error_type, item.message) for item in reproduction.failing if item.error_type))
    types = tuple(dict.fromkeys(kind for kind, _ in errors))
    return Diagnosis(suspects.ranked(), types, errors, expected_values(reproduction.failing, sources))


@dataclass
class _Suspects:
    """The scores gathered so far, by path and first line of a statement; several reasons add up, short of 1."""

    files: Mapping[str, Source]
    scores: dict[tuple[str, int], float] = field(default_factory=dict)
    reasons: dict[tuple[str, int], list[str]] = field(default_factory=dict)

    def add(self, path: str, line: int, score: float, reason: str) -> None:
        """Raise the suspicion of the statement on this line, if it is one that may be changed."""
        if path not in self.files or (first := self.files[path].first_lines.get(line)) is None:
            return
        at = (path, first)
        self.scores[at] = 1 - (1 - self.scores.get(at, 0.0)) * (1 - score)
        known = self.reasons.setdefault(at, [])
        if reason not in known:
            known.append(reason)

    def ranked(self) -> tuple[Place, ...]:
        """Return the places, most suspect first."""
        order = sorted(self.scores, key=lambda at: (-round(self.scores[at], 6), at))
        return tuple(Place(*at, round(self.scores[at], 6), tuple(self.reasons[at])) for at in order)


def _read(path: str, text: str) -> Source | None:
    try:
        return Source(path, text)
    except UNREADABLE:
        return None


def _add_spectrum(suspects: _Suspects, reproduction: Reproduction) -> None:
    failed: dict[tuple[str, int], set[str]] = {}
    passed: dict[tuple[str, int], int] = {}
    for test, paths in reproduction.lines.items():
        for path, lines in paths.items():
            for at in _statements(suspects, path, lines):
                failed.setdefault(at, set()).add(test)
    for path, hits in reproduction.passing_hits.items():
        for line, number in hits.items():
            for at in _statements(suspects, path, (line,)):
                passed[at] = max(passed.get(at, 0), number)
    whole = len(reproduction.lines)
    for at, ran in failed.items():
        ef, ep = len(ran), passed.get(at, 0)
        score = ef / math.sqrt(whole * (ef + ep))
        suspects.add(*at, 0.8 * score, f"run by {ef} of {whole} failing and {ep} passing tests")


def _statements(suspects: _Suspects, path: str, lines: Iterable[int]) -> Iterable[tuple[str, int]]:
    if path in suspects.files:
        first_lines = suspects.files[path].first_lines
        yield from dict.fromkeys((path, first_lines[line]) for line in lines if line in first_lines)


def _add_frames(suspects: _Suspects, failing: Iterable[TestResult]) -> None:
    for result in failing:
        frames = [(frame.path, frame.line) for frame in reversed(result.frames) if frame.path in suspects.files]
        for depth, (path, line) in enumerate(list(dict.fromkeys(frames))[:6]):
            where = "innermost frame" if depth == 0 else f"frame {depth + 1} from the inside"
            suspects.add(path, line, FRAME / 2**depth, f"{where} of {result.error_type or 'the failure'}")


def _add_definitions(suspects: _Suspects) -> None:
    """Suspect what suspect functions lean on: their defaults, and constants of modules and classes that they read."""
    worst: dict[tuple[str, Function], float] = {}
    names: dict[str, float] = {}
    for (path, line), score in suspects.scores.items():
        for statement in suspects.files[path].by_line.get(line, ()):
            function = suspects.files[path].function(statement)
            if function is not None:
                worst[path, function] = max(worst.get((path, function), 0.0), score)
    for (path, owner), score in worst.items():
        suspects.add(path, suspects.files[path].first_line(owner), 0.3 * score, "header of a suspect function")
        for node in ast.walk(owner):
            name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
            if name:
                names[name] = max(names.get(name, 0.0), score)
    for path, source in suspects.files.items():
        for statement in source.statements:
            if isinstance(statement, ast.Assign | ast.AnnAssign) and source.function(statement) is None:
                score = max((names.get(name, 0.0) for name in _assigned(statement)), default=0.0)
                if score and (path, statement.lineno) not in suspects.scores:
                    suspects.add(path, statement.lineno, 0.5 * score, "a constant that a suspect function reads")


def _assigned(statement: ast.Assign | ast.AnnAssign) -> Iterable[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return [item.id for target in targets for item in ast.walk(target) if isinstance(item, ast.Name)]


def _add_everything(suspects: _Suspects, reproduction: Reproduction, others: Mapping[str, str]) -> None:
    """Suspect every statement a little: those whose function the failing tests name, then files that tests import."""
    failing = {result.id.partition("::")[0] for result in reproduction.failing}
    tests = {path: text for path, text in others.items() if path in failing} or others
    said = " ".join([*tests.values(), *(f"{result.id} {result.text}" for result in reproduction.failing)])
    words = set(_WORD.findall(said))
    near = _imported(tests, suspects.files)
    for path, source in suspects.files.items():
        distance = near.get(path)
        base = 0.05 if distance is None else 0.3 / (1 + distance)
        for statement in source.statements:
            function = source.function(statement)
            if isinstance(statement, ast.Import | ast.ImportFrom | ast.ClassDef) or _is_docstring(statement):
                continue
            named = function is not None and function.name in words
            reason = (
                "in a function that the tests name" if named else "imported by the tests" if near else "in the code"
            )
            factor = 1.5 if named else 0.3 if isinstance(statement, FUNCTIONS) or function is None else 1.0
            suspects.add(path, source.first_line(statement), min(0.9, base * factor), reason)


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _imported(tests: Mapping[str, str], files: Mapping[str, Source]) -> dict[str, int]:
    """Return how many imports away from the tests each file is, for those that can be reached."""
    modules = {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in files}
    trees = [source.tree for path, text in tests.items() if path.endswith(".py") and (source := _read(path, text))]
    found: dict[str, int] = {}
    distance = 0
    while trees:
        reached = {path for tree in trees for path in _imports(tree, modules)} - found.keys()
        found |= dict.fromkeys(sorted(reached), distance)
        trees, distance = [files[path].tree for path in sorted(reached)], distance + 1
    return found


def _imports(tree: ast.Module, modules: Mapping[str, str]) -> Iterable[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            names |= {base, *(f"{base}.{alias.name}".strip(".") for alias in node.names)}
    for module, path in modules.items():
        if any(name and (module == name or module.endswith(f".{name}")) for name in names):
            yield path


def expected_values(failing: Iterable[TestResult], sources: Mapping[str, str]) -> tuple[str, ...]:
    """Return the literals that failing tests compare with, each once, at most sixteen.

    Those of the assertions in the tests' own source come first, then those of the messages.
    """
    found: dict[str, None] = {}
    for result in failing:
        path, _, name = result.id.partition("::")
        source = _read(path, sources.get(path, ""))
        function = name.rpartition("::")[2].partition("[")[0]
        for node in ast.walk(source.tree) if source else ():
            if isinstance(node, FUNCTIONS) and node.name == function:
                found |= dict.fromkeys(_asserted(node))
    for result in failing:
        found |= dict.fromkeys(_LITERAL.findall(result.message))
    return tuple(list(found)[:16])


def _asserted(function: ast.AST) -> Iterable[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            values = (item.value for item in ast.walk(node.test) if isinstance(item, ast.Constant))
            yield from (repr(value) for value in values if value is not Ellipsis and len(repr(value)) <= 200)
