"""What a command works with: a wiring whose parts answer, for as long as the command needs them.

A running stack is used where there is one; else the embedded services, and for work also a worker and beat, are started
for the duration.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass

from atra.cli.console import err
from atra.cli.stack import addressed, running_stack, temporary_stack
from atra.core.settings import load_settings
from atra.wiring import Wiring, use


@contextmanager
def with_database() -> Iterator[Wiring]:
    """Give a wiring whose database and Redis answer.

    Raises:
        StackUnavailable, DatabaseUnavailable: they could not be started or reached.
    """
    with addressed(load_settings()) as settings:
        yield use(settings)


@dataclass(frozen=True)
class Session:
    """A wiring behind which workers listen. `lasting` says whether they go on when the command has ended."""

    wired: Wiring
    lasting: bool


@contextmanager
def with_stack(*, quiet: bool) -> Iterator[Session]:
    """Give a session with workers.

    Args:
        quiet: say nothing on standard error.

    Raises:
        StackUnavailable, DatabaseUnavailable: they could not be started or reached.
    """
    settings = load_settings()
    if (settings.database_url and settings.redis_url) or running_stack(settings.home):
        with addressed(settings) as found:
            yield Session(use(found), lasting=True)
        return
    with ExitStack() as stack:
        with nullcontext() if quiet else err.status("starting database, Redis and a worker"):
            running = stack.enter_context(temporary_stack(settings))
        yield Session(use(running.info.settings(settings)), lasting=False)
