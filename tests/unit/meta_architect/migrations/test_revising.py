"""A model that is asked for a revision: what it is told, what is taken from it, and what is not."""

from collections.abc import Iterable

import pytest

from atra.core.errors import BudgetSpent
from atra.llm.records import Reply
from atra.llm.scripted import ScriptedModel
from atra.meta_architect.migrations.records import Draft, Layout, Proof, Revised
from atra.meta_architect.migrations.revising import TRIES, revise

TEXT = '"""Draft."""\n\nfrom alembic import op\n\nrevision = "b"\ndown_revision = "a"\n\n\ndef upgrade():\n    pass\n'
DRAFT = Draft(Layout("", "alembic.ini", {}), "a", "b", "versions/b.py", TEXT, ("drop x",), ("why not",))
GOOD = TEXT.replace('"""Draft."""', '"""Fill the totals.\n\nFrom the lines."""')
MODELS = {"models.py": "class Order: ...\n", "large.py": "x = 1\n" * 5000}


def fenced(text: str) -> str:
    """An answer with one file."""
    return f"So it goes.\n\n```python\n{text}```\n"


def asked(replies: Iterable[Reply | str | Exception], *proofs: Proof) -> tuple[Revised, ScriptedModel, list[Draft]]:
    """Ask a model that says this, and let these proofs come of what it writes, one after the other."""
    model, left, seen = ScriptedModel(list(replies)), iter(proofs), []

    def rehearse(draft: Draft) -> Proof:
        seen.append(draft)
        return next(left)

    return revise(model, DRAFT, MODELS, rehearse, nonce="n0nce", room_tokens=2000), model, seen


def test_what_holds_is_taken():
    """Under the draft's path and ids; its docstring says what it does."""
    revised, model, seen = asked([fenced(GOOD)], Proof())

    assert revised.draft == seen[0]
    assert (seen[0].text, seen[0].generator, seen[0].path) == (GOOD, "model/scripted", "versions/b.py")
    assert (seen[0].sentences, seen[0].refusals) == (("Fill the totals",), ())
    assert len(model.requests) == 1


def test_it_is_told_of_the_draft_the_refusals_and_what_has_room():
    """All of it marked as data."""
    _, model, _ = asked([fenced(GOOD)], Proof())
    told = model.requests[0].messages[1].text

    assert "[n0nce begin the draft, versions/b.py]" in told
    assert "- why not" in told
    assert "class Order" in told
    assert "large.py" not in told


def test_what_does_not_hold_goes_back_a_few_times():
    """With what was found each time."""
    revised, model, seen = asked([fenced(GOOD)] * 9, *[Proof((f"fault {n}",)) for n in range(9)])

    assert revised == Revised(said=("fault 0", "fault 1", "fault 2"))
    assert len(seen) == len(model.requests) == TRIES
    assert "fault 1" in model.requests[2].messages[-1].text


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param("I would rather not.", "the answer has 0 fenced blocks, not one", id="no-file"),
        pytest.param(fenced(GOOD) * 2, "the answer has 2 fenced blocks, not one", id="two-files"),
        pytest.param(Reply("```", "length"), "0 fenced blocks, not one, and was cut off", id="cut"),
        pytest.param(Reply("", "refusal"), "the model refused", id="refusal"),
        pytest.param(fenced("def upgrade(:\n"), "the file is no Python", id="syntax"),
        pytest.param(fenced(GOOD.replace('"a"', '"z"')), "are not those of the draft", id="other-parent"),
        pytest.param(fenced(GOOD.replace('revision = "b"', "revision = f()")), "the file is no Python", id="computed"),
        pytest.param(fenced(f"{GOOD}import os\n"), "does not need os", id="import"),
        pytest.param(fenced(f"{GOOD}from app.models import Order\n"), "does not need app.models", id="application"),
        pytest.param(fenced(f"{GOOD}from . import env\n"), "does not need .", id="relative"),
        pytest.param(fenced(f"{GOOD}open('/etc/passwd')\n"), "does not need open", id="file"),
        pytest.param(fenced(f"{GOOD}().__class__\n"), "does not need __class__", id="way-round"),
    ],
)
def test_what_cannot_be_used_is_never_run(answer, why):
    """It is told why."""
    revised, model, seen = asked([answer, fenced(GOOD)], Proof())

    assert why in revised.said[0]
    assert why in model.requests[1].messages[-1].text
    assert [draft.text for draft in seen] == [GOOD]


def test_money_that_is_spent_ends_it():
    """With what was said so far."""

    def spent(_: object) -> str:
        raise BudgetSpent("run r1", "$1", "$1", "$1")

    revised = revise(ScriptedModel(spent), DRAFT, MODELS, lambda _: Proof(), nonce="n", room_tokens=100)

    assert revised.draft is None
    assert "run r1" in revised.skipped
