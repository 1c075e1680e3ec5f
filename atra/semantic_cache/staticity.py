"""How long an answer stays true, by the words of its question: the more it asks for what changes, the shorter."""

import re

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S

_WORDS: tuple[tuple[float, str], ...] = (
    (
        HOUR_S,
        r"right now|at the moment|currently|today|tonight|this (?:morning|afternoon|evening|hour)|"
        r"(?:stock |share )?price|exchange rate|weather|score|traffic|is .{1,40} (?:down|up|available)\b|breaking",
    ),
    (
        DAY_S,
        r"latest|newest|most recent(?:ly)?|recently|up to date|this week|yesterday|tomorrow|news|"
        r"what(?:'s| is) new|just (?:been )?(?:released|announced)|still\b|yet\b|now\b",
    ),
    (
        7 * DAY_S,
        r"this (?:month|year)|who (?:is|are) the\b|current|releases?\b|released|version|supports?\b|supported|best\b|"
        r"top \d+|how (?:much|many)\b|cheapest|fastest|20[2-9]\d|record\b|champion",
    ),
    (
        90 * DAY_S,
        r"what (?:is|are) (?:a|an|the difference)\b|define\b|definition|meaning of|why (?:is|are|do|does)\b|"
        r"how (?:do|does|can|to)\b|explain|proof|theorem|history of|who (?:invented|wrote|discovered|was)\b",
    ),
)
_RULES = tuple((ttl_s, re.compile(rf"\b(?:{words})", re.IGNORECASE)) for ttl_s, words in _WORDS)

USUAL_S = 30 * DAY_S
"""Of a question that says neither."""


def ttl_of(question: str) -> float:
    """Return for how many seconds an answer to this question may be served: an hour to ninety days.

    What asks for something that changes fast counts before what asks for something lasting: "what is the latest
    version" is a day.
    """
    return next((ttl_s for ttl_s, rule in _RULES if rule.search(question)), USUAL_S)
