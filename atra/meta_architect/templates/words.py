"""Words that programmers take for one another: families of functions and methods, antonyms, similar names."""


def _families(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(family.split()) for family in text.split(","))


FUNCTION_FAMILIES = _families(
    """
    any all, min max, sum len max min, sorted reversed list, int round float, math.floor math.ceil round,
    floor ceil round, list set tuple sorted, str repr, zip enumerate, isinstance issubclass, range len,
    getattr hasattr, ord chr, abs int, zip zip_longest, map filter
    """
)
"""Functions that are taken for one another."""

METHOD_FAMILIES = _families(
    """
    append extend add insert appendleft, add update, append insert, pop popleft, remove discard pop,
    lower upper title capitalize casefold, strip lstrip rstrip, startswith endswith, find rfind index,
    split rsplit splitlines partition, keys values items, get pop setdefault, isdigit isalpha isalnum isnumeric,
    isupper islower, union intersection difference symmetric_difference, issubset issuperset,
    ljust rjust center zfill, removeprefix removesuffix, weekday isoweekday, sort reverse, ceil floor,
    search match fullmatch, findall finditer, debug info warning error, days seconds total_seconds,
    seconds total_seconds, read readline readlines, put get, encode decode, dumps dump, loads load, count index,
    most_common elements, heappush heappop heapify, bisect bisect_left bisect_right, intersection isdisjoint
    """
)
"""Methods that are taken for one another."""

ANTONYMS = _families(
    """
    in out, left right, first last, start end, start stop, min max, next prev, next previous, low high, lo hi,
    head tail, begin end, source target, src dst, from to, width height, row col, row column, x y, key value,
    old new, before after, parent child, incoming outgoing, input output, open close, up down, top bottom,
    above below, lower upper, add remove, increase decrease, debit credit, sent received, read write, push pop,
    inner outer, this other, self other, created updated, year month, month day, hour minute, minute second,
    lat lon, price quantity, total count, numerator denominator, positive negative, predecessors successors
    """
)
"""Words that are taken for one another as parts of names."""

_OPPOSITES: dict[str, set[str]] = {}
for _one, _other in ANTONYMS:
    _OPPOSITES.setdefault(_one, set()).add(_other)
    _OPPOSITES.setdefault(_other, set()).add(_one)


def opposites(name: str) -> set[str]:
    """Return the names with one word turned into its antonym: `incoming_nodes` -> `outgoing_nodes`."""
    words = name.split("_")
    found: set[str] = set()
    for at, word in enumerate(words):
        for other in _OPPOSITES.get(word.lower(), ()):
            found.add("_".join([*words[:at], other, *words[at + 1 :]]))
    return found


def similarity(one: str, other: str) -> float:
    """Return how alike two texts are, 0 to 1: the share of letter pairs they have in common (Dice's coefficient)."""
    pairs, others = ({text[i : i + 2] for i in range(len(text) - 1)} for text in (one.lower(), other.lower()))
    return 2 * len(pairs & others) / (len(pairs) + len(others)) if pairs or others else float(one == other)
