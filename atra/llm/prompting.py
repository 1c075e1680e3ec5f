"""How a prompt is made: instructions from a text file, and what others wrote between lines that mark it as data.

A file, a message or another model's answer is never an instruction. The lines round it carry a nonce that it cannot
know, and the instructions say what stands between such lines.
"""

import re
from functools import cache
from pathlib import Path
from string import Template

# Line ends and terminals' escapes, marks that turn the direction of writing, and halves of characters.
_STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")


def filled(folder: Path, name: str, **values: str) -> str:
    """Return the prompt that stands under this name in the folder, with its `$name`s filled in."""
    return Template(_prompt_file(folder / f"{name}.txt")).substitute(values)


@cache
def _prompt_file(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def framed(nonce: str, what: str, text: str) -> str:
    """Return text that somebody else wrote between lines that mark it as data."""
    return f"[{nonce} begin {one_line(what)}]\n{text.rstrip()}\n[{nonce} end]\n"


def one_line(text: str) -> str:
    """Return the text without line ends and other characters that steer a reader instead of telling something."""
    return _STEERING.sub(" ", text).strip()
