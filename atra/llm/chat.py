"""The chat protocol: the shape every model has, whichever server or library stands behind it."""

from collections.abc import Callable
from typing import Protocol

from atra.llm.records import Reply, Request

Listener = Callable[[str], None]
"""Told each piece of the answer's text as it arrives."""


class ChatModel(Protocol):
    """A model that answers conversations. Safe to share between threads."""

    @property
    def name(self) -> str:
        """The name it is configured under."""

    @property
    def provider(self) -> str:
        """What kind of door it is: openai, openai-compatible, anthropic, local or scripted."""

    @property
    def model(self) -> str:
        """The model as the provider names it."""

    def reply(self, request: Request, *, listener: Listener | None = None, attempts: int = 3) -> Reply:
        """Answer the conversation; with a listener the reply is streamed.

        What the model says badly (cut off, refused, no JSON) is a reply; only what keeps it from replying is an error.

        Args:
            attempts: how often the call may be sent before it counts as failed.

        Raises:
            ModelUnavailable: it did not answer, or said that it is overloaded; worth another try.
            ModelRejected: it will not take this request (too long, a parameter it does not know).
            KeyRefused: the key is missing or wrong.
        """
