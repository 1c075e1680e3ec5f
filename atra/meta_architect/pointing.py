"""Where a model would change the code, as leads for the search: its diff is read for places, and never tried itself.

Any chat model can be asked; one that learned from proved repairs knows the form. What it says is worth nothing until
it was measured that repairs come sooner by it.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from atra.llm.chat import ChatModel
from atra.llm.records import Request
from atra.meta_architect.leads import Lead
from atra.meta_architect.records import Diagnosis

_PLACES, _AROUND = 8, 4
_MOST_ALIKE = 3  # lines of a file that read the same: more of them name no place
_UNTOLD = 0.5
_NAMED = re.compile(r"^(?:---|\+\+\+) (?:[ab]/)?(.+?)(?:\t.*)?$")


def code_around(diagnosis: Diagnosis, sources: Mapping[str, str]) -> dict[str, str]:
    """Return the lines about the most suspect places, by path; gaps between them are marked."""
    wanted: dict[str, set[int]] = {}
    for place in diagnosis.places[:_PLACES]:
        wanted.setdefault(place.path, set()).update(range(place.line - _AROUND, place.line + _AROUND + 1))
    return {path: "\n".join(_shown(sources[path].splitlines(), wanted[path])) for path in wanted if path in sources}


def point(model: ChatModel, request: Request, sources: Mapping[str, str]) -> tuple[Lead, ...]:
    """Ask for a diff, and return the places that it would change; none where it names none that there is.

    Args:
        request: asks for a unified diff.
        sources: the text of files, by path.

    Raises:
        What `ChatModel.reply` raises.
    """
    reply = model.reply(replace(request, logprobs=True), attempts=1)
    sure = _UNTOLD if reply.mean_logprob is None else math.exp(min(0.0, reply.mean_logprob))
    return leads_of(reply.text, sources, sure)


def leads_of(diff: str, sources: Mapping[str, str], sure: float) -> tuple[Lead, ...]:
    """Return the lines that a unified diff takes away, or after which it adds some, as leads that are so sure.

    Models count lines badly, so lines are known by their words; one that reads like others of its file shares with
    them.
    """
    found: dict[tuple[str, int], Lead] = {}
    for path, words in _touched(diff):
        lines = [number for number, line in enumerate(sources.get(path, "").splitlines(), 1) if line.strip() == words]
        if len(lines) <= _MOST_ALIKE:
            found |= {(path, one): Lead(path, one, one, sure / len(lines), "the brain") for one in lines}
    return tuple(found[key] for key in sorted(found))


def _shown(lines: Sequence[str], wanted: set[int]) -> Iterator[str]:
    last = 0
    for number in sorted(wanted & set(range(1, len(lines) + 1))):
        if last and number > last + 1:
            yield "…"
        yield lines[number - 1]
        last = number


def _touched(diff: str) -> Iterator[tuple[str, str]]:
    """Yield (path, words) of the lines that a diff takes away, and of those after which it adds some."""
    path, before = "", ""
    for line in diff.splitlines():
        if named := _NAMED.match(line):
            path, before = named.group(1), ""
        elif line[:1] == "-" and line[1:].strip():
            yield path, line[1:].strip()
            before = ""
        elif line[:1] == "+":
            if before:
                yield path, before
            before = ""
        else:
            before = line[1:].strip()
