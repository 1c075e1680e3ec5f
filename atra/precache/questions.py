"""Questions that news may raise, without a model: a sentence asks for each name and number in it, and each subject for
what is new.

The English is that of a listener who missed a word ("Adobe buys what for $20 billion?"). It need not be pretty: these
questions are compared in meaning with those that people ask.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from atra.precache.records import Candidate, Interest, Story

SENTENCES = 5
"""Of a story, those at its beginning; news is told there."""

_SENTENCE = re.compile(r"(?<=[.!?])[\"\u201d\u2019)]*\s+(?=[A-Z0-9“\"'(])|\n+")
_SHORTEST, _LONGEST = 40, 300  # characters of a sentence that is asked about
_LONGEST_TITLE = 200
_NAME = re.compile(
    r"[A-Z][\w\u2019'&.-]*(?:\s+(?:(?:of|the|and|de|for)\s+)?[A-Z][\w\u2019'&-]*){0,5}(?:\s\d+(?:\.\d+)+)?"
)
_AMOUNT = re.compile(
    r"(?P<money>[$€£]\s?\d[\d.,]*(?:\s(?:thousand|million|billion|trillion))?)"
    r"|(?P<share>\d[\d.,]*\s?(?:%|percent|per cent))"
    r"|(?P<count>(?<![\w.-])(?:\d[\d,]*(?:\.\d+)?\s(?:thousand|million|billion|trillion)|\d[\d,]*)(?=\s[a-z]|\Z))"
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_VERSION = re.compile(r"^(?P<name>.+?)\s+v?(?P<version>\d+(?:\.\d+)*\w*)$")
_APART = re.compile(r"[^\w.+#-]+")
_ARTICLES = re.compile(r"^(?:The|A|An)\s+", re.IGNORECASE)
_DULL = frozenset(
    re.findall(
        r"\w+",
        """
        A An And As At But By For He Her His How I If In It Its Mr Mrs Ms My No Not Of On One Or Our She So That The
        Their There These They This To We What When Where Which Who Why With You Your
        Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June July August
        September October November December
        """,
    )
)
_ASKED_FOR = {"money": "how much", "share": "what share", "count": "how many"}


def questions(story: Story, interests: Iterable[Interest] = ()) -> list[Candidate]:
    """Return what may be asked about a story, each question once: of its headline, its subjects, its sentences.

    Args:
        interests: what this installation is about; a subject among them is asked about in more ways.
    """
    known = {one.name.casefold(): one for one in interests}
    made = (*_of_title(story), *_of_subjects(story, known), *_of_sentences(story))
    return list({one.question.casefold(): one for one in reversed(made)}.values())[::-1]


def sentences(story: Story) -> list[str]:
    """Return the sentences at the story's beginning that are long enough to tell something, in order."""
    found = (" ".join(part.split()) for part in _SENTENCE.split(story.text))
    return [part for part in found if _SHORTEST <= len(part) <= _LONGEST][:SENTENCES]


def completed(said: str, quoted: str) -> str:
    """Return a quotation behind the sentence that its question was made from: what was left out stands there."""
    if not said or said in quoted:
        return quoted
    return f"{said if said[-1] in '.!?…' else said + '.'} {quoted}"


def _of_title(story: Story) -> Iterator[Candidate]:
    title = " ".join(story.title.split())[:_LONGEST_TITLE]
    if title.endswith("?"):
        yield Candidate(title, "headline-question", _first(story), story)
    elif title:
        for question, subject in _gaps(title):
            yield Candidate(question, "headline", subject, story, title)


def _of_sentences(story: Story) -> Iterator[Candidate]:
    for said in sentences(story):
        for question, subject in _gaps(said):
            yield Candidate(question, "sentence", subject, story, said)


def _of_subjects(story: Story, known: Mapping[str, Interest]) -> Iterator[Candidate]:
    for subject in story.subjects:
        version = _VERSION.match(subject)
        name = version["name"] if version else subject
        yield Candidate(f"What is new in {subject}?", "new", subject, story)
        if version:
            yield Candidate(f"What changed in {subject}?", "changed", subject, story)
            yield Candidate(f"What is the latest version of {name}?", "latest", subject, story)
        interest = known.get(subject.casefold()) or known.get(name.casefold())
        if interest and interest.of:
            yield Candidate(f"How does the new {name} affect {interest.of}?", "affects", subject, story)
        elif interest:
            yield Candidate(f"What is the latest news about {name}?", "news", subject, story)


def _gaps(said: str) -> Iterator[tuple[str, str]]:
    """Yield the sentence as a question for each of its names and amounts, and what is asked for."""
    said = said.rstrip(" .!…")
    for start, name in _names(said):
        word = "what" if start else "Who or what"
        yield _asked(said, start, start + len(name), word), _ARTICLES.sub("", name)
    named = [found.span() for found in _NAME.finditer(said)]
    for found in _AMOUNT.finditer(said):
        if any(start <= found.start() < end for start, end in named):
            continue
        kind = "when" if _YEAR.fullmatch(found[0]) else _ASKED_FOR[str(found.lastgroup)]
        yield _asked(said, found.start(), found.end(), kind if found.start() else kind.capitalize()), found[0]


def _names(said: str) -> Iterator[tuple[int, str]]:
    """Yield where each name begins, and the name, without words that are large at a sentence's beginning."""
    for found in _NAME.finditer(said):
        start, name = found.start(), found[0].rstrip(".\u2019'-")
        while name.partition(" ")[0] in _DULL and name not in _DULL:
            start, name = start + len(name) - len(name.partition(" ")[2]), name.partition(" ")[2]
        if name not in _DULL and len(name) > 2:
            yield start, name


def _asked(said: str, start: int, end: int, word: str) -> str:
    return f"{said[:start]}{word}{said[end:]}?"


def _first(story: Story) -> str:
    return story.subjects[0] if story.subjects else ""


def spoken_of(stories: Sequence[Story], names: Iterable[str]) -> dict[str, int]:
    """Return in how many of the stories each name stands, as a subject or a word of the title; none where in none."""
    titles = [f" {_APART.sub(' ', one.title.casefold())} " for one in stories]
    subjects = [{subject.casefold() for subject in one.subjects} for one in stories]
    counts = {
        name: sum(
            name.casefold() in spoken or f" {name.casefold()} " in title
            for spoken, title in zip(subjects, titles, strict=True)
        )
        for name in names
    }
    return {name: count for name, count in counts.items() if count}
