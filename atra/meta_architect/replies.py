"""Changes to files as a model writes them: search/replace blocks, read out of its reply and fitted to the sources.

    FILE: shop/pricing.py
    <<<<<<< SEARCH
        if pieces > 10:
    =======
        if pieces >= 10:
    >>>>>>> REPLACE

A block's SEARCH is lines of the file as they stand, its REPLACE the lines that come in their place; an empty REPLACE
takes them away, an empty SEARCH with a path that does not exist makes a file. Blocks are done in their order, each on
what the one before left; a block without a FILE line is for the file of the one before. Prose and fences round the
blocks say nothing.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice, pairwise
from typing import TypeVar

T = TypeVar("T")

Read = Callable[[str], str | None]
"""Gives a file's text by its path, None where there is no such file or it is no text."""

_SEARCH = re.compile(r"\s*<{7} ?SEARCH\s*$")
_DIVIDER = re.compile(r"\s*={7}\s*$")
_REPLACE = re.compile(r"\s*>{7} ?REPLACE\s*$")
_FENCE = re.compile(r"\s*(?:```|~~~)")
_FILE = re.compile(r"[\s#>*-]*(?:FILE|File|file|PATH|Path|path)\s*:[\s*]*(?P<path>.+)$")
_BARE_PATH = re.compile(r"[\s#>*-]*[`*\"']*(?P<path>[\w.@+-]*(?:/[\w.@+-]+)*\.\w+)[`*\"':]*\s*$")
_LINE = re.compile(r"([^\r\n]*)(\r\n|\r|\n)|([^\r\n]+)")
_SHOWN_LINES = 12
_MOST_SPOTS = 100  # more are not counted


@dataclass(frozen=True)
class Block:
    """One replacement that a reply asks for; lines stand without their ends."""

    path: str
    search: tuple[str, ...]
    replace: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What a reply asks for, and what in it cannot be read, a sentence each."""

    blocks: tuple[Block, ...]
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fitted:
    """New contents by path, of the files that differ from the sources, and why some blocks fit nowhere."""

    after: Mapping[str, str]
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Spot:
    """Where a block goes: the file's lines from `start` to `end` become these."""

    start: int
    end: int
    new: tuple[str, ...]


@dataclass
class _Reading:
    """A reply half read: the file that is spoken of, the part of a block under way, and what was found."""

    path: str = ""
    part: str = ""
    search: list[str] = field(default_factory=list)
    replace: list[str] = field(default_factory=list)
    dividers: int = 0
    blocks: list[Block] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def read_answer(reply: str) -> Answer:
    """Return the blocks of a reply, in their order."""
    at = _Reading()
    for line in reply.replace("\r\n", "\n").split("\n"):
        _read_line(at, line)
    if at.part:
        at.faults.append(f"the block for {at.path or 'an unnamed file'} has no end (>>>>>>> REPLACE)")
    return Answer(tuple(at.blocks), tuple(at.faults))


def _read_line(at: _Reading, line: str) -> None:
    if _SEARCH.match(line):
        if at.part:
            at.faults.append(f"the block for {at.path or 'an unnamed file'} has no end (>>>>>>> REPLACE)")
        at.part, at.search, at.replace, at.dividers = "search", [], [], 0
    elif not at.part:
        at.path = _path_in(line) or at.path
    elif _DIVIDER.match(line):
        at.dividers += 1
        at.part = "replace"
    elif _REPLACE.match(line):
        _close(at)
    else:
        (at.search if at.part == "search" else at.replace).append(line)


def _close(at: _Reading) -> None:
    at.part = ""
    if not at.path:
        at.faults.append("a block has no FILE line before it")
    elif at.dividers != 1:
        at.faults.append(f"a block for {at.path} has {at.dividers} lines of seven equals signs instead of one")
    else:
        at.blocks.append(Block(at.path, _unfenced(at.path, at.search), _unfenced(at.path, at.replace)))


def _path_in(line: str) -> str:
    if found := _FILE.match(line):
        return found["path"].strip().strip("`*\"'").strip().removeprefix("./")
    if _FENCE.match(line):
        return ""
    found = _BARE_PATH.match(line)
    return found["path"].removeprefix("./") if found else ""


def _unfenced(path: str, lines: list[str]) -> tuple[str, ...]:
    """Return the lines without a fence that somebody put round them inside the block."""
    if len(lines) >= 2 and _FENCE.match(lines[0]) and lines[-1].strip() in {"```", "~~~"} and not path.endswith(".md"):
        lines = lines[1:-1]
    return tuple(lines)


def fit(blocks: Iterable[Block], read: Read) -> Fitted:
    """Return what becomes of the files when the blocks are done.

    A block is done where its SEARCH stands exactly once. Where it stands nowhere, white space at the ends of lines is
    left out of account, then blank lines and indentation that is shifted as a whole, and last those lines at its edges
    that it does not change, as long as one next to the change still stands there. A SEARCH that stands twice is done
    nowhere. Line ends are the file's own.
    """
    after: dict[str, str] = {}
    before: dict[str, str | None] = {}
    faults: list[str] = []
    for block in blocks:
        if block.path not in before:
            before[block.path] = read(block.path)
        known = after.get(block.path, before[block.path])
        done = _done(block, known)
        if isinstance(done, _Fault):
            faults.append(f"{block.path}: {done.why}")
        else:
            after[block.path] = done
    return Fitted({path: text for path, text in after.items() if text != before[path]}, tuple(faults))


@dataclass(frozen=True)
class _Fault:
    why: str


def _done(block: Block, text: str | None) -> str | _Fault:
    """Return the file's text with the block done."""
    asked = any(line.strip() for line in block.search)
    if text is None:
        return _Fault("there is no such file") if asked else "".join(f"{line}\n" for line in block.replace)
    if not asked:
        return _Fault("SEARCH is empty, but the file exists") if text.strip() else _joined(block.replace, "\n", True)
    lines, ends = _split(text)
    spot = _find(lines, block.search, block.replace)
    if isinstance(spot, _Fault):
        return spot
    return _replaced(lines, ends, spot)


def _split(text: str) -> tuple[list[str], list[str]]:
    """Return the lines without their ends, and the ends; the last may be empty."""
    found = _LINE.findall(text)
    return [line or last for line, _, last in found], [end for _, end, _ in found]


def _joined(lines: Sequence[str], newline: str, ended: bool) -> str:
    return newline.join(lines) + (newline if lines and ended else "")


def _replaced(lines: list[str], ends: list[str], spot: _Spot) -> str:
    """Return the text with the spot's lines changed; of those that stay the line ends stay too."""
    newline = next((end for end in (*ends[spot.start : spot.end], *ends) if end), "\n")
    head = "".join(map(str.__add__, lines[: spot.start], ends[: spot.start]))
    tail = "".join(map(str.__add__, lines[spot.end :], ends[spot.end :]))
    return head + _joined(spot.new, newline, ends[spot.end - 1] != "") + tail


def _find(lines: Sequence[str], search: Sequence[str], replace: Sequence[str]) -> _Spot | _Fault:
    for way in (_exactly, _but_for_trailing_space, _but_for_indentation, _but_for_context):
        spots = list(islice(way(lines, search, replace), _MOST_SPOTS))
        if len(spots) == 1:
            return spots[0]
        if spots:
            times = f"{len(spots)} times" + (" at least" if len(spots) == _MOST_SPOTS else "")
            return _Fault(f"these lines stand there {times}; give more of what is round them:\n{_text(search)}")
    return _Fault(f"these lines do not stand there:\n{_text(search)}{_nearest(lines, search)}")


def _exactly(lines: Sequence[str], search: Sequence[str], replace: Sequence[str]) -> Iterator[_Spot]:
    for start in _places(lines, search):
        yield _Spot(start, start + len(search), tuple(replace))


def _but_for_trailing_space(lines: Sequence[str], search: Sequence[str], replace: Sequence[str]) -> Iterator[_Spot]:
    return _exactly([line.rstrip() for line in lines], [line.rstrip() for line in search], replace)


def _but_for_indentation(lines: Sequence[str], search: Sequence[str], replace: Sequence[str]) -> Iterator[_Spot]:
    """Find the lines that are not blank; all may stand deeper, or less deep, by the same white space."""
    told = [(number, line.rstrip()) for number, line in enumerate(lines) if line.strip()]
    wanted = [line.rstrip() for line in search if line.strip()]
    if not told:
        return
    new = _trimmed(search, replace)
    lacking = cache(lambda outer: any(line.strip() and not line.startswith(outer) for line in new))
    for first in _places(_steps([line for _, line in told]), _steps(wanted)):
        here = told[first][1]
        start, end = told[first][0], told[first + len(wanted) - 1][0] + 1
        deeper, outer = _prefix(here, wanted[0]), _prefix(wanted[0], here)
        if deeper is not None:
            yield _Spot(start, end, tuple(deeper + line if line.strip() else line for line in new))
        elif outer and not lacking(outer):
            yield _Spot(start, end, tuple(line.removeprefix(outer) if line.strip() else line for line in new))


def _places(items: Sequence[T], wanted: Sequence[T]) -> Iterator[int]:
    """Yield where the wanted items stand, also where they overlap; none wanted stand everywhere.

    The time grows with both lengths added, not multiplied: thousands of equal lines are nothing odd in a table.

    Source: Knuth, Morris, Pratt 1977, Fast pattern matching in strings.
    """
    if not wanted:
        yield from range(len(items) + 1)
        return
    borders = [0]  # how many items of each beginning both begin and end it
    for item in wanted[1:]:
        borders.append(_grown(borders[-1], item, wanted, borders))
    stand = 0
    for at, item in enumerate(items):
        stand = _grown(borders[-1] if stand == len(wanted) else stand, item, wanted, borders)
        if stand == len(wanted):
            yield at + 1 - stand


def _grown(stand: int, item: T, wanted: Sequence[T], borders: Sequence[int]) -> int:
    """Return how many wanted items stand at the end once this one has come, where so many stood before it."""
    while stand and item != wanted[stand]:
        stand = borders[stand - 1]
    return stand + (item == wanted[stand])


def _steps(lines: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return for each line after the first what it says, and in what its indentation and the one before it differ.

    Lines that are shifted as a whole take the same steps, and those that take the same steps are shifted as a whole.
    """
    steps = []
    for above, line in pairwise(lines):
        before, here = _indent(above), _indent(line)
        pairs = enumerate(zip(before, here, strict=False))
        common = next((n for n, (a, b) in pairs if a != b), min(len(before), len(here)))
        steps.append((line.strip(), here[common:], before[common:]))
    return steps


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _prefix(longer: str, shorter: str) -> str | None:
    """Return the white space that stands before the shorter line in the longer one, None where they differ."""
    found = longer.removesuffix(shorter)
    return found if longer.endswith(shorter) and not found.strip() else None


def _trimmed(search: Sequence[str], replace: Sequence[str]) -> Sequence[str]:
    """Return the new lines without the blank ones at their edges that the old ones have there too."""
    first = min(_blank(search), _blank(replace))
    last = min(_blank(search[::-1]), _blank(replace[::-1]), len(replace) - first)
    return replace[first : len(replace) - last]


def _blank(lines: Sequence[str]) -> int:
    return next((number for number, line in enumerate(lines) if line.strip()), len(lines))


def _but_for_context(lines: Sequence[str], search: Sequence[str], replace: Sequence[str]) -> Iterator[_Spot]:
    """Find the lines that change; of those round them that do not, the nearest must still stand on one side."""
    above = _alike(search, replace)
    below = _alike(search[above:][::-1], replace[above:][::-1])
    core, new = search[above : len(search) - below], replace[above : len(replace) - below]
    if not any(line.strip() for line in core) or not above + below:
        return
    near = _told(search[:above])[-1:], _told(search[len(search) - below :])[:1]

    def still_beside(spot: _Spot) -> bool:
        here = _told(lines[: spot.start])[-1:], _told(lines[spot.end :])[:1]
        return any(a and a == b for a, b in zip(near, here, strict=True))

    for way in (_exactly, _but_for_trailing_space, _but_for_indentation):
        if spots := list(islice(way(lines, core, new), _MOST_SPOTS)):
            yield from spots if len(spots) > 1 else filter(still_beside, spots)  # several are told, and refused
            return


def _told(lines: Sequence[str]) -> list[str]:
    return [line.strip() for line in lines if line.strip()]


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a.rstrip() != b.rstrip()), min(len(one), len(other)))


def _nearest(lines: Sequence[str], search: Sequence[str]) -> str:
    """Return the lines that come nearest to what was searched, for the one who searched."""
    longest = max(search, key=lambda line: len(line.strip())).strip()
    near = difflib.get_close_matches(longest, [line.strip() for line in lines if line.strip()], n=1)
    if not near:
        return ""
    at = next(number for number, line in enumerate(lines) if line.strip() == near[0])
    shown = lines[max(0, at - _SHOWN_LINES // 2) : at + _SHOWN_LINES // 2]
    return f"\nThe nearest lines that do stand there are:\n{_text(shown)}"


def _text(lines: Sequence[str]) -> str:
    shown = "\n".join(lines[:_SHOWN_LINES])
    return shown if len(lines) <= _SHOWN_LINES else f"{shown}\n… and {len(lines) - _SHOWN_LINES} more lines"
