"""What a room takes of a ballot, whoever wrote it: known options, sane numbers, and no more text than anybody reads."""

import math
from collections.abc import Collection
from dataclasses import replace

from atra.war_room.records import Ballot, Evidence

MOST_EVIDENCE = 20
LONGEST_TEXT = 600
LONGEST_REFERENCE = 200
LONGEST_PATCH = 60_000


def sound(ballot: Ballot, options: Collection[str]) -> Ballot:
    """Return the ballot as it is kept: each option once and none that is not asked about, a probability in [0, 1].

    One that is left without a ranking and without a reason abstains. Sound ballots stay as they are.
    """
    ranking = tuple(dict.fromkeys(one for one in ballot.ranking if one in options))
    sane = math.isfinite(ballot.probability)
    abstained = _cut(ballot.abstained, LONGEST_TEXT)
    return replace(
        ballot,
        ranking=() if abstained else ranking,
        probability=min(1.0, max(0.0, ballot.probability)) if sane else 0.5,
        evidence=tuple(
            Evidence(_cut(one.text, LONGEST_TEXT), _cut(one.reference, LONGEST_REFERENCE))
            for one in ballot.evidence[:MOST_EVIDENCE]
        ),
        vetoes={one: _cut(why, LONGEST_TEXT) for one, why in ballot.vetoes.items() if one in options},
        abstained=abstained or ("" if ranking else "it named no option that is asked about"),
        patch=ballot.patch if len(ballot.patch) <= LONGEST_PATCH else "",
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
