"""The shape every sandbox has, whichever program builds the box."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from atra.sandbox.policy import Policy

Stop = Callable[[], bool]
"""Asked several times a second while a box runs; True ends the box."""


def never() -> bool:
    """Never stop."""
    return False


@dataclass(frozen=True)
class Finished:
    """How a box ended and what it said.

    `exit_code` is negative for a signal. `ended` is `exited` only when the program ended by itself, `overuse` when the
    box as a whole held more memory, files or processes than its limits say; `output` holds what came before the end.
    """

    exit_code: int
    ended: Literal["exited", "wall_clock", "output_limit", "stopped", "overuse"]
    output: bytes  # standard output and standard error, in the order they came
    result: bytes  # what was written to the result descriptor, see `Sandbox.run`
    seconds: float


class Box(Protocol):
    """A running box: a conversation with the program inside, over pipes that nothing else holds."""

    def send(self, data: bytes) -> None:
        """Write to the program's request pipe.

        Raises:
            BoxFailed: the program closed it, or the box ended.
        """

    def receive(self, timeout_s: float) -> bytes:
        """Return the bytes that the program has written to its result pipe, at least one.

        An empty result means that it closed the pipe or that the box ended.

        Raises:
            TimeoutError: nothing came within the time.
        """

    def output(self) -> bytes:
        """Return what the program printed so far, the last 64 KiB at most."""

    def close(self) -> None:
        """Kill every process of the box and free what it used. Closing twice is harmless."""


class Sandbox(Protocol):
    """Runs programs nobody trusts."""

    def run(self, command: Sequence[str], policy: Policy, *, stop: Stop = never) -> Finished:
        """Run the command to its end in a box of its own and leave nothing behind.

        The environment variable `ATRA_RESULT_FD` inside names a descriptor; what is written there is `Finished.result`.

        Raises:
            SandboxUnavailable: no box can be made on this machine.
            BoxFailed: this box could not be set up.
        """

    def start(self, command: Sequence[str], policy: Policy) -> Box:
        """Start the command in a box and return at once.

        Inside, `ATRA_REQUEST_FD` and `ATRA_RESULT_FD` name the two pipes of the conversation.

        Raises:
            SandboxUnavailable, BoxFailed: as for `run`.
        """
