"""The doors to real servers, driven by the real SDKs against servers that speak the real wire formats."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atra.core.errors import KeyRefused, ModelRejected, ModelUnavailable
from atra.llm import connection
from atra.llm.anthropic_messages import AnthropicMessages
from atra.llm.chat import ChatModel
from atra.llm.openai_chat import OpenAIChat
from atra.llm.openai_responses import OpenAIResponses
from atra.llm.records import Message, Reply, Request, Tool, ToolCall, Usage
from tests.wires import (
    Closed,
    Cut,
    EmptyChoices,
    Garbage,
    Huge,
    Redirect,
    Silence,
    Slow,
    Status,
    Step,
    Turn,
    WireServer,
)

Door = Callable[[str], ChatModel]
DOORS: dict[str, Door] = {
    "chat": lambda url: OpenAIChat("mine", "m-1", url, "sk-canary"),
    "responses": lambda url: OpenAIResponses("mine", "m-1", "sk-canary", url),
    "messages": lambda url: AnthropicMessages("mine", "m-1", "sk-canary", url),
}
EDIT = Tool("edit", "Change a file.", {"type": "object", "properties": {"path": {"type": "string"}}})
HELLO = Request((Message("system", "Be brief."), Message("user", "hello")), timeout_s=5.0)
PATCH = (("edit", {"path": "a.py", "text": "ü"}), ("edit", {}))

every_door = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
ways = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


def ask(door: Door, steps: list[Step], request: Request = HELLO, *, streamed: bool = False, attempts: int = 1) -> Reply:
    """Ask a server that does these steps."""
    with WireServer(steps) as server:
        return door(server.url).reply(request, listener=_deaf if streamed else None, attempts=attempts)


def _deaf(_: str) -> None:
    """Hear nothing."""


@every_door
@ways
def test_a_text_comes_back_with_its_usage(door: Door, streamed: bool) -> None:
    """The same words for every provider: text, finish, tokens, the version that answered, the server's request id."""
    reply = ask(door, [Turn("Hello there", usage=(100, 40, 20, 5))], streamed=streamed)

    assert (reply.text, reply.finish, reply.unanswered) == ("Hello there", "stop", 0)
    assert reply.usage == Usage(100, 20, 40, 5)
    assert reply.model.startswith("m-1-2026")
    assert reply.request_id == "req_wire"


@every_door
@ways
def test_calls_come_back_read(door: Door, streamed: bool) -> None:
    """Several calls in one turn, one of them without arguments; the turn is a stop for tools."""
    reply = ask(door, [Turn("I edit.", calls=PATCH)], streamed=streamed)

    assert reply.finish == "tools"
    assert [(call.name, call.arguments) for call in reply.calls] == [("edit", PATCH[0][1]), ("edit", {})]
    assert len({call.id for call in reply.calls}) == 2


@every_door
@ways
@pytest.mark.parametrize("arguments", ['{"path": "a.py', "[1]", "NaN and more", "[" * 2000], ids=str)
def test_broken_arguments_are_a_result(door: Door, streamed: bool, arguments: str) -> None:
    """What the model writes badly is for the caller to answer, as it came."""
    reply = ask(door, [Turn(calls=[("edit", arguments)])], streamed=streamed)

    assert reply.calls[0].arguments is None
    assert reply.calls[0].text == arguments


@every_door
@pytest.mark.parametrize("sealed", ["", "zz"], ids=["shown", "sealed"])
def test_a_conversation_with_tools_holds_together(door: Door, sealed: str) -> None:
    """The strict server takes what was built of a reply, the tools' answers and another question."""
    with WireServer([Turn("I edit.", calls=PATCH, reasoning="hm", redacted=sealed), Turn("Done.")]) as server:
        model = door(server.url)
        first = model.reply(Request(HELLO.messages, tools=(EDIT,)), attempts=1)
        answers = tuple(Message("tool", "ok", call_id=call.id) for call in first.calls)
        asked = Message("user", "Are you done?")
        second = model.reply(Request((*HELLO.messages, first.as_message(), *answers, asked)), attempts=1)

    assert second.text == "Done."


@every_door
@pytest.mark.parametrize(
    "turn",
    [
        Message("assistant", ""),
        Message("assistant", " \n"),
        Message("assistant", "", (ToolCall("c1", "edit", None, "{broken"),)),
        Message("assistant", "so", (ToolCall("c1", "edit", {}),), reasoning="hm", opaque={"other/model": [{"x": 1}]}),
    ],
    ids=["empty", "blank", "broken", "foreign"],
)
def test_any_turn_can_be_sent_back(door: Door, turn: Message) -> None:
    """Empty turns, broken arguments and another model's working: none makes the server refuse the conversation."""
    answers = tuple(Message("tool", "no", call_id=call.id) for call in turn.calls)

    reply = ask(door, [Turn("fine")], Request((*HELLO.messages, turn, *answers, Message("user", "go on"))))

    assert reply.text == "fine"


@every_door
@ways
def test_opaque_working_goes_back_to_its_maker_alone(door: Door, streamed: bool) -> None:
    """Signed or encrypted working is returned unread to the model that made it, and to no other."""
    with WireServer([Turn("a", reasoning="secret-summary", redacted="sealed"), Turn("b"), Turn("c")]) as server:
        model = door(server.url)
        said = model.reply(HELLO, listener=_deaf if streamed else None, attempts=1).as_message()
        again = Request((*HELLO.messages, said, Message("user", "more")))
        model.reply(again, attempts=1)
        replace(model, model="m-2").reply(again, attempts=1)

    own, foreign = (json.dumps(body) for body in server.bodies[1:])
    assert said.opaque
    assert "secret-summary" in own
    assert "secret-summary" not in foreign
    assert "sealed" not in foreign


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "details", "think", "lone_think"])
@ways
def test_working_is_found_wherever_it_is_shown(field: str, streamed: bool) -> None:
    """Chat Completions has no field for it: servers use five ways."""
    turn = Turn("The answer.", reasoning="Two and two.", reasoning_as=field)

    reply = ask(DOORS["chat"], [turn], streamed=streamed)

    assert (reply.text, reply.reasoning, reply.reasoning_kind) == ("The answer.", "Two and two.", "raw")


def test_a_listener_hears_no_inline_working() -> None:
    """What stands between the tags is not the answer; it is held back while it streams."""
    heard: list[str] = []
    with WireServer([Turn("The answer.", reasoning="Two and two.", reasoning_as="think")], piece=3) as server:
        DOORS["chat"](server.url).reply(HELLO, listener=heard.append, attempts=1)

    assert "".join(heard) == "The answer."
    assert len(heard) > 1


@pytest.mark.parametrize(
    ("door", "turn", "working", "kind"),
    [
        ("responses", Turn("x", reasoning="short", redacted="e"), "short", "summary"),
        ("responses", Turn("x", reasoning="long", raw=True), "long", "raw"),
        ("responses", Turn("x", redacted="e"), "", "none"),
        ("chat", Turn("x", reasoning="short", reasoning_as="summary"), "short", "summary"),
        ("messages", Turn("x", reasoning="short"), "short", "summary"),
        ("messages", Turn("x", redacted="e"), "", "none"),
    ],
)
@ways
def test_working_is_what_the_provider_shows(door: str, turn: Turn, working: str, kind: str, streamed: bool) -> None:
    """Raw working and summaries of it are told apart, and what is sealed is neither."""
    reply = ask(DOORS[door], [turn], streamed=streamed)

    assert (reply.text, reply.reasoning, reply.reasoning_kind) == ("x", working, kind)


@every_door
@ways
@pytest.mark.parametrize(
    ("ended", "finish"), [("length", "length"), ("refusal", "refusal"), ("context", "length")], ids=str
)
def test_how_it_ended_is_a_result(door: Door, ended: str, finish: str, streamed: bool) -> None:
    """Cut off at the limit, or refused in the provider's own form."""
    reply = ask(door, [Turn("I will not", finish=ended)], streamed=streamed)

    assert reply.finish == finish
    assert bool(reply.detail) is (finish == "refusal")
    assert reply.usage.input_tokens == 100


@pytest.mark.parametrize(("door", "finish"), [("chat", "other"), ("responses", "other"), ("messages", "refusal")])
@ways
def test_a_content_filter_is_a_result(door: str, finish: str, streamed: bool) -> None:
    """It has each provider's own name."""
    reply = ask(DOORS[door], [Turn("I w", finish="filter")], streamed=streamed)

    assert (reply.finish, reply.detail) == (finish, "refusal" if door == "messages" else "content_filter")


@every_door
@ways
@pytest.mark.parametrize(
    ("step", "error"),
    [
        (Status(401), KeyRefused),
        (Status(403), KeyRefused),
        (Status(400, message="context too long"), ModelRejected),
        (Status(404), ModelRejected),
        (Status(413), ModelRejected),
        (Status(429), ModelUnavailable),
        (Status(429, kind="insufficient_quota"), KeyRefused),
        (Status(500), ModelUnavailable),
        (Status(503), ModelUnavailable),
        (Status(529), ModelUnavailable),
    ],
    ids=lambda given: f"{given.code}{given.kind or ''}" if isinstance(given, Status) else given.__name__,
)
def test_statuses_are_told_apart(door: Door, step: Status, error: type[Exception], streamed: bool) -> None:
    """What is worth another try, what is not, and what a person must set right; nothing of it is billed."""
    with pytest.raises(error) as raised:
        ask(door, [step], streamed=streamed)

    assert raised.value.args[0] == "mine"
    assert raised.value.args[2] == 0
    assert step.message in str(raised.value)


@every_door
@pytest.mark.parametrize("code", [500, 529])
def test_an_error_inside_a_stream_is_counted(door: Door, code: int) -> None:
    """It comes under status 200, after part of the answer was written and may be billed."""
    with pytest.raises(ModelUnavailable, match="the server says no") as raised:
        ask(door, [Cut(Turn("Hello there"), error=Status(code))], streamed=True)

    assert raised.value.args[2] == 1


@pytest.mark.parametrize(
    ("code", "finish"), [("bio_policy", "refusal"), ("invalid_prompt", "other"), ("server_error", None)]
)
def test_a_failed_response_says_why(code: str, finish: str | None) -> None:
    """OpenAI ends a response with a code: some pass, a policy is a refusal, the rest has its own name."""
    step = Cut(Turn("Hello there"), error=Status(500, kind=code))
    if finish is None:
        with pytest.raises(ModelUnavailable, match="server_error: the server says no"):
            ask(DOORS["responses"], [step], streamed=True)
        return

    reply = ask(DOORS["responses"], [step], streamed=True)

    assert (reply.finish, reply.detail) == (finish, f"{code}: the server says no")


@every_door
@ways
@pytest.mark.parametrize(
    "step",
    [
        Cut(Turn("Hello there, this is long enough to be cut")),
        Closed(),
        Silence(),
        Slow(Turn("x")),
        Garbage(),
        Garbage("<html>not here</html>", "text/html"),
        Garbage("[1, 2]"),
        Garbage("null"),
        Garbage("", "text/event-stream"),
        Garbage("[" * 100_000),
        Garbage('{"choices": 3, "output": "x", "content": 7}'),
    ],
    ids=lambda step: f"{type(step).__name__}{getattr(step, 'body', '')[:6]}",
)
def test_an_attempt_without_an_answer_is_counted(door: Door, step: Step, streamed: bool) -> None:
    """It went out, nothing that can be read came back, and the provider may bill it."""
    with pytest.raises(ModelUnavailable) as raised:
        ask(door, [step], Request(HELLO.messages, timeout_s=0.2), streamed=streamed)

    assert raised.value.args[2] == 1


@every_door
def test_a_server_may_stream_unless_told_not_to(door: Door) -> None:
    """`transformers serve` does on one of its paths."""
    with WireServer([Turn("whole")], streaming=True) as server:
        assert door(server.url).reply(HELLO, attempts=1).text == "whole"


@pytest.mark.parametrize("door", ["chat", "responses"])
def test_an_error_in_another_form_is_quoted(door: str) -> None:
    """Servers made with FastAPI word their errors their own way."""
    step = Garbage('{"detail": "Server is pinned to another model"}', code=400)

    with pytest.raises(ModelRejected, match="pinned to another model"):
        ask(DOORS[door], [step])


def test_an_error_under_a_success_is_an_error() -> None:
    """OpenRouter tells of its providers' failures under status 200, with theirs in the body."""
    for code, error in ((502, ModelUnavailable), (402, KeyRefused), (400, ModelRejected)):
        body = json.dumps({"error": {"code": code, "message": "Provider said no"}})

        with pytest.raises(error, match="Provider said no"):
            ask(DOORS["chat"], [Garbage(body)])


@ways
def test_calls_left_in_the_text_are_read(streamed: bool) -> None:
    """`transformers serve` does not know every model's way of asking; without tools the text is left as it is."""
    said = 'I edit.<tool_call>\n{"name": "edit", "arguments": {"path": "a.py"}}\n</tool_call>'
    tools = Request(HELLO.messages, tools=(EDIT,))

    reply = ask(DOORS["chat"], [Turn(said)], tools, streamed=streamed)

    assert (reply.text, reply.finish) == ("I edit.", "tools")
    assert reply.calls == (ToolCall("call_0", "edit", {"path": "a.py"}, '{"path": "a.py"}'),)
    assert ask(DOORS["chat"], [Turn(said)], streamed=streamed).text == said


def test_a_schema_that_is_refused_by_name_is_not_sent_again() -> None:
    """llama-cpp-python knows none, and says so with status 500; what the prompt says of it still counts."""
    no = Status(500, message="body.response_format.type: Input should be 'text' or 'json_object'")
    schema = {"type": "object", "properties": {}}
    with WireServer([no, Turn("{}"), Turn("{}")]) as server:
        model = DOORS["chat"](server.url)
        texts = [model.reply(Request(HELLO.messages, schema=schema), attempts=1).text for _ in range(2)]

    assert texts == ["{}", "{}"]
    assert ["response_format" in body for body in server.bodies] == [True, False, False]


def test_a_server_says_how_sure_it_was() -> None:
    """Where it is asked and can tell; one that refuses to be asked answers all the same, and is not asked again."""
    asked = replace(HELLO, logprobs=True)
    no = Status(400, message="logprobs are not supported by this engine")
    with WireServer([Turn("a", logprobs=(-0.5, -1.5)), no, Turn("b"), Turn("c")]) as server:
        model = DOORS["chat"](server.url)
        told = [model.reply(asked, attempts=1).mean_logprob for _ in range(3)]

    assert told == [-1.0, None, None]
    assert ["logprobs" in body for body in server.bodies] == [True, True, False, False]


def test_an_answer_without_choices_is_none() -> None:
    """Chat Completions without a choice says nothing; it may have cost something."""
    for streamed in (False, True):
        with pytest.raises(ModelUnavailable) as raised:
            ask(DOORS["chat"], [EmptyChoices()], streamed=streamed)

        assert raised.value.args[2] == 1


@pytest.mark.parametrize("door", ["responses", "messages"])
@ways
def test_an_answer_without_content_is_a_result(door: str, streamed: bool) -> None:
    """A model may have nothing to say."""
    assert ask(DOORS[door], [EmptyChoices()], streamed=streamed).text == ""


@every_door
@ways
def test_a_silent_usage_is_counted_as_unanswered(door: Door, streamed: bool) -> None:
    """What a call took and was not told must be charged at its worst; llama-cpp-python tells none when it streams."""
    reply = ask(door, [Turn("x", usage=None)], streamed=streamed)

    assert (reply.usage, reply.unanswered) == (Usage(), 1)


@every_door
def test_attempts_are_made_as_often_as_allowed(door: Door) -> None:
    """One that got no answer, one turned away, then the reply: the first is counted."""
    with WireServer([Closed(), Status(429, retry_after="0.01"), Turn("at last")]) as server:
        reply = door(server.url).reply(HELLO, attempts=3)

    assert (reply.text, reply.unanswered, len(server.requests)) == ("at last", 1, 3)


@every_door
def test_a_server_that_is_not_there_costs_nothing(door: Door) -> None:
    """No attempt went out."""
    with WireServer([]) as server:
        url = server.url

    with pytest.raises(ModelUnavailable) as raised:
        door(url).reply(HELLO, attempts=1)

    assert raised.value.args[2] == 0


@every_door
@pytest.mark.parametrize("asked", ["3600", "Wed, 21 Oct 2099 07:28:00 GMT", "1e400"])
def test_nobody_waits_beyond_the_time_out(door: Door, asked: str) -> None:
    """A server may ask for an hour; a call that may take five seconds says at once that it got no answer."""
    begun = time.monotonic()
    with WireServer([Status(429, retry_after=asked), Turn("x")]) as server:
        with pytest.raises(ModelUnavailable, match="the server says no"):
            door(server.url).reply(HELLO, attempts=3)

        assert len(server.requests) == 1
    assert time.monotonic() - begun < 3


@every_door
@pytest.mark.parametrize("asked", ["0.01", "-5", "soon"])
def test_a_retry_that_fits_the_time_out_is_made(door: Door, asked: str) -> None:
    """After as long as the server asks, or the client's own pause where it asks for nothing that can be done."""
    assert ask(door, [Status(429, retry_after=asked), Turn("x")], attempts=2).text == "x"


@every_door
def test_one_time_out_holds_for_all_attempts(door: Door) -> None:
    """A silent server is asked again only while there is time: three attempts may not take three time-outs."""
    with WireServer([Silence(), Turn("too late")]) as server:
        with pytest.raises(ModelUnavailable, match=r"no whole answer came within 0\.2 s") as raised:
            door(server.url).reply(Request(HELLO.messages, timeout_s=0.2), attempts=2)

        assert len(server.requests) == raised.value.args[2] == 1


@every_door
def test_a_second_attempt_has_what_the_first_left(door: Door) -> None:
    """The first was turned away after most of the time was over: the second one's silence ends with the rest."""
    begun = time.monotonic()
    with WireServer([Status(429, retry_after="1.2"), Silence()]) as server, pytest.raises(ModelUnavailable):
        door(server.url).reply(Request(HELLO.messages, timeout_s=1.5), attempts=2)

    assert len(server.requests) == 2
    assert time.monotonic() - begun < 2.5


@every_door
def test_the_environment_says_nothing(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, addresses, headers and proxies of the environment do not leave, and lead nowhere."""
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "env-canary")
    for name in ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE", "ANTHROPIC_WORKSPACE_ID"):
        monkeypatch.setenv(name, "env-canary")
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/env-canary")
    for name in ("OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.setenv(name, "X-Canary: env-canary\nAuthorization: Bearer env-canary")
    with WireServer([Turn("x")]) as server:
        door(server.url).reply(HELLO, attempts=1)

    assert "env-canary" not in str(server.requests)
    assert server.requests[0].headers["authorization"] == "Bearer sk-canary"


@every_door
def test_no_key_sends_none(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of one's own needs none, and gets none that lies about."""
    monkeypatch.setenv("OPENAI_API_KEY", "env-canary")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "env-canary")
    with WireServer([Turn("x")]) as server:
        replace(door(server.url), key="").reply(HELLO, attempts=1)

    assert not {"authorization", "x-api-key"} & set(server.requests[0].headers)


@every_door
def test_the_key_follows_no_redirect(door: Door) -> None:
    """Another host would be told the key and the prompt; the error says where it would have led."""
    with WireServer([Turn("stolen")]) as thief:
        with pytest.raises(ModelRejected, match="redirects to http"):
            ask(door, [Redirect(thief.url + "/chat/completions"), Turn("x")], attempts=2)

        assert thief.requests == []


@every_door
def test_an_echoed_key_is_masked(door: Door) -> None:
    """Servers repeat the key in their errors; errors reach logs and rows."""
    with pytest.raises(KeyRefused) as raised:
        ask(door, [Status(401, message="Incorrect API key provided: sk-canary.")])

    assert "sk-canary" not in str(raised.value)


@every_door
@ways
def test_a_flood_is_stopped(door: Door, streamed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply has a size beyond which it is not read on."""
    monkeypatch.setattr(connection, "MAX_STREAM_BYTES", 2**20)

    with pytest.raises(ModelUnavailable, match="larger than"):
        ask(door, [Huge(5 * 2**20)], streamed=streamed)


@every_door
@ways
def test_a_bomb_is_not_unpacked(door: Door, streamed: bool) -> None:
    """16 MiB of blanks in 16 KiB; nobody asked for a compressed reply."""
    with WireServer([Huge(16 * 2**20, compressed=True)]) as server:
        with pytest.raises(ModelUnavailable, match="compressed"):
            door(server.url).reply(HELLO, listener=_deaf if streamed else None, attempts=1)

        assert server.requests[0].headers["accept-encoding"] == "identity"


@every_door
def test_what_a_listener_raises_goes_through(door: Door) -> None:
    """A spent budget or a cancelled run ends the call; the connection is closed behind it."""

    class Enough(BaseException):
        pass

    def hear(_: str) -> None:
        raise Enough

    with WireServer([Turn("Hello there")]) as server, pytest.raises(Enough):
        door(server.url).reply(HELLO, listener=hear, attempts=3)

    assert len(server.requests) == 1


TURNS = st.builds(
    Turn,
    text=st.text(st.characters(codec="utf-8"), max_size=40),
    calls=st.lists(
        st.tuples(
            st.sampled_from(["edit", "read"]),
            st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9), max_size=2) | st.just('{"cut'),
        ),
        max_size=2,
    ),
    reasoning=st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=20),
    reasoning_as=st.sampled_from(["reasoning_content", "reasoning", "details", "think", "lone_think"]),
    raw=st.booleans(),
    redacted=st.sampled_from(["", "sealed"]),
    finish=st.sampled_from(["stop", "length", "refusal", "filter", "context"]),
)


@pytest.fixture(scope="module")
def mirror() -> "Iterator[Mirror]":
    """A server that answers every request with the turn it was last given."""
    with Mirror() as server:
        yield server


class Mirror(WireServer):
    """Answers with `turn`, in pieces of `piece` characters."""

    def __init__(self) -> None:
        self.turn = Turn("")
        super().__init__(lambda body: self.turn)


@settings(max_examples=40, deadline=None)
@given(turn=TURNS, piece=st.integers(1, 9), door=st.sampled_from(sorted(DOORS)))
def test_a_streamed_reply_is_the_plain_one(mirror: Mirror, turn: Turn, piece: int, door: str) -> None:
    """However it is cut into pieces; and the listener hears the text."""
    mirror.turn, mirror.piece = turn, piece
    model = DOORS[door](mirror.url)
    heard: list[str] = []

    plain = model.reply(HELLO, attempts=1)
    streamed = model.reply(HELLO, listener=heard.append, attempts=1)

    assert streamed == plain
    if not (turn.reasoning_as == "lone_think" and turn.reasoning and door == "chat"):
        assert "".join(heard) == plain.text


def test_threads_share_a_model() -> None:
    """A model has no state of its own: what one call counts, another does not see."""
    with WireServer(lambda body: Turn(str(body["messages"][-1]["content"]))) as server:
        model = DOORS["chat"](server.url)
        replies: dict[int, Reply] = {}

        def work(number: int) -> None:
            replies[number] = model.reply(Request((Message("user", str(number)),)), attempts=1)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)

    assert {number: reply.text for number, reply in replies.items()} == {number: str(number) for number in range(8)}
    assert all(reply.unanswered == 0 for reply in replies.values())
