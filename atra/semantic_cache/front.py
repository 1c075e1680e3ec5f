"""A cache in front of a chat model: what was asked before, in these or other words, costs nothing."""

import hashlib
import json
import re
from dataclasses import asdict

from atra.llm.chat import ChatModel, Listener
from atra.llm.records import Reply, Request
from atra.semantic_cache.cache import SemanticCache
from atra.semantic_cache.records import Fresh, Scope

_PIECE = re.compile(r"\s*\S+\s*")


class CachedModel:
    """Answers like the model, from the cache where it can; every model of `atra.llm` fits, and the result is one.

    The last turn is the question; everything before it, and all else that is asked of the model, is part of the scope,
    so that only those share an answer who told the model the same. Requests with tools or a seed go through, for they
    ask for something other than an answer; so do replies that were cut off or refused.

    Args:
        tenant: whose questions these are; see `Scope`.
        language: of the answers.
    """

    def __init__(self, model: ChatModel, cache: SemanticCache, *, tenant: str = "", language: str = "") -> None:
        self._model, self._cache = model, cache
        self._tenant, self._language = tenant, language

    @property
    def name(self) -> str:
        """The name the model is configured under."""
        return self._model.name

    @property
    def provider(self) -> str:
        """What kind of door the model is."""
        return self._model.provider

    @property
    def model(self) -> str:
        """The model as its provider names it."""
        return self._model.model

    def reply(self, request: Request, *, listener: Listener | None = None, attempts: int = 3) -> Reply:
        """Answer as `ChatModel.reply` does; what comes from the cache is heard in pieces too, and took no tokens."""
        last = request.messages[-1]
        if request.tools or request.seed is not None or last.role != "user" or not last.text.strip():
            return self._model.reply(request, listener=listener, attempts=attempts)
        said: list[Reply] = []

        def compute() -> Fresh:
            said.append(self._model.reply(request, listener=listener, attempts=attempts))
            reply = said[0]
            keep = reply.finish == "stop" and not reply.calls and bool(reply.text.strip())
            return Fresh(reply.text, cost_usd=reply.cost_usd or 0.0, meta=_meta(reply), keep=keep)

        served = self._cache.answer(last.text, compute, self._scope(request))
        if said:
            return said[0]
        if listener:
            for piece in _PIECE.findall(served.answer):
                listener(piece)
        meta = served.hit.entry.meta if served.hit else served.fresh.meta if served.fresh else {}
        return Reply(
            served.answer,
            meta.get("finish", "stop"),
            reasoning=meta.get("reasoning", ""),
            reasoning_kind=meta.get("reasoning_kind", "none"),
            model=meta.get("model", self._model.model),
            detail="served from the cache",
            cost_usd=0.0,
        )

    def _scope(self, request: Request) -> Scope:
        told = asdict(request) | {"messages": [asdict(one) for one in request.messages[:-1]], "timeout_s": None}
        digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()
        return Scope(self._tenant, f"{self._model.provider}:{self._model.model}", digest, self._language)


def _meta(reply: Reply) -> dict[str, str]:
    return {
        "finish": reply.finish,
        "reasoning": reply.reasoning,
        "reasoning_kind": reply.reasoning_kind,
        "model": reply.model,
    }
