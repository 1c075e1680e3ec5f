"""ATRA's own work told as a lesson: what was seen, what was thought of it, what was tried and refuted, what proved it.

What is told of a repair or a room is what its steps put out, in words. A patch that a model wrote is that model's: its
trace says so, and is not allowed by being proved.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from atra.distillation.traces import OWN, Kind, Origin, Trace

TESTS, HELD = "tests", "held"
"""The proofs of a repair (the whole suite, in a fresh box) and of a room (a verified repair of what it named)."""

_KIND: Kind = "tool_log"
_MOST_TESTS, _MOST_PLACES, _MOST_REFUSED = 5, 8, 5
_LONGEST = 600  # characters of one message
_FILE = re.compile(r"^\+\+\+ (?:b/)?(.+?)(?:\t.*)?$")
_PART = re.compile(r"^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")


@dataclass(frozen=True)
class Failing:
    """A failing test and what it said."""

    id: str
    error_type: str
    message: str


@dataclass(frozen=True)
class Repair:
    """A repair that was proved.

    Args:
        places: where the cause was looked for, most suspect first, each with its reasons.
        tried: candidates of the search; `verdicts` says what became of how many.
        proposals: what models came to, in a few words each; none of their text.
        refused: plausible patches that the whole suite refused, and why.
        how: what made the patch: a template's name, or `one-shot`, `agent`, `seeded`.
        passing: how many tests passed after it.
    """

    failing: Sequence[Failing]
    places: Sequence[tuple[str, int, Sequence[str]]]
    diff: str
    how: str
    where: tuple[str, int]
    passing: int
    tried: int = 0
    verdicts: Mapping[str, int] = field(default_factory=dict)
    proposals: Sequence[str] = ()
    refused: Sequence[str] = ()


@dataclass(frozen=True)
class Heard:
    """What a seat that looks at evidence said: its department, its first choice, and what it saw."""

    department: str
    choice: str
    evidence: Sequence[tuple[str, str]]  # text, and where it can be looked up


@dataclass(frozen=True)
class Room:
    """A room whose decision was proved right by a repair. `heard` are the seats that look at evidence alone."""

    question: str
    options: Sequence[str]
    heard: Sequence[Heard]
    decision: str
    reason: str


def repair_trace(repair: Repair, origin: Origin) -> Trace:
    """Return a repair as a trace; what was asked holds the code that the patch changes, as it was."""
    path, line = repair.where
    thought = [
        "Symptom: " + "; ".join(_told(repair.failing[:_MOST_TESTS])) + ".",
        "Places that the failing tests run, most suspect first:",
        *(f"- {path}:{line}{_because(reasons)}" for path, line, reasons in repair.places[:_MOST_PLACES]),
        *_tried(repair),
        f"The change that is left: {repair.how} at {path}:{line}.",
        f"Proof: in a fresh box every failing test passes with it, and {repair.passing} tests of the whole suite.",
    ]
    asked = question_of(repair.failing, before(repair.diff))
    return Trace(asked, "\n".join(thought), repair.diff.strip("\n"), _KIND, origin)


def question_of(failing: Sequence[Failing], code: Mapping[str, str]) -> str:
    """Return what is asked where tests fail and this is the code, by path: the words that repairs are taught in."""
    asked = [
        "These tests fail:",
        *(f"- {one.id}: {one.error_type}: {_short(one.message)}" for one in failing[:_MOST_TESTS]),
        *_more(len(failing), _MOST_TESTS),
        "",
        "This is the code around the cause:",
        *(f"\n{path}\n```\n{text}\n```" for path, text in code.items()),
        "",
        "Say what is wrong, and change the code so that the tests pass. Answer with a unified diff.",
    ]
    return "\n".join(asked)


def room_trace(room: Room, origin: Origin) -> Trace:
    """Return a room as a trace: what each seat saw and chose, and the decision."""
    asked = [room.question, "", "Options:", *(f"- {option}" for option in room.options), "", "Decide, with evidence."]
    thought = [
        line
        for heard in room.heard
        for line in (
            f"{heard.department} chooses {heard.choice}:",
            *(f"- {text}{f' ({reference})' if reference else ''}" for text, reference in heard.evidence),
        )
    ]
    return Trace("\n".join(asked), "\n".join([*thought, f"Weighed: {room.reason}"]), room.decision, _KIND, origin)


def own(source_run: str, *, room: bool = False) -> Origin:
    """Return the origin of what ATRA worked out itself."""
    if room:
        return Origin(OWN, "war_room", source="war_room", run_id=source_run, proof=HELD)
    return Origin(OWN, "repair", source="repair", run_id=source_run, proof=TESTS)


def before(diff: str) -> dict[str, str]:
    """Return the lines that a unified diff shows as they were, by path; gaps between its parts are marked."""
    found: dict[str, list[str]] = {}
    path, old, new = "", 0, 0  # lines that the part under way still has
    for line in diff.split("\n"):
        if line.startswith("\\"):
            continue  # it says that a file does not end in a line feed
        if old > 0 or new > 0:
            old, new = old - (line[:1] != "+"), new - (line[:1] != "-")
            if line[:1] != "+":
                found[path].append(line[1:])
        elif part := _PART.match(line):
            old, new = (int(count or 1) for count in part.groups())
            if found.setdefault(path, []) and old:
                found[path].append("…")
        elif named := _FILE.match(line):
            path = named.group(1)
    return {path: "\n".join(lines) for path, lines in found.items() if lines}


def _tried(repair: Repair) -> list[str]:
    told = []
    if repair.tried:
        counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(repair.verdicts.items()))
        told.append(f"Tried {repair.tried} small changes there: {counts or 'none held'}.")
    told += [f"Asked for a proposal: {proposal}." for proposal in repair.proposals]
    told += [f"Refuted by the whole suite: {_short(one)}" for one in repair.refused[:_MOST_REFUSED]]
    return told


def _told(failing: Sequence[Failing]) -> list[str]:
    """Return the errors, each once, in the order of the tests."""
    return list(dict.fromkeys(f"{one.error_type}: {_short(one.message)}" for one in failing))


def _because(reasons: Sequence[str]) -> str:
    return f" ({'; '.join(reasons)})" if reasons else ""


def _more(count: int, told: int) -> list[str]:
    return [f"- and {count - told} more"] if count > told else []


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
