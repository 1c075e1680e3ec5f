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


def _returned(words: Sequence[str], at: int) -> bool:
    return not _word(words, at).startswith("!")


def _word(words: Sequence[str], at: int) -> str:
    return words[at] if at < len(words) else "!"
