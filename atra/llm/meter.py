"""A model whose every call is paid for beforehand and has no secret in it."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from atra.core.errors import (
    AtraError,
    DatabaseUnavailable,
    KeyRefused,
    ModelRejected,
    ModelUnavailable,
    NoPrice,
)
from atra.core.redaction import Redactor
from atra.llm.budget import Bill, Budgets, Granted, Ledger, Reservation, Wanted
from atra.llm.chat import ChatModel, Listener
from atra.llm.prices import Price, cost
from atra.llm.records import Message, Reply, Request, ToolCall
from atra.llm.waiting import waited_for

_PER_MESSAGE = 16  # role and separators
_PER_CALL = 64  # what begins every conversation
_UNSEEN = 1024  # what a provider adds when tools or a schema come along; Anthropic's tool prompt has up to 700 tokens
_LONGEST_ERROR = 500


@dataclass(frozen=True)
class Meter:
    """A model between its user and the ledger; see `ChatModel`.

    Secrets are taken out of every message. The worst case of the call is reserved before it is made, with a shorter
    answer or fewer attempts where a budget is nearly spent, and settled at what the provider says it took. An attempt
    that went unanswered, and a reply that does not say what it took, count at their worst case.

    Args:
        run_id: the run that pays; None for a call outside of any.
        purpose: what its calls are for, in a word.
        price: None where nobody has said it; then it refuses to call.
        most_output_tokens: what the model's settings allow, so that no more than that is reserved.
        stop: looked at while a reply is waited for; one that nobody wants any more counts at its worst case.
    """

    door: ChatModel
    ledger: Ledger
    redactor: Redactor
    budgets: Budgets
    run_id: str | None
    purpose: str
    price: Price | None
    most_output_tokens: int | None = None
    stop: Callable[[], bool] = bool

    @property
    def name(self) -> str:
        """The name it is configured under."""
        return self.door.name

    @property
    def provider(self) -> str:
        """What kind of door it is."""
        return self.door.provider

    @property
    def model(self) -> str:
        """The model as the provider names it."""
        return self.door.model

    def reply(self, request: Request, *, listener: Listener | None = None, attempts: int = 3) -> Reply:
        """Answer the conversation, paid for; see `ChatModel.reply`.

        Raises:
            NoPrice: what it costs is not known; nothing was sent.
            BudgetSpent: no budget pays for it; nothing was sent.
            DatabaseUnavailable: the ledger did not answer; nothing was sent.
        """
        price = self.price
        if price is None:
            raise NoPrice(self.name, self.model)
        asked = redacted(request, self.redactor)
        output_tokens = min(asked.max_output_tokens, self.most_output_tokens or asked.max_output_tokens)
        reservation = self.ledger.reserve(
            Wanted(
                self.run_id,
                self.purpose,
                self.name,
                self.provider,
                self.model,
                price,
                most_input_tokens(asked),
                output_tokens,
                attempts,
            ),
            self.budgets,
        )
        granted, started_s = reservation.granted, time.monotonic()
        try:
            paid = replace(asked, max_output_tokens=granted.output_tokens)
            reply = waited_for(
                lambda: self.door.reply(paid, listener=listener, attempts=granted.attempts),
                name=self.name,
                stop=self.stop,
                most_s=paid.timeout_s,
            )
        except BaseException as error:
            self._note(reservation, error, time.monotonic() - started_s)
            raise
        bill = _bill(reply, granted, price, time.monotonic() - started_s)
        with suppress(DatabaseUnavailable):  # the answer is paid for; what is not settled counts at its worst case
            self.ledger.settle(reservation, bill)
        return replace(reply, cost_usd=float(bill.cost_usd))

    def _note(self, reservation: Reservation, error: BaseException, seconds: float) -> None:
        billed = reservation.granted.usd(_unanswered(error, reservation.granted))
        said = str(error) if isinstance(error, AtraError) else f"{type(error).__name__}: {error}"
        bill = Bill(billed, None, seconds, error=self.redactor.text(said)[:_LONGEST_ERROR])
        with suppress(DatabaseUnavailable):
            self.ledger.lose(reservation, bill)


def _bill(reply: Reply, granted: Granted, price: Price, seconds: float) -> Bill:
    """Return what the reply came to, the attempts before it that nobody answered included."""
    usage = reply.usage
    silent = usage.input_tokens == 0 or (usage.output_tokens == 0 and bool(reply.text or reply.calls))
    if silent:
        cost_usd = granted.usd(max(1, reply.unanswered))
    else:
        known = Granted(0, 1, Decimal(str(cost(usage, price))), 0).usd(1)
        cost_usd = known + granted.usd(reply.unanswered)
    return Bill(cost_usd, None if silent else usage, seconds, reply.model, reply.finish)


def _unanswered(error: BaseException, granted: Granted) -> int:
    """Return how many attempts may be billed: a door says so in its errors, and of others all are feared."""
    if isinstance(error, ModelUnavailable | ModelRejected | KeyRefused) and len(error.args) > 2:
        return min(int(error.args[2]), granted.attempts)
    return granted.attempts


def redacted(request: Request, redactor: Redactor) -> Request:
    """Return the request without the secrets that the redactor knows or recognises, in text and in tools' arguments.

    What a provider wants back unread (`Message.opaque`) stays as it is: the provider has made it.
    """

    def call(made: ToolCall) -> ToolCall:
        return replace(made, arguments=redactor.value(made.arguments), text=redactor.text(made.text))

    def message(said: Message) -> Message:
        calls = tuple(map(call, said.calls))
        text, reasoning = (
            redactor.text(text).encode(errors="replace").decode()  # JSON in UTF-8 has no place for lone surrogates
            for text in (said.text, said.reasoning)
        )
        return replace(said, text=text, calls=calls, reasoning=reasoning)

    return replace(request, messages=tuple(map(message, request.messages)))


def most_input_tokens(request: Request) -> int:
    """Return how many tokens the request can take at most: no tokenizer makes more of a text than it has bytes.

    Not covered: one that spells out a character as many (NFKC turns a few of three bytes into more).
    """
    texts: list[Any] = [request.schema] if request.schema else []
    texts += [[tool.name, tool.description, tool.parameters] for tool in request.tools]
    for message in request.messages:
        texts += [message.text, message.reasoning, *([message.opaque] if message.opaque else [])]
        texts += [[call.id, call.name, call.arguments, call.text] for call in message.calls]
    turns = len(request.messages) + sum(len(message.calls) for message in request.messages)
    unseen = _UNSEEN if request.tools or request.schema else 0
    return sum(map(_bytes, texts)) + _PER_MESSAGE * turns + _PER_CALL + unseen


def _bytes(value: Any) -> int:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return len(text.encode(errors="replace"))
