"""The semantic cache: an answer that was given once is given again to who asks the same, in these or other words."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from atra.core.errors import BadInput, DatabaseUnavailable, KeyRefused, MissingPart, ModelRejected, ModelUnavailable
from atra.semantic_cache.bound import Sample, Standing, threshold_of, updated
from atra.semantic_cache.evidence import believed
from atra.semantic_cache.flight import Flights
from atra.semantic_cache.keys import key_of
from atra.semantic_cache.records import ANYONE, Counts, Entry, Fresh, Hit, Miss, Neighbour, Row, Scope, Served
from atra.semantic_cache.staticity import DAY_S, ttl_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from atra.llm.embedding import Embedder

    Vector = NDArray[np.float32]

PREDICTED_S = 7 * DAY_S
"""The longest that an answer to a question nobody has asked is kept."""

_NEAR = 4  # entries that are looked at for one question
_STANDING_S = 1.0  # how old what a process knows of the bound may be
_LONGEST_MEANT = 1000  # characters; a model of meaning reads no more, so two longer ones may differ where it is blind


@dataclass(frozen=True)
class Found:
    """An entry with its vector, for the decision; None where it has none."""

    entry: Entry
    vector: "Vector | None"


class Store(Protocol):
    """Where entries are: the truth. Every method is one short transaction that can be repeated."""

    def exact(self, scope: str, key: str) -> Entry | None:
        """Return the entry of this key that may be served now."""

    def read(self, scope: str, embedder: str, ids: Sequence[int]) -> list[Found]:
        """Return those of the entries that may be served now."""

    def looked_up(
        self,
        scope: str,
        asked: str,
        tier: str,
        entry: Entry | None,
        similarity: float | None,
        probability: float | None,
    ) -> int:
        """Keep that somebody asked and what he was served; return the look-up's id."""

    def put(
        self, scope: Scope, key: str, question: str, fresh: Fresh, ttl_s: float, embedder: str, vector: "Vector | None"
    ) -> tuple[Entry, Row]:
        """Keep an answer in the place of the one of this key; durable when it returns."""

    def invalidate(
        self, why: str, ids: Sequence[int], scope: str | None, topics: Sequence[str], sources: Sequence[str]
    ) -> int:
        """Let no entry be served that has one of the ids, topics or sources, or is of the scope; return how many."""

    def judge(self, lookup: int, right: bool, by: str, learn: Callable[[Standing, Sample], Standing]) -> Entry | None:
        """Keep whether a hit was right, once; return its entry, None where nothing was judged."""

    def standing(self) -> Standing:
        """Return what is known of the error now."""

    def counts(self, days: float) -> Counts:
        """Return what the cache did in so many days."""

    def turn(self, name: str) -> AbstractContextManager[None]:
        """See `atra.semantic_cache.flight.Turns`."""


class Index(Protocol):
    """Where entries are found by their meaning; what it says is looked up in the store before it counts."""

    def near(self, scope: str, vector: "Vector", k: int) -> list[Neighbour]:
        """Return the k nearest entries, nearest first."""

    def note(self, scope: str, row: Row) -> None:
        """Learn of an entry that was just written."""

    def drop(self, scope: str, entry_id: int) -> None:
        """Forget an entry that is gone."""


class Decide(Protocol):
    """Says how likely the kept answer answers what is asked."""

    @property
    def embedder(self) -> str:
        """Whose vectors it was fitted to; it is shown no others."""

    def probability(
        self,
        asked: str,
        kept: str,
        cosine: float,
        asked_vector: "Vector | None" = None,
        kept_vector: "Vector | None" = None,
    ) -> float:
        """Return a calibrated probability, 0 to 1."""


@dataclass(frozen=True)
class Stats:
    """What `atra cache stats` shows: what was done, and where the promise about errors stands."""

    counts: Counts
    standing: Standing
    embedder: str
    without: str


@dataclass(frozen=True)
class Meaning:
    """What finds a question that was asked in other words.

    Args:
        embedder: gives questions their vectors.
        open_index: called once a vector is there to be looked for.
    """

    embedder: "Embedder"
    open_index: "Callable[[Embedder], Index]"
    decide: Decide


class SemanticCache:
    """A cache of answers; safe to share between threads. Make a new one after a fork.

    Args:
        meaning: without it only questions in the same words are found.
        max_error: the share of wrong answers among hits by meaning that is accepted.
    """

    def __init__(self, store: Store, meaning: Meaning | None = None, *, max_error: float = 0.02) -> None:
        self._store, self._meaning, self._max_error = store, meaning, max_error
        self._lock = Lock()
        self._index: Index | None = None
        self._flights: Flights[Served] = Flights(store)
        self._vectors = lru_cache(maxsize=256)(self._embedded)
        self._standing: Standing | None = None
        self._standing_until_s = 0.0
        self.without = "" if meaning else "no model of meaning is set up"

    def lookup(self, question: str, scope: Scope = ANYONE) -> Hit | Miss:
        """Return the kept answer for the question, or why there is none; either is remembered for `stats`.

        Raises:
            DatabaseUnavailable: the store did not answer.
        """
        found = self._exact(question, scope) or self._by_meaning(question, scope)
        entry, tier = (found.entry, found.tier) if isinstance(found, Hit) else (None, "miss")
        lookup = self._store.looked_up(scope.key, _bounded(question), tier, entry, found.similarity, found.probability)
        return replace(found, id=lookup) if isinstance(found, Hit) else found

    def put(self, question: str, fresh: Fresh, scope: Scope = ANYONE) -> Entry:
        """Keep an answer, in the place of an older one to the same question. It is durable when this returns.

        Raises:
            DatabaseUnavailable: the store did not answer.
        """
        ttl_s = ttl_of(question) if fresh.ttl_s is None else fresh.ttl_s
        if fresh.predicted:
            ttl_s = min(ttl_s, PREDICTED_S)
        vector, index = self._vector(question), self._index
        identity = self._meaning.embedder.identity if self._meaning and vector is not None else ""
        entry, row = self._store.put(scope, key_of(question), question, fresh, ttl_s, identity, vector)
        if index is not None and row.vector is not None:
            index.note(scope.key, row)
        return entry

    def answer(
        self, question: str, compute: Callable[[], Fresh], scope: Scope = ANYONE, *, fresh: bool = False
    ) -> Served:
        """Return the kept answer, else the one that `compute` makes, which is kept unless it says otherwise.

        However many threads and processes ask the same at once, one of them calls `compute`; the others wait for it.
        A store that does not answer is a miss, and what was made then is not kept.

        Args:
            fresh: pass over what is kept, and keep the new answer in its place.

        Raises:
            Exception: whatever `compute` raised, in every thread that waited for that call.
        """
        if not fresh:
            with suppress(DatabaseUnavailable):
                found = self.lookup(question, scope)
                if isinstance(found, Hit):
                    return Served(found.entry.answer, hit=found)

        def made() -> Served | None:
            hit = None if fresh else self._exact(question, scope)
            return Served(hit.entry.answer, hit=hit) if hit else None

        def make() -> Served:
            new = compute()
            if new.keep:
                with suppress(DatabaseUnavailable):
                    self.put(question, new, scope)
            return Served(new.answer, fresh=new)

        served, joined = self._flights.join(f"{scope.key}:{key_of(question)}", made, make)
        return Served(served.answer, served.hit, served.fresh, joined=True) if joined else served

    def invalidate(
        self,
        *,
        ids: Sequence[int] = (),
        scope: Scope | None = None,
        topics: Sequence[str] = (),
        sources: Sequence[str] = (),
        why: str = "invalidated",
    ) -> int:
        """Let no entry be served any more that has one of the ids, topics or sources, or is of the scope.

        Returns:
            how many entries that were.
        """
        return self._store.invalidate(why, ids, scope.key if scope else None, topics, sources)

    def judge(self, lookup: int, right: bool, by: str = "person") -> Entry | None:
        """Keep whether the hit with this id was right, the first time that it is judged.

        A wrong one by meaning counts against the promised error, and against its entry; a wrong one of the exact tier
        means that the answer itself is wrong, so it is not served again.

        Returns:
            the entry; None where there is no such hit, or it was judged before.
        """
        return self._store.judge(lookup, right, by, lambda standing, sample: updated(standing, sample, self._max_error))

    def stats(self, days: float = 30.0) -> Stats:
        """Return what the cache did in so many days, and where the promise about errors stands."""
        identity = self._meaning.embedder.identity if self._meaning and not self.without else ""
        return Stats(self._store.counts(days), self._store.standing(), identity, self.without)

    def _exact(self, question: str, scope: Scope) -> Hit | None:
        entry = self._store.exact(scope.key, key_of(question))
        return Hit(entry, "exact") if entry else None

    def _by_meaning(self, question: str, scope: Scope) -> Hit | Miss:
        vector = self._vector(question)
        if self._meaning is None or self._index is None or vector is None:
            why = self.without or ("it is too long" if len(question) > _LONGEST_MEANT else "its model does not answer")
            return Miss(f"it was not asked in these words, and its meaning is not known: {why}")
        return self._decided(self._meaning, self._index, question, vector, scope.key)

    def _decided(self, meaning: Meaning, index: Index, asked: str, vector: "Vector", scope: str) -> Hit | Miss:
        """Decide among the nearest entries: the likeliest to be right is served if it is likely enough."""
        near = {one.id: one.cosine for one in index.near(scope, vector, _NEAR)}
        if not near:
            return Miss("nothing is kept")
        found = {one.entry.id: one for one in self._store.read(scope, meaning.embedder.identity, list(near))}
        for gone in near.keys() - found.keys():
            index.drop(scope, gone)
        if not found:
            return Miss("what is kept has expired")
        shown = vector if meaning.decide.embedder == meaning.embedder.identity else None
        likely: dict[int, float] = {}
        for one in found.values():
            said = meaning.decide.probability(asked, one.entry.question, near[one.entry.id], shown, one.vector)
            likely[one.entry.id] = believed(said, one.entry.right, one.entry.wrong)
        best = max(likely, key=lambda one: (likely[one], near[one]))
        threshold = threshold_of(self._known_standing(), self._max_error)
        if likely[best] >= threshold:
            return Hit(found[best].entry, "semantic", near[best], likely[best])
        return Miss(
            f"what is kept is not surely the same ({likely[best]:.2f} of {threshold:.2f})", near[best], likely[best]
        )

    def _known_standing(self) -> Standing:
        with self._lock:
            if self._standing is None or monotonic() >= self._standing_until_s:
                self._standing = self._store.standing()
                self._standing_until_s = monotonic() + _STANDING_S
            return self._standing

    def _vector(self, question: str) -> "Vector | None":
        """Return the question's vector; None where it is too long, or no model of meaning is here or answers now."""
        if self._meaning is None or self.without or len(question) > _LONGEST_MEANT:
            return None
        try:
            vector = self._vectors(question)
            with self._lock:
                if self._index is None:
                    self._index = self._meaning.open_index(self._meaning.embedder)
        except (ModelUnavailable, ModelRejected, KeyRefused, BadInput):
            pass  # this time; a key may be mended, and another question may be taken
        except MissingPart as missing:
            self.without = str(missing)
        else:
            return vector
        return None

    def _embedded(self, question: str) -> "Vector":
        assert self._meaning is not None  # only then is there something to embed for
        whole = question.encode("utf-8", "replace").decode()  # a lone surrogate is no text to a tokenizer
        vector: Vector = self._meaning.embedder.embed([whole])[0]
        return vector


def _bounded(question: str) -> str:
    return question[:_LONGEST_MEANT]


def facts(stats: Stats) -> Mapping[str, object]:
    """Return the figures as JSON values."""
    counts = stats.counts
    asked = sum(counts.looked_up.values())
    hits = asked - counts.looked_up.get("miss", 0)
    return {
        "looked_up": dict(counts.looked_up),
        "hit_rate": hits / asked if asked else None,
        "saved_usd": counts.saved_usd,
        "entries": counts.live,
        "predicted": counts.predicted,
        "unembedded": counts.unembedded,
        "judged": counts.judged,
        "wrong": counts.wrong,
        "embedder": stats.embedder,
        "without": stats.without,
    }
