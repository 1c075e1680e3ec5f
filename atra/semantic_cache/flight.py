"""One call for many who ask the same at the same time: threads wait for one of them, processes for one process."""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from threading import Lock
from typing import Generic, Protocol, TypeVar

from atra.core.errors import DatabaseUnavailable

T = TypeVar("T")


class Turns(Protocol):
    """Whose turn it is to make an answer, among all processes that share a database."""

    def turn(self, name: str) -> AbstractContextManager[None]:
        """Wait until nobody else has the turn, and have it for as long as the block runs.

        Whoever had it and died has it no more.
        """


class Flights(Generic[T]):
    """Answers that are being made in this process, by name. Safe to share between threads."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._lock = Lock()
        self._under_way: dict[str, Future[T]] = {}

    def join(self, name: str, made: Callable[[], T | None], make: Callable[[], T]) -> tuple[T, bool]:
        """Return what `make` gives, called by one of all who ask, and whether another thread's call was joined.

        Args:
            made: returns what another process has kept, None where there is nothing; asked once it is this process's
                turn.

        Raises:
            Exception: whatever `make` raised, in every thread that waited for that call.
        """
        with self._lock:
            flight = self._under_way.get(name)
            first = flight is None
            if flight is None:
                flight = self._under_way[name] = Future()
        if not first:
            return flight.result(), True
        try:
            answer = self._in_turn(name, made, make)
            flight.set_result(answer)
        except BaseException as error:
            flight.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._under_way[name]
        return answer, False

    def _in_turn(self, name: str, made: Callable[[], T | None], make: Callable[[], T]) -> T:
        with ExitStack() as turn:
            try:
                turn.enter_context(self._turns.turn(name))
                found = made()
            except DatabaseUnavailable:
                found = None  # then more than one may make it
            return make() if found is None else found
