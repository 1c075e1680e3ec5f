"""What an article speaks of, without a model: names, products with their versions, and packages that are known here.

A name is written large where an English sentence would not begin. It is a rule of thumb: a name that only ever begins
a sentence is missed, and in a headline in which every word is large only what looks like nothing else is taken.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

MOST = 12
_LOOKED_AT = 4000  # characters of a text
_LONGEST = 60
_WORDS = 4  # more written large in a row are a headline inside a text

_TOKEN = re.compile(r"[^\W_][\w'\u2019+#-]*(?:\.\w+)*[+#]*|[,.!?:;\u2026\"\u201c\u201d()\[\]|\u2013\u2014]")
_NUMBER = re.compile(r"v?\d+(?:\.\d+){0,3}[a-z]?\d{0,2}")
_MIXED = re.compile(r"[a-z][A-Z]|[A-Z]{2}|[A-Za-z]-?\d")

# Words that are written large for another reason than that they are names, or that headlines are full of.
_STOP = frozenset(Path(__file__).with_name("stop_words.txt").read_text(encoding="utf-8").split())


def subjects_of(title: str, text: str, names: Collection[str] = frozenset()) -> tuple[str, ...]:
    """Return what the article speaks of, what it speaks of most first; ties as they come. At most twelve.

    Args:
        names: in small letters, of packages and products that count wherever they stand, however they are written.
    """
    headline = list(_sentences(title))
    body = list(_sentences(text[:_LOOKED_AT]))
    told = [*(headline if _is_sentence_case(headline) else ()), *body]
    large = [found for words in told for found in _large(words)]
    count = Counter(name for name, begins in large if not begins)
    named = {*count, *(word for words in headline for word in words[1:])}
    common = {word for words in told for word in words if word.islower()}
    begun = Counter(name for name, begins in large if begins)
    again = {name for name, times in begun.items() if times > 1 and name.casefold() not in common}
    count += Counter({name: times for name, times in begun.items() if name in named or name in again})
    odd = Counter(name for words in (*headline, *body) for name in _odd(words, names, shouted=_is_shouted(words)))
    count += Counter({name: times for name, times in odd.items() if name not in count})
    said = title.casefold()
    ranked = sorted(count, key=lambda name: -(count[name] + 2 * (name.casefold() in said)))
    return tuple(_without_repeats(ranked))[:MOST]


def _sentences(text: str) -> Iterator[list[str]]:
    """Yield the words of each sentence, and an empty one where no name goes on; brackets begin one of their own."""
    words: list[str] = []
    for token in _TOKEN.findall(text):
        if token == ",":
            words.append("")
        elif token[0].isalnum():
            word = token.replace("\u2019", "'").removesuffix("'")
            words += [word.removesuffix("'s"), ""] if word.endswith("'s") else [word]
        elif words:
            yield words
            words = []
    if words:
        yield words


def _is_sentence_case(sentences: Collection[list[str]]) -> bool:
    """Say whether large letters mean anything here: not where most words have one."""
    words = [word for sentence in sentences for word in sentence[1:] if len(word) > 3 and word[:1].isalpha()]
    return 2 * sum(word[0].isupper() for word in words) <= len(words)


def _is_shouted(words: list[str]) -> bool:
    """Say whether most words are written in large letters throughout."""
    long = [word for word in words if len(word) > 3]
    return len(long) > 1 and 2 * sum(word.isupper() for word in long) > len(long)


def _large(words: list[str]) -> Iterator[tuple[str, bool]]:
    """Yield the runs of words written large, with a version behind them, and whether grammar alone may be why."""
    run: list[str] = []
    for position, word in enumerate([*words, ""]):
        named = word[:1].isupper() and word.casefold() not in _STOP
        if named or (run and _NUMBER.fullmatch(word)):
            run.append(word)
            continue
        begins = position == len(run) == 1
        yield from ((name, begins) for name in _fitting(run))
        run = []


def _odd(words: list[str], names: Collection[str], *, shouted: bool) -> Iterator[str]:
    """Yield what is a name wherever it stands: known ones, and those with letters that no common word has there."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        own = word[:1].isalpha() and not shouted and _MIXED.search(word) and word.casefold() not in _STOP
        if len(word) <= _LONGEST and (word.casefold() in names or own):
            yield word
            if _NUMBER.fullmatch(following):
                yield f"{word} {following}"


def _fitting(run: list[str]) -> Iterator[str]:
    """Yield a run as a name; one with a version also without it."""
    name = " ".join(run)
    if not run or len(run) > _WORDS or len(name) > _LONGEST or (len(name) < 3 and not name.isupper()):
        return
    yield name
    if _NUMBER.fullmatch(run[-1]):
        yield " ".join(run[:-1])


def _without_repeats(ranked: list[str]) -> Iterator[str]:
    """Yield each name once, however it is written."""
    seen: set[str] = set()
    for name in ranked:
        if name.casefold() not in seen:
            seen.add(name.casefold())
            yield name
