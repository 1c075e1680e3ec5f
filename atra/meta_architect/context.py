"""What a model is told of a failure: the tests, what they printed, the suspect code and its neighbours.

Repository text is data that somebody else wrote: all of it stands between lines with a nonce that it cannot know. What
has no room is left out, least important first, and the text says what that was.
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from atra.llm.prompting import filled, framed, one_line
from atra.meta_architect.localisation import is_test, nothing
from atra.meta_architect.records import Diagnosis, Place, Reproduction
from atra.meta_architect.source import FUNCTIONS, UNREADABLE, Function, Source

CHARACTERS_PER_TOKEN = 3.0
"""Fewer than any tokenizer in use needs for code, so that a budget in tokens holds."""

_MOST_TESTS = 20
_MOST_TRACEBACKS = 3
_MOST_PLACES = 40
_MOST_NEIGHBOURS = 24
_MOST_NAMED_FILES = 150
_LONG_CONSTANT = 12
_GAP = 70  # characters of a line that says what is not shown
_FILL = 3  # a gap of fewer lines is shown instead of named
_RESERVE = 0.1  # the share of the room that is kept for saying what had none
_WHOLE_FILE = 0.2
"""A file that takes no more than this share of the budget is shown whole."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


@dataclass(frozen=True)
class Context:
    """The text for the model, about how many tokens it is, and what had no room in it."""

    text: str
    tokens: int
    left_out: tuple[str, ...] = ()


def prompt(name: str, **values: str) -> str:
    """Return the prompt that stands under this name in `prompts/`, with its `$name`s filled in."""
    return filled(Path(__file__).parent / "prompts", name, **values)


def tokens_in(text: str) -> int:
    """Return about how many tokens the text is, rather too many than too few."""
    return int(len(text) / CHARACTERS_PER_TOKEN) + 1


def tell(
    reproduction: Reproduction,
    diagnosis: Diagnosis,
    sources: Mapping[str, str],
    *,
    tokens: int,
    nonce: str,
    protected: Callable[[str], bool] = nothing,
) -> Context:
    """Return what a model needs to know for a repair, in at most about so many tokens.

    In this order, as far as there is room: the failing tests and their tracebacks, the tests' source, the suspect
    places and the functions round them (small files whole), the tests' helpers, what suspect functions call and what
    calls them, the names of the other files. The same arguments give the same text.

    Args:
        sources: text by path of the repository's Python files, tests included.
        nonce: what no text of the repository can contain.
        protected: files that may be shown, but not changed; suspect places in them are not shown.
    """
    room = _Room(int(tokens * CHARACTERS_PER_TOKEN * (1 - _RESERVE)), nonce, sources)
    room.data("the failing tests", _failures(reproduction))
    for title, text in _tracebacks(reproduction):
        room.data(title, text)
    tests = {path: source for path in _test_files(reproduction) if (source := room.source(path))}
    for path, test in _test_functions(reproduction, tests):
        room.show(path, tests[path], test, "a failing test")
    places = [place for place in diagnosis.places if not protected(place.path)]
    room.data("the most suspect lines, worst first", _places(places[:10]))
    suspects = list(dict.fromkeys(_units(room, places[:_MOST_PLACES])))
    for path, unit in suspects:
        room.show(path, room.source(path), unit, "suspect")
    for path, node, why in list(_neighbours(room, suspects, reproduction))[:_MOST_NEIGHBOURS]:
        room.show(path, room.source(path), node, why)
    room.names(path for path in sources if not is_test(path))
    return room.context()


def _failures(reproduction: Reproduction) -> str:
    told = [
        f"- {one_line(result.id)}: {one_line(f'{result.error_type or result.outcome}: {result.message}')[:300]}"
        for result in reproduction.failing[:_MOST_TESTS]
    ]
    more = len(reproduction.failing) - len(told)
    return "\n".join([*told, *([f"- and {more} more"] if more > 0 else [])])


def _tracebacks(reproduction: Reproduction) -> Iterator[tuple[str, str]]:
    """Yield one traceback per kind of error, those with frames in the repository first."""
    kinds: set[tuple[str, str]] = set()
    for result in sorted(reproduction.failing, key=lambda result: not result.frames):
        kind = (result.error_type, result.frames[-1].path if result.frames else "")
        if result.text and kind not in kinds and len(kinds) < _MOST_TRACEBACKS:
            kinds.add(kind)
            yield f"what {one_line(result.id)} printed", result.text


def _test_files(reproduction: Reproduction) -> list[str]:
    return list(dict.fromkeys(result.id.partition("::")[0] for result in reproduction.failing))


def _test_functions(reproduction: Reproduction, tests: Mapping[str, Source]) -> Iterator[tuple[str, Function]]:
    seen: set[Function] = set()
    for result in reproduction.failing[:_MOST_TESTS]:
        path, _, rest = result.id.partition("::")
        name = rest.partition("[")[0].rpartition("::")[2]
        for node in _functions(tests[path]) if path in tests else ():
            if node.name == name and node not in seen:
                seen.add(node)
                yield path, node


def _functions(source: Source) -> Iterator[Function]:
    return (node for node in source.statements if isinstance(node, FUNCTIONS))


def _places(places: Iterable[Place]) -> str:
    return "\n".join(f"{at.path}:{at.line} ({at.score:.2f}; {'; '.join(at.reasons)})" for at in places)


def _units(room: "_Room", places: Iterable[Place]) -> Iterator[tuple[str, ast.stmt]]:
    """Yield what to show of each place: the outermost function round it, else the statement itself."""
    for place in places:
        if source := room.source(place.path):
            for statement in source.by_line.get(place.line, ())[:1]:
                around = [statement, *source.ancestors(statement)]
                functions = [node for node in around if isinstance(node, FUNCTIONS)]
                yield place.path, functions[-1] if functions else statement


def _neighbours(
    room: "_Room", suspects: Iterable[tuple[str, ast.stmt]], reproduction: Reproduction
) -> Iterator[tuple[str, ast.stmt, str]]:
    """Yield the helpers of the failing tests, what the suspect functions call, and what calls them."""
    inner = [(path, node) for path, node in suspects if isinstance(node, FUNCTIONS)]
    tests = _test_files(reproduction)
    sources = {path: source for path in tests if (source := room.source(path))}
    helpers = [name for _, node in _test_functions(reproduction, sources) for name in _mentioned(node)]
    for path, node in _defined(room, helpers, lambda path: path in tests or path.endswith("conftest.py")):
        yield path, node, "a fixture or helper of the failing tests"
    called = list(dict.fromkeys(name for _, node in inner for name in _called(node)))
    for path, node in _defined(room, called, lambda path: not is_test(path)):
        yield path, node, "called by suspect code"
    for path, node in _callers(room, list(dict.fromkeys(node.name for _, node in inner))):
        yield path, node, "calls suspect code"


def _called(function: Function) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node.func.id
            elif isinstance(node.func, ast.Attribute):
                yield node.func.attr


def _mentioned(function: Function) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name):
            yield node.id


def _defined(room: "_Room", names: Iterable[str], wanted: Callable[[str], bool]) -> Iterator[tuple[str, ast.stmt]]:
    """Yield functions and classes of these names, in the order of the names; a name that many define says nothing."""
    for name in dict.fromkeys(names):
        found = [
            (path, node)
            for path in room.mentioning(rf"^[ \t]*(?:async[ ]+def|def|class)[ ]+{re.escape(name)}\b")
            if wanted(path) and (source := room.source(path))
            for node in source.statements
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name
        ]
        if len(found) <= 3:
            yield from found


def _callers(room: "_Room", names: Iterable[str]) -> Iterator[tuple[str, ast.stmt]]:
    for name in names:
        for path in room.mentioning(rf"\b{re.escape(name)}\("):
            source = None if is_test(path) else room.source(path)
            for node in _functions(source) if source else ():
                if node.name != name and name in _called(node):
                    yield path, node


@dataclass
class _Room:
    """A text that grows up to a size; code is kept as lines by file, and written out at the end."""

    size: int
    nonce: str
    sources: Mapping[str, str]
    said: list[str] = field(default_factory=list)
    shown: dict[str, set[int]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    _parsed: dict[str, Source | None] = field(default_factory=dict)

    def source(self, path: str) -> Source | None:
        """Return the file parsed, None where there is none or it is no Python."""
        if path not in self._parsed:
            try:
                self._parsed[path] = Source(path, self.sources[path])
            except (*UNREADABLE, KeyError):
                self._parsed[path] = None
        return self._parsed[path]

    def mentioning(self, pattern: str) -> list[str]:
        """Return the files with a line that holds the pattern, in their order."""
        found = re.compile(pattern, re.MULTILINE)
        return [path for path, text in self.sources.items() if found.search(text)]

    def data(self, title: str, text: str) -> None:
        """Add a piece of the repository's text, or what of it takes no more than half of what is left."""
        if not text:
            return
        if len(text) > self.size // 2:
            half = self.size // 4
            text = f"{text[:half]}\n… left out for want of room …\n{text[-half:] if half else ''}"
        piece = framed(self.nonce, title, text)
        self.said.append(piece)
        self.size -= len(piece)

    def show(self, path: str, source: Source | None, node: ast.stmt, why: str) -> None:
        """Show a statement with the head of its class and of its file; a small file whole."""
        if source is None:
            return
        lines = _LINE.findall(source.text)
        if len(source.text) <= _WHOLE_FILE * self.size:
            self._add(path, lines, range(len(lines)), why)
            return
        wanted = set(range(source.first_line(node) - 1, node.end_lineno or node.lineno))
        for around in source.ancestors(node):
            if isinstance(around, ast.ClassDef):
                wanted |= set(range(source.first_line(around) - 1, source.first_line(around.body[0])))
        if self._add(path, lines, wanted, f"{why}, {getattr(node, 'name', '') or f'line {node.lineno}'}"):
            self._add(path, lines, _head(source), "imports and constants")

    def _add(self, path: str, lines: list[str], wanted: Iterable[int], why: str) -> bool:
        known = self.shown.get(path, set())
        new = {number for number in wanted if number < len(lines)} - known
        if not new:
            return True
        cost = sum(len(lines[number]) for number in new) + _GAP + (0 if known else len(path) + 2 * _GAP)
        if cost > self.size:
            self.left_out.append(f"{path} ({why})")
            return False
        self.shown.setdefault(path, set()).update(new)
        self.size -= cost
        return True

    def names(self, paths: Iterable[str]) -> None:
        """Name the files that were not shown, as far as there is room."""
        others = sorted(path for path in paths if path not in self.shown)
        listed = others[:_MOST_NAMED_FILES]
        text = "\n".join([*listed, *([f"and {len(others) - len(listed)} more"] if len(others) > len(listed) else [])])
        if len(text) + 80 < self.size:
            self.data("other files of the repository, by name", text)
        elif others:
            self.left_out.append(f"the names of {len(others)} other files")

    def context(self) -> Context:
        """Return the whole."""
        code = [framed(self.nonce, f"file {path}", self._excerpt(path)) for path in self.shown]
        missing = list(dict.fromkeys(self.left_out))
        if missing:
            shown = [*missing[:10], *([f"and {len(missing) - 10} more pieces"] if len(missing) > 10 else [])]
            code.append(framed(self.nonce, "what was left out for want of room", "\n".join(map(one_line, shown))))
        text = "\n".join([*self.said, *code])
        return Context(text, tokens_in(text), tuple(missing))

    def _excerpt(self, path: str) -> str:
        lines = [line.rstrip("\r\n") for line in _LINE.findall(self.sources[path])]
        parts: list[str] = []
        last = -1
        for number in [*sorted(self.shown[path]), len(lines)]:
            hidden = lines[last + 1 : number]
            if len(hidden) < _FILL:
                parts += hidden
            else:
                parts.append(f"[… lines {last + 2} to {number} of this file are not shown …]")
            parts += lines[number : number + 1]
            last = number
        return "\n".join(parts)


def _head(source: Source) -> set[int]:
    """Return the lines of a file's docstring, imports and short constants."""
    wanted: set[int] = set()
    for node in source.tree.body:
        last = node.end_lineno or node.lineno
        if (
            isinstance(node, ast.Import | ast.ImportFrom | ast.Expr | ast.Assign | ast.AnnAssign)
            and last - node.lineno < 12
        ):
            wanted |= set(range(node.lineno - 1, last))
    return wanted
