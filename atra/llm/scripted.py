"""A model that says what a script says: for tests, and for showing what a real one would be asked."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from threading import Lock

from atra.core.errors import ModelUnavailable
from atra.llm.chat import Listener
from atra.llm.records import Reply, Request

Script = Iterable[Reply | str | Exception] | Callable[[Request], Reply | str]


class ScriptedModel:
    """Answers from a list, in its order, or by a function of the request, and remembers what it was asked.

    A text stands for a reply that ends by itself, an exception is raised. A list that is used up makes the model
    unavailable.
    """

    provider = "scripted"

    def __init__(self, replies: Script, name: str = "scripted", model: str = "scripted") -> None:
        self.name = name
        self.model = model
        self.requests: list[Request] = []
        self._answers = replies if callable(replies) else _in_order(replies, name)
        self._lock = Lock()

    def reply(self, request: Request, *, listener: Listener | None = None, attempts: int = 3) -> Reply:
        """Say what the script says next; a listener hears it in one piece. See `ChatModel.reply`."""
        with self._lock:
            self.requests.append(request)
            answer = self._answers(request)
        said = Reply(answer, "stop") if isinstance(answer, str) else answer
        if listener and said.text:
            listener(said.text)
        return said if said.model else replace(said, model=self.model)


def _in_order(replies: Iterable[Reply | str | Exception], name: str) -> Callable[[Request], Reply | str]:
    rest = iter(replies)

    def answer(_: Request) -> Reply | str:
        said = next(rest, ModelUnavailable(name, "its script is over", 0))
        if isinstance(said, Exception):
            raise said
        return said

    return answer
