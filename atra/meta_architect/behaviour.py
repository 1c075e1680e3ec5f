"""Which plausible patches do the same: they make the same of the calls that all of them were given."""

from collections.abc import Hashable, Sequence

from atra.meta_architect.records import Plausible


def groups(items: Sequence[Plausible]) -> list[int]:
    """Return the number of each patch's group, from 0, in the order in which they come.

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
    known: dict[Hashable, int] = {}
    return [known.setdefault(label, len(known)) for label in labels]


def signs(base: Sequence[str], words: Sequence[str]) -> tuple[str, ...]:
    """Return what speaks against a patch in what it does: `type` where a function returns what it never did before.

    Code that mostly answers and at times falls off its end passes every test that asks for something false.

    Args:
        base: what the unchanged code makes of the same calls.
    """
    before, after = _types(base), _types(words)
    drifts = (after[name] - before[name] for name in before.keys() & after.keys())
    return ("type",) if any(drifts) else ()


def _types(words: Sequence[str]) -> dict[str, set[str]]:
    """Return the types that each function returned."""
    found: dict[str, set[str]] = {}
    for word in words:
        if not word.startswith("!"):
            _, name, kind = word.split(" ")
            found.setdefault(name, set()).add(kind)
    return found


def _returned(words: Sequence[str], at: int) -> bool:
    return not _word(words, at).startswith("!")


def _word(words: Sequence[str], at: int) -> str:
    return words[at] if at < len(words) else "!"
