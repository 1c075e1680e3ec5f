"""What a function was called with, as literals, so that the call can be made again; and where the code comes from.

This runs inside somebody else's application at a bad moment: only exact builtin types are read, none of the
application's code runs, everything is bounded. A value that cannot be written as a literal, or that hides a secret,
makes the call one that cannot be made again, and that is said.
"""

import ast
import inspect
import keyword
import math
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from atra.core.redaction import Redactor
from atra.self_repair.records import RecordedCall

LITERAL_SIZE = 2000
ALL_SIZE = 6000
_ITEMS = 500
_DEPTH = 8
_ID = re.compile(r"[0-9a-f]{40,64}")
_ABSENT = object()


class _NotALiteral(Exception):
    """Why a value cannot be written so that reading it gives an equal one."""


def recorded(frame: FrameType, path: str, redactor: Redactor) -> RecordedCall:
    """Return the call of the function whose frame this is, as the parameters stand now.

    Args:
        path: the file as the report names it.
    """
    code = frame.f_code
    module = frame.f_globals.get("__name__")
    name = code.co_qualname
    told = RecordedCall(path, module if type(module) is str else "", name)
    try:
        if not _nameable(name):
            raise _NotALiteral(f"{name} cannot be named from outside")
        if code.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR):
            raise _NotALiteral(f"{name} is a generator, which fails elsewhere than it is called")
        positional, named, receiver = _arguments(frame, redactor)
        if sum(map(len, [*positional, *named.values(), *(receiver or {}).values()])) > ALL_SIZE:
            raise _NotALiteral("the arguments are too large")
    except _NotALiteral as why:
        return replace(told, why_not=str(why))
    awaited = bool(code.co_flags & inspect.CO_COROUTINE)
    return replace(told, positional=tuple(positional), named=named, receiver=receiver, asynchronous=awaited)


def checkout_of(folder: Path) -> str:
    """Return the id of the commit that is checked out in the git repository around a folder; empty if none is known.

    Git's own files are read, and no program is started. Changes that are not committed do not show.
    """
    try:
        folder = folder.resolve()
        place = next((above / ".git" for above in (folder, *folder.parents) if (above / ".git").exists()), None)
        if place is None:
            return ""
        if place.is_file():  # a linked working tree
            place = (place.parent / place.read_text().strip().removeprefix("gitdir: ")).resolve()
        shared = place / "commondir"
        common = (place / shared.read_text().strip()).resolve() if shared.is_file() else place
        head = (place / "HEAD").read_text().strip()
        if head.startswith("ref: "):
            head = _reference(place, common, head.removeprefix("ref: "))
    except (OSError, ValueError):
        return ""
    return head if _ID.fullmatch(head) else ""


def _reference(place: Path, common: Path, name: str) -> str:
    for loose in (place / name, common / name):
        if loose.is_file():
            return loose.read_text().strip()
    lines = (line.split(" ") for line in (common / "packed-refs").read_text().splitlines())
    return next((line[0] for line in lines if len(line) == 2 and line[1] == name), "")


def _nameable(name: str) -> bool:
    return all(part.isidentifier() and not keyword.iskeyword(part) for part in name.split("."))


def _arguments(frame: FrameType, redactor: Redactor) -> tuple[list[str], dict[str, str], dict[str, str] | None]:
    code, values = frame.f_code, frame.f_locals
    plain = list(code.co_varnames[: code.co_argcount])
    receiver: dict[str, str] | None = None
    if "." in code.co_qualname and plain and plain[0] in {"self", "cls"}:
        receiver = _receiver(values.get(plain.pop(0), _ABSENT), code, redactor)
    positional = [_parameter(name, values, redactor) for name in plain]
    at = code.co_argcount + code.co_kwonlyargcount
    named = {name: _parameter(name, values, redactor) for name in code.co_varnames[code.co_argcount : at]}
    if code.co_flags & inspect.CO_VARARGS:
        positional += [_literal(code.co_varnames[at], item, redactor) for item in _exactly(tuple, code, values, at)]
        at += 1
    if code.co_flags & inspect.CO_VARKEYWORDS:
        for name, item in _exactly(dict, code, values, at).items():
            if type(name) is not str or not _nameable(name):
                raise _NotALiteral("a keyword is no name")
            named[name] = _literal(name, item, redactor)
    return positional, named, receiver


def _exactly(kind: type[Any], code: CodeType, values: dict[str, Any], at: int) -> Any:
    value = values.get(code.co_varnames[at], _ABSENT)
    if type(value) is not kind:
        raise _NotALiteral(f"{code.co_varnames[at]} was bound to something else")
    return value


def _parameter(name: str, values: dict[str, Any], redactor: Redactor) -> str:
    value = values.get(name, _ABSENT)
    if value is _ABSENT:
        raise _NotALiteral(f"{name} was deleted")
    return _literal(name, value, redactor)


def _receiver(value: object, code: CodeType, redactor: Redactor) -> dict[str, str] | None:
    """Return what the constructor is given by keyword to make an equal object; None where a class is passed.

    Raises:
        _NotALiteral: it is neither a plain dataclass nor an object without state.
    """
    kind = type(value)
    if issubclass(kind, type):
        return None
    if _name_of(kind) != code.co_qualname.rpartition(".")[0]:
        raise _NotALiteral(f"the object is a {_name_of(kind)}, and the method stands in another class")
    state = _state(value)
    if "__dataclass_fields__" in kind.__dict__:
        known = {field.name for field in fields(kind) if field.init}  # type: ignore[arg-type]
        if known == set(state) == set(kind.__dict__["__dataclass_fields__"]) and not _has(kind, "__post_init__"):
            return {name: _literal(name, state[name], redactor) for name in state}
    elif not state and not _has(kind, "__init__"):
        return {}
    raise _NotALiteral(f"a {_name_of(kind)} cannot be made again from what is known of it")


def _has(kind: type, method: str) -> bool:
    return any(method in base.__dict__ for base in kind.__mro__ if base is not object)


def _name_of(kind: type) -> str:
    return str(type.__getattribute__(kind, "__qualname__"))


def _state(value: object) -> dict[str, Any]:
    """Return the object's variables, without running a property or a `__getattr__` of its class."""
    try:
        state = object.__getattribute__(value, "__dict__")
    except AttributeError as error:
        raise _NotALiteral(f"a {_name_of(type(value))} has slots") from error
    return dict(state) if type(state) is dict else {}


def _literal(name: str, value: object, redactor: Redactor) -> str:
    """Return the value as a literal that gives an equal one when it is read.

    Raises:
        _NotALiteral: there is none of bounded size, or it holds a secret.
    """
    for count, (one, depth) in enumerate(_walk(value, 0)):
        if count > _ITEMS or depth > _DEPTH:
            raise _NotALiteral(f"{name} is too large")
        if not _plain(one):
            raise _NotALiteral(f"{name} holds a {_name_of(type(one))}, which is no literal")
    text = repr(value)
    if len(text) > LITERAL_SIZE:
        raise _NotALiteral(f"{name} is too large")
    if redactor.text(text) != text or redactor.value({name: text})[name] != text:
        raise _NotALiteral(f"{name} may be a secret")
    if _hidden(value, redactor):
        raise _NotALiteral(f"{name} may hold a secret")
    if repr(ast.literal_eval(text)) != text:
        raise _NotALiteral(f"{name} has no literal that gives it back")
    return text


def _hidden(value: object, redactor: Redactor) -> bool:
    """Return whether some entry's key says that it holds a secret."""
    mappings = (one for one, _ in _walk(value, 0) if type(one) is dict)
    return any(
        type(key) is str and redactor.value({key: repr(item)})[key] != repr(item)
        for mapping in mappings
        for key, item in mapping.items()
    )


def _walk(value: object, depth: int) -> Iterator[tuple[object, int]]:
    """Yield the value and all that is in it, depth first; whoever asks stops when there is too much."""
    yield value, depth
    if depth > _DEPTH:
        return
    if type(value) in (list, tuple, set):
        for item in value:  # type: ignore[attr-defined]
            yield from _walk(item, depth + 1)
    elif type(value) is dict:
        for key, item in value.items():
            yield from _walk(key, depth + 1)
            yield from _walk(item, depth + 1)


def _plain(value: object) -> bool:
    kind = type(value)
    if kind is int:
        return value.bit_length() <= 256  # type: ignore[attr-defined,no-any-return]
    if kind is float:
        return math.isfinite(value)  # type: ignore[arg-type]
    if kind in (str, bytes):
        return len(value) <= LITERAL_SIZE  # type: ignore[arg-type]
    return kind in (bool, type(None), list, tuple, set, dict)
