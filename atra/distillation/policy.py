"""May a trace be learned from? No, unless a rule says so, with its reason.

Rules are asked in this order, and the first that matches counts: the decisions people took with `atra distill policy`,
newest first; the rules of the settings; those that ATRA is shipped with. What nothing matches is denied.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from ipaddress import ip_address
from urllib.parse import urlsplit

from atra.distillation.traces import HUMAN, OWN, Origin, Permission


@dataclass(frozen=True)
class Rule:
    """One rule.

    Args:
        provider, model: whose traces; `*` stands for any letters, and commas stand between several models. A model
            matches by the name it was asked by; a rule that denies matches by the name it answered by, too.
        terms: the version of the terms it holds for, `*` for any. Other terms are another matter.
        own_server: only where the endpoint is this machine or an address of a private network.
    """

    provider: str
    model: str
    terms: str
    allow: bool
    reason: str
    own_server: bool = False

    def matches(self, origin: Origin) -> bool:
        """Say whether the rule is about traces of this origin."""
        names = {origin.model} if self.allow else {origin.model, origin.model_version}
        return (
            fnmatchcase(origin.provider, self.provider)
            and any(fnmatchcase(name.lower(), one) for name in names for one in self.model.lower().split(","))
            and fnmatchcase(origin.terms, self.terms)
            and (not self.own_server or is_private(origin.endpoint))
        )


_RESOLD = "*gpt-[345]*,*chatgpt*,*claude*,*gemini*,*grok*,o[1345]*,*/o[1345]*"
_RESTRICTED = "a server of one's own may pass on to a provider whose terms restrict training; allow it by name"

BRAIN = "atra-brain/"
"""How the names of ATRA's own brains begin where a trace says who answered."""

SHIPPED = (
    Rule(OWN, "*", "*", True, "ATRA worked it out itself, and tests proved it"),
    Rule(HUMAN, "*", "*", True, "a person wrote it for this purpose"),
    Rule("openai-compatible", "*gpt-oss*", "*", True, "open weights on a server of one's own", own_server=True),
    Rule("openai-compatible", _RESOLD, "*", False, _RESTRICTED),
    Rule("openai-compatible", "*", "*", True, "a model on a server of one's own", own_server=True),
    Rule("local", f"{BRAIN}*", "*", False, "a brain that learns from its own answers unlearns"),
    Rule("local", "*", "*", True, "weights on a disk of one's own"),
)
"""What holds where nobody decided otherwise; the licence of weights is for who chose them to read."""

NOBODY = "nobody has allowed it"


@dataclass(frozen=True)
class Policy:
    """All rules, in the order in which they are asked."""

    rules: tuple[Rule, ...]

    @property
    def version(self) -> str:
        """Twelve hexadecimal digits: the same rules in the same order are the same version."""
        told = json.dumps([asdict(rule) for rule in self.rules], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    def permission(self, origin: Origin) -> Permission:
        """Return whether traces of this origin may be learned from, with the reason of the rule that says so."""
        rule = next((rule for rule in self.rules if rule.matches(origin)), None)
        return Permission(bool(rule and rule.allow), rule.reason if rule else NOBODY, self.version)


def policy_of(decided: Sequence[Rule] = (), configured: Sequence[Rule] = ()) -> Policy:
    """Return the policy.

    Args:
        decided: what people decided, newest first.
        configured: the rules of the settings, in their order.
    """
    return Policy((*decided, *configured, *SHIPPED))


def is_private(endpoint: str) -> bool:
    """Say whether an address is this machine's or of a private network. Names are not looked up: they may change."""
    try:
        host = urlsplit(endpoint).hostname or ""
        if host == "localhost":
            return True
        found = ip_address(host)
    except ValueError:
        return False
    return (found.is_private or found.is_loopback) and not found.is_unspecified
