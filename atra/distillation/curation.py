"""Which traces a data set takes, and why not the others: one look at each, every drop with its one reason, counted.

Facts in, rows out: reading traces and writing rows are the caller's part. Traces come by id, which is a digest, so that
the same traces make the same choice wherever and whenever they are read.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

from atra.distillation.duplicates import Evaluation, Seen, digest, words_of
from atra.distillation.policy import Policy
from atra.distillation.tokens import Tokens
from atra.distillation.traces import OWN, Trace

Reason = Literal[
    "revoked",
    "not_allowed",
    "empty",
    "no_reasoning",
    "refused",
    "cut_off",
    "unproved",
    "wrong",
    "too_short",
    "too_long",
    "language",
    "secret",
    "personal",
    "contaminated",
    "duplicate",
    "near_duplicate",
    "too_many_of_one_question",
    "too_many_long",
]
"""Why a trace is not taken, in the order in which it is asked: what is cheap first, what looks at others last."""


class Looks(Protocol):
    """Looks for what must not be learned, see `atra.distillation.screening.Screen`."""

    def secret(self, text: str) -> bool:
        """Say whether the text holds a secret."""

    def personal(self, text: str) -> bool:
        """Say whether the text holds personal data."""

    def foreign(self, text: str) -> bool:
        """Say whether the text is in a language nobody wants."""


class Verifier(Protocol):
    """Says whether an answer is right, where it can tell."""

    def right(self, trace: Trace) -> bool | None:
        """Return whether the answer is right; None where this verifier cannot tell."""


@dataclass(frozen=True)
class Bounds:
    """What a row must be like.

    Args:
        shortest_tokens: of working and answer together; `longest_tokens` of the whole row.
        per_question: how many rows may answer one question.
        long_share: of the rows, at most, that have more than `long_tokens`. Small models learn worse from long working
            alone (Li et al. 2025, arXiv:2502.12143).
    """

    shortest_tokens: int = 8
    longest_tokens: int = 4096
    per_question: int = 4
    long_share: float = 0.5
    long_tokens: int = 1024


@dataclass(frozen=True)
class Row:
    """A trace that is taken, and how long it is."""

    trace: Trace
    tokens: int


@dataclass
class Curation:
    """One choosing of rows.

    Args:
        policy: asked again of every trace, whatever it was kept with.
        verifiers: a trace that one of them calls wrong is not taken.
    """

    bounds: Bounds
    policy: Policy
    tokens: Tokens
    looks: Looks
    evaluation: Evaluation = field(default_factory=Evaluation)
    verifiers: Sequence[Verifier] = ()
    dropped: Counter[Reason] = field(default_factory=Counter)

    def rows(self, traces: Iterable[Trace]) -> Iterator[Row]:
        """Yield the rows that can be told apart from the others by themselves and what came before; count the drops."""
        seen, answered = Seen(), Counter[bytes]()
        for trace in traces:
            one = _Looked(trace, self)
            reason = one.fault() or _known(one, seen, answered, self.bounds)
            if reason:
                self.dropped[reason] += 1
            else:
                yield Row(trace, one.tokens)

    def surplus(self, sizes: Sequence[int]) -> set[int]:
        """Return the numbers of the rows, by their tokens in order, that are long and too many; count the drops.

        Those that came first stay. Where no row is short, none is too many: there is nothing to mix them with.
        """
        long = [number for number, tokens in enumerate(sizes) if tokens > self.bounds.long_tokens]
        short, share = len(sizes) - len(long), self.bounds.long_share
        if not short or share >= 1:
            return set()
        gone = set(long[int(short * share / (1 - share)) :])
        if gone:
            self.dropped["too_many_long"] += len(gone)
        return gone


class _Looked:
    """A trace under one look; what several questions need of it is made once."""

    def __init__(self, trace: Trace, by: Curation) -> None:
        self._trace, self._by = trace, by

    @cached_property
    def question(self) -> list[str]:
        return words_of(self._trace.prompt)

    @cached_property
    def said(self) -> list[str]:
        return words_of(f"{self._trace.reasoning}\n{self._trace.answer}")

    @cached_property
    def tokens(self) -> int:
        return self._prompt_tokens + self._said_tokens

    @cached_property
    def _prompt_tokens(self) -> int:
        return self._by.tokens.count(self._trace.prompt)

    @cached_property
    def _said_tokens(self) -> int:
        return self._by.tokens.count(self._trace.reasoning) + self._by.tokens.count(self._trace.answer)

    def fault(self) -> Reason | None:
        """Return why it cannot be taken, whatever the others are."""
        return self._origin() or self._size() or self._content()

    def _origin(self) -> Reason | None:
        trace, origin = self._trace, self._trace.origin
        if trace.revoked_at is not None:
            return "revoked"
        if not self._by.policy.permission(origin).allowed:
            return "not_allowed"
        if origin.refusal or origin.finish == "refusal":
            return "refused"
        if origin.finish != "stop":
            return "cut_off"
        if not trace.prompt.strip() or not trace.answer.strip():
            return "empty"
        if trace.kind == "none" or not trace.reasoning.strip():
            return "no_reasoning"
        if origin.provider == OWN and not origin.proof:
            return "unproved"
        return "wrong" if any(one.right(trace) is False for one in self._by.verifiers) else None

    def _size(self) -> Reason | None:
        bounds = self._by.bounds
        if self._said_tokens < bounds.shortest_tokens:
            return "too_short"
        return "too_long" if self.tokens > bounds.longest_tokens else None

    def _content(self) -> Reason | None:
        trace, looks = self._trace, self._by.looks
        # What ATRA tells of its own work is English, among code that may look like any language.
        if trace.origin.provider != OWN and looks.foreign(f"{trace.reasoning}\n{trace.answer}"):
            return "language"
        whole = f"{trace.prompt}\n{trace.reasoning}\n{trace.answer}"
        if looks.secret(whole):
            return "secret"
        if looks.personal(whole):
            return "personal"
        return "contaminated" if self._by.evaluation.holds(self.question, self.said) else None


def _known(one: _Looked, seen: Seen, answered: Counter[bytes], bounds: Bounds) -> Reason | None:
    """Return why it is too much beside those before it."""
    if again := seen.again([*one.question, *one.said]):
        return "duplicate" if again == "duplicate" else "near_duplicate"
    question = digest(one.question)
    answered[question] += 1
    return "too_many_of_one_question" if answered[question] > bounds.per_question else None


class Expected:
    """Knows the right answers to some questions."""

    def __init__(self, answers: Iterable[tuple[str, str]]) -> None:
        self._answers = {digest(words_of(question)): words_of(answer) for question, answer in answers}

    def right(self, trace: Trace) -> bool | None:
        """Say whether the answer is the expected one, whatever its signs and capitals."""
        expected = self._answers.get(digest(words_of(trace.prompt)))
        return None if expected is None else words_of(trace.answer) == expected


class Agreement:
    """Holds answers to the same question against one another: what most say alike is right.

    Only answers of a few words can be alike; where none has more than half of three voices or more, nothing is told.
    A voice is what one model of a provider, or one of its tenants' people, said; however often it said so.
    """

    LEAST = 3
    LONGEST = 12  # words

    def __init__(self, traces: Iterable[Trace]) -> None:
        voices: defaultdict[bytes, Counter[bytes]] = defaultdict(Counter)
        heard: set[int] = set()
        for trace in traces:
            if len(words := words_of(trace.answer)) <= self.LONGEST:
                question, answer, who = digest(words_of(trace.prompt)), digest(words), trace.origin
                voice = hash((question, answer, who.provider, who.model, who.tenant))
                voices[question][answer] += voice not in heard
                heard.add(voice)
        self._agreed = {}
        for question, counted in voices.items():
            (answer, count), total = counted.most_common(1)[0], counted.total()
            if total >= self.LEAST and 2 * count > total:
                self._agreed[question] = answer

    def right(self, trace: Trace) -> bool | None:
        """Say whether the answer is the one that most gave."""
        words = words_of(trace.answer)
        agreed = self._agreed.get(digest(words_of(trace.prompt)))
        return None if agreed is None or len(words) > self.LONGEST else digest(words) == agreed
