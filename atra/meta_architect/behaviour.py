"""Which plausible patches do the same: they make the same of the calls that all of them were given."""

from collections import Counter
from collections.abc import Hashable, Sequence

from atra.meta_architect.records import Plausible


def groups(items: Sequence[Plausible]) -> list[int]:
    """Return the number of each patch's group, from 0, the largest first; equally large ones by their first patch.

    A call tells patches apart only where at least half of them return from it: what is given to a call that is made up
    may be nothing that the code was written for. A patch that nobody could look at is a group of its own.
    """
    seen = [item.behaviour for item in items if item.behaviour]
    length = max(map(len, seen), default=0)
    telling = [at for at in range(length) if 2 * sum(_returned(words, at) for words in seen) >= len(seen)]
    labels: list[Hashable] = [
        tuple(_word(item.behaviour, at) for at in telling) if item.behaviour else number
        for number, item in enumerate(items)
    ]
    sizes = Counter(labels)
    first = {label: labels.index(label) for label in sizes}
    order = sorted(sizes, key=lambda label: (-sizes[label], first[label]))
    place = {label: number for number, label in enumerate(order)}
    return [place[label] for label in labels]


def signs(base: Sequence[str], words: Sequence[str]) -> tuple[str, ...]:
    """Return what speaks against a patch in what it does: `none` where it returns None and the base never did.

    Code that mostly answers and at times falls off its end passes every test that asks for something false.

    Args:
        base: what the unchanged code makes of the same calls.
    """
    before = {_type(word) for word in base} - {""}
    return ("none",) if before and "NoneType" not in before and "NoneType" in map(_type, words) else ()


def _type(word: str) -> str:
    """Return the type of what a call returned; nothing where it did not."""
    return "" if word.startswith("!") else word.partition(" ")[2]


def _returned(words: Sequence[str], at: int) -> bool:
    return not _word(words, at).startswith("!")


def _word(words: Sequence[str], at: int) -> str:
    return words[at] if at < len(words) else "!"
