"""Waiting for an answer no longer than it is wanted.

A model may be silent for minutes, and a call that hangs in a socket hears nobody. So it is made on a thread of its own,
while the one who waits looks up now and then. A call that is left ends by its own time-out, unheard.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread
from typing import TypeVar

from atra.core.errors import BudgetSpent, ModelUnavailable

T = TypeVar("T")

_LOOK_S = 0.5
_GRACE_S = 3.0  # for the pauses of a client between its attempts


def waited_for(call: Callable[[], T], *, name: str, stop: Callable[[], bool], most_s: float) -> T:
    """Return what the call returns, or raise what it raises.

    Args:
        name: of the model that is asked.
        stop: says that nobody wants the answer any more.
        most_s: how long the call itself should take at most; it is left a little later.

    Raises:
        ModelUnavailable: the call was left. How often it was sent, and what it will cost, is not known.
    """
    answer: Future[T] = Future()
    deadline = time.monotonic() + most_s + _GRACE_S
    Thread(target=_into, args=(answer, call), name=f"asking-{name}", daemon=True).start()
    while not wait([answer], timeout=_LOOK_S).done:
        if stop():
            raise ModelUnavailable(name, "the step was stopped while it was asked")
        if time.monotonic() > deadline:
            raise ModelUnavailable(name, f"no whole answer came within {most_s:g} s")
    return answer.result()


def _into(answer: Future[T], call: Callable[[], T]) -> None:
    try:
        answer.set_result(call())
    except (Exception, BudgetSpent, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001 - raised again above
        answer.set_exception(error)
