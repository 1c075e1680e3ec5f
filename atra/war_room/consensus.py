"""Ballots become a tally, and a tally a decision, by rules that can be read aloud. Nothing here knows time or storage.

Ranked ballots are compared pair by pair (Copeland); ties go to the weighted Borda count, then to weighted first places.
Ranked rules bear one bad voter better than plurality does (Zhao, Wang, Peng 2024, arXiv:2410.15168). Weights come from
what the sandbox later proved of each expert, never from how sure it says it is.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from atra.war_room.records import Ballot, Decision, Dissent, Option, Tally

CLEAR_MARGIN = 0.6
"""From here on a first round decides at once."""

_SAME = 1e-9


def quorum(seats: int) -> int:
    """Return how many ballots with an opinion a decision needs: two thirds of the seats, rounded to the nearest.

    3 seats need 2, 4 need 3, 5 need 3: always more than half.
    """
    return max(1, math.floor(2 * seats / 3 + 0.5))


def tally(
    options: Sequence[Option], ballots: Iterable[Ballot], seats: int, weights: Mapping[str, float] | None = None
) -> Tally:
    """Compare the options by the ballots that count: in time, with an opinion, the latest of each expert.

    The order of the arguments has no influence. Ids that are no option's are ignored, and so is an id's second mention.

    Args:
        weights: per expert, positive; 1 for whoever is not named.
    """
    ids = sorted(option.id for option in options)
    counted = _counted(ids, ballots)
    weigh = [((weights or {}).get(ballot.expert, 1.0), ranks) for ballot, ranks in counted]
    support = {
        (one, other): math.fsum(weight for weight, ranks in weigh if ranks[one] < ranks[other])
        for pair in combinations(ids, 2)
        for one, other in (pair, pair[::-1])
    }
    copeland = {one: math.fsum(_win(support, one, other) for other in ids if other != one) for one in ids}
    borda = {one: math.fsum(support[one, other] for other in ids if other != one) for one in ids}
    first = {one: math.fsum(weight for weight, ranks in weigh if ranks[one] == 0) for one in ids}
    keys = {one: (_rounded(copeland[one]), _rounded(borda[one]), _rounded(first[one])) for one in ids}
    order = sorted(ids, key=lambda one: (*(-part for part in keys[one]), one))
    rivals = max(1, len(ids) - 1)
    return Tally(
        order=tuple(order),
        scores={one: copeland[one] / rivals if len(ids) > 1 else 1.0 for one in order},
        margin=_margin(support, order, math.fsum(weight for weight, _ in weigh)),
        tied=tuple(one for one in order if keys[one] == keys[order[0]]),
        counted=len(counted),
        needed=quorum(seats),
    )


def needs_exchange(found: Tally, ballots: Iterable[Ballot], vetoers: frozenset[str]) -> bool:
    """Return whether one exchange round is worth it: enough ballots, a small margin, more than one option, no veto."""
    if found.counted < found.needed or len(found.order) < 2 or any(_vetoes(ballots, vetoers).values()):
        return False
    return found.margin < CLEAR_MARGIN


def decide(
    options: Sequence[Option],
    ballots: Sequence[Ballot],
    seats: int,
    weights: Mapping[str, float] | None = None,
    *,
    vetoers: frozenset[str] = frozenset(),
    judged: str | None = None,
    proved: Sequence[str] = (),
    expired: bool = False,
) -> Decision:
    """Return the room's decision.

    What the sandbox proved stands above every vote: among several proved options the vote chooses. A veto of the first
    option, a tie that no judge broke, and too few ballots all end as `no_consensus`, and a person is asked.

    Args:
        vetoers: experts and persons whose veto counts.
        judged: the option a judge chose among the tied, if one was asked and answered.
        proved: options whose patch passed the whole suite.
        expired: the deadline passed before the room was done.
    """
    found = tally(options, ballots, seats, weights)
    rounds = max((ballot.round for ballot in ballots), default=1)
    vetoed = _vetoes(ballots, vetoers)
    open_to = [one for one in found.order if one in proved] or list(found.order)

    def ended(option: str | None, reason: str, by: str = "nobody") -> Decision:
        outcome = "decided" if option is not None else "expired" if expired else "no_consensus"
        return Decision(
            outcome,  # type: ignore[arg-type]
            option,
            reason,
            found,
            _dissent(options, ballots, option) if option is not None else (),
            rounds,
            by,  # type: ignore[arg-type]
            changed_votes(ballots),
        )

    if not open_to:
        return ended(None, "there is no option to decide on")
    best = open_to[0]
    if why := vetoed.get(best):
        return ended(None, f"{best} is vetoed: {'; '.join(why)}")
    if proved and best in proved:
        return ended(best, f"its patch passed the whole suite, {found.scores[best]:.2f} in the vote", "tests")
    if found.counted < found.needed:
        return ended(None, f"{found.counted} of {seats} experts gave an opinion, {found.needed} are needed")
    if len(found.tied) > 1 and judged in found.tied:
        if why := vetoed.get(judged or ""):
            return ended(None, f"{judged} is vetoed: {'; '.join(why)}")
        return ended(judged, f"a judge broke the tie of {', '.join(found.tied)}", "judge")
    if len(found.tied) > 1:
        return ended(None, f"{', '.join(found.tied)} are tied")
    absent = f"; {seats - found.counted} of {seats} seats gave none" if found.counted < seats else ""
    return ended(best, f"{found.counted} opinions, margin {found.margin:.2f}{absent}", "vote")


def changed_votes(ballots: Iterable[Ballot]) -> int:
    """Return how many experts put another option first in their second ballot: how much the exchange moved them."""
    firsts: dict[str, dict[int, str]] = {}
    for ballot in ballots:
        if ballot.ranking and not ballot.late:
            firsts.setdefault(ballot.expert, {})[ballot.round] = ballot.ranking[0]
    return sum(len({said[number] for number in (1, 2) if number in said}) > 1 for said in firsts.values())


def _counted(ids: Sequence[str], ballots: Iterable[Ballot]) -> list[tuple[Ballot, Mapping[str, int]]]:
    """Return each expert's latest valid ballot with the rank of every option; unranked ones share the last place."""
    latest: dict[str, Ballot] = {}
    for ballot in sorted(ballots, key=lambda ballot: (ballot.round, ballot.expert, ballot.ranking)):
        if not ballot.late and not ballot.abstained and any(one in ids for one in ballot.ranking):
            latest[ballot.expert] = ballot
    return [(ballot, _ranks(ids, ballot.ranking)) for ballot in latest.values()]


def _ranks(ids: Sequence[str], ranking: Iterable[str]) -> Mapping[str, int]:
    named = [one for one in dict.fromkeys(ranking) if one in ids]
    return {**dict.fromkeys(ids, len(named)), **{one: place for place, one in enumerate(named)}}


def _win(support: Mapping[tuple[str, str], float], one: str, other: str) -> float:
    ahead = support[one, other] - support[other, one]
    return 0.5 if abs(ahead) < _SAME else float(ahead > 0)


def _margin(support: Mapping[tuple[str, str], float], order: Sequence[str], total: float) -> float:
    """Return the smallest lead of the first option over any other, as a share of all weight; none is no lead."""
    if len(order) < 2 or total <= 0:
        return float(len(order) == 1)
    best = order[0]
    return max(0.0, min((support[best, other] - support[other, best]) / total for other in order[1:]))


def _rounded(value: float) -> float:
    return round(value, 9)


def _vetoes(ballots: Iterable[Ballot], vetoers: frozenset[str]) -> dict[str, list[str]]:
    """Return, per option, why those who may veto it do; each expert's latest ballot counts."""
    latest = {b.expert: b for b in sorted(ballots, key=lambda b: b.round) if not b.late}
    found: dict[str, list[str]] = {}
    for expert in sorted(latest):
        if expert in vetoers:
            for option, why in sorted(latest[expert].vetoes.items()):
                found.setdefault(option, []).append(f"{expert}: {why}")
    return found


def _dissent(options: Sequence[Option], ballots: Iterable[Ballot], taken: str) -> tuple[Dissent, ...]:
    counted = _counted(sorted(option.id for option in options), ballots)
    return tuple(
        Dissent(ballot.expert, ballot.department, first, ballot.evidence)
        for ballot, ranks in sorted(counted, key=lambda pair: pair[0].expert)
        if (first := min(ranks, key=lambda one: (ranks[one], one))) != taken
    )
