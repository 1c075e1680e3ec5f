"""Answers in the words of a text: the sentences that speak most of what is asked, with where they stand, or none.

No model writes anything here, so nothing is made up; a sentence may still be beside the point, which its confidence
says. Texts are hostile: what comes out is one line of plain characters each, and no longer than a few sentences.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from atra.scout.cleaning import plain

if TYPE_CHECKING:
    from atra.llm.embedding import Embedder

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9“\"'(])|\n{2,}|\n(?=[-*#•])")
_WORD = re.compile(r"\w[\w.+#-]*\w|\w")
_MOST_SENTENCES, _LONGEST = 4000, 400  # of all passages; characters of one sentence
_COMPARED = 40  # sentences whose meaning is compared
_GIVEN = 2  # sentences of an answer
_K1, _B = 1.2, 0.5
_ENOUGH = 0.5
_EMPTY = frozenset(
    re.findall(
        r"\w+",
        """
        a about an and any are as at be been being but by can could did do does for from had has have how i in into is
        it its many may me might much my of on or our shall she should so some tell than that the their them there
        these they this those to was we were what when where which who whom whose why will with would you your
        """,
    )
)
"""Words of a question that say what is asked for, not of what."""

_NUMBERS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|hundred|thousand|million|billion|"
    "(?:thir|four|fif|six|seven|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty"
)
_DAYS = (
    "monday|tuesday|wednesday|thursday|friday|saturday|sunday|january|february|march|april|may|june|july|august|"
    "september|october|november|december"
)
_ASKS = {
    "when": re.compile(rf"\b(?:\d{{4}}|\d{{1,2}}(?:st|nd|rd|th)|{_DAYS})\b", re.IGNORECASE),
    "how many": re.compile(rf"\d|\b(?:{_NUMBERS})\b", re.IGNORECASE),
    "how much": re.compile(rf"\d|\b(?:{_NUMBERS})\b", re.IGNORECASE),
    "who": re.compile(r"\b[A-Z][a-z]+"),
}
"""What must stand in an answer, by how its question begins."""


@dataclass(frozen=True)
class Passage:
    """A text that may hold an answer.

    Args:
        published_at: when it was; None where that is not known.
        source: what the answer can be invalidated by, such as `article:7`.
    """

    text: str
    title: str = ""
    address: str = ""
    published_at: datetime | None = None
    source: str = ""


@dataclass(frozen=True)
class Extract:
    """An answer in the words of one or two passages.

    Args:
        confidence: 0 to 1, of what is asked how much the sentences speak; it is no probability.
        passages: those that the sentences stand in, in the order of the sentences.
    """

    text: str
    confidence: float
    passages: tuple[Passage, ...]


def answer(question: str, passages: Sequence[Passage], embedder: "Embedder | None" = None) -> Extract | None:
    """Return the sentences that answer the question best; None where none speaks of enough of it.

    Sentences are ranked by BM25 over the words that carry meaning, and the best of them, where there is an embedder, by
    the cosine to the question too. What the question asks for (a time, a number, somebody) must stand in the first one.

    Source: Robertson, Zaragoza 2009, The Probabilistic Relevance Framework (BM25).
    """
    asked = _content(question)
    if not asked:
        return None
    sentences = [(sentence, passage) for passage in passages for sentence in _sentences(passage)][:_MOST_SENTENCES]
    scored = _lexical(asked, [_words(f"{passage.title} {sentence}") for sentence, passage in sentences])
    best = sorted(range(len(sentences)), key=lambda at: -scored[at])[:_COMPARED]
    best = [at for at in best if scored[at] > 0 and _fits(question, sentences[at][0])]
    if not best:
        return None
    likeness = _cosines(question, [sentences[at][0] for at in best], embedder)
    ranked = sorted(
        zip(best, likeness, strict=True), key=lambda pair: -_score(scored[pair[0]], scored[best[0]], pair[1])
    )
    first, alike = ranked[0]
    confidence = _confidence(asked, *sentences[first], alike)
    if confidence < _ENOUGH:
        return None
    chosen = [first]
    for at, cosine in ranked[1:]:
        if (
            len(chosen) < _GIVEN
            and _confidence(asked, *sentences[at], cosine) >= _ENOUGH
            and not _same(sentences, chosen, at)
        ):
            chosen.append(at)
    found = [sentences[at] for at in chosen]
    return Extract(
        " ".join(sentence for sentence, _ in found), round(confidence, 3), tuple(dict.fromkeys(p for _, p in found))
    )


def _score(lexical: float, best: float, cosine: float | None) -> float:
    share = lexical / best if best else 0.0
    return share if cosine is None else 0.5 * share + 0.5 * max(0.0, cosine)


def _confidence(asked: set[str], sentence: str, passage: Passage, cosine: float | None) -> float:
    """Return how much of what is asked the sentence and its title speak of, and how near it is in meaning."""
    told = set(_stems(_words(f"{passage.title} {sentence}")))
    covered = len(asked & told) / len(asked)
    return covered if cosine is None else 0.5 * covered + 0.5 * max(0.0, min(1.0, cosine / 0.7))


def _same(sentences: Sequence[tuple[str, Passage]], chosen: Iterable[int], at: int) -> bool:
    words = set(_words(sentences[at][0]))
    return any(len(words & set(_words(sentences[one][0]))) > 0.7 * len(words) for one in chosen)


def _fits(question: str, sentence: str) -> bool:
    lowered = question.lower()
    return all(wanted.search(sentence) for asks, wanted in _ASKS.items() if lowered.startswith(asks))


def _lexical(asked: set[str], documents: Sequence[Sequence[str]]) -> list[float]:
    """Return the BM25 score of each document for the asked stems."""
    stemmed = [Counter(_stems(words)) for words in documents]
    frequency = Counter(stem for one in stemmed for stem in one.keys() & asked)
    mean = sum(map(len, documents)) / len(documents) if documents else 1.0
    weight = {stem: math.log(1 + (len(documents) - n + 0.5) / (n + 0.5)) for stem, n in frequency.items()}
    return [
        sum(
            weight[stem] * one[stem] * (_K1 + 1) / (one[stem] + _K1 * (1 - _B + _B * len(words) / mean))
            for stem in one.keys() & asked
        )
        for one, words in zip(stemmed, documents, strict=True)
    ]


def _cosines(question: str, sentences: Sequence[str], embedder: "Embedder | None") -> list[float | None]:
    if embedder is None:
        return [None] * len(sentences)
    vectors = embedder.embed([question, *sentences])
    return [float(one) for one in vectors[1:] @ vectors[0]]


def _sentences(passage: Passage) -> list[str]:
    lines = (plain(part, _LONGEST) for part in _SENTENCE.split(passage.text or passage.title))
    return [line for line in lines if len(line) > 2]


def _content(question: str) -> set[str]:
    return set(_stems(word for word in _words(question) if word not in _EMPTY))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _stems(words: Iterable[str]) -> list[str]:
    """Return the words without their commonest English endings."""
    return [re.sub(r"(?:'s|ing|ed|es|s)$", "", word) if len(word) > 4 else word for word in words]
