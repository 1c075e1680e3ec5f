"""How a model fills a seat: what it is told, the shape it answers in, and what of its answer counts.

All that a model reads besides its instructions was written by somebody else, and may order it about. So whatever it
answers, only ids of options that there are, references that there are, and vetoes of a seat with that right come out of
here, and text without a character that steers a terminal; what cannot be read is an abstention.
"""

import math
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from atra.llm.chat import ChatModel
from atra.llm.prompting import filled, framed, one_line
from atra.llm.records import Effort, Message, Reply, Request
from atra.llm.structured import Unreadable, ask_for
from atra.war_room.ballots import sound
from atra.war_room.records import Ballot, Evidence, Option
from atra.war_room.seats import Claim, Seat, Task

PROMPTS = Path(__file__).parent / "prompts"

MOST_PIECES = 5
"""Of evidence that a model gives, and that others are shown of a ballot."""

MOST_OPTIONS = 5
"""That are found where none are given."""

_NAME = 200  # characters of an option's text, or of why an answer cannot be read
_QUESTION = 4000
_RANKED = 20  # of its first ranking a model is shown so many
_LISTED = 4000  # characters of the list of options; a room on code may have thousands
_FOUND = 6000  # of what the others found
_LINES = re.compile(r":\d{1,7}(?:-\d{1,7})?\Z")

T = TypeVar("T")


@dataclass(frozen=True)
class Brief:
    """What every model of a room is told.

    Args:
        evidence: text already marked as data with the nonce.
        references: names that evidence may cite, alone or with a line (`shop/cart.py:12`), besides ids of options.
        nonce: what nothing in the texts can contain.
    """

    task: Task
    question: str
    options: tuple[Option, ...]
    evidence: str
    references: tuple[str, ...]
    nonce: str

    @classmethod
    def on_question(
        cls, question: str, options: tuple[Option, ...], context: Mapping[str, str], nonce: str, *, tokens: int = 20_000
    ) -> "Brief":
        """Return the brief of a free question with its files, each with numbered lines, all getting the same room.

        Args:
            tokens: about how many the files may take, three characters each.
        """
        room = 3 * tokens // max(1, len(context))
        files = (framed(nonce, f"file {name}", _shortened(_numbered(text), room)) for name, text in context.items())
        return cls("question", question, options, "\n".join(files), tuple(context), nonce)


@dataclass(frozen=True)
class Terms:
    """How long and how large one reply may be."""

    max_output_tokens: int
    effort: Effort | None
    timeout_s: float


@dataclass(frozen=True)
class Spoken:
    """A ballot, and the calls, tokens and US dollars it took."""

    ballot: Ballot
    calls: int
    tokens: int
    cost_usd: float


@dataclass(frozen=True)
class Judgement:
    """Which of the tied options a judge chose, if one, and what that took."""

    option: str | None
    calls: int
    tokens: int
    cost_usd: float


@dataclass(frozen=True)
class Piece:
    """One observation and where it can be looked up."""

    text: str
    reference: str = ""


@dataclass(frozen=True)
class Objection:
    """An option that must not be taken, and why."""

    option: str
    reason: str


@dataclass(frozen=True)
class Vote:
    """An opinion; the working comes first, so that it is done before the choice."""

    working: str
    ranking: list[str]
    probability: float
    evidence: list[Piece] = field(default_factory=list)
    veto: list[Objection] = field(default_factory=list)


@dataclass(frozen=True)
class CodeVote(Vote):
    """An opinion on code, with the change that the voter would make."""

    patch: str = ""


@dataclass(frozen=True)
class Choices:
    """Options that a model found."""

    working: str
    options: list[str]


@dataclass(frozen=True)
class Verdict:
    """Which option the evidence speaks for; empty for none."""

    working: str
    option: str


def speak(seat: Seat, brief: Brief, model: ChatModel, terms: Terms) -> Spoken:
    """Return what the seat says before it knows what anybody else says; it abstains where it cannot be read.

    Raises:
        What `ChatModel.reply` raises, and BudgetSpent.
    """
    vote, replies = _asked(model, terms, _instructions(seat, brief), _told(brief), _shape(brief))
    return _spoken(_ballot(seat, brief, vote), replies)


def answer_peers(
    seat: Seat, brief: Brief, model: ChatModel, terms: Terms, own: Ballot, claims: Sequence[Claim]
) -> Spoken:
    """Return what the seat says once it has read what the others found: its second ballot.

    The first opinion stands where the answer cannot be read or abstains, and where it ranks otherwise without a piece
    of evidence that the first ballot lacked: agreeing with the others is no reason.

    Raises:
        What `ChatModel.reply` raises, and BudgetSpent.
    """
    told = "\n".join((_told(brief), _first_opinion(brief, own), _others(brief, claims)))
    system = f"{_instructions(seat, brief)}\n{filled(PROMPTS, 'exchange')}"
    vote, replies = _asked(model, terms, system, told, _shape(brief))
    again = _ballot(seat, brief, vote)
    if again.abstained or (again.ranking != own.ranking and not _new_evidence(brief, own, again)):
        again = own
    patch = again.patch or (own.patch if again.ranking[:1] == own.ranking[:1] else "")
    return _spoken(replace(again, round=2, patch=patch, cast_at=None), replies)


def claims_of(ballots: Iterable[Ballot], *, without: str, seed: str) -> tuple[Claim, ...]:
    """Return what the experts found, by the latest ballot of each that has an opinion and came in time.

    Who said it, how sure they were and in which order they spoke is left out.

    Args:
        without: the expert who is to read it.
        seed: makes the order; the same seed gives the same order.
    """
    latest = {
        ballot.expert: ballot
        for ballot in sorted(ballots, key=lambda ballot: ballot.round)
        if ballot.ranking and not ballot.late and not ballot.abstained and ballot.expert != without
    }
    claims = [Claim(one.ranking[0], tuple(map(_cited, one.evidence[:MOST_PIECES]))) for one in latest.values()]
    return tuple(sorted(claims, key=lambda claim: sha256(f"{seed} {claim}".encode()).digest()))


def find_options(brief: Brief, model: ChatModel, terms: Terms) -> tuple[Option, ...]:
    """Return two to five answers to the question, with the ids `a`, `b`, …; none where the model names fewer than two.

    Raises:
        What `ChatModel.reply` raises, and BudgetSpent.
    """
    found, _ = _asked(model, terms, filled(PROMPTS, "options", nonce=brief.nonce), _told(brief), Choices)
    if isinstance(found, Unreadable):
        return ()
    texts = list(dict.fromkeys(text for one in found.options if (text := one_line(one)[:_NAME])))[:MOST_OPTIONS]
    return tuple(Option(chr(ord("a") + at), text) for at, text in enumerate(texts)) if len(texts) > 1 else ()


def judge(brief: Brief, model: ChatModel, terms: Terms, tied: Sequence[Option], claims: Sequence[Claim]) -> Judgement:
    """Return which of the tied options a model chooses by what the experts found; none is a judgement too.

    Raises:
        What `ChatModel.reply` raises, and BudgetSpent.
    """
    brief = replace(brief, options=tuple(tied))
    told = "\n".join((_told(brief), _others(brief, claims)))
    found, replies = _asked(model, terms, filled(PROMPTS, "judge", nonce=brief.nonce), told, Verdict)
    chosen = () if isinstance(found, Unreadable) else _named(_ids(tied), [found.option])
    return Judgement(next(iter(chosen), None), *_cost(replies))


def _instructions(seat: Seat, brief: Brief) -> str:
    """Return what the seat is told to do; only ATRA's files and the settings speak here."""
    parts = [filled(PROMPTS, "seat", department=seat.department, part=seat.part, nonce=brief.nonce).rstrip()]
    parts += [filled(PROMPTS, "veto" if seat.may_veto else "no_veto")]
    parts += [filled(PROMPTS, "red_team")] if seat.red_team else []
    parts += [filled(PROMPTS, "code")] if brief.task == "code" else []
    return "\n".join(parts)


def _told(brief: Brief) -> str:
    """Return what the seat reads: all of it marked as data."""
    parts = [framed(brief.nonce, "the question", _shortened(brief.question, _QUESTION))]
    parts += [framed(brief.nonce, "the options, each with its id", _listed(brief))] if brief.options else []
    return "\n".join([*parts, brief.evidence])


def _listed(brief: Brief) -> str:
    """Return a line per option, its id in backquotes, as far as there is room."""
    lines: list[str] = []
    room = _LISTED
    for option in brief.options:
        line = f"- `{one_line(option.id)}`: {one_line(option.text)[:_NAME]}"
        room -= len(line)
        if room < 0 and lines:
            return "\n".join([*lines, f"and {len(brief.options) - len(lines)} more that are not shown"])
        lines.append(line)
    return "\n".join(lines)


def _first_opinion(brief: Brief, own: Ballot) -> str:
    evidence = "\n".join(f"- {_cited(one)}" for one in own.evidence)
    ranking = ", ".join(f"`{one_line(id_)}`" for id_ in own.ranking[:_RANKED])
    return framed(brief.nonce, "your first opinion", f"your ranking, best first: {ranking}\n{evidence}")


def _others(brief: Brief, claims: Sequence[Claim]) -> str:
    room = _FOUND // max(1, len(claims))
    told = (
        _shortened(
            "\n".join([f"for `{one_line(claim.option)}`:", *(f"- {one_line(one)}" for one in claim.evidence)]), room
        )
        for claim in claims
    )
    return framed(brief.nonce, "what others found", "\n".join(told) or "nobody else had an opinion")


def _asked(
    model: ChatModel, terms: Terms, system: str, told: str, shape: type[T]
) -> tuple[T | Unreadable, Sequence[Reply]]:
    request = Request(
        (Message("system", system), Message("user", told)),
        max_output_tokens=terms.max_output_tokens,
        effort=terms.effort,
        timeout_s=terms.timeout_s,
    )
    found = ask_for(model, request, shape)
    return found if isinstance(found, Unreadable) else found.value, found.replies


def _shape(brief: Brief) -> type[Vote]:
    return CodeVote if brief.task == "code" else Vote


def _ballot(seat: Seat, brief: Brief, vote: Vote | Unreadable) -> Ballot:
    """Return what of an answer counts."""
    silent = Ballot(seat.expert, seat.department, "model")
    if isinstance(vote, Unreadable):
        return replace(silent, abstained=one_line(f"its answer cannot be read: {vote.why}")[:_NAME])
    ids = _ids(brief.options)
    said = replace(
        silent,
        ranking=_named(ids, vote.ranking),
        probability=vote.probability,
        evidence=_evidence({*brief.references, *ids.values()}, vote.evidence),
        vetoes=_vetoes(ids, vote.veto) if seat.may_veto else {},
        abstained="" if vote.ranking else "it has no opinion",
        patch=vote.patch if isinstance(vote, CodeVote) else "",
    )
    return sound(said, {*ids.values()})


def _ids(options: Iterable[Option]) -> dict[str, str]:
    """Return the id that each word of a model stands for: an option's id, or its text."""
    options = tuple(options)
    return {one_line(option.text): option.id for option in options} | {option.id: option.id for option in options}


def _named(ids: Mapping[str, str], names: Iterable[str]) -> tuple[str, ...]:
    """Return the ids of options among the names, each once."""
    plain = (name.strip().strip("`\"'") for name in names)
    return tuple(dict.fromkeys(ids[name] for name in plain if name in ids))


def _vetoes(ids: Mapping[str, str], objections: Iterable[Objection]) -> dict[str, str]:
    """Return the vetoes of options that there are; one without a reason is none."""
    return {id_: reason for one in objections for id_ in _named(ids, [one.option]) if (reason := one_line(one.reason))}


def _evidence(known: Container[str], pieces: Iterable[Piece]) -> tuple[Evidence, ...]:
    found = (Evidence(text, _reference(known, one.reference)) for one in pieces if (text := one_line(one.text)))
    return tuple(dict.fromkeys(found))[:MOST_PIECES]


def _reference(known: Container[str], named: str) -> str:
    """Return the reference if there is such a place; one that a model made up must not look like a fact."""
    plain = named.strip().strip("`\"'")
    return plain if plain in known or _LINES.sub("", plain) in known else ""


def _new_evidence(brief: Brief, own: Ballot, again: Ballot) -> bool:
    """Return whether the second ballot has evidence that the first lacks, looked up where there is what to look up."""
    known = {piece.text for piece in own.evidence}
    return any(one.text not in known and (one.reference or not brief.references) for one in again.evidence)


def _spoken(ballot: Ballot, replies: Sequence[Reply]) -> Spoken:
    calls, tokens, cost_usd = _cost(replies)
    return Spoken(replace(ballot, cost_usd=cost_usd), calls, tokens, cost_usd)


def _cost(replies: Sequence[Reply]) -> tuple[int, int, float]:
    """Return how many calls, tokens and US dollars the replies took."""
    tokens = sum(reply.usage.input_tokens + reply.usage.output_tokens for reply in replies)
    return len(replies), tokens, math.fsum(reply.cost_usd or 0.0 for reply in replies)


def _cited(piece: Evidence) -> str:
    return f"{piece.text} ({piece.reference})" if piece.reference else piece.text


def _shortened(text: str, most: int) -> str:
    """Return the text, or where it has no room its beginning and its end."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n… left out for want of room …\n{text[len(text) - half :]}"


def _numbered(text: str) -> str:
    return "\n".join(f"{number:>4} {line}" for number, line in enumerate(text.splitlines(), 1))
