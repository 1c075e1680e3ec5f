"""A metered model: what leaves, what is reserved before, and what is settled after, whatever becomes of the call."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.core.errors import BudgetSpent, DatabaseUnavailable, KeyRefused, ModelRejected, ModelUnavailable, NoPrice
from atra.core.redaction import Redactor
from atra.llm import waiting
from atra.llm.budget import Bill, Budgets, Reservation, Spent, Wanted, fit
from atra.llm.meter import Meter, most_input_tokens
from atra.llm.prices import FREE, Price
from atra.llm.records import Message, Reply, Request, Tool, ToolCall, Usage
from atra.llm.scripted import Script, ScriptedModel

CANARY = "canary-of-a-key"
PRICE = Price(1.0, 0.1, 10.0)  # a thousand tokens of input cost $0.001, of output $0.01
ASKED = Request((Message("user", "why?"),), max_output_tokens=1000)
INPUT = most_input_tokens(ASKED)
ATTEMPT = (INPUT * Decimal(1) + 1000 * Decimal(10)) / 1_000_000


@dataclass
class Book:
    """A ledger of one caller, kept in a list: the bill where there is one, and whether it was lost."""

    rows: list[tuple[Wanted, Reservation]] = field(default_factory=list)
    settled: list[Bill] = field(default_factory=list)
    lost: list[Bill] = field(default_factory=list)
    spent: Spent = field(default_factory=Spent)
    away: bool = False

    def reserve(self, wanted: Wanted, budgets: Budgets) -> Reservation:
        """Grant what the budgets pay for."""
        made = Reservation(len(self.rows), fit(wanted, self.spent, budgets))
        self.rows.append((wanted, made))
        return made

    def settle(self, reservation: Reservation, bill: Bill) -> None:
        """Note it, or be away."""
        if self.away:
            raise DatabaseUnavailable("gone")
        self.settled.append(bill)

    def lose(self, reservation: Reservation, bill: Bill) -> None:
        """Note it, or be away."""
        if self.away:
            raise DatabaseUnavailable("gone")
        self.lost.append(bill)


@pytest.fixture
def book() -> Book:
    return Book()


def meter(book: Book, script: Script, *, price: Price | None = PRICE, budgets: Budgets | None = None) -> Meter:
    model = ScriptedModel(script)
    return Meter(model, book, Redactor([CANARY]), budgets or Budgets(1, 1, 1), "r1", "ask", price)


def test_the_worst_case_is_reserved_and_what_it_took_is_settled(book: Book):
    """Its input at most its bytes, its output at most what is allowed, three times over; then the provider's count."""
    reply = Reply("so", "stop", usage=Usage(100, 50, cached_input_tokens=40), model="gpt-x-2026")
    said = meter(book, [reply]).reply(ASKED)

    wanted, made = book.rows[0]
    assert (wanted.run_id, wanted.purpose, wanted.name) == ("r1", "ask", "scripted")
    assert made.granted.usd(3) == 3 * ATTEMPT
    (bill,) = book.settled
    assert bill.cost_usd == Decimal("0.000564")  # 60 full, 40 cached, 50 put out
    assert (bill.usage, bill.model, bill.finish) == (reply.usage, "gpt-x-2026", "stop")
    assert said.cost_usd == 0.000564


def test_no_secret_leaves(book: Book):
    """Neither in a text, nor in a tool's arguments or result, nor in working that is sent back."""
    call = ToolCall("1", "read", {"path": CANARY, "deep": [{"x": CANARY}]}, f'{{"path": "{CANARY}"}}')
    turns = (
        Message("system", CANARY),
        Message("user", f"the key is {CANARY}"),
        Message("assistant", CANARY, (call,), reasoning=CANARY),
        Message("tool", CANARY, call_id="1"),
        Message("user", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"),
    )
    metered = meter(book, ["so"])
    metered.reply(replace(ASKED, messages=turns))

    (asked,) = metered.door.requests
    assert CANARY not in repr(asked)
    assert "AAAA" not in repr(asked)
    assert [turn.role for turn in asked.messages] == [turn.role for turn in turns]
    assert asked.messages[2].calls[0].arguments == {"path": "[redacted]", "deep": [{"x": "[redacted]"}]}


def test_what_no_encoding_takes_is_no_reason_to_fail(book: Book):
    """A test that compares file names may print half a character; the rest of its message arrives."""
    model = ScriptedModel(["yes"])
    asked = Request((Message("user", "not caf\udce9 but café"),))
    Meter(model, book, Redactor(), Budgets(1, 1, 1), "r1", "ask", PRICE).reply(asked)

    assert model.requests[0].messages[0].text == "not caf? but café"


def test_no_secret_is_kept_of_an_error(book: Book):
    """A server may echo what it was sent."""
    with pytest.raises(ModelRejected):
        meter(book, [ModelRejected("scripted", f"bad key {CANARY}", 0)]).reply(ASKED)

    assert CANARY not in book.lost[0].error
    assert book.lost[0].error.startswith("The model scripted does not take this request: bad key")


def test_without_a_price_nothing_is_asked(book: Book):
    """It says which entry to add; nothing is reserved."""
    metered = meter(book, ["so"], price=None)

    with pytest.raises(NoPrice, match="what the model scripted") as caught:
        metered.reply(ASKED)

    assert "input_usd and output_usd" in caught.value.hint
    assert metered.door.requests == []
    assert book.rows == []


def test_a_spent_budget_asks_nothing(book: Book):
    """The model is not called for money that is not there."""
    metered = meter(book, ["so"], budgets=Budgets(1, 0.001, 1))

    with pytest.raises(BudgetSpent):
        metered.reply(ASKED)

    assert metered.door.requests == []


def test_a_model_is_told_what_the_budget_pays_for(book: Book):
    """A shorter answer and a single attempt where there is no money for more."""
    heard: list[int] = []

    class Door(ScriptedModel):
        def reply(self, request, *, listener=None, attempts=3):
            heard.extend((request.max_output_tokens, attempts))
            return super().reply(request, listener=listener, attempts=attempts)

    budgets = Budgets(1, float((INPUT + 5000) / Decimal(1_000_000)), 1)
    replace(meter(book, [], budgets=budgets), door=Door(["so"])).reply(ASKED)

    assert heard == [500, 1]


def test_no_more_is_reserved_than_the_models_settings_allow(book: Book):
    """The door cuts the answer there, so no more can be billed."""
    replace(meter(book, ["so"]), most_output_tokens=100).reply(ASKED)

    assert book.rows[0][0].output_tokens == 100


@pytest.mark.parametrize(
    ("reply", "times"),
    [
        (Reply("so", "stop"), 1),
        (Reply("so", "stop", usage=Usage(100, 0)), 1),
        (Reply("so", "stop", unanswered=1), 1),
        (Reply("so", "stop", unanswered=3), 3),
    ],
    ids=["silent", "half", "told by the door", "after two failures"],
)
def test_a_reply_that_does_not_say_what_it_took_counts_at_its_worst(book: Book, reply: Reply, times: int):
    """Each attempt at its worst case once; no usage is written down."""
    meter(book, [reply]).reply(ASKED)

    assert book.settled[0].cost_usd == times * ATTEMPT
    assert book.settled[0].usage is None


def test_attempts_before_the_reply_count_at_their_worst(book: Book):
    """A time-out may be billed as well as the reply that came after it."""
    reply = Reply("so", "stop", usage=Usage(100, 50), unanswered=2)
    meter(book, [reply]).reply(ASKED)

    assert book.settled[0].cost_usd == Decimal("0.0006") + 2 * ATTEMPT


@pytest.mark.parametrize(
    ("error", "times"),
    [
        (ModelUnavailable("scripted", "time-out", 3), 3),
        (ModelUnavailable("scripted", "overloaded", 0), 0),
        (ModelUnavailable("scripted", "cut off", 1), 1),
        (ModelUnavailable("scripted", "says more than were sent", 99), 3),
        (ModelRejected("scripted", "too long", 0), 0),
        (KeyRefused("scripted", "401", 0), 0),
        (ModelUnavailable("scripted", "does not say"), 3),
        (ValueError("a bug"), 3),
    ],
    ids=["time-outs", "turned away", "cut", "boasting", "rejected", "key", "silent", "bug"],
)
def test_a_call_that_failed_counts_as_often_as_it_may_be_billed(book: Book, error: Exception, times: int):
    """Doors say how many attempts went unanswered; of what does not say so, all are feared. The error goes on."""
    with pytest.raises(type(error)):
        meter(book, [error]).reply(ASKED)

    assert book.lost[0].cost_usd == times * ATTEMPT
    assert book.settled == []


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_call_counts_at_its_worst(book: Book, end: type[BaseException]):
    """Nobody will hear the answer, and it is billed all the same."""

    def interrupted(_: Request) -> str:
        raise end

    with pytest.raises(end):
        meter(book, interrupted).reply(ASKED)

    assert book.lost[0].cost_usd == 3 * ATTEMPT


def test_an_answer_that_is_paid_for_is_not_thrown_away_with_the_ledger(book: Book):
    """The reservation stays at its worst case; an error of the call is told rather than the ledger's."""
    book.away = True

    assert meter(book, ["so"]).reply(ASKED).text == "so"
    with pytest.raises(ModelUnavailable):
        meter(book, []).reply(ASKED)


def test_what_is_free_is_written_down_as_free(book: Book):
    """A model on this machine costs nothing, silent or not."""
    said = meter(book, ["so"], price=FREE).reply(ASKED)

    assert (said.cost_usd, book.settled[0].cost_usd) == (0.0, 0)


def test_a_listener_hears_the_answer(book: Book):
    """Streams pass through."""
    heard: list[str] = []
    meter(book, ["so"]).reply(ASKED, listener=heard.append)

    assert heard == ["so"]


texts = st.text(max_size=60)


@given(
    st.lists(st.builds(Message, st.sampled_from(["system", "user", "tool"]), texts, reasoning=texts), max_size=5),
    st.lists(st.builds(Tool, texts, texts, st.dictionaries(texts, texts, max_size=2)), max_size=2),
    st.none() | st.dictionaries(texts, texts, max_size=2),
)
def test_input_is_bounded_by_all_that_is_sent(messages: list[Message], tools: list[Tool], schema: dict | None):
    """Every byte of every part counts; a part more never makes it less."""
    asked = Request(tuple(messages), tools=tuple(tools), schema=schema)
    said = sum(len(text.encode(errors="replace")) for turn in messages for text in (turn.text, turn.reasoning))
    said += sum(len(text.encode(errors="replace")) for tool in tools for text in (tool.name, tool.description))

    assert most_input_tokens(asked) >= said
    more = replace(asked, messages=(*asked.messages, Message("user", "x")))
    assert most_input_tokens(more) > most_input_tokens(asked)


def test_an_answer_that_nobody_wants_is_left(book: Book):
    """A run that is cancelled waits for no silent model; what the call may cost counts at its worst."""
    hanging = Event()

    def answer(_: Request) -> str:
        hanging.wait(20)
        return "too late"

    door = ScriptedModel(answer)
    metered = Meter(door, book, Redactor(), Budgets(1, 1, 1), "r1", "ask", PRICE, stop=lambda: bool(door.requests))
    try:
        with pytest.raises(ModelUnavailable, match="the step was stopped while it was asked"):
            metered.reply(ASKED)
    finally:
        hanging.set()

    assert book.lost[0].cost_usd == 3 * ATTEMPT


def test_a_call_that_outlasts_its_time_is_left(book: Book, monkeypatch: pytest.MonkeyPatch):
    """Whatever keeps the door: a server that sends its headers byte by byte is held to no time-out of a socket."""
    monkeypatch.setattr(waiting, "_GRACE_S", 0.0)
    hanging = Event()

    def answer(_: Request) -> str:
        hanging.wait(20)
        return "too late"

    try:
        with pytest.raises(ModelUnavailable, match=r"no whole answer came within 0\.1 s"):
            meter(book, answer).reply(replace(ASKED, timeout_s=0.1))
    finally:
        hanging.set()

    assert book.lost[0].cost_usd == 3 * ATTEMPT
