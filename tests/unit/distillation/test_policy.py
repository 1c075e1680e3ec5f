"""What may be learned from: nothing, unless a rule allows it for this provider, this model and these terms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.distillation.policy import NOBODY, Rule, is_private, policy_of
from atra.distillation.traces import HUMAN, OWN, Origin

OWN_SERVER = "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (Origin(OWN), True),
        (Origin(HUMAN), True),
        (Origin("local", "folder/model"), True),
        (Origin("openai-compatible", "qwen3-8b", endpoint=OWN_SERVER), True),
        (Origin("openai-compatible", "qwen3-8b", endpoint="http://10.2.0.7/v1"), True),
        (Origin("openai-compatible", "openai/gpt-oss-20b", endpoint=OWN_SERVER), True),
        (Origin("openai-compatible", "qwen3-8b", endpoint="https://api.example.com/v1"), False),
        (Origin("openai-compatible", "gpt-5", endpoint=OWN_SERVER), False),
        (Origin("openai-compatible", "house", model_version="claude-x", endpoint=OWN_SERVER), False),
        (Origin("openai-compatible", "o3-mini", endpoint=OWN_SERVER), False),
        (Origin("openai", "gpt-5"), False),
        (Origin("anthropic", "claude-x"), False),
        (Origin("unheard-of", "model"), False),
    ],
    ids=lambda given: f"{given.provider}-{given.model}" if isinstance(given, Origin) else str(given),
)
def test_what_holds_where_nobody_decided(origin: Origin, allowed: bool):
    """One's own work and weights are allowed; what a provider's terms may restrict is not, wherever it stands."""
    assert policy_of().permission(origin).allowed is allowed


def test_a_rule_holds_for_the_terms_it_names():
    """A permission under older terms says nothing of newer ones."""
    policy = policy_of((Rule("openai", "gpt-*", "2026-01", True, "agreed with them in writing"),))

    assert policy.permission(Origin("openai", "gpt-5", terms="2026-01")).why == "agreed with them in writing"
    assert policy.permission(Origin("openai", "gpt-5", terms="2026-07")).why == NOBODY
    assert policy.permission(Origin("openai", "gpt-5")).allowed is False


def test_what_people_decided_last_comes_first():
    """Before the settings, and those before what ATRA is shipped with."""
    no, yes = (Rule("local", "*", "*", allow, f"it is {allow}") for allow in (False, True))
    origin = Origin("local", "folder")

    assert policy_of((yes, no)).permission(origin).allowed
    assert not policy_of((no, yes), (yes,)).permission(origin).allowed
    assert not policy_of((), (no,)).permission(origin).allowed


def test_a_version_is_of_the_rules_in_their_order():
    """It changes with any rule, and with nothing else."""
    one, other = Rule("a", "*", "*", True, "reason one"), Rule("b", "*", "*", True, "reason two")

    assert policy_of((one, other)).version == policy_of((one, other)).version
    assert len({policy_of(rules).version for rules in ((), (one,), (other,), (one, other), (other, one))}) == 5


@given(st.text(), st.text(), st.text())
def test_an_unknown_provider_is_denied_whatever_it_says(model: str, endpoint: str, terms: str):
    """No endpoint, name or terms make up for a missing rule, and none breaks the asking."""
    assert not policy_of().permission(Origin("unheard-of", model, endpoint=endpoint, terms=terms)).allowed


@pytest.mark.parametrize(
    ("endpoint", "private"),
    [
        ("http://localhost:11434/v1", True),
        ("http://[::1]:8000", True),
        ("http://192.168.1.4", True),
        ("http://0.0.0.0", False),
        ("http://localhost.example.com", False),
        ("http://8.8.8.8", False),
        ("http://[broken", False),
        ("", False),
    ],
)
def test_private_is_this_machine_or_its_network(endpoint: str, private: bool):
    """By the address as it stands; a name says nothing of where it leads."""
    assert is_private(endpoint) is private
