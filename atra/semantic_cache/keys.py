"""The exact tier: two questions that differ in nothing that matters have one key."""

import hashlib
import json
import unicodedata


def plain_question(question: str) -> str:
    """Return the question without what no answer depends on: compatibility forms, case, and how it is spaced."""
    folded = unicodedata.normalize("NFKC", question).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def key_of(question: str) -> str:
    """Return 64 hexadecimal digits, the same in every process and on every machine."""
    return hashlib.sha256(json.dumps(plain_question(question)).encode()).hexdigest()
