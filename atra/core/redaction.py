"""Secrets are taken out of text and of values before they are logged, stored, sent or shown.

Two nets: names (a mapping's key or `name=value` text whose name says it is a secret) and shapes (tokens whose form is
public knowledge), besides the exact values the redactor was told. It is a net, not a proof: a secret of unknown shape
under a harmless name passes.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "[redacted]"

_WORDS = (
    r"passwd|passw(?:or)?d|secret|token(?!s)|api[_-]?key|apikey|private[_-]?key|credential|authorization"
    r"|cookie|session[_-]?id|dsn"
)
_SECRET_NAME = rf"(?=[\w.-]*?(?:{_WORDS}))[\w.-]*+"  # read once and possessively: linear on hostile text too
_NAMED = re.compile(
    rf"(?i)(?<![\w.-])({_SECRET_NAME})([\"']?\s*[=:]\s*)(?:(?:bearer|basic)\s+)?"
    r"(\[redacted\]|\"[^\"\n]*\"|'[^'\n]*'|[^\s,;&)\]}\"']+)"
)
_NAMED_LITERAL = re.compile(
    rf"(?i)(?<![\w.-])({_SECRET_NAME})([\"']?[ \t]*(?::[\w.\[\]| \t]{{1,60}}=(?!=)|[=:](?!=))[ \t]*)"
    r"(?:[rbuf]{0,2}(?:\"[^\"\s]{6,}\"|'[^'\s]{6,}')|"
    r"(?=[^\s,;&()\[\]{}\"'.]{0,256}[^\Wa-z_])[^\s,;&()\[\]{}\"'.]{4,}(?![\w(\[.]))"
)
_NAME = re.compile(rf"(?i)^{_SECRET_NAME}$")
_SHAPES = re.compile(
    r"""
    -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----.*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z)
    | \bsk-[A-Za-z0-9_-]{16,}
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b
    | \bgh[pousr]_[A-Za-z0-9]{20,} | \bgithub_pat_[A-Za-z0-9_]{20,} | \bglpat-[A-Za-z0-9_-]{16,}
    | \bxox[abeprs]-[A-Za-z0-9-]{10,}
    | \bAIza[A-Za-z0-9_-]{30,}
    | \bhf_[A-Za-z0-9]{20,}
    # What follows a word is looked at once for all places in the word, so that hostile text is read in linear time.
    | (?<![A-Za-z0-9_-])(?=[A-Za-z0-9_-]++\.[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{4})
      [A-Za-z0-9_-]*?\beyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]+
    | (?i:\bbearer[ ]+[A-Za-z0-9._~+/-]{12,}=*)
    """,
    re.VERBOSE | re.DOTALL,
)
_URL_PASSWORD = re.compile(r"(?<=://)([^\s/:@]*):([^\s/@]+)@")


class Redactor:
    """Masks secrets in text and in JSON-like values.

    Args:
        known: exact secret values to mask wherever they appear; values shorter than six characters are left alone,
            since masking them would eat ordinary text.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        values = sorted({value for value in known if len(value) >= 6}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, values))) if values else None

    def text(self, text: str) -> str:
        """Return the text with every recognised secret replaced by a mask."""
        if self._known:
            text = self._known.sub(MASK, text)
        text = _SHAPES.sub(MASK, text)
        text = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
        return self._without_named(text)

    def _without_named(self, text: str) -> str:
        return _NAMED.sub(rf"\1\2{MASK}", text)

    def value(self, value: Any) -> Any:
        """Return the JSON-like value with secrets masked in strings, keys' values and everything below."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: MASK if _hides(key, item) else self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value


class CodeRedactor(Redactor):
    """Masks secrets in program text that somebody is to read and change, where `token` mostly names a variable.

    After a name that says it is secret, only what looks like one is masked: six or more characters in quotes without a
    space, or a bare word with a digit in it. A variable, a call, an annotation or an empty string stays as it is.
    """

    def _without_named(self, text: str) -> str:
        return _NAMED_LITERAL.sub(rf"\1\2{MASK}", text)


def _hides(key: object, item: object) -> bool:
    return isinstance(key, str) and not isinstance(item, bool | int | float | None) and _NAME.match(key) is not None
