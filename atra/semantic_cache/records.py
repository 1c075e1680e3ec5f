"""What the cache keeps and what it says: scopes, entries, hits and misses."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal


@dataclass(frozen=True)
class Scope:
    """Who may be served an answer. Two scopes that differ in any part share nothing.

    Args:
        tenant: whose question it is.
        model: what would answer it, where that matters to who asks.
        system: what the model was told before the question.
        language: of the answer.
    """

    tenant: str = ""
    model: str = ""
    system: str = ""
    language: str = ""

    @cached_property
    def key(self) -> str:
        """The scope as 64 hexadecimal digits, the same in every process."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


ANYONE = Scope()
"""The scope of answers that everybody may be served."""


@dataclass(frozen=True)
class Fresh:
    """An answer that was just made, for the cache to keep.

    Args:
        ttl_s: how long it may be served; None leaves that to the question.
        sources: ids of what the answer was drawn from; it can be invalidated by each.
        topics: subjects it can be invalidated by.
        cost_usd: what the answer cost, which is what a hit saves.
        predicted: it was answered before anybody asked.
        meta: what the caller wants back with the answer, as JSON values.
        keep: whether it may be kept at all; a refusal, or an answer that was cut off, may not.
    """

    answer: str
    ttl_s: float | None = None
    sources: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    cost_usd: float = 0.0
    predicted: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)
    keep: bool = True


@dataclass(frozen=True)
class Entry:
    """An answer that is kept, as it was when it was read.

    Args:
        scope: the key of its scope.
        key: of its question, see `atra.semantic_cache.keys`.
        age_s: since it was made, by the database's clock.
        hits: look-ups it answered, of those that are still remembered.
        right, wrong: how often a hit on it by meaning was judged to be so.
        state: `live`, or `gone` and then `why`.
    """

    id: int
    scope: str
    key: str
    question: str
    answer: str
    sources: tuple[str, ...]
    topics: tuple[str, ...]
    cost_usd: float
    predicted: bool
    meta: Mapping[str, Any]
    created_at: datetime
    expires_at: datetime
    age_s: float
    hits: int = 0
    right: int = 0
    wrong: int = 0
    state: str = "live"
    why: str = ""


@dataclass(frozen=True)
class Neighbour:
    """An entry whose question is near what is asked: its id and the cosine of the two vectors."""

    id: int
    cosine: float


@dataclass(frozen=True)
class Hit:
    """A kept answer that is served.

    Args:
        tier: `exact`, the same question but for how it is spaced; `semantic`, one that asks the same in other words.
        similarity: cosine of the two questions; 1 for an exact hit.
        probability: how likely the answer is right for what was asked; 1 for an exact hit.
        id: by which the hit can be judged later.
    """

    entry: Entry
    tier: Literal["exact", "semantic"]
    similarity: float = 1.0
    probability: float = 1.0
    id: int | None = None


@dataclass(frozen=True)
class Miss:
    """No kept answer is served, and why; `similarity` and `probability` are those of the best one that was refused."""

    why: str
    similarity: float | None = None
    probability: float | None = None


@dataclass(frozen=True)
class Served:
    """What somebody who asked is given: a hit, or what was made just now, perhaps for another who asked the same."""

    answer: str
    hit: Hit | None = None
    fresh: Fresh | None = None
    joined: bool = False


@dataclass(frozen=True)
class Row:
    """An entry as the index sees it.

    Args:
        written: the transaction that wrote it last; it grows with each change of the row.
        vector: float32, little endian, as bytes; None where the entry is not to be found by its meaning any more.
    """

    id: int
    written: int
    vector: bytes | None


@dataclass(frozen=True)
class Page:
    """Rows in the order of (written, id), and the oldest transaction that was still open as they were read.

    Every row that a transaction before `horizon` wrote can be seen; one after it may still appear among those read.
    """

    rows: tuple[Row, ...]
    horizon: int


@dataclass(frozen=True)
class Counts:
    """What the cache did in a while: look-ups by tier (`exact`, `semantic`, `miss`), money saved, hits judged."""

    looked_up: Mapping[str, int]
    saved_usd: float
    judged: int
    wrong: int
    live: int
    predicted: int
    unembedded: int
