"""The agent: a model that may look round in the repository, change files and run the tests, turn by turn.

Every tool works inside a box: files in the desk's, tests in fresh ones. Each turn is written into a journal before the
next one is taken, so that a worker that is killed goes on where it was and pays for no reply twice, and so that anybody
can read or replay what was done. Limits end the work with what there is: turns, tokens, money, time, going in circles.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from atra.core.errors import BudgetSpent, ModelRejected
from atra.core.records import from_json, to_json
from atra.core.redaction import MASK
from atra.llm.chat import ChatModel
from atra.llm.prompting import framed
from atra.llm.records import Effort, Message, Reply, Request, Tool, ToolCall
from atra.llm.scripted import ScriptedModel
from atra.meta_architect.context import tokens_in
from atra.meta_architect.replies import Block, fit
from atra.sandbox.protocol import Stop, never

_MOST_FILES = 50
_LARGEST_CHANGE = 512 * 1024  # characters of all changed files together
_RESULT_CHARACTERS = 24_000
_SHORTENED = 300  # what stays of an old result when the conversation grows too long
_SILENT = 3  # turns in a row without a tool
_REFUSED = 6  # calls in a row that could not be done as they were asked for
_AT_ONCE = 20  # calls in one turn
_ALIKE = 3  # the same call with the same result, or the same state of the files after an edit, so often
_CIRCLE = "You are doing the same again and again. Try something else, or finish."


class Journal(Protocol):
    """Keeps what was done, in order."""

    def events(self) -> Sequence[Mapping[str, Any]]:
        """Return what was written so far."""

    def append(self, event: Mapping[str, Any]) -> None:
        """Write the next event; it is kept once this returns."""


class Desk(Protocol):
    """Where files are looked at and changed, see `atra.sandbox.desk.Desk`."""

    def list(self, path: str = "", pattern: str = "") -> str:
        """Return the files below a folder."""

    def read(self, path: str, first: int = 1, last: int = 0) -> str:
        """Return lines of a file."""

    def search(self, pattern: str, path: str = "", *, regex: bool = False) -> str:
        """Return the lines that hold a text."""

    def put(self, path: str, text: str) -> str:
        """Put this text in the file's place; return nothing, or why it cannot be done."""


@dataclass(frozen=True)
class TestsSaid:
    """What a run of the tests told: whether the goal is reached, and a text for the model."""

    __test__ = False

    green: bool
    text: str


@dataclass(frozen=True)
class Files:
    """What of the repository may be read and changed.

    Args:
        read: text of a file of the base, None where there is none; it is never asked for a protected path.
        protected: whether a path is one that the agent must not change.
        run_tests: what the tests say of these new contents by path.
    """

    read: Callable[[str], str | None]
    protected: Callable[[str], bool]
    run_tests: Callable[[Mapping[str, str]], TestsSaid]


@dataclass(frozen=True)
class Limits:
    """When the work ends at the latest.

    Args:
        turns: replies of the model.
        tokens: of all replies together, what they were asked with included.
        context_tokens: what one request may hold; older results are shortened to stay below.
        timeout_s: asked before each turn; says how long its reply may take.
        over: asked before each turn; says why there is no time, or nothing.
    """

    turns: int = 40
    tokens: int = 400_000
    context_tokens: int = 32_768
    max_output_tokens: int = 8192
    effort: Effort | None = None
    timeout_s: Callable[[], float] = lambda: 120.0
    over: Callable[[], str] = str


@dataclass(frozen=True)
class Done:
    """What the agent left: new contents by path, whether the tests were green with them, why it ended, what it took and
    which model it was.

    A file that is written back as it was is none of them, so tests that are not always red may be green with no files.
    """

    files: Mapping[str, str]
    green: bool
    ended: str
    turns: int
    tokens: int
    cost_usd: float
    model: str = ""


def _tool(name: str, description: str, required: str = "", **parameters: str) -> Tool:
    kinds = {name: {"type": kind} for name, kind in parameters.items()}
    schema = {"type": "object", "properties": kinds, "required": required.split(), "additionalProperties": False}
    return Tool(name, description, schema)


TOOLS = (
    _tool("list", "List files below a folder; pattern is a glob.", path="string", pattern="string"),
    _tool("read", "Read a file, or lines of it.", "path", path="string", first="integer", last="integer"),
    _tool(
        "search",
        "Find the lines that hold a text (or fit a regular expression, with regex true).",
        "pattern",
        pattern="string",
        path="string",
        regex="boolean",
    ),
    _tool(
        "edit",
        "Replace whole lines of a file. `search` is copied exactly and stands only once in the file.",
        "path search replace",
        path="string",
        search="string",
        replace="string",
    ),
    _tool("write", "Write a whole file, new or old.", "path text", path="string", text="string"),
    _tool("run_tests", "Run the tests on the files as they are now."),
    _tool("finish", "Say that you are done, or that it cannot be done, and why.", "why", why="string"),
)


def work(
    system: str,
    task: str,
    desk: Desk,
    files: Files,
    model: ChatModel,
    journal: Journal,
    limits: Limits,
    *,
    nonce: str,
    stop: Stop = never,
    report: Callable[[int, int], None] = lambda turns, tokens: None,
    redact: Callable[[Reply], Reply] = lambda reply: reply,
) -> Done:
    """Let the model work until the tests are green, it says that it is done, or a limit is reached.

    What the journal holds already is not asked again: replies are taken from it, and changes of files are made anew.

    Args:
        system: what it is and may do.
        task: what is to be done, with all it is told beforehand.
        nonce: marks what comes from the repository as data.
        report: told the turns and tokens so far.
        redact: takes secrets out of a reply before it is kept or acted on.

    Raises:
        ModelUnavailable, KeyRefused: as `ChatModel.reply` says; the journal has what was done before.
        ModelRejected: it takes no request at all; one that it does not take later only ends the work.
    """
    agent = _Agent(desk, files, model.name, nonce, [Message("system", system), Message("user", task)])
    agent.relive(journal.events())
    while not agent.ended:
        report(agent.turns, agent.tokens)
        if why := _limit(agent, limits, stop):
            agent.ended = why
            break
        if agent.waiting:
            journal.append(agent.act())
            continue
        try:
            reply = redact(model.reply(_request(agent.messages, limits)))
        except (BudgetSpent, ModelRejected) as error:
            if isinstance(error, ModelRejected) and not agent.turns:
                raise
            agent.ended = str(error)
            break
        journal.append({"kind": "reply", "reply": to_json(reply)})
        agent.hear(reply)
    report(agent.turns, agent.tokens)
    return Done(agent.changed, agent.green, agent.ended, agent.turns, agent.tokens, agent.cost_usd, agent.name)


def replay(events: Sequence[Mapping[str, Any]], name: str = "replay") -> ScriptedModel:
    """Return a model that gives the replies of a journal again, in their order."""
    return ScriptedModel([from_json(Reply, event["reply"]) for event in events if event["kind"] == "reply"], name)


def _limit(agent: "_Agent", limits: Limits, stop: Stop) -> str:
    if stop():
        return "it was stopped"
    if why := limits.over():
        return why
    if agent.waiting:
        return ""
    if agent.turns >= limits.turns:
        return f"its {limits.turns} turns are used up"
    return f"its {limits.tokens} tokens are used up" if agent.tokens >= limits.tokens else ""


def _request(messages: Sequence[Message], limits: Limits) -> Request:
    """Return the conversation as it is sent: tools' older results are shortened where it has grown too long."""
    room = limits.context_tokens - limits.max_output_tokens
    sizes = [tokens_in(message.text) + sum(tokens_in(call.text) for call in message.calls) for message in messages]
    kept = list(messages)
    newest = max((number for number, message in enumerate(messages) if message.role == "assistant"), default=0)
    excess = sum(sizes) - room
    for number, message in enumerate(messages):
        if excess <= 0:
            break
        if message.role == "tool" and len(message.text) > 2 * _SHORTENED:
            needed = len(message.text) - len(message.text) * excess // sizes[number] - _SHORTENED
            text = _shortened(message.text, _SHORTENED if number < newest else max(_SHORTENED, needed))
            excess -= sizes[number] - tokens_in(text)
            kept[number] = replace(message, text=text)
    return Request(
        tuple(kept),
        max_output_tokens=limits.max_output_tokens,
        tools=TOOLS,
        effort=limits.effort,
        timeout_s=limits.timeout_s(),
    )


def _shortened(text: str, most: int) -> str:
    """Return the beginning of a result, how much is missing, and its last line, which may be the mark of its end."""
    last = text.rstrip().rpartition("\n")[2][-_SHORTENED:]
    return f"{text[:most]}\n[shortened: {len(text) - most} more characters]\n{last}\n"


class _Refused(Exception):
    """A call cannot be done, for the reason that is the argument."""


@dataclass(frozen=True)
class _Result:
    """What came of a call: a text, whether the tests were green in it, and why the work ends with it, if so."""

    text: str
    green: bool = False
    ended: str = ""
    done: bool = True


@dataclass
class _Agent:
    """The state of one piece of work: the conversation, the files, what is still to be done, and what was seen."""

    desk: Desk
    files: Files
    name: str
    nonce: str
    messages: list[Message]
    changed: dict[str, str] = field(default_factory=dict)
    waiting: list[ToolCall] = field(default_factory=list)
    green: bool = False
    ended: str = ""
    turns: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    _silent: int = 0
    _refused: int = 0
    _answered: int = 0
    _cut: bool = False
    _warned: bool = False
    _seen: list[str] = field(default_factory=list)
    _states: Counter[str] = field(default_factory=Counter)

    def relive(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Take over what was done before."""
        for event in events:
            if event["kind"] == "reply":
                self.hear(from_json(Reply, event["reply"]))
            elif self.waiting:
                call = self.waiting.pop(0)
                result = _Result(event["text"], event["green"], event["ended"], event.get("done", True))
                if call.name in {"edit", "write"} and result.done:
                    with suppress(_Refused):
                        self._change(call)
                self._warned |= self._circles(call, replace(result, text=result.text.removesuffix(f"\n{_CIRCLE}")))
                self._heed(call, result)

    def hear(self, reply: Reply) -> None:
        """Take a reply into the conversation."""
        self.turns += 1
        self.tokens += reply.usage.input_tokens + reply.usage.output_tokens
        self.cost_usd += reply.cost_usd or 0.0
        self.messages.append(reply.as_message())
        self.waiting = list(reply.calls)
        self._answered, self._cut = 0, reply.finish == "length"
        self._silent = 0 if reply.calls else self._silent + 1
        if reply.finish == "refusal":
            self.ended = "the model refused"
        elif not reply.calls and self._silent >= _SILENT:
            self.ended = f"the model used no tool {_SILENT} times in a row"
        elif not reply.calls:
            cut = "Your answer was cut off. " if self._cut else ""
            self.messages.append(Message("user", f"{cut}Go on with a tool; use `finish` when you are done."))

    def act(self) -> Mapping[str, Any]:
        """Do the next thing that was asked for, and return it as an event."""
        call = self.waiting.pop(0)
        result = self._do(call)
        if self._circles(call, result):
            ended = result.ended or ("it went in circles" if self._warned else "")
            result = replace(result, text=f"{result.text}\n{_CIRCLE}", ended=ended)
            self._warned = True
        result = self._heed(call, result)
        return {"kind": "result", "tool": call.name, **to_json(result)}

    def _heed(self, call: ToolCall, result: _Result) -> _Result:
        """Take a result into the conversation; return it with the end that it may bring."""
        self._refused = 0 if result.done else self._refused + 1
        if self._refused >= _REFUSED and not result.ended:
            result = replace(result, ended=f"nothing that it asked for could be done, {_REFUSED} times in a row")
        self._answered += 1
        self.messages.append(Message("tool", result.text, call_id=call.id))
        self.green, self.ended = result.green, result.ended
        if result.ended:
            self.waiting = []
        return result

    def _do(self, call: ToolCall) -> _Result:
        try:
            arguments = self._arguments(call)
            if call.name == "finish":
                return _Result("Done.", ended=f"the model ended it: {arguments['why']}"[:500])
            if call.name == "run_tests":
                said = self.files.run_tests(self.changed)
                return _Result(self._data("tests", said.text), said.green, "the tests are green" if said.green else "")
            if call.name in {"edit", "write"}:
                return _Result(self._change(call))
            return _Result(self._data(call.name, getattr(self.desk, call.name)(**arguments)))
        except _Refused as refused:
            return _Result(str(refused), done=False)

    def _arguments(self, call: ToolCall) -> Mapping[str, Any]:
        """Return the call's arguments, once they are what its tool takes."""
        if self._answered >= _AT_ONCE:
            raise _Refused(f"Not done: at most {_AT_ONCE} calls are done in one turn.")
        if call.arguments is None:
            cut = " Your answer was cut off: ask for less at once." if self._cut else ""
            raise _Refused(f"The arguments are no JSON object.{cut}")
        tool = next((tool for tool in TOOLS if tool.name == call.name), None)
        if tool is None:
            raise _Refused(f"There is no tool {call.name[:50]}; there are {', '.join(tool.name for tool in TOOLS)}.")
        if fault := _misfit(tool, call.arguments):
            raise _Refused(fault)
        return call.arguments

    def _change(self, call: ToolCall) -> str:
        """Make a change of a file, in the overlay and on the desk; return what is to be said of it."""
        arguments = call.arguments or {}
        path = str(arguments["path"]).removeprefix("./")
        if self.files.protected(path):
            raise _Refused(f"{path} is protected: no change of it is taken.")
        text = str(arguments["text"]) if call.name == "write" else self._edited(path, arguments)
        if MASK in text and MASK not in (self._text(path) or ""):
            raise _Refused(f"{MASK} stands for text that is not shown; leave lines with it as they are.")
        others = {name: content for name, content in self.changed.items() if name != path}
        if len(others) >= _MOST_FILES or sum(map(len, others.values())) + len(text) > _LARGEST_CHANGE:
            raise _Refused(f"Too much is changed: at most {_MOST_FILES} files and {_LARGEST_CHANGE} characters.")
        if fault := self.desk.put(path, text):
            raise _Refused(self._data("what is wrong", fault))
        if text == self.files.read(path):
            self.changed.pop(path, None)
            return f"{path} is as it was in the beginning."
        self.changed[path] = text
        return f"{path} is changed."

    def _edited(self, path: str, arguments: Mapping[str, Any]) -> str:
        search, new = (tuple(str(arguments[name]).splitlines()) for name in ("search", "replace"))
        fitted = fit([Block(path, search, new)], self._text)
        if fitted.faults:
            raise _Refused(self._data("what is wrong", "\n".join(fitted.faults)))
        if path not in fitted.after:
            raise _Refused("That changes nothing.")
        return fitted.after[path]

    def _text(self, path: str) -> str | None:
        return self.changed[path] if path in self.changed else self.files.read(path)

    def _data(self, what: str, text: str) -> str:
        shown = text
        if len(text) > _RESULT_CHARACTERS:
            shown = f"{text[: _RESULT_CHARACTERS // 2]}\n[left out]\n{text[-_RESULT_CHARACTERS // 2 :]}"
        return framed(self.nonce, what, shown)

    def _circles(self, call: ToolCall, result: _Result) -> bool:
        """Return whether the same things are done again and again; a warning begins the count anew."""
        self._seen.append(_digest([call.name, call.arguments, result.text]))
        last = self._seen[-2 * _ALIKE :]
        same = len(last) >= _ALIKE and len(set(last[-_ALIKE:])) == 1
        turns = len(last) == 2 * _ALIKE and len(set(last)) == 2 and last[0::2] == last[:1] * _ALIKE
        if call.name in {"edit", "write"} and result.done:
            self._states[_digest(sorted(self.changed.items()))] += 1
        undone = max(self._states.values(), default=0) >= _ALIKE
        if not (same or turns or undone):
            return False
        self._seen.clear()
        self._states.clear()
        return True


def _misfit(tool: Tool, arguments: Mapping[str, Any]) -> str:
    """Return what is wrong with a call's arguments, or nothing."""
    known = tool.parameters["properties"]
    kinds = {"string": str, "integer": int, "boolean": bool}
    for name in tool.parameters["required"]:
        if name not in arguments:
            return f"{tool.name} needs {name}."
    for name, value in arguments.items():
        if name not in known:
            return f"{tool.name} takes no {name[:50]}; it takes {', '.join(known)}."
        kind = kinds[known[name]["type"]]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            return f"{name} must be of type {known[name]['type']}."
    return ""


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode(errors="replace")).hexdigest()
