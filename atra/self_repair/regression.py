"""A recorded call becomes a test: the call, made again, must raise nothing.

Reports come from anywhere. What stands in one becomes program text here, so nothing is copied: names must be
identifiers and the function's file one of the repository's, values are read as literals and written anew.
"""

import ast
import keyword
from collections.abc import Iterable
from dataclasses import dataclass

from atra.self_repair.records import RecordedCall, Report

LABEL = "Written by ATRA from a recorded failure"

_MOST_CHARACTERS = 20_000
_WIDTH = 100


@dataclass(frozen=True)
class RegressionTest:
    """A test module. `error` is the short name of the exception that the call raised when it was recorded."""

    path: str
    text: str
    error: str


def regression_test(report: Report, fingerprint: str, files: Iterable[str], *, below: str = "") -> RegressionTest | str:
    """Return the test that makes the recorded call, or why there is none.

    Args:
        files: the repository's, by path from its root.
        below: the folder from which the tests are run, empty for the root.
    """
    call, known = report.call, frozenset(files)
    if call is None:
        return "no call was recorded with the failure"
    if call.why_not:
        return f"the recorded call cannot be made again: {call.why_not}"
    names = [*call.module.split("."), *call.function.split(".")]
    if not all(map(_is_name, [*names, *call.named, *(call.receiver or {})])):
        return "the recorded call has a name that is none"
    if not _has_module(known, call, below):
        return f"the repository has no module {call.module} in {call.path[-200:]}"
    error = report.error_type.rpartition(".")[2]
    if not _is_name(error):
        return "the recorded exception has a name that is none"
    try:
        written = _called(call)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return "an argument of the recorded call is no literal"
    text = _text(call, written, error)
    if len(text) > _MOST_CHARACTERS:
        return "the recorded call is too large"
    return RegressionTest(_place(known, fingerprint, below), text, error)


def _text(call: RecordedCall, written: str, error: str) -> str:
    outermost = call.function.partition(".")[0]
    name = "".join(letter if letter.isalnum() else "_" for letter in call.function.lower())
    imports = (["import asyncio", ""] if call.asynchronous else []) + [f"from {call.module} import {outermost}"]
    return "\n".join(
        [
            f'"""{LABEL}: {call.module}.{call.function} raised {error}.',
            "",
            "It asks only that this call raises nothing, not that what it returns is right. The arguments are what the",
            "parameters held when the exception was raised.",
            '"""',
            "",
            *imports,
            "",
            "",
            f"def test_{name}_raises_nothing():",
            *(f"    {line}" for line in written.split("\n")),
            "",
        ]
    )


def _called(call: RecordedCall) -> str:
    """Return the call as program text.

    Raises:
        ValueError, SyntaxError, TypeError, MemoryError, RecursionError: a value is no literal.
    """
    owner, dot, method = call.function.rpartition(".")
    made = call.function
    if call.receiver is not None:
        if not dot:
            raise ValueError("a function of a module has no object")
        made = f"{owner}({_listed([f'{name}={_value(text)}' for name, text in call.receiver.items()])}).{method}"
    positional = [_value(text) for text in call.positional]
    given = [*positional, *(f"{name}={_value(text)}" for name, text in call.named.items())]
    whole = f"{made}({_listed(given)})"
    return f"asyncio.run({whole})" if call.asynchronous else whole


def _listed(given: list[str]) -> str:
    whole = ", ".join(given)
    return whole if len(whole) <= _WIDTH else "\n    " + ",\n    ".join(given) + ",\n"


def _value(text: str) -> str:
    """Return the literal written anew; what reads as anything else is refused.

    `set()` is the one call that reads as a literal, of an empty set.
    """
    value = ast.literal_eval(text)
    written = repr(value)
    if ast.literal_eval(written) != value:
        raise ValueError(text[:100])
    return written


def _is_name(text: str) -> bool:
    return text.isascii() and text.isidentifier() and not keyword.iskeyword(text) and not text.startswith("__")


def _has_module(files: frozenset[str], call: RecordedCall, below: str) -> bool:
    """Return whether the module is a file of the repository, and the one that the call was recorded in."""
    stem = call.module.replace(".", "/")
    roots = ("", "src/", *((f"{below}/", f"{below}/src/") if below else ()))
    ends = (f"{stem}.py", f"{stem}/__init__.py")
    told = "/" + call.path.replace("\\", "/").lstrip("/")
    return any(f"{root}{end}" in files and told.endswith(f"/{end}") for root in roots for end in ends)


def _place(files: frozenset[str], fingerprint: str, below: str) -> str:
    """Return where the test goes: where the target's tests lie, else beside its first test, else where they are run."""
    inside = f"{below}/" if below else ""
    tests = sorted(path for path in files if path.startswith(inside) and _is_test(path))
    folders = [f"{inside}tests/", f"{inside}test/", *(path.rpartition("/")[0] + "/" for path in tests[:1])]
    folder = next((one for one in folders if any(path.startswith(one) for path in tests)), inside)
    return f"{folder}test_atra_{fingerprint[:12]}.py"


def _is_test(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py"))
