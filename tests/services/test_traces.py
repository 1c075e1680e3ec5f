"""Traces in the real database: kept once, as they were, and revoked for good."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from atra import wiring
from atra.core.settings import ModelSettings, Settings, TrainingRuleSettings
from atra.distillation.policy import Rule
from atra.distillation.traces import Origin, Permission, Trace
from atra.llm.records import Message, Reply, Request, Usage
from atra.storage.traces import Revoked, TraceStore
from atra.wiring import Wiring
from workers.distillation import configured, keep_answer
from workers.own_work import endpoint_of

ORIGIN = Origin("openai-compatible", "qwen3-8b", "qwen3-8b-2026", "http://127.0.0.1/v1", run_id="q1")
TRACE = Trace("What is 2 + 2?", "two and two", "4", "raw", ORIGIN, Permission(True, "own server", "abc"))


@pytest.fixture
def wired(settings: Settings) -> Wiring:
    return wiring.use(settings)


@pytest.fixture
def traces(wired: Wiring) -> TraceStore:
    return wired.traces


def test_a_trace_comes_back_as_it_was_kept(traces: TraceStore):
    """With its origin and its permission; a second copy is not kept, and changes nothing."""
    assert traces.keep(TRACE) == 1
    assert traces.keep(TRACE, replace(TRACE, permission=Permission())) == 0

    kept = traces.get(TRACE.id)
    assert kept is not None
    assert kept.created_at is not None
    assert replace(kept, created_at=None) == TRACE
    assert traces.of_run("q1") == [kept] == list(traces.all())


@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.text())
def test_any_text_can_be_kept(traces: TraceStore, prompt: str, answer: str):
    """A character that the database does not take costs no trace."""
    trace = replace(TRACE, prompt=prompt, answer=answer)
    traces.keep(trace)

    assert [traces.get(one.id) for one in traces.all()] == list(traces.all())
    assert traces.keep(trace) == 0


def test_every_trace_is_read_over_several_batches(traces: TraceStore):
    """By id, each once."""
    given_ones = [replace(TRACE, answer=str(number)) for number in range(2001)]
    for start in range(0, len(given_ones), 500):
        traces.keep(*given_ones[start : start + 500])

    assert [trace.id for trace in traces.all()] == sorted(trace.id for trace in given_ones)


def test_what_is_revoked_is_read_no_more_and_not_kept_again(traces: TraceStore):
    """By provider and pattern of a model's name; a wildcard of SQL in a name is a letter."""
    other = replace(TRACE, origin=replace(ORIGIN, model="qwen3_8b"))
    traces.keep(TRACE, other)

    assert traces.revoke("licence withdrawn", model="qwen3_*") == Revoked(1)
    assert traces.revoke("licence withdrawn", model="qwen3_*") == Revoked()
    assert traces.keep(other) == 0
    assert [trace.id for trace in traces.all()] == [TRACE.id]
    assert traces.revoke("nothing was named") == Revoked()


def test_words_that_several_runs_left_are_revoked_by_any_of_them(traces: TraceStore):
    """They are one trace; a run that left it is not looked at again, and its fix that did not hold takes it back."""
    second, third = (replace(TRACE, origin=replace(ORIGIN, run_id=run_id)) for run_id in ("q2", "q3"))
    assert traces.keep(TRACE, second) == 1
    assert traces.keep(third) == 0

    assert [traces.of_run(run_id) for run_id in ("q1", "q2", "q3")] == [list(traces.all())] * 3
    assert traces.revoke("its answer was wrong", run_id="q3", tenant="nobody") == Revoked()
    assert traces.revoke("its answer was wrong", run_id="q3") == Revoked(1)
    assert list(traces.all()) == []


def test_decisions_are_kept_newest_first(wired: Wiring):
    """And count before the settings, which count before what ATRA is shipped with."""
    allow, deny = (Rule("openai", "gpt-*", "2026", yes, "a reason of ours") for yes in (True, False))
    origin = Origin("openai", "gpt-5", terms="2026")
    configured = TrainingRuleSettings(provider="openai", model="gpt-*", terms="2026", allow=True, reason=allow.reason)
    wired.settings.distill = wired.settings.distill.model_copy(update={"rules": (configured,)})
    assert wired.training_policy().permission(origin).allowed

    wired.traces.decide(deny)
    assert not wired.training_policy().permission(origin).allowed
    wired.traces.decide(allow)
    assert wired.training_policy().permission(origin).allowed
    assert [rule for rule, _ in wired.traces.decided()] == [allow, deny]


def test_an_answer_leaves_a_trace_without_secrets(wired: Wiring):
    """Its working, the address without its password, the terms as the settings name them, and no permission."""
    wired.settings.models["house"] = ModelSettings(
        provider="anthropic", model="claude-x", base_url="https://me:canary-word@example.com/v1?key=canary-word"
    )
    wired.settings.distill.terms["anthropic"] = "2026-09"
    reply = Reply("4", "stop", usage=Usage(10, 5), model="claude-x-1", cost_usd=0.25)
    kept = keep_answer(
        wired,
        by=configured(wired, "house"),
        question="Why is api_key=canary-word not working?",
        answer="Since password='canary-word' is wrong.",
        request=Request((Message("user", "…"),)),
        reply=reply,
        steps=("look at token: canary-word",),
        run_id="q9",
    )

    (found,) = wired.traces.of_run("q9")
    assert "canary" not in repr(found)
    assert (found.kind, found.origin.terms, found.origin.model_version) == ("rationale", "2026-09", "claude-x-1")
    assert (found.origin.endpoint, found.origin.cost_usd) == ("https://example.com/v1", 0.25)
    assert not found.permission.allowed
    assert found.id == kept.id


@pytest.mark.parametrize("address", [None, "", "http://127.0.0.1:80/v1"])
def test_an_address_without_a_user_stays(address: str | None):
    """And none is none."""
    assert endpoint_of(address) == (address or "")
