"""What a call may cost at most, and whether the budgets pay for that, before it is made.

A call is reserved at its worst case and settled at what it took. What is reserved counts as spent until it is settled,
for ever where nobody knows what became of it, so a worker that is killed spends no money that nobody sees.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Protocol

from atra.core.errors import BudgetSpent
from atra.llm.prices import Price
from atra.llm.records import Usage

LEAST_OUTPUT_TOKENS = 256
"""A reply that had to be shorter than this is not worth its question."""

_NANO = Decimal("1e-9")


@dataclass(frozen=True)
class Budgets:
    """What may be spent: US dollars in one call, in one run and in one day (UTC), and tokens in one run."""

    call_usd: float
    run_usd: float
    day_usd: float
    run_tokens: int | None = None


@dataclass(frozen=True)
class Spent:
    """What is used or reserved by now; of the run it is nothing for a call that belongs to none."""

    run_usd: Decimal = Decimal(0)
    run_tokens: int = 0
    day_usd: Decimal = Decimal(0)


@dataclass(frozen=True)
class Wanted:
    """A call somebody wants to make.

    Args:
        purpose: what it is for, in a word.
        name: the model as configured; `provider` and `model` say which that is.
        input_tokens: the most that its question can take.
        output_tokens: the most that its answer should take.
        attempts: how often it may be sent.
    """

    run_id: str | None
    purpose: str
    name: str
    provider: str
    model: str
    price: Price
    input_tokens: int
    output_tokens: int
    attempts: int


@dataclass(frozen=True)
class Granted:
    """What of it the budgets pay for. One attempt costs at most `attempt_usd` and `attempt_tokens`."""

    output_tokens: int
    attempts: int
    attempt_usd: Decimal
    attempt_tokens: int

    def usd(self, attempts: int) -> Decimal:
        """Return what so many attempts cost at most, rounded up to what the ledger can keep."""
        return (attempts * self.attempt_usd).quantize(_NANO, ROUND_CEILING)


@dataclass(frozen=True)
class Reservation:
    """A granted call in the ledger."""

    id: int
    granted: Granted


@dataclass(frozen=True)
class Bill:
    """What a call came to.

    Args:
        usage: None where the provider did not say.
        model: the version that answered; empty where none did.
    """

    cost_usd: Decimal
    usage: Usage | None
    seconds: float
    model: str = ""
    finish: str = ""
    error: str = ""


class Ledger(Protocol):
    """Where calls are written down before they are made, one after the other, whoever makes them."""

    def reserve(self, wanted: Wanted, budgets: Budgets) -> Reservation:
        """Write the call down at its worst case, as `fit` grants it.

        Raises:
            BudgetSpent: no budget pays for it; nothing was written.
        """

    def settle(self, reservation: Reservation, bill: Bill) -> None:
        """Replace the worst case by what the call came to."""

    def lose(self, reservation: Reservation, bill: Bill) -> None:
        """Note that nobody knows what the call cost: it counts as `bill.cost_usd`, its worst case, for ever."""


def fit(wanted: Wanted, spent: Spent, budgets: Budgets) -> Granted:
    """Return as much of the call as every budget pays for: a shorter answer first, then fewer attempts.

    Raises:
        BudgetSpent: the smallest budget does not pay for one attempt with an answer of `LEAST_OUTPUT_TOKENS`, or of all
            that is wanted where that is less.
    """
    limits = _limits(wanted, spent, budgets)
    least = min(LEAST_OUTPUT_TOKENS, wanted.output_tokens)
    for limit in limits:
        if limit.attempt(wanted.input_tokens, least) > limit.left:
            needed = limit.shown(limit.attempt(wanted.input_tokens, least))
            raise BudgetSpent(limit.of, limit.shown(limit.used), limit.shown(limit.most), needed)
    output = min([wanted.output_tokens, *(limit.longest(wanted.input_tokens) for limit in limits if limit.output)])
    costs = [(limit.left, limit.attempt(wanted.input_tokens, output)) for limit in limits]
    attempts = [int(left // one) for left, one in costs if one]
    money = _Limit("", "USD", Decimal(0), Decimal(0), *_prices(wanted.price))
    return Granted(
        output,
        max(1, min([wanted.attempts, *attempts])),
        money.attempt(wanted.input_tokens, output),
        wanted.input_tokens + output,
    )


@dataclass(frozen=True)
class _Limit:
    """One budget in its own unit, and what a token of input and of output takes of it."""

    of: str
    unit: str
    used: Decimal
    most: Decimal
    input: Decimal
    output: Decimal

    @property
    def left(self) -> Decimal:
        return self.most - self.used

    def attempt(self, input_tokens: int, output_tokens: int) -> Decimal:
        return input_tokens * self.input + output_tokens * self.output

    def longest(self, input_tokens: int) -> int:
        return int((self.left - input_tokens * self.input) // self.output)

    def shown(self, amount: Decimal) -> str:
        return dollars(amount) if self.unit == "USD" else f"{amount} {self.unit}"


def _limits(wanted: Wanted, spent: Spent, budgets: Budgets) -> list[_Limit]:
    """Return the budgets of which this call takes something; what is free is held up by no lack of money."""
    run, limits = f"run {wanted.run_id}", []
    input_usd, output_usd = _prices(wanted.price)
    if input_usd or output_usd:
        amounts = [("this call", Decimal(0), budgets.call_usd), ("today", spent.day_usd, budgets.day_usd)]
        if wanted.run_id is not None:
            amounts.insert(1, (run, spent.run_usd, budgets.run_usd))
        limits = [_Limit(of, "USD", used, _exact(most), input_usd, output_usd) for of, used, most in amounts]
    if wanted.run_id is not None and budgets.run_tokens is not None:
        used, most = Decimal(spent.run_tokens), Decimal(budgets.run_tokens)
        limits.append(_Limit(run, "tokens", used, most, Decimal(1), Decimal(1)))
    return limits


def _prices(price: Price) -> tuple[Decimal, Decimal]:
    """Return what a token of input and of output costs at most, in US dollars."""
    most_input = max(price.input_usd, price.cached_input_usd)
    return _exact(most_input) / 1_000_000, _exact(price.output_usd) / 1_000_000


def _exact(amount: float) -> Decimal:
    """Return the amount as it was written down, not as its nearest binary fraction."""
    return Decimal(str(amount))


def dollars(amount: Decimal | float) -> str:
    """Return an amount for people: two decimals, or as many as it has, at most six."""
    shown = f"{amount:.6f}".rstrip("0")
    whole, _, cents = shown.partition(".")
    return f"${whole}.{cents:0<2}"
