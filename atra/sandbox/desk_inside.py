"""What runs inside a box for an agent: it lists, reads and searches files, and puts new contents in their place.

This one file enters the box; it needs Python 3.9 or newer and nothing of ATRA. It talks JSON over the descriptors named
by ATRA_REQUEST_FD and ATRA_RESULT_FD, each message after its length in four bytes. It runs no code of the repository;
what it may be shown there (links, devices, pipes, files without end, patterns that never come to an end) costs the
asking at most its time limit.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import re
import signal
import stat
from typing import Any, Callable, Iterator

LARGEST_FILE = 4 * 1024 * 1024
MOST_ENTRIES = 400
MOST_HITS = 100
MOST_LINES = 400
MOST_CHARACTERS = 24_000
LONGEST_LINE = 400
LOOK_S = 5.0
LEFT_OUT = {".git", "__pycache__", ".venv", "node_modules", ".mypy_cache", ".pytest_cache"}


class Fault(Exception):
    """What was asked for cannot be had, for the reason that is the argument."""


class Late(BaseException):
    """The asking has used up its time."""


def listing(path: str, pattern: str) -> str:
    """Return the files below a folder whose path fits the pattern (a glob on the whole path), one a line."""
    found = []
    for name in walk(path):
        if not pattern or fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(os.path.basename(name), pattern):
            found.append(name)
    shown = fitting(found, MOST_ENTRIES)
    more = [f"and {len(found) - len(shown)} more; name a folder or a pattern"] if len(found) > len(shown) else []
    return "\n".join(shown + more) or "nothing"


def reading(path: str, first: int, last: int) -> str:
    """Return lines of a file with their numbers, from the first to the last asked for, as many as have room."""
    lines = text_of(path).splitlines()
    first = max(1, first)
    last = min(last if last > 0 else len(lines), len(lines), first + MOST_LINES - 1)
    shown = fitting([f"{number:5}  {cut(lines[number - 1])}" for number in range(first, last + 1)], MOST_LINES)
    end = first + len(shown) - 1
    head = f"{path}, lines {first} to {end} of {len(lines)}"
    return "\n".join([head, *shown]) if shown else f"{path} has {len(lines)} lines"


def searching(pattern: str, path: str, regex: bool) -> str:
    """Return the lines that hold a text, or fit a regular expression, with their places."""
    try:
        wanted = re.compile(pattern if regex else re.escape(pattern))
    except (re.error, RecursionError, OverflowError) as error:
        raise Fault(f"that is no regular expression: {error}") from error
    if not pattern:
        raise Fault("there is nothing to search for")
    hits: list[str] = []
    seen = 0
    for name in walk(path):
        try:
            text = text_of(name)
        except Fault:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if wanted.search(line):
                if len(hits) < MOST_HITS:
                    hits.append(f"{name}:{number}: {cut(line.strip())}")
                seen += 1
    shown = fitting(hits, MOST_HITS)
    more = [f"and {seen - len(shown)} more"] if seen > len(shown) else []
    return "\n".join(shown + more) or "nothing"


def putting(path: str, text: str) -> str:
    """Put this text in the file's place, for later looks."""
    here = plain(path, must_exist=False)
    if len(text) > LARGEST_FILE:
        raise Fault(f"the file would be larger than {LARGEST_FILE} characters")
    os.makedirs(os.path.dirname(here) or ".", exist_ok=True)
    with open(here, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(text)
    return "done"


def dropping(path: str) -> str:
    """Take a file away, so that no later look shows it."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    return "done"


def walk(path: str) -> Iterator[str]:
    """Yield the plain files below a folder, or the one file, in order of their paths; links are not followed."""
    here = plain(path or ".", must_exist=True, folder=True)
    if os.path.isfile(here):
        yield here
        return
    waiting = [here]
    while waiting:
        try:
            entries = sorted(os.scandir(waiting.pop()), key=lambda entry: entry.name)
        except OSError:
            continue
        yield from (os.path.normpath(entry.path) for entry in entries if entry.is_file(follow_symlinks=False))
        folders = [entry for entry in entries if entry.is_dir(follow_symlinks=False) and entry.name not in LEFT_OUT]
        waiting += [entry.path for entry in reversed(folders)]


def plain(path: str, must_exist: bool = True, folder: bool = False) -> str:
    """Return a path below the root of which no part is a link, and which is a plain file (or a folder)."""
    parts = os.path.normpath(path).split(os.sep)
    if os.path.isabs(path) or "\0" in path or ".." in parts or ".git" in (part.lower() for part in parts):
        raise Fault(f"{path} is no path of this repository")
    here = ""
    for part in parts:
        here = os.path.join(here, part)
        try:
            mode = os.lstat(here).st_mode
        except OSError as error:
            if must_exist:
                raise Fault(f"there is no {path}") from error
            return os.path.join(*parts)
        if stat.S_ISLNK(mode):
            raise Fault(f"{here} is a link; links are not followed")
    if not (stat.S_ISREG(mode) or (folder and stat.S_ISDIR(mode))):
        raise Fault(f"{path} is no plain file")
    return here


def text_of(path: str) -> str:
    """Return a file's text."""
    here = plain(path)
    if os.path.getsize(here) > LARGEST_FILE:
        raise Fault(f"{path} has more than {LARGEST_FILE} bytes")
    with open(here, "rb") as file:
        data = file.read()
    if b"\0" in data[:8192]:
        raise Fault(f"{path} is no text")
    return data.decode("utf-8", "replace")


def fitting(lines: list[str], most: int) -> list[str]:
    """Return the first of the lines, as many as are asked for and have room in one answer."""
    room, shown = MOST_CHARACTERS, []
    for line in lines[:most]:
        room -= len(line) + 1
        if room < 0:
            break
        shown.append(line)
    return shown


def cut(line: str) -> str:
    """Return the line, or its beginning where it is very long."""
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}… ({len(line)} characters)"


WAYS: dict[str, Callable[..., str]] = {
    "list": listing,
    "read": reading,
    "search": searching,
    "put": putting,
    "drop": dropping,
}


def answer(message: dict[str, Any]) -> str:
    """Do what a message asks for, within its time."""
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, LOOK_S)
    try:
        return WAYS[message["do"]](*message["with"])
    except Fault as fault:
        return str(fault)
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        return f"{type(error).__name__}: {error}"[:500]
    except Late:
        return f"that took longer than {LOOK_S:.0f} s; ask for less"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def late(*_: object) -> None:
    """Break off what is being done."""
    raise Late


def receive(descriptor: int, size: int) -> bytes:
    """Return so many bytes, or fewer where there are no more."""
    data = b""
    while len(data) < size:
        piece = os.read(descriptor, size - len(data))
        if not piece:
            break
        data += piece
    return data


def main() -> None:
    """Answer until nobody asks any more."""
    asked, told = int(os.environ["ATRA_REQUEST_FD"]), int(os.environ["ATRA_RESULT_FD"])
    while True:
        head = receive(asked, 4)
        if len(head) < 4:
            return
        said = answer(json.loads(receive(asked, int.from_bytes(head, "big"))))
        body = json.dumps({"said": said}).encode()
        data = len(body).to_bytes(4, "big") + body
        while data:
            data = data[os.write(told, data) :]


if __name__ == "__main__":
    main()
