"""The agent's loop: tools, limits, circles, and a journal from which the work goes on and can be replayed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.core.errors import BudgetSpent, ModelRejected
from atra.llm.records import Reply, Request, ToolCall, Usage
from atra.llm.scripted import ScriptedModel
from atra.meta_architect.agent import Done, Files, Limits, TestsSaid, replay, work

BASE = {"shop/cart.py": "def total(items):\n    return sum(items) + 1\n", "tests/test_cart.py": "def test(): ...\n"}
RIGHT = "def total(items):\n    return sum(items)\n"


class PaperDesk:
    """A desk whose files are a mapping."""

    def __init__(self) -> None:
        self.files = dict(BASE)

    def list(self, path: str = "", pattern: str = "") -> str:
        return "\n".join(sorted(self.files))

    def read(self, path: str, first: int = 1, last: int = 0) -> str:
        return self.files.get(path, f"there is no {path}")

    def search(self, pattern: str, path: str = "", *, regex: bool = False) -> str:
        return "\n".join(name for name, text in self.files.items() if pattern in text)

    def put(self, path: str, text: str) -> str:
        self.files[path] = text
        return ""


class PaperJournal:
    """A journal in memory; after `breaks` events writing fails, as when a worker is killed."""

    def __init__(self, kept: Sequence[Mapping[str, Any]] = (), breaks: int | None = None) -> None:
        self.kept = list(kept)
        self.breaks = breaks

    def events(self) -> Sequence[Mapping[str, Any]]:
        return list(self.kept)

    def append(self, event: Mapping[str, Any]) -> None:
        if self.breaks is not None and len(self.kept) >= self.breaks:
            raise ConnectionError("killed")
        self.kept.append(event)


def said_by(files: Mapping[str, str]) -> TestsSaid:
    right = files.get("shop/cart.py") == RIGHT
    return TestsSaid(right, "1 passed" if right else "test: AssertionError")


FILES = Files(BASE.get, lambda path: path.startswith(("tests/", ".")), said_by)


def calls(*asked: tuple[str, dict[str, Any] | None], tokens: int = 10) -> Reply:
    made = tuple(ToolCall(f"c{number}", name, arguments) for number, (name, arguments) in enumerate(asked))
    return Reply("", "tools", made, usage=Usage(tokens, 0), cost_usd=0.01)


EDIT = ("edit", {"path": "shop/cart.py", "search": "    return sum(items) + 1", "replace": "    return sum(items)"})
UNDO = ("edit", {"path": "shop/cart.py", "search": "    return sum(items)", "replace": "    return sum(items) + 1"})
GOOD = [calls(("list", {})), calls(("read", {"path": "shop/cart.py"})), calls(EDIT, ("run_tests", {}))]


def run(model: ScriptedModel, journal: PaperJournal | None = None, limits: Limits | None = None) -> Done:
    return work(
        "system", "repair it", PaperDesk(), FILES, model, journal or PaperJournal(), limits or Limits(), nonce="n0"
    )


def last_result(model: ScriptedModel) -> str:
    return model.requests[-1].messages[-1].text


def test_it_works_until_the_tests_are_green():
    """Look, change, test: the files as they are then, and what it took."""
    done = run(ScriptedModel(GOOD))

    assert done == Done({"shop/cart.py": RIGHT}, True, "the tests are green", 3, 30, pytest.approx(0.03), "scripted")


def test_red_tests_go_back_to_the_model_as_data():
    """What the tests said is marked as something that somebody else wrote."""
    model = ScriptedModel([calls(("run_tests", {})), calls(("finish", {"why": "too hard"}))])
    done = run(model)

    assert last_result(model) == "[n0 begin tests]\ntest: AssertionError\n[n0 end]\n"
    assert (done.green, done.ended, done.files) == (False, "the model ended it: too hard", {})


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("read", None), "no JSON object"),
        (("rm", {}), "There is no tool rm"),
        (("read", {}), "read needs path"),
        (("read", {"path": 7}), "path must be of type string"),
        (("read", {"path": "x", "first": True}), "first must be of type integer"),
        (("read", {"path": "x", "mode": "w"}), "read takes no mode"),
        (("write", {"path": "tests/test_cart.py", "text": ""}), "tests/test_cart.py is protected"),
        (("write", {"path": ".github/workflows/ci.yml", "text": ""}), "is protected"),
        (("edit", {"path": "shop/cart.py", "search": "nothing like it", "replace": "x"}), "do not stand there"),
        (("edit", {"path": "shop/none.py", "search": "x", "replace": "y"}), "there is no such file"),
        (("write", {"path": "big.py", "text": "x" * 600_000}), "Too much is changed"),
        (("write", {"path": "shop/keys.py", "text": "KEY = '[redacted]'"}), "stands for text that is not shown"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(call: tuple[str, dict[str, Any] | None], said: str):
    """One sentence to the model, and the work goes on."""
    model = ScriptedModel([calls(call), calls(("finish", {"why": "seen"}))])
    done = run(model)

    assert said in last_result(model)
    assert done.files == {}


def test_edits_build_on_one_another():
    """A second edit sees the first; a file written is a file that can be edited."""
    second = ("edit", {"path": "shop/new.py", "search": "a = 1", "replace": "a = 2"})
    first = ("write", {"path": "shop/new.py", "text": "a = 1\nb = 2\n"})
    done = run(ScriptedModel([calls(first, second, EDIT, ("run_tests", {}))]))

    assert done.files == {"shop/new.py": "a = 2\nb = 2\n", "shop/cart.py": RIGHT}


@pytest.mark.parametrize(
    ("limits", "ended"),
    [
        (Limits(turns=2), "its 2 turns are used up"),
        (Limits(tokens=15), "its 15 tokens are used up"),
        (Limits(over=lambda: "the time for this repair is over"), "the time for this repair is over"),
    ],
)
def test_limits_end_it(limits: Limits, ended: str):
    """Turns, tokens and time."""
    assert run(ScriptedModel(GOOD), limits=limits).ended == ended


def test_each_turn_has_the_time_that_is_left():
    """How long a reply may take is asked anew before each turn, not once for all of them."""
    left = iter([30.0, 20.0, 5.0])
    model = ScriptedModel(GOOD)
    run(model, limits=Limits(timeout_s=lambda: next(left)))

    assert [request.timeout_s for request in model.requests] == [30.0, 20.0, 5.0]


def test_money_ends_it_with_what_there_is():
    """The budget's stop is no error here; what was changed stays."""

    def answer(request: Request) -> Reply:
        if len(request.messages) > 3:
            raise BudgetSpent("run r1", "0.99 USD", "1.00 USD", "0.02 USD")
        return calls(EDIT)

    done = run(ScriptedModel(answer))

    assert "The budget of run r1 is spent" in done.ended
    assert done.files == {"shop/cart.py": RIGHT}


def test_a_refused_request_ends_it():
    """A server that does not take the conversation will not take it again."""
    done = run(ScriptedModel([calls(EDIT), ModelRejected("m", "too long")]))

    assert "does not take this request" in done.ended
    assert done.files == {"shop/cart.py": RIGHT}


def test_a_model_that_takes_no_request_at_all_is_an_error():
    """A wrong name is no work that ended: nothing was asked that could be answered."""
    with pytest.raises(ModelRejected):
        run(ScriptedModel([ModelRejected("m", "status 404")]))


@pytest.mark.parametrize(
    "back", [("write", {"path": "shop/cart.py", "text": BASE["shop/cart.py"]}), UNDO], ids=["write", "edit"]
)
def test_a_file_that_is_as_it_was_is_no_change(back: tuple[str, dict[str, Any]]):
    """However it got back; a flaky test that turns green then proves nothing."""
    model = ScriptedModel([calls(EDIT, back), calls(("finish", {"why": "no idea"}))])
    done = run(model)

    assert done.files == {}
    assert last_result(model) == "shop/cart.py is as it was in the beginning."


def test_a_model_that_only_talks_is_reminded_and_then_left():
    """Three answers without a tool."""
    model = ScriptedModel(["I think so.", "Well.", "Hm."])

    assert run(model).ended == "the model used no tool 3 times in a row"
    assert "Go on with a tool" in model.requests[1].messages[-1].text


def test_a_model_whose_calls_are_never_fit_to_be_done_is_left():
    """Six in a row, in one turn or in six; one that is done in between begins the count anew."""
    wrong = [("read", {"path": number}) for number in range(5)]
    model = ScriptedModel([calls(*wrong), calls(("list", {})), calls(*wrong, ("rm", {})), calls(("list", {}))])
    done = run(model)

    assert (done.ended, done.turns) == ("nothing that it asked for could be done, 6 times in a row", 3)


def test_a_turn_does_so_much_at_once():
    """What is beyond is told so, and the next turn may ask for it again."""
    many = [("read", {"path": f"f{number}.py"}) for number in range(22)]
    model = ScriptedModel([calls(*many), calls(*many[20:]), calls(("finish", {"why": "read"}))])
    run(model)
    results = [message.text for message in model.requests[-1].messages if message.role == "tool"]

    assert [text.startswith("Not done: at most 20 calls") for text in results] == [False] * 20 + [True] * 2 + [
        False
    ] * 2


def test_an_answer_that_was_cut_off_is_told_why_its_call_is_broken():
    """Else the model would write the same long file again."""
    cut = Reply("", "length", (ToolCall("c", "write", None, '{"path": "a.py", "te'),), usage=Usage(10, 0))
    model = ScriptedModel([cut, calls(("finish", {"why": "seen"}))])
    run(model)

    assert last_result(model) == "The arguments are no JSON object. Your answer was cut off: ask for less at once."


def test_time_ends_a_turn_in_its_middle():
    """However many runs of the tests were asked for in it."""
    ran: list[int] = []

    def slow(files: Mapping[str, str]) -> TestsSaid:
        ran.append(len(ran))
        return TestsSaid(False, f"red for the {len(ran)}. time")

    limits = Limits(over=lambda: "the time for this repair is over" if len(ran) == 2 else "")
    model = ScriptedModel([calls(*[("run_tests", {})] * 9)])
    done = work("s", "t", PaperDesk(), replace(FILES, run_tests=slow), model, PaperJournal(), limits, nonce="n0")

    assert (len(ran), done.ended) == (2, "the time for this repair is over")


@pytest.mark.parametrize(
    "turns",
    [
        [calls(("list", {}))] * 9,
        [calls(("list", {})), calls(("read", {"path": "shop/cart.py"}))] * 9,
        [calls(("write", {"path": "a.py", "text": text})) for text in "xyxyxyxyxyxyxy"],
    ],
    ids=["the same again", "ping-pong", "edits that undo each other"],
)
def test_circles_are_told_once_and_then_ended(turns: list[Reply]):
    """A warning first; whoever goes on in circles is stopped."""
    model = ScriptedModel(turns)
    done = run(model)
    warned = [request for request in model.requests if "same again and again" in request.messages[-1].text]

    assert done.ended == "it went in circles"
    assert len(warned) == 1


@pytest.mark.parametrize("breaks", range(1, 7))
def test_a_killed_worker_goes_on_where_it_was(breaks: int):
    """However far it came: no reply is asked for twice that was kept, and the outcome is the same."""
    model, journal = ScriptedModel(GOOD), PaperJournal(breaks=breaks)
    with pytest.raises(ConnectionError):
        run(model, journal)
    kept = sum(event["kind"] == "reply" for event in journal.kept)
    again = ScriptedModel(GOOD[kept:])
    done = run(again, PaperJournal(journal.kept))

    assert (done.files, done.green, done.turns) == ({"shop/cart.py": RIGHT}, True, 3)
    assert len(again.requests) == 3 - kept


def test_circles_are_counted_across_a_kill():
    """Two looks before it and one after are three; and who was warned before it is not warned again."""
    same = [calls(("list", {}))] * 9
    journal, ended = PaperJournal(), []
    for breaks in (5, 9, None):
        journal = PaperJournal(journal.kept, breaks)
        model = ScriptedModel(same)
        try:
            ended.append(run(model, journal).ended)
        except ConnectionError:
            continue

    assert ended == ["it went in circles"]
    assert sum(event["kind"] == "reply" for event in journal.kept) == 6


def test_a_finished_journal_asks_nothing():
    """Done twice is done once."""
    journal = PaperJournal()
    run(ScriptedModel(GOOD), journal)
    silent = ScriptedModel([])

    assert run(silent, PaperJournal(journal.kept)).green
    assert silent.requests == []


WRITES = [("write", {"path": "x.py", "text": text}) for text in "xy"]
ASKED = [EDIT, *WRITES, ("list", {}), ("run_tests", {}), ("read", None)]


@given(st.lists(st.sampled_from(ASKED), min_size=1, max_size=12))
def test_a_trajectory_replays_to_the_same_files(asked: list[tuple[str, dict[str, Any] | None]]):
    """The same replies over the same base give the same work, event by event."""
    journal, again = PaperJournal(), PaperJournal()
    script = [*(calls(one) for one in asked), calls(("finish", {"why": "over"}))]
    first = run(ScriptedModel(script), journal)
    second = run(replay(journal.kept, "scripted"), again)

    assert (first, journal.kept) == (second, again.kept)


def test_old_results_are_shortened_and_say_so():
    """A conversation that grows too long keeps its newest results whole."""
    long = {f"f{number}.py": "word " * 2000 for number in range(12)}
    desk = PaperDesk()
    desk.files.update(long)
    model = ScriptedModel([*(calls(("read", {"path": name})) for name in long), calls(("finish", {"why": "read"}))])
    work("s", "t", desk, FILES, model, PaperJournal(), Limits(context_tokens=16_000, max_output_tokens=2000), nonce="n")
    results = [message.text for message in model.requests[-1].messages if message.role == "tool"]

    assert "[shortened:" in results[0]
    assert "[shortened:" not in results[-1]
    assert sum(map(len, results)) / 3 < 14_000


def test_the_newest_result_keeps_what_has_room():
    """A file that is longer than the conversation may be is shown as far as it goes, marked as data to its end."""
    desk = PaperDesk()
    desk.files["big.py"] = "word " * 4000
    model = ScriptedModel([calls(("read", {"path": "big.py"})), calls(("finish", {"why": "read"}))])
    work("s", "t", desk, FILES, model, PaperJournal(), Limits(context_tokens=6000, max_output_tokens=1000), nonce="n")

    assert 10_000 < len(last_result(model)) < 15_000
    assert "[shortened: " in last_result(model)
    assert last_result(model).endswith("\n[n end]\n")
