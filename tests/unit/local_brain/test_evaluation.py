"""Evaluation sets and answers to them: pinned by their items, right by their words, judged by their form."""

import json
from pathlib import Path

import pytest

from atra.core.errors import BadInput, ModelUnavailable
from atra.llm.local import LocalModel
from atra.llm.records import Reply, Request
from atra.local_brain.evaluation import Item, answer_to, is_right, sets_of, trace_of
from tests.unit.llm.tiny import make_tiny

SUMS = [{"question": "1 + 1", "answer": "2"}, {"question": "1 + 2", "answer": "3"}]
TALK = [{"question": "hello", "answer": "hello", "kind": "regression"}]


def write(file: Path, rows: list[dict[str, object]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_files_make_one_target_and_a_regression_set_each(tmp_path: Path):
    """Whatever the order of lines and files, the same items are the same sets; another item is another."""
    first, second = (
        write(tmp_path / "a.jsonl", [*SUMS, *TALK]),
        write(tmp_path / "b.jsonl", [{**TALK[0], "question": "bye"}]),
    )
    sets = sets_of([first, second])
    turned = sets_of([second, write(tmp_path / "a.jsonl", [*TALK, *reversed(SUMS)])])

    assert [(one.name, one.kind, len(one.items)) for one in sets] == [
        ("target", "target", 2), ("a", "regression", 1), ("b", "regression", 1),
    ]  # fmt: skip
    assert {one.hash for one in turned} == {one.hash for one in sets}
    changed = sets_of([write(tmp_path / "a.jsonl", [SUMS[0], {**SUMS[1], "answer": "4"}, *TALK])])
    assert changed[0].hash != sets[0].hash
    assert changed[1].hash == sets[1].hash


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no evaluation set has an item of the kind target"),
        (json.dumps(TALK[0]), "no evaluation set has an item of the kind target"),
        ("{", "line 1 of"),
        ("[" * 100_000, "line 1 of"),
        ('["question", "answer"]', "no JSON object with a question and an answer"),
        ('{"question": "1"}', "no JSON object with a question and an answer"),
        ('{"question": "1", "answer": 2}', "are texts"),
        ('{"question": "1", "answer": " "}', "none is empty"),
        ('{"question": "1", "answer": "2", "kind": "other"}', "kind is target or regression"),
        ("\n\n" + 2 * (json.dumps(SUMS[0]) + "\n"), "line 4 of .* for the second time"),
    ],
    ids=["empty", "no target", "broken", "deep", "list", "no answer", "number", "blank", "kind", "twice"],
)
def test_what_is_no_set_is_refused_in_a_sentence(tmp_path: Path, text: str, why: str):
    """With the line where it is wrong."""
    file = tmp_path / "set.jsonl"
    file.write_text(text)

    with pytest.raises(BadInput, match=why):
        sets_of([file])


def test_no_regression_set_takes_the_name_of_another_set(tmp_path: Path):
    """It would be judged with the other one, and nothing would be said of what got worse."""
    (tmp_path / "more").mkdir()
    sums, talk = write(tmp_path / "sums.jsonl", SUMS), write(tmp_path / "talk.jsonl", TALK)
    for taken in ("target", "talk"):
        other = write(tmp_path / "more" / f"{taken}.jsonl", [{**TALK[0], "question": "bye"}])
        with pytest.raises(BadInput, match=f"named {taken}, as another set is"):
            sets_of([sums, talk, other])
    assert len(sets_of([sums, talk, write(tmp_path / "more" / "sums.jsonl", [{**SUMS[0], "question": "2 + 2"}])])) == 2


def test_a_file_of_another_kind_is_refused(tmp_path: Path):
    """Curation would read its lines as questions, and hold none of them out."""
    for file, why in ((write(tmp_path / "set.txt", SUMS), "no file of JSON lines"), (tmp_path / "no.jsonl", "be read")):
        with pytest.raises(BadInput, match=why):
            sets_of([file])


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("42", True), (" 42. \n", True), ("It is so.\n\n42", True), ("Forty-Two", False), ("42 or 43", False),
        ("", False), ("\uff14\uff12", True), ("142", False), ("\n", False),
    ],
)  # fmt: skip
def test_an_answer_is_right_by_its_words(said: str, right: bool):
    """Whole, or in its last line; capitals, spaces, widths and a final stop do not count."""
    assert is_right("42", said) is right


@pytest.mark.parametrize(
    ("reply", "trace"),
    [
        (Reply("42", "stop", reasoning="hm", reasoning_kind="raw"), "valid"),
        (Reply("42", "stop", reasoning_kind="raw"), "empty"),
        (Reply("", "stop", reasoning="hm", reasoning_kind="raw"), "empty"),
        (Reply("", "length", reasoning="hm", reasoning_kind="raw"), "truncated"),
        (Reply("42", "stop"), "none"),
    ],
)
def test_the_form_of_a_trace_is_told(reply: Reply, trace: str):
    """A model whose accuracy holds may have lost its working, or fill it with nothing."""
    assert trace_of(reply) == trace


class Late:
    """A model that is never done, or away at once."""

    name = provider = model = "late"

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s

    def reply(self, request: Request, **_: object) -> Reply:
        """Wait that long, and give up."""
        import time

        time.sleep(self._timeout_s)
        raise ModelUnavailable(self.name, "it took longer", 0)


def test_what_takes_too_long_is_wrong_and_what_is_away_is_asked_again():
    """A slow model must not hold up its own evaluation; one that cannot be reached says nothing of itself."""
    item = Item("a", "1 + 1", "2")

    said = answer_to(Late(0.02), item, max_output_tokens=8, timeout_s=0.01)  # type: ignore[arg-type]

    assert (said.right, said.trace) == (False, "truncated")
    with pytest.raises(ModelUnavailable):
        answer_to(Late(0.0), item, max_output_tokens=8, timeout_s=5.0)  # type: ignore[arg-type]


def test_a_model_answers_an_item(tmp_path: Path):
    """The question alone is asked; words, form, seconds and sureness are told. What it cannot take is wrong."""
    model = LocalModel("brain", str(make_tiny(tmp_path, ["<think>\nhm\n</think>\n\n", "42"], context=64)))

    said = answer_to(model, Item("a", "6 x 7", "42"), max_output_tokens=8, timeout_s=30)
    long = answer_to(model, Item("b", "6 x 7" * 50, "42"), max_output_tokens=8, timeout_s=30)

    assert (said.right, said.trace, said.said) == (True, "valid", "42")
    assert said.confidence is not None
    assert -1 < said.confidence <= 0
    assert (long.right, long.trace, long.confidence) == (False, "none", None)
