"""The journal of a step that talks with a model: kept under the step's claim, without secrets."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from atra.core.redaction import Redactor
from atra.llm.records import Reply
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
    """Return the reply without secrets; what the provider wants back unread stays as it is."""
    calls = tuple(
        replace(call, arguments=redactor.value(call.arguments), text=redactor.text(call.text)) for call in reply.calls
    )
    return replace(reply, text=redactor.text(reply.text), reasoning=redactor.text(reply.reasoning), calls=calls)


def nonce_of(work: Work) -> str:
    """Return the mark of data in a step's conversation: the same after a kill, and known to no repository."""
    return hashlib.sha256(f"{work.run.id} {work.claim.name}".encode()).hexdigest()[:12]
