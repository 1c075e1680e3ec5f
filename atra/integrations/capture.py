"""An exception becomes a report: what it was, how it came about, and short, safe texts of the values involved.

This runs inside somebody else's application at a bad moment, so it runs none of the application's code on purpose:
only exact builtin types are shown, everything else by its type's name. (`str()` of the exception itself is asked for;
printing the traceback, which the host does anyway, asks for it too.) Everything has a size limit.
"""

import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from types import FrameType, FunctionType, ModuleType, TracebackType
from typing import Any
from uuid import UUID, uuid4

from atra.core.redaction import Redactor
from atra.integrations.recording import recorded
from atra.self_repair.fingerprint import in_application
from atra.self_repair.records import Origin, RecordedCall, Report, ReportFrame, shortened

VALUE_SIZE = 200
LOCALS_PER_FRAME = 20
FRAMES_WITH_LOCALS = 20
MOST_FRAMES = 100
MESSAGE_SIZE = 2000
TEXT_SIZE = 8000
_LINE_SIZE = 400
_ITEMS = 10
_DEPTH = 3
_PLAIN = (bool, type(None), float, complex, date, datetime, timedelta, Decimal, UUID)
_PARTS = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}
_NOT_SHOWN = (ModuleType, FunctionType, type)


def capture(
    exception: BaseException,
    trace: TracebackType | None,
    *,
    repository: str,
    origin: Origin,
    seen_at: datetime,
    redactor: Redactor,
    text: str = "",
    task: str = "",
    arguments: Mapping[str, object] | None = None,
    urgent: bool = False,
    root: Path | None = None,
    revision: str = "",
) -> Report:
    """Return a report of the exception, secrets masked, in bounded time and size.

    Args:
        trace: the exception's traceback; its frames' variables are read from it.
        text: the printed traceback, if the host has it already.
        arguments: what the task was called with, by parameter.
        root: the checkout's folder; paths below it are made relative to it.
        revision: the id of the commit that the application runs, where it is known.
    """
    kinds = type(exception).__mro__
    show = _Shower(redactor)
    printed = text or "".join(traceback.format_exception(exception, limit=-50))
    return Report(
        repository=repository,
        error_type=_name(exception),
        message=redactor.text(_narrow(_said(exception), MESSAGE_SIZE)),
        frames=tuple(_frames(trace, show, root)),
        text=redactor.text(_narrow(printed, TEXT_SIZE)),
        origin=origin,
        seen_at=seen_at,
        task=task,
        urgent=urgent,
        lineage=tuple(_class_name(kind) for kind in kinds if kind not in (object, BaseException, Exception))[:12],
        causes=tuple(_name(cause) for cause in islice(_behind(exception), 5)),
        arguments=show.named(islice((arguments or {}).items(), LOCALS_PER_FRAME)),
        id=uuid4().hex,
        revision=revision,
        call=_call(trace, redactor, root),
    )


def without_locals(report: Report) -> Report:
    """Return the report without its frames' variables."""
    return replace(report, frames=tuple(replace(frame, locals={}) for frame in report.frames))


class _Shower:
    """Makes short texts of values. What it is: a function with a redactor."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def named(self, values: Iterable[tuple[str, object]]) -> dict[str, str]:
        """Return a text per name; names that say they hold a secret get a mask instead."""
        return {_cut(name): self._masked(_cut(name), _cut(self.text(value))) for name, value in values}

    def text(self, value: object, depth: int = 0) -> str:
        kind = type(value)
        if kind is int:
            return repr(value) if value.bit_length() <= 256 else f"<int of {value.bit_length()} bits>"  # type: ignore[attr-defined]
        if kind in _PLAIN:
            return repr(value)
        if kind is str:
            return repr(_cut(self._redactor.text(value[:1000])))  # type: ignore[index]
        if kind in (bytes, bytearray):
            return f"<{kind.__name__}, {len(value)} long>"  # type: ignore[arg-type]
        if kind in (list, tuple, set, frozenset, dict) and depth < _DEPTH:
            return self._container(value, kind.__name__, depth + 1)
        return f"<{_class_name(kind)}>"

    def _container(self, value: Any, kind: str, depth: int) -> str:
        if kind == "dict":
            items = [self._pair(key, item, depth) for key, item in islice(value.items(), _ITEMS)]
        else:
            items = [self.text(item, depth) for item in islice(value, _ITEMS)]
        more = [f"… {len(value)} in all"] if len(value) > _ITEMS else []
        opening, closing = {"list": ("[", "]"), "tuple": ("(", ")")}.get(kind, ("{", "}"))
        return opening + ", ".join([*items, *more]) + closing

    def _pair(self, key: object, item: object, depth: int) -> str:
        text = self.text(item, depth)
        return f"{self.text(key, depth)}: {self._masked(key[:100], text) if type(key) is str else text}"

    def _masked(self, name: str, text: str) -> str:
        masked: str = self._redactor.value({name: text})[name]
        return masked


def _frames(trace: TracebackType | None, show: _Shower, root: Path | None) -> Iterator[ReportFrame]:
    found = list(_walk(trace))
    if len(found) > MOST_FRAMES:  # how it began, and how it ended
        found = found[: MOST_FRAMES // 4] + found[-3 * MOST_FRAMES // 4 :]
    own = [number for number, (frame, _) in enumerate(found) if in_application(frame.f_code.co_filename)]
    shown = set(own[-FRAMES_WITH_LOCALS:])
    for number, (frame, line) in enumerate(found):
        values = show.named(_variables(frame)) if number in shown else {}
        path = _relative(frame.f_code.co_filename, root)
        yield ReportFrame(path, line, frame.f_code.co_name, in_application(frame.f_code.co_filename), values)


def _call(trace: TracebackType | None, redactor: Redactor, root: Path | None) -> RecordedCall | None:
    """Return the call of the innermost function of the application's own; what is only a part of one is passed over."""
    own = [frame for frame, _ in _walk(trace) if in_application(frame.f_code.co_filename)]
    whole = [frame for frame in own if frame.f_code.co_name not in _PARTS]
    if not whole or whole[-1].f_code.co_name.startswith("<"):
        return None
    return recorded(whole[-1], _relative(whole[-1].f_code.co_filename, root), redactor)


def _walk(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _variables(frame: FrameType) -> Iterator[tuple[str, object]]:
    values = ((name, value) for name, value in frame.f_locals.items() if not name.startswith("__"))
    return islice(((name, value) for name, value in values if type(value) not in _NOT_SHOWN), LOCALS_PER_FRAME)


def _relative(path: str, root: Path | None) -> str:
    if root is None or not path.startswith(f"{root}/"):
        return path
    return path[len(str(root)) + 1 :]


def _behind(exception: BaseException) -> Iterator[BaseException]:
    seen = {id(exception)}
    while True:
        hidden = exception.__suppress_context__
        behind = exception.__cause__ or (None if hidden else exception.__context__)
        if behind is None or id(behind) in seen:
            return
        seen.add(id(behind))
        yield behind
        exception = behind


def _name(exception: BaseException) -> str:
    """Return the class's name as a traceback shows it; Celery's stand-in for the unpicklable gives the original."""
    stood_for = getattr(exception, "exc_cls_name", None)
    if type(exception).__name__ == "UnpickleableExceptionWrapper" and isinstance(stood_for, str):
        return f"{getattr(exception, 'exc_module', '')}.{stood_for}".strip(".")
    return _class_name(type(exception))


def _class_name(kind: type) -> str:
    module = type.__getattribute__(kind, "__module__")
    name: str = type.__getattribute__(kind, "__qualname__")
    return _cut(name if module in ("builtins", "__main__") or type(module) is not str else f"{module}.{name}")


def _said(exception: BaseException) -> str:
    try:
        said = str(exception)
    except Exception as error:  # noqa: BLE001 - whatever the application's own method does
        return f"<its text could not be made: {type(error).__name__}>"
    return said


def _narrow(text: str, size: int) -> str:
    """Return the text in bounded length and with bounded lines: masking takes time that grows with both."""
    lines = shortened(text, 2 * size).split("\n")
    return shortened("\n".join(shortened(line, _LINE_SIZE) for line in lines), size)


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_SIZE else f"{text[:VALUE_SIZE]}…"
