"""The journal of a step that talks with a model: kept under the step's claim, without secrets."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from atra.core.redaction import Redactor
from atra.llm.records import Reply, ToolCall
from atra.storage.database import storable, storable_json
from workers.task import Work


class StepJournal:
    """Implements the agent's `Journal` for the step under way; what a killed worker wrote before is there.

    Args:
        redactor: one for program text, since that is most of what is written.
    """

    def __init__(self, work: Work, redactor: Redactor) -> None:
        self._work, self._redactor = work, redactor

    def events(self) -> Sequence[Mapping[str, Any]]:
        """Return what was written so far."""
        claim = self._work.claim
        return [kept.event for kept in self._work.wired.events.of(claim.run.id, claim.name, claim.shard)]

    def append(self, event: Mapping[str, Any]) -> None:
        """Write the next event.

        Raises:
            LeaseLost: another worker has the step by now.
        """
        self._work.wired.events.append(self._work.claim, self._redactor.value(event))


def masked_reply(reply: Reply, redactor: Redactor) -> Reply:
    """Return the reply as the journal can keep it: without secrets, and without characters that no database takes.

    What the provider wants back unread stays as it is.
    """
    text, reasoning = (storable(redactor.text(text)) for text in (reply.text, reply.reasoning))
    return replace(reply, text=text, reasoning=reasoning, calls=tuple(_masked(call, redactor) for call in reply.calls))


def _masked(call: ToolCall, redactor: Redactor) -> ToolCall:
    if call.arguments is None:
        return replace(call, text=storable(redactor.text(call.text)))
    text = storable_json(redactor.value(call.arguments))
    return replace(call, arguments=json.loads(text), text=text)


def nonce_of(work: Work) -> str:
    """Return the mark of data in a step's conversation: the same after a kill, and known to no repository."""
    return hashlib.sha256(f"{work.run.id} {work.claim.name}".encode()).hexdigest()[:12]
