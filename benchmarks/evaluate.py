"""Runs inside a box: records the calls a test suite makes to one function, or calls the function on given inputs.

    python evaluate.py record NAME     the suite in `tests/`, on the function NAME of `programs/NAME.py`
    python evaluate.py call NAME       the inputs in `request.json`: {"inputs", "limit_s", "wanted", "hung", "total_s"}

Writes one JSON value per line to the descriptor that ATRA_RESULT_FD names: recorded inputs, or outcomes
`{"ended": "returned" | "raised" | "hung", …}` and the word "over" when the process lived to the end. Times are CPU
times, so that a busy machine changes nothing.
"""

import functools
import importlib
import itertools
import json
import os
import signal
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from encoding import decode, encode  # type: ignore[import-not-found]  # lies beside this file in the box

_LONGEST = 10_000
"""How many values of a generator are looked at."""


class OutOfTime(BaseException):
    """The call took longer than it may."""


def main(what: str, name: str) -> None:
    """Do what was asked and write the lines."""
    sys.path.insert(0, os.getcwd())
    module = importlib.import_module(f"programs.{name}")
    with os.fdopen(int(os.environ["ATRA_RESULT_FD"]), "w") as out:
        if what == "record":
            record(module, name, lambda line: print(json.dumps(line), file=out, flush=True))
        else:
            request = json.loads(Path("request.json").read_text())
            call_all(getattr(module, name), request, lambda line: print(json.dumps(line), file=out, flush=True))


def record(module: types.ModuleType, name: str, say: Callable[[Any], None]) -> None:
    """Run the test suite and say the arguments of each call that comes from a test."""
    import pytest

    original = getattr(module, name)
    depth = 0

    @functools.wraps(original)
    def recorder(*arguments: Any) -> Any:
        nonlocal depth
        if depth == 0:
            say(encode(list(arguments), []))
        depth += 1
        try:
            result = original(*arguments)
            return iter(list(result)) if isinstance(result, types.GeneratorType) else result
        finally:
            depth -= 1

    setattr(module, name, recorder)
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "tests"]))


def call_all(function: Callable[..., Any], request: dict[str, Any], say: Callable[[Any], None]) -> None:
    """Call the function on one input after the other and say each outcome, until one of the request's limits is met.

    `wanted` counts the calls that returned, `hung` those that ran out of time; `total_s` is for all of them together.
    """
    counts = {"returned": 0, "raised": 0, "hung": 0}
    for given in request["inputs"]:
        enough = counts["returned"] >= request["wanted"] or counts["hung"] >= request["hung"]
        if enough or time.process_time() > request["total_s"]:
            break
        outcome = call(function, given, request["limit_s"])
        counts[outcome["ended"]] += 1
        say(outcome)
    say("over")


def call(function: Callable[..., Any], given: dict[str, Any], limit_s: float) -> dict[str, Any]:
    """Call the function once; a generator is read to its end, and what became of the nodes belongs to the result."""
    node = importlib.import_module("programs.node").Node if given["nodes"] else None
    arguments, nodes = decode(given, node) if node else decode(given)
    try:
        signal.signal(signal.SIGVTALRM, _interrupt)
        signal.setitimer(signal.ITIMER_VIRTUAL, limit_s, 0.05)
        result = function(*arguments)
        if isinstance(result, types.GeneratorType):
            result = list(itertools.islice(result, _LONGEST))
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return {"ended": "returned", **encode(result, nodes)}
    except OutOfTime:
        return {"ended": "hung"}
    except Exception as error:  # noqa: BLE001 - whatever the program raises is its outcome
        return {"ended": "raised", "type": type(error).__name__}
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _interrupt(*_: object) -> None:
    raise OutOfTime


if __name__ == "__main__":
    main(*sys.argv[1:])
