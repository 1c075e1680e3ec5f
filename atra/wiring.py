"""Settings become real collaborators here, once per process; everyone else receives them as arguments."""

from functools import cached_property
from pathlib import Path

from sqlalchemy import Engine

from atra.core.errors import MissingPart
from atra.core.redaction import Redactor
from atra.core.settings import Settings, load_settings
from atra.sandbox.bubblewrap import make_sandbox
from atra.sandbox.policy import MIB, Limits
from atra.sandbox.protocol import Sandbox
from atra.storage import signals
from atra.storage.database import connect
from atra.storage.events import EventStore
from atra.storage.failures import FailureStore
from atra.storage.runs import RunStore


class Wiring:
    """What one process works with, each part made at its first use."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def redactor(self) -> Redactor:
        """Masks secrets, those of the settings among them."""
        return self.settings.redactor()

    @cached_property
    def engine(self) -> Engine:
        """The database.

        Raises:
            MissingPart: no address is set.
        """
        if self.settings.database_url is None:
            raise MissingPart("a database: start one with `atra up`, or set ATRA_DATABASE_URL")
        return connect(self.settings.database_url.get_secret_value())

    @cached_property
    def runs(self) -> RunStore:
        """Runs and steps."""
        return RunStore(self.engine, patience_s=self.settings.patience_s)

    @cached_property
    def events(self) -> EventStore:
        """Journals of steps."""
        return EventStore(self.engine)

    @cached_property
    def failures(self) -> FailureStore:
        """Failures by fingerprint."""
        return FailureStore(self.engine)

    @cached_property
    def signals(self) -> signals.Signals:
        """Signs between processes.

        Raises:
            MissingPart: no address is set.
        """
        if self.settings.redis_url is None:
            raise MissingPart("Redis: start one with `atra up`, or set ATRA_REDIS_URL")
        return signals.Signals(signals.connect(self.settings.redis_url.get_secret_value()))

    @cached_property
    def scratch(self) -> Path:
        """Where throw-away trees lie; what a killed worker left there is removed by the sweeper."""
        return self.settings.home / "scratch"

    @cached_property
    def limits(self) -> Limits:
        """What one box may use."""
        return Limits(memory_bytes=self.settings.memory_mib * MIB)

    @cached_property
    def sandbox(self) -> Sandbox:
        """Where untrusted code runs."""
        return make_sandbox(self.settings.sandbox)

    def after_fork(self) -> None:
        """Forget connections that belong to the parent, without closing them under it."""
        if "engine" in self.__dict__:
            self.engine.dispose(close=False)
        for name in ("signals",):
            self.__dict__.pop(name, None)


_current: list[Wiring] = []


def wiring() -> Wiring:
    """Return this process's wiring, made from its settings unless `use` came first."""
    if not _current:
        _current.append(Wiring(load_settings()))
    return _current[0]


def use(settings: Settings) -> Wiring:
    """Wire this process by these settings from now on, and return the wiring."""
    _current[:] = [Wiring(settings)]
    return _current[0]
