"""The tasks of the semantic cache: housekeeping, and judging a share of what was served."""

import secrets
from typing import Any

import structlog

from atra.core.errors import BadInput, BudgetSpent, MissingPart, ModelRejected, ModelUnavailable
from atra.llm.chat import ChatModel
from atra.llm.embedding import Embedder
from atra.semantic_cache.bound import to_judge
from atra.semantic_cache.judging import agreed, judged_by
from atra.semantic_cache.keys import key_of
from atra.semantic_cache.records import Entry
from atra.storage.vectors import VectorTable
from atra.wiring import Wiring, wiring
from workers.app import app
from workers.task import AtraTask

log = structlog.get_logger(__name__)

_MOST_JUDGED = 50  # hits in one go
_BATCH = 64
_MOST_EMBEDDED = 6_400  # entries in one go, a minute's work


@app.task(base=AtraTask, name="cache.tidy", soft_time_limit=500, time_limit=560, ignore_result=True)
def tidy() -> dict[str, int]:
    """Let go what has expired or is worth least, and give entries their vectors that lack one of today's model."""
    wired = wiring()
    done = wired.cache_store.tidy(max_entries=wired.settings.cache.max_entries)
    done["embedded"] = embed(wired)
    if any(done.values()):
        log.info("cache tidied", **done)
    return done


@app.task(base=AtraTask, name="cache.judge", soft_time_limit=500, time_limit=560, ignore_result=True)
def judge() -> int:
    """Judge a share of the hits by meaning that nobody judged yet; return how many."""
    wired = wiring()
    with wired.cache_store.alone("cache.judge") as first:
        return _judge(wired) if first else 0  # two would ask a model the same


def _judge(wired: Wiring) -> int:
    chosen = wired.settings.cache.judged
    share = to_judge(wired.cache_store.standing()) if chosen is None else chosen
    waiting = wired.cache_store.unjudged(_MOST_JUDGED, share)
    if not waiting:
        return 0
    models = wired.models(run_id=None, purpose="cache-judge")
    count = passed_over = 0
    for lookup, asked, entry in waiting:
        try:
            right, by = verdict(wired, models, asked, entry)
        except (ModelUnavailable, MissingPart, BudgetSpent) as error:
            log.info("hits wait to be judged", why=str(error))  # till the model answers, or there is money again
            break
        if right is None:
            wired.cache_store.passed_over(lookup, by)
            passed_over += 1
        elif wired.cache.judge(lookup, right, by):
            count += 1
    log.info("hits judged", judged=count, passed_over=passed_over)
    return count


def verdict(wired: Wiring, models: tuple[ChatModel, ...], asked: str, entry: Entry) -> tuple[bool | None, str]:
    """Return whether the entry was right for what was asked, and who says so; None where he cannot say.

    The first model is asked. Where there is none, or it does not take the question, another answer to what was asked
    is read, if one is kept.

    Raises:
        What `ChatModel.reply` raises, but for a question that it does not take.
    """
    for model in models[:1]:
        try:
            return judged_by(model, asked, entry.question, entry.answer, secrets.token_hex(4)), model.name
        except ModelRejected as error:
            log.info("no verdict of a model", model=model.name, why=str(error))
    another = wired.cache_store.answer_to(entry.scope, key_of(asked))
    return (None if another is None else agreed(entry.answer, another)), "agreement"


def embed(wired: Wiring) -> int:
    """Give entries the vectors they lack; return how many. Without a model of meaning there is nothing to do."""
    embedder, done, after = wired.embedder, 0, 0
    try:
        identity = embedder.identity
        while done < _MOST_EMBEDDED and (lacking := wired.cache_store.unembedded(identity, _BATCH, after)):
            for (entry, written, _), vector in zip(lacking, _vectors(embedder, lacking), strict=True):
                if vector is not None:
                    wired.cache_store.embedded(entry, written, identity, vector)
            done, after = done + len(lacking), lacking[-1][0]
        if wired.settings.cache.backend == "pgvector":
            VectorTable(wired.engine, identity, embedder.dim).fill()
    except (MissingPart, ModelUnavailable) as error:
        log.info("the cache is not embedded", why=str(error))
    return done


def _vectors(embedder: Embedder, lacking: list[tuple[int, int, str]]) -> list[Any]:
    """Return their vectors; None for a question that the model does not take."""
    try:
        return list(embedder.embed([question for _, _, question in lacking]))
    except (ModelRejected, BadInput) as error:
        if len(lacking) == 1:
            log.info("a question has no vector", entry=lacking[0][0], why=str(error))
            return [None]
        return [vector for one in lacking for vector in _vectors(embedder, [one])]
