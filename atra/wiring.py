"""Settings become real collaborators here, once per process; everyone else receives them as arguments."""

from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path

from sqlalchemy import Engine

from atra.core.errors import MissingPart
from atra.core.redaction import CodeRedactor, Redactor
from atra.core.settings import Settings, load_settings
from atra.distillation.policy import Policy, Rule, policy_of
from atra.llm.budget import Budgets
from atra.llm.chat import ChatModel
from atra.llm.embedders import open_embedder
from atra.llm.embedding import Embedder
from atra.llm.meter import Meter
from atra.llm.models import open_model
from atra.llm.prices import FREE, price_of
from atra.local_brain.serving import Server, open_version
from atra.sandbox.bubblewrap import make_sandbox
from atra.sandbox.policy import MIB, Limits
from atra.sandbox.protocol import Sandbox
from atra.semantic_cache.cache import Index, Meaning, SemanticCache
from atra.semantic_cache.decision import Decider
from atra.semantic_cache.view import View
from atra.storage import signals
from atra.storage.brains import BrainStore
from atra.storage.cache import CacheStore
from atra.storage.data_sets import DataSetStore
from atra.storage.database import connect
from atra.storage.events import EventStore
from atra.storage.experience import ExperienceStore
from atra.storage.failures import FailureStore
from atra.storage.ledger import LedgerStore
from atra.storage.paths import PathStore
from atra.storage.precache import PrecacheStore
from atra.storage.rooms import RoomStore
from atra.storage.runs import RunStore
from atra.storage.scout import ScoutStore
from atra.storage.traces import TraceStore
from atra.storage.vectors import VectorTable


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
    def ledger(self) -> LedgerStore:
        """What models were asked, and what it cost."""
        return LedgerStore(self.engine)

    @cached_property
    def failures(self) -> FailureStore:
        """Failures by fingerprint."""
        return FailureStore(self.engine)

    @cached_property
    def paths(self) -> PathStore:
        """What the orchestrator decided of failures."""
        return PathStore(self.engine)

    @cached_property
    def rooms(self) -> RoomStore:
        """Ballots and decisions of war-rooms, and the experts' records."""
        return RoomStore(self.engine)

    @cached_property
    def experience(self) -> ExperienceStore:
        """Which templates repaired code here, and what was learned of that."""
        return ExperienceStore(self.engine)

    @cached_property
    def scout(self) -> ScoutStore:
        """Feeds that are followed, and their articles."""
        return ScoutStore(self.engine)

    @cached_property
    def traces(self) -> TraceStore:
        """What was thought, with where it came from."""
        return TraceStore(self.engine)

    @cached_property
    def data_sets(self) -> DataSetStore:
        """Data sets that were built, and what they hold."""
        return DataSetStore(self.engine)

    @cached_property
    def brains(self) -> BrainStore:
        """Versions of the brain, and which one serves."""
        return BrainStore(self.engine)

    @property
    def brain_folder(self) -> Path:
        """Where the versions lie, and the link to the one that serves."""
        return self.settings.home / "brain"

    @property
    def brain_server(self) -> Server:
        """Who runs a brain's weights."""
        chosen = self.settings.brain
        key = chosen.api_key.get_secret_value() if chosen.api_key else ""
        return Server(chosen.server, chosen.base_url or "", key)

    @cached_property
    def brain_of(self) -> Callable[[Path], ChatModel]:
        """What makes a model of a brain's folder; the last two stay loaded, as many as an evaluation needs.

        Raises:
            BadInput: a server is to run it, and has no address.
            MissingPart: a library is not installed.
        """
        return lru_cache(maxsize=2)(lambda folder: open_version(folder, self.brain_server))

    def brain_model(
        self, folder: Path, *, run_id: str | None, purpose: str, stop: Callable[[], bool] = bool
    ) -> ChatModel:
        """Return a brain's model behind a meter: it costs nothing, its calls stand in the ledger all the same.

        Raises:
            BadInput, MissingPart: see `brain_of`.
        """
        chosen, redactor = self.settings.brain, self.settings.redactor(CodeRedactor)
        budgets = Budgets(self.settings.call_usd, self.settings.run_usd, self.settings.day_usd, None)
        model = self.brain_of(folder)
        return Meter(model, self.ledger, redactor, budgets, run_id, purpose, FREE, chosen.max_output_tokens, stop)

    def training_policy(self) -> Policy:
        """Return what may be learned from, as it stands now."""
        decided = [rule for rule, _ in self.traces.decided()]
        configured = [Rule(**rule.model_dump()) for rule in self.settings.distill.rules]
        return policy_of(decided, configured)

    @cached_property
    def signals(self) -> signals.Signals:
        """Signs between processes.

        Raises:
            MissingPart: no address is set.
        """
        if self.settings.redis_url is None:
            raise MissingPart("Redis: start one with `atra up`, or set ATRA_REDIS_URL")
        return signals.Signals(self.settings.redis_url.get_secret_value())

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

    @cached_property
    def embedder(self) -> Embedder:
        """What gives texts their vectors; loaded when it is first asked.

        Raises:
            BadInput: a model or an address is missing, or is none that may be asked.
        """
        return open_embedder(self.settings.embedding)

    @cached_property
    def cache_store(self) -> CacheStore:
        """The semantic cache's entries and look-ups."""
        return CacheStore(self.engine)

    @cached_property
    def precache(self) -> PrecacheStore:
        """What was answered before anybody asked."""
        return PrecacheStore(self.engine)

    @cached_property
    def cache(self) -> SemanticCache:
        """The semantic cache, with a view of this process's own on it."""
        store, chosen = self.cache_store, self.settings.cache

        def open_index(embedder: Embedder) -> Index:
            if chosen.backend == "pgvector":
                return VectorTable(self.engine, embedder.identity, embedder.dim)
            folder = self.settings.home / "cache"
            return View(store, identity=embedder.identity, dim=embedder.dim, folder=folder)

        meaning = Meaning(self.embedder, open_index, Decider.shipped())
        return SemanticCache(store, meaning, max_error=chosen.max_error)

    def models(
        self,
        *,
        run_id: str | None,
        purpose: str,
        budget_usd: float | None = None,
        budget_tokens: int | None = None,
        stop: Callable[[], bool] = bool,
    ) -> tuple[ChatModel, ...]:
        """Return every configured model, in the order of `atra.toml`, behind a meter; none where none is configured.

        Args:
            run_id: the run that pays; None for a call outside of any.
            purpose: what the calls are for, in a word; it stands in the ledger.
            budget_usd: what all models of the run may cost, as asked for it; else that of the settings.
            budget_tokens: how many tokens the run may take; any number unless said.
            stop: looked at while a reply is waited for; says that nobody wants it any more.

        Raises:
            BadInput: the address of one is missing, or is none.
        """
        settings, redactor = self.settings, self.settings.redactor(CodeRedactor)  # most of what models read is code
        run_usd = settings.run_usd if budget_usd is None else budget_usd
        budgets = Budgets(settings.call_usd, run_usd, settings.day_usd, budget_tokens)
        return tuple(
            Meter(
                open_model(name, entry),
                self.ledger,
                redactor,
                budgets,
                run_id,
                purpose,
                price_of(entry),
                entry.max_output_tokens,
                stop,
            )
            for name, entry in settings.models.items()
        )

    def after_fork(self) -> None:
        """Forget connections that belong to the parent, without closing them under it."""
        if "engine" in self.__dict__:
            self.engine.dispose(close=False)
        for name in ("signals", "cache", "cache_store"):
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
