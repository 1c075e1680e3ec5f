"""The exact tier: two questions that differ in nothing that matters have one key."""

import hashlib
import json
import unicodedata

_AS_IT_STANDS = frozenset("\n`'\"\u2018\u2019\u201c\u201d")  # of code or of a quotation, where each space may matter


def plain_question(question: str) -> str:
    """Return the question without what no answer depends on: how it is spaced, and a capital that begins it.

    Nothing else is taken away. "US" and "us", `ls -R` and `ls -r`, "2¹⁰" and "210" ask for different answers; that
    "how does celery start" asks the same as "how does Celery start" is for the tier that decides by meaning.
    """
    text = unicodedata.normalize("NFC", question).strip()
    if not _AS_IT_STANDS & set(text):
        text = " ".join(text.split())
    first, space, rest = text.partition(" ")
    if len(first) > 1 and first.isalpha() and first.istitle():
        text = unicodedata.normalize("NFC", first.lower() + space + rest)
    return text


def key_of(question: str) -> str:
    """Return 64 hexadecimal digits, the same in every process and on every machine."""
    return hashlib.sha256(json.dumps(plain_question(question)).encode()).hexdigest()
