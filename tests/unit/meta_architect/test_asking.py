"""The sentence on what models came to: each thing once, and nothing that was not so."""

import pytest

from atra.meta_architect.asking import what_was_asked
from atra.meta_architect.records import Proposal, Proposals

SPENT = "The budget of run r1 is spent: ${} of $0.01 are used or reserved, and $0.003 more would be needed."


def made(verdict: str, why: str = "") -> Proposals:
    return Proposals(made=(Proposal("cheap", "one-shot", verdict, why=why),))  # type: ignore[arg-type]


GONE = "The model cheap does not take this request: status 404: no such model"
CASES = {
    "a budget that is spent before anything": (
        [Proposals(skipped=SPENT.format("0.009")), Proposals(skipped=SPENT.format("0.0095"))],
        f"no model was asked: {SPENT.format('0.0095')[:-1]}",
    ),
    "a budget that is spent on the way": (
        [
            made("failed"),
            made("failed"),
            Proposals(skipped=SPENT.format("0.009")),
            Proposals(skipped=SPENT.format("0")),
        ],
        f"of 2 proposals of models 2 left a test red; no more was asked: {SPENT.format('0')[:-1]}",
    ),
    "no such model": ([made("unanswered", GONE)] * 3, f"3 questions to models brought no answer: {GONE}"),
    "a page in place of an answer": (
        [made("unanswered", "its answer is no JSON"), made("empty", "the model refused")],
        "the one proposal of a model had no change in it (the model refused); "
        "1 question to models brought no answer: its answer is no JSON",
    ),
    "of each kind": (
        [made("outside"), made("broke"), made("outside"), made("empty", "it changes nothing")],
        "of 4 proposals of models 2 would have changed what no patch may, 1 broke a test, "
        "1 had no change in it (it changes nothing)",
    ),
    "nobody": ([], "no model was asked"),
}


@pytest.mark.parametrize(("asked", "sentence"), CASES.values(), ids=CASES)
def test_the_sentence(asked: list[Proposals], sentence: str) -> None:
    """What was proposed, what got no answer and why, why no more was asked; a budget is named once."""
    assert what_was_asked(asked) == sentence
