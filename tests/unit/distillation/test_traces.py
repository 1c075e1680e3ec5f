"""Traces: their ids, the hash of what was asked, and which working of a reply is kept."""

from dataclasses import replace

import pytest

from atra.distillation.traces import Origin, Trace, request_hash, working
from atra.llm.records import Message, Reply, Request

TRACE = Trace("What is 2 + 2?", "two and two", "4", "raw", Origin("local", "folder", run_id="q1"))


def test_the_same_words_of_the_same_model_are_the_same_trace():
    """Another run, another price or another finish make no other trace; other words, models and tenants do."""
    again = replace(TRACE, origin=replace(TRACE.origin, run_id="q2", cost_usd=1.0, finish="length"))
    others = [
        replace(TRACE, answer="5"),
        replace(TRACE, kind="rationale"),
        replace(TRACE, origin=replace(TRACE.origin, model="other")),
        replace(TRACE, origin=replace(TRACE.origin, tenant="them")),
    ]

    assert again.id == TRACE.id
    assert len({TRACE.id, *(other.id for other in others)}) == 5


def test_a_request_is_known_by_what_was_sent():
    """Not by how long it may take; by its words, its schema and the model."""
    asked = Request((Message("user", "why?"),))

    assert request_hash(asked, "m") == request_hash(replace(asked, timeout_s=1.0), "m")
    assert request_hash(asked, "m") != request_hash(replace(asked, schema={"type": "object"}), "m")
    assert request_hash(asked, "m") != request_hash(asked, "n")


@pytest.mark.parametrize(
    ("reply", "steps", "found"),
    [
        (Reply("a", "stop", reasoning=" thought ", reasoning_kind="raw"), ("one",), ("thought", "raw")),
        (
            Reply("a", "stop", reasoning="told", reasoning_kind="summary"),
            ("one", "two"),
            ("1. one\n2. two", "rationale"),
        ),
        (Reply("a", "stop", reasoning="told", reasoning_kind="summary"), (), ("told", "summary")),
        (Reply("a", "stop", reasoning=" \n", reasoning_kind="raw"), (), ("", "none")),
        (Reply("a", "stop"), (), ("", "none")),
    ],
    ids=["raw", "worked", "summary", "blank", "nothing"],
)
def test_the_fullest_working_is_kept_under_its_own_name(reply: Reply, steps: tuple[str, ...], found: tuple[str, str]):
    """As the model thought, else as it worked it out for the reader, else what the provider tells of it."""
    assert working(reply, steps) == found
