"""Reports read from text: pasted Python tracebacks, pytest's output, JUnit XML.

The text comes from anywhere. It is bounded in size, secrets are masked, and XML with a document type (which could
declare entities that grow without end, or name files) is refused before anything is made of it.
"""

import re
import textwrap
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from xml.parsers import expat

from atra.core.errors import BadReport
from atra.core.redaction import Redactor
from atra.self_repair.fingerprint import in_application
from atra.self_repair.records import Origin, Report, ReportFrame, redacted, shortened

MOST_CHARACTERS = 16_000_000
MOST_REPORTS = 1000
TEXT_SIZE = 16_000
MESSAGE_SIZE = 2000

_HEADER = re.compile(r"^(\s*)(?:Exception Group )?Traceback \(most recent call last\):\s*$")
_FRAME = re.compile(r'^\s+File "(?P<path>.+)", line (?P<line>\d+)(?:, in (?P<function>.+))?$')
_ERROR = re.compile(r"^(?P<type>[A-Za-z_][\w.<>]*)(?:: ?(?P<message>.*))?$", re.DOTALL)
_CHAINED = re.compile(
    r"^(?:The above exception was the direct cause of|During handling of the above exception, another)"
)
_LOG_LINE = re.compile(r"^\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d")
_GROUP_EDGE = re.compile(r"^\s*\+(?:-\+)?-{8,}(?: (?:\d+|\.\.\.) -{8,})?\s*$")
_GROUP_SIDE = re.compile(r"^\s*[|+](?: |$)")

_TITLE = re.compile(r"^_{2,} (?P<test>\S.*?) _{2,}$")
_RULE = re.compile(r"^(?:={3,} .*|-{3,} .* -{3,}|_{2,} .* _{2,})$")
_PLACE = re.compile(r"^(?P<path>[^\s:][^:\n]*):(?P<line>\d+): ?(?P<rest>.*)$")
_DEF = re.compile(r"^[ >]\s*(?:async )?def (?P<name>\w+)\(")
_SUMMARY = re.compile(r"^(?:FAILED|ERROR) (?P<id>\S+::.*?)(?: - .*)?$")


@dataclass(frozen=True)
class _Raised:
    """One exception as it was printed."""

    type: str
    message: str
    frames: tuple[ReportFrame, ...]


def read_text(text: str, repository: str, seen_at: datetime, redactor: Redactor | None = None) -> list[Report]:
    """Return the reports in a pasted text: Python tracebacks, else the failures in pytest's output.

    A chain of exceptions is one report, of the last; every member of an exception group is one.

    Raises:
        BadReport: the text holds neither, or is too long.
    """
    _check_size(text)
    found = _tracebacks(text, repository, seen_at) or _pytest(text, repository, seen_at)
    if not found:
        raise BadReport("it holds neither a Python traceback nor a failure printed by pytest")
    return _masked(found, redactor)


def read_junit(data: str | bytes, repository: str, seen_at: datetime, redactor: Redactor | None = None) -> list[Report]:
    """Return a report for every failure and error in a JUnit XML file; none if all tests passed.

    Raises:
        BadReport: the file is no JUnit XML, has a document type, or is too long.
    """
    _check_size(data)
    root = _parsed(data)
    if root.tag not in ("testsuites", "testsuite"):
        raise BadReport(f"its outermost element is <{root.tag}>, not <testsuites>")
    broken = ((case, child) for case in root.iter("testcase") for child in case if child.tag in ("failure", "error"))
    return _masked([_from_case(case, child, repository, seen_at) for case, child in broken], redactor)


def _check_size(text: str | bytes) -> None:
    if len(text) > MOST_CHARACTERS:
        raise BadReport(f"it is longer than {MOST_CHARACTERS} characters")


def _masked(reports: list[Report], redactor: Redactor | None) -> list[Report]:
    return [redacted(report, redactor or Redactor()) for report in reports[:MOST_REPORTS]]


def _report(raised: _Raised, text: str, origin: Origin, repository: str, seen_at: datetime) -> Report:
    message = shortened(raised.message, MESSAGE_SIZE)
    return Report(repository, raised.type, message, raised.frames, shortened(text, TEXT_SIZE), origin, seen_at)


# Python's tracebacks


def _tracebacks(text: str, repository: str, seen_at: datetime) -> list[Report]:
    reports = []
    for part in _parts(text.replace("\r\n", "\n").split("\n")):
        chain, group_frames = _chain(part.lines), part.frames
        if not chain:
            continue
        last = chain[-1] if chain[-1].frames else replace(chain[-1], frames=group_frames)
        report = _report(last, "\n".join(part.lines).strip("\n"), "traceback", repository, seen_at)
        reports.append(replace(report, causes=tuple(raised.type for raised in reversed(chain[:-1]))))
    return reports


@dataclass(frozen=True)
class _Part:
    """Lines of one chain; `frames` are those of the group that it is a member of."""

    lines: list[str]
    frames: tuple[ReportFrame, ...] = ()


def _parts(lines: list[str]) -> Iterator[_Part]:
    """Yield the chains in the text: unrelated tracebacks apart, members of exception groups apart, groups left out."""
    current: list[str] = []
    frames: tuple[ReportFrame, ...] = ()
    inside = False
    for line in lines:
        if _GROUP_EDGE.match(line):
            if "+-+" in line:  # the first member follows: the lines so far told of the group itself
                frames = next((raised.frames for raised in reversed(_chain(current)) if raised.frames), frames)
            else:
                yield _Part(current, frames)
            current, inside = [], True
        elif inside and not _GROUP_SIDE.match(line):
            current, frames, inside = [line], (), False
        else:
            current.append(_GROUP_SIDE.sub("", line) if _GROUP_SIDE.match(line) else line)
    yield from (_Part(part, frames) for part in _unrelated(current))


def _unrelated(lines: list[str]) -> Iterator[list[str]]:
    """Split the lines before every traceback that does not continue a chain."""
    start, chained = 0, False
    for number, line in enumerate(lines):
        if _CHAINED.match(line.strip()):
            chained = True
        elif _HEADER.match(line):
            if not chained:
                yield lines[start:number]
                start = number
            chained = False
    yield lines[start:]


def _chain(lines: list[str]) -> list[_Raised]:
    """Return the exceptions of one chain in the order in which they were printed, the last one last."""
    chain: list[_Raised] = []
    at = 0
    while at < len(lines):
        if header := _HEADER.match(lines[at]):
            raised, at = _raised(lines, at + 1, header[1])
        elif not chain and not any(map(_HEADER.match, lines)) and _bare_error(lines[at]):
            raised, at = _raised(lines, at, "")  # a member of a group that was never raised has no traceback
        else:
            at += 1
            continue
        if raised:
            chain.append(raised)
    return chain


def _bare_error(line: str) -> bool:
    found = _ERROR.match(line)
    return bool(found and re.search(r"(?:Error|Exception|Warning|Group|Interrupt|Exit)$", found["type"]))


def _raised(lines: list[str], at: int, indent: str) -> tuple[_Raised | None, int]:
    """Read one exception from its first frame on; return it and the number of the line after it."""
    frames: list[ReportFrame] = []
    while at < len(lines):
        line = lines[at].removeprefix(indent)
        at += 1
        if frame := _FRAME.match(line):
            path, function = frame["path"], frame["function"] or "<module>"
            frames.append(ReportFrame(path, int(frame["line"]), function, in_application(path)))
        elif line[:1] not in ("", " ", "\t") and (error := _ERROR.match(line)):
            message = [error["message"] or ""]
            while at < len(lines) and not _ends_message(lines[at]):
                message.append(lines[at].removeprefix(indent))
                at += 1
            return _Raised(error["type"], "\n".join(message), tuple(frames)), at
        elif line[:1] not in ("", " ", "\t"):
            break
    return None, at


def _ends_message(line: str) -> bool:
    return not line.strip() or any(pattern.match(line) for pattern in (_LOG_LINE, _HEADER, _RULE))


# pytest's output


def _pytest(text: str, repository: str, seen_at: datetime) -> list[Report]:
    lines = text.replace("\r\n", "\n").split("\n")
    ids = [found["id"] for line in lines if (found := _SUMMARY.match(line))]
    reports = []
    for title, section in _sections(lines):
        if raised := _printed_by_pytest(section):
            report = _report(raised, "\n".join(section).strip("\n"), "pytest", repository, seen_at)
            name = title.removeprefix("ERROR at setup of ").removeprefix("ERROR at teardown of ").replace(".", "::")
            test = next((one for one in ids if one.partition("::")[2] == name), "")
            reports.append(replace(report, test=test))
    return reports


def _sections(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each failure's title and its lines up to the next rule (captured output, another failure, the summary)."""
    title, section = "", list[str]()
    for line in lines:
        if _RULE.match(line):
            if title:
                yield title, section
            found = _TITLE.match(line)
            title, section = (found["test"] if found else ""), []
        elif title:
            section.append(line)
    if title:
        yield title, section


def _printed_by_pytest(lines: Iterable[str]) -> _Raised | None:
    """Read what pytest prints of one failure, in its long or its short style."""
    frames: list[ReportFrame] = []
    complaint: list[str] = []
    function, named = "<module>", ""
    for line in lines:
        if found := _DEF.match(line):
            function = found["name"]
        elif line.startswith("E "):
            complaint.append(line[1:])
        elif place := _PLACE.match(line):
            rest = place["rest"].strip()
            if rest.startswith("in "):
                function = rest.removeprefix("in ")
            elif rest:
                named = rest
            frames.append(ReportFrame(place["path"], int(place["line"]), function, in_application(place["path"])))
    if not complaint and not named:
        return None
    message = textwrap.dedent("\n".join(complaint)).strip()
    error = _ERROR.match(message)
    if error and _bare_error(message.partition("\n")[0]) and (not named or _same_class(named, error["type"])):
        return _Raised(error["type"], error["message"] or "", tuple(frames))
    return _Raised(named or "AssertionError", message, tuple(frames))


def _same_class(one: str, other: str) -> bool:
    return one.rpartition(".")[2] == other.rpartition(".")[2]


# JUnit XML


def _parsed(data: str | bytes) -> ElementTree.Element:
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError) as error:
        raise BadReport(f"it is no well-formed XML: {error}") from error
    return builder.close()


def _refuse(*_: object) -> None:
    raise BadReport("XML with a document type is refused")


def _from_case(case: ElementTree.Element, child: ElementTree.Element, repository: str, seen_at: datetime) -> Report:
    text = child.text or child.get("message") or ""
    chain = _chain(text.split("\n"))
    raised = chain[-1] if chain else _printed_by_pytest(text.split("\n"))
    if raised is None:
        head, _, rest = (child.get("message") or text).partition(":")
        kind = child.get("type") or (head if _bare_error(head) else "")
        raised = _Raised(kind or "AssertionError", rest.strip() if head == kind else child.get("message") or text, ())
    report = _report(raised, text, "junit", repository, seen_at)
    return replace(report, test=_test_id(case, raised.frames))


def _test_id(case: ElementTree.Element, frames: Iterable[ReportFrame]) -> str:
    """Return the id as pytest would print it, or `classname.name` where the test's file cannot be told."""
    classname, name = case.get("classname") or "", case.get("name") or ""
    paths = [case.get("file") or "", *(frame.path for frame in frames)]
    for path in paths:
        module = path.removesuffix(".py").replace("/", ".")
        if path and (classname == module or classname.startswith(f"{module}.")):
            return "::".join([path, *classname[len(module) :].strip(".").split("."), name]).replace("::::", "::")
    return f"{classname}.{name}".strip(".")
