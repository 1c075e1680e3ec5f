"""Traces that say the same, word for word or nearly, and what evaluation sets hold already."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import blake2b
from typing import Any
from zlib import crc32

from atra.core.errors import MissingPart
from atra.core.words import UNSPACED

GRAM = 8
"""Words in a row that make a trace and an evaluation set the same, as in open-r1's and s1's decontamination."""

_PERMUTATIONS, _BANDS, _ROWS = 64, 10, 6
_SHINGLE = 3
_FEWEST = 12  # words below which two texts are alike only word for word
_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")


def words_of(text: str) -> list[str]:
    """Return the words of a text, small and without signs."""
    return _WORD.findall(text.casefold())


def digest(words: Iterable[str]) -> bytes:
    """Return sixteen bytes that stand for these words in this order."""
    return blake2b(" ".join(words).encode("utf-8", "replace"), digest_size=16).digest()


class Seen:
    """Remembers texts, to know them again word for word or nearly.

    It takes about 2 kB of memory for a text. Two texts of which `alike` of all runs of three words are common to both
    are found with a chance of 1 - (1 - alike^6)^10: 0.99 at 0.85, 0.9995 at 0.9; then their sketches decide, whose
    share has a standard error of 0.045 at 0.85.

    Source: Broder 1997, "On the resemblance and containment of documents"; the bands as in Leskovec, Rajaraman, Ullman,
    "Mining of Massive Datasets", 3.4. datasketch makes the sketches; its own index takes 3.4 kB for a text, without the
    sketches that decide.
    """

    def __init__(self, alike: float = 0.85) -> None:
        self._alike = alike
        self._exact: set[bytes] = set()
        self._bands: dict[bytes, int] = {}
        self._sketches: list[Any] = []

    def again(self, words: list[str]) -> str:
        """Return `duplicate`, `near_duplicate`, or nothing and remember the text."""
        whole = digest(words)
        if whole in self._exact:
            return "duplicate"
        if len(words) >= _FEWEST:
            sketch = _sketch(words)
            keys = [bytes([band]) + sketch[band * _ROWS : (band + 1) * _ROWS].tobytes() for band in range(_BANDS)]
            for number in {self._bands[key] for key in keys if key in self._bands}:
                if float((self._sketches[number] == sketch).mean()) >= self._alike:
                    return "near_duplicate"
            for key in keys:
                self._bands.setdefault(key, len(self._sketches))
            self._sketches.append(sketch)
        self._exact.add(whole)
        return ""


class Evaluation:
    """The questions of evaluation sets, which no data set may hold."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._grams: set[bytes] = set()
        self._short: set[bytes] = set()
        for text in texts:
            words = words_of(text)
            if len(words) < GRAM:
                self._short.add(digest(words))
            self._grams.update(_grams(words))

    @property
    def identity(self) -> str:
        """Twelve hexadecimal digits of all that it holds."""
        return blake2b(b"".join(sorted(self._grams | self._short)), digest_size=6).hexdigest()

    def holds(self, question: list[str], rest: list[str]) -> bool:
        """Say whether eight words in a row of either are an evaluation's, or the whole question is a shorter one."""
        if digest(question) in self._short:
            return True
        return bool(self._grams) and any(gram in self._grams for part in (question, rest) for gram in _grams(part))


def _grams(words: list[str]) -> Iterator[bytes]:
    for start in range(len(words) - GRAM + 1):
        yield digest(words[start : start + GRAM])


def _sketch(words: list[str]) -> Any:
    shingles = {" ".join(words[start : start + _SHINGLE]) for start in range(len(words) - _SHINGLE + 1)}
    made = _min_hash()(num_perm=_PERMUTATIONS, hashfunc=crc32)
    made.update_batch([shingle.encode("utf-8", "replace") for shingle in sorted(shingles)])
    return made.hashvalues


@cache
def _min_hash() -> Any:
    try:
        from datasketch import MinHash
    except ImportError as error:
        raise MissingPart("the package datasketch (`pip install 'atra[distill]'`)") from error
    return MinHash
