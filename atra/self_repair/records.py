"""A report is what arrives when code failed somewhere; a failure is what ATRA knows of all reports of one kind.

This module and its neighbours run inside other people's applications too: the standard library is all they need.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from atra.core.redaction import Redactor

Origin = Literal["celery", "logging", "excepthook", "pytest", "junit", "traceback"]


@dataclass(frozen=True)
class ReportFrame:
    """One frame of a traceback. `locals` are short texts of the variables, of the application's own frames only."""

    path: str
    line: int
    function: str
    in_app: bool
    locals: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordedCall:
    """A call as it can be made again: the function by module and qualified name, its arguments as Python literals.

    The values are those the parameters held when the exception was raised, which may have been bound anew since the
    call. Where one cannot be written as a literal that gives an equal value, or had to be masked, `why_not` says so
    and there are no arguments.

    Args:
        path: the function's file, as the frame names it.
        positional: literals in order, those of `*args` among them.
        named: literals by keyword.
        receiver: for a method, its object: `None` where the class itself, or nothing, is passed; else what the
            constructor of the class is given by keyword, which makes an equal object (a dataclass, or no arguments).
        asynchronous: whether the call is to be awaited.
    """

    path: str
    module: str
    function: str
    positional: tuple[str, ...] = ()
    named: Mapping[str, str] = field(default_factory=dict)
    receiver: Mapping[str, str] | None = None
    asynchronous: bool = False
    why_not: str = ""


@dataclass(frozen=True)
class Report:
    """One failure that happened once.

    Args:
        repository: the name under which ATRA knows the code.
        error_type: the exception's class, with its module unless that is `builtins`.
        frames: from the outermost to the innermost.
        text: the traceback as it was printed, shortened in the middle.
        task: the Celery task that raised, by name.
        test: the id of the test that failed.
        lineage: names of the class and those it derives from, most specific first; empty where only text was seen.
        causes: types of the exceptions that led to this one, nearest first.
        arguments: short texts of what the task was called with.
        id: made once by whoever saw the failure; a report that arrives twice is counted once. Empty: it has none.
        revision: the id of the commit that the failing code was checked out at, as far as its process knows.
        call: what the innermost function of the application's own code was called with.
    """

    repository: str
    error_type: str
    message: str
    frames: tuple[ReportFrame, ...]
    text: str
    origin: Origin
    seen_at: datetime
    task: str = ""
    test: str = ""
    urgent: bool = False
    lineage: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)
    id: str = ""
    revision: str = ""
    call: RecordedCall | None = None


@dataclass(frozen=True)
class Failure:
    """All reports of one fingerprint in one repository. `path` and `reason` say what is done about the newest."""

    id: str
    fingerprint: str
    repository: str
    state: Literal["open", "repaired", "regressed", "closed"]
    error_type: str
    message: str
    origin: Origin
    urgent: bool
    count: int
    path: str
    reason: str
    latest: Report
    first_seen_at: datetime
    last_seen_at: datetime


def redacted(report: Report, redactor: Redactor) -> Report:
    """Return the report with secrets masked wherever text of the application stands."""
    return replace(
        report,
        message=redactor.text(report.message),
        text=redactor.text(report.text),
        arguments=redactor.value(report.arguments),
        frames=tuple(replace(frame, locals=redactor.value(frame.locals)) for frame in report.frames),
        call=_without_secrets(report.call, redactor),
    )


def _without_secrets(call: RecordedCall | None, redactor: Redactor) -> RecordedCall | None:
    if call is None:
        return None
    texts = (*call.positional, *call.named.values(), *(call.receiver or {}).values())
    if all(redactor.text(text) == text for text in texts):
        return call
    return replace(call, positional=(), named={}, receiver=None, why_not="an argument may be a secret")


def as_message(report: Report) -> dict[str, Any]:
    """Return the report as JSON values, as `atra.core.records.from_json` reads it, without what that module needs."""
    return {**asdict(report), "seen_at": report.seen_at.isoformat()}


def shortened(text: str, size: int) -> str:
    """Return the text, cut in the middle where it is longer than `size` characters; both ends of a traceback matter."""
    if len(text) <= size:
        return text
    mark = "\n[…]\n"
    half = max(0, size - len(mark)) // 2
    return text[:half] + mark + text[len(text) - half :] if half else text[:size]
