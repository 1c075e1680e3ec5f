"""What the budgets pay for, in values alone; and that nothing swallows their end."""

import ast
import contextlib
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.core.errors import BudgetSpent, as_facts
from atra.llm.budget import LEAST_OUTPUT_TOKENS, Budgets, Granted, Spent, Wanted, dollars, fit
from atra.llm.prices import FREE, Price

ROOT = Path(__file__).resolve().parents[3]
PRICE = Price(1.0, 0.1, 10.0)  # a thousand tokens of input cost $0.001, of output $0.01
ROOMY = Budgets(100.0, 100.0, 100.0)
SPENT = BudgetSpent("run r1", "$0.009", "$0.01", "$0.002")


def wanted(
    input_tokens: int = 1000, output_tokens: int = 1000, attempts: int = 3, price: Price = PRICE, run: str | None = "r1"
) -> Wanted:
    return Wanted(run, "ask", "main", "openai", "gpt-x", price, input_tokens, output_tokens, attempts)


def test_what_every_budget_pays_for_is_granted_as_it_is_wanted():
    """One attempt costs its input and its longest output; three cost three times that."""
    granted = fit(wanted(), Spent(), ROOMY)

    assert granted == Granted(1000, 3, Decimal("0.011"), 2000)
    assert granted.usd(3) == Decimal("0.033")


@pytest.mark.parametrize(
    ("budgets", "spent"),
    [
        (Budgets(0.022, 100, 100), Spent()),
        (Budgets(100, 0.032, 100), Spent(run_usd=Decimal("0.010"))),
        (Budgets(100, 100, 0.032), Spent(day_usd=Decimal("0.010"))),
        (Budgets(100, 100, 100, run_tokens=5999), Spent(run_tokens=1000)),
    ],
    ids=["call", "run", "day", "tokens"],
)
def test_attempts_are_given_up_first(budgets: Budgets, spent: Spent):
    """What pays for two attempts buys two whole ones."""
    granted = fit(wanted(), spent, budgets)

    assert (granted.output_tokens, granted.attempts) == (1000, 2)


@pytest.mark.parametrize(
    ("budgets", "spent"),
    [
        (Budgets(0.006, 100, 100), Spent()),
        (Budgets(100, 0.016, 100), Spent(run_usd=Decimal("0.010"))),
        (Budgets(100, 100, 0.016), Spent(day_usd=Decimal("0.010"))),
        (Budgets(100, 100, 100, run_tokens=2500), Spent(run_tokens=1000)),
    ],
    ids=["call", "run", "day", "tokens"],
)
def test_the_answer_is_cut_to_what_one_attempt_can_have(budgets: Budgets, spent: Spent):
    """Half of the answer once is better than none."""
    granted = fit(wanted(), spent, budgets)

    assert (granted.output_tokens, granted.attempts) == (500, 1)


def test_the_smallest_budget_is_named_with_what_it_lacks():
    """A person reads which budget it was, what is used of it, and what the call would take at the least."""
    spent = Spent(run_usd=Decimal("0.0075"))

    with pytest.raises(BudgetSpent) as caught:
        fit(wanted(), spent, Budgets(0.50, 0.01, 20.0))

    assert str(caught.value) == (
        "The budget of run r1 is spent: $0.0075 of $0.01 are used or reserved, and $0.00356 more would be needed."
    )


def test_tokens_are_told_as_tokens():
    """A budget of tokens says so."""
    with pytest.raises(BudgetSpent, match=r"run r1 is spent: 900 tokens of 1000 tokens .* 1256 tokens more"):
        fit(wanted(), Spent(run_tokens=900), Budgets(1, 1, 1, run_tokens=1000))


def test_a_short_answer_is_enough_where_no_more_is_wanted():
    """Fewer tokens than the least are not asked for more money than they can cost."""
    granted = fit(wanted(output_tokens=10), Spent(), Budgets(0.0011, 1, 1))

    assert (granted.output_tokens, granted.attempts) == (10, 1)


def test_what_is_free_needs_no_money():
    """A model on this machine works on when the day's money is gone; its tokens still count."""
    poor = Spent(run_usd=Decimal(5), day_usd=Decimal(50))

    assert fit(wanted(price=FREE), poor, Budgets(1, 1, 1)) == Granted(1000, 3, Decimal(0), 2000)
    with pytest.raises(BudgetSpent):
        fit(wanted(price=FREE), poor, Budgets(1, 1, 1, run_tokens=500))


def test_a_call_outside_of_any_run_has_the_call_and_the_day_to_pay():
    """There is no run whose budget could hold it."""
    granted = fit(wanted(run=None), Spent(), Budgets(1, 0.001, 1, run_tokens=1))

    assert granted.output_tokens == 1000


def test_cached_input_that_costs_more_counts_as_that():
    """The worst case is the worst of both."""
    assert fit(wanted(price=Price(1.0, 2.0, 10.0)), Spent(), ROOMY).attempt_usd == Decimal("0.012")


amounts = st.decimals(0, 2, places=9, allow_nan=False)
prices = st.sampled_from([0.0, 0.025, 0.1, 1.25, 3.0, 10.0, 75.0])


@given(
    price=st.builds(Price, prices, prices, prices),
    input_tokens=st.integers(0, 200_000),
    output_tokens=st.integers(1, 32_000),
    attempts=st.integers(1, 5),
    spent=st.builds(Spent, amounts, st.integers(0, 100_000), amounts),
    budgets=st.builds(
        Budgets,
        st.floats(0.0001, 2),
        st.floats(0.0001, 2),
        st.floats(0.0001, 2),
        st.none() | st.integers(1, 200_000),
    ),
)
def test_what_is_granted_fits_every_budget_and_what_is_refused_fits_none(
    price: Price, input_tokens: int, output_tokens: int, attempts: int, spent: Spent, budgets: Budgets
):
    """To a nanodollar: all attempts fit; one token, or one attempt, more would not; a refusal has a reason."""
    call = wanted(input_tokens, output_tokens, attempts, price)
    lefts = [(Decimal(str(budgets.call_usd))), Decimal(str(budgets.run_usd)) - spent.run_usd]
    left_usd = min(*lefts, Decimal(str(budgets.day_usd)) - spent.day_usd)
    left_tokens = math.inf if budgets.run_tokens is None else budgets.run_tokens - spent.run_tokens
    most_input = Decimal(str(max(price.input_usd, price.cached_input_usd)))

    def worst(tokens: int) -> Decimal:
        return (input_tokens * most_input + tokens * Decimal(str(price.output_usd))) / 1_000_000

    def fits(tokens: int, times: int) -> bool:
        free = price == FREE or most_input == price.output_usd == 0
        return (free or worst(tokens) * times <= left_usd) and times * (input_tokens + tokens) <= left_tokens

    try:
        granted = fit(call, spent, budgets)
    except BudgetSpent:
        assert not fits(min(LEAST_OUTPUT_TOKENS, output_tokens), 1)
        return

    assert fits(granted.output_tokens, granted.attempts)
    assert granted.output_tokens == output_tokens or not fits(granted.output_tokens + 1, 1)
    assert granted.attempts == attempts or not fits(granted.output_tokens, granted.attempts + 1)
    assert granted.usd(granted.attempts) - granted.attempts * granted.attempt_usd < Decimal("1e-9")


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0, "$0.00"), (2, "$2.00"), (0.5, "$0.50"), (Decimal("0.012300000"), "$0.0123"), (1e-7, "$0.00")],
)
def test_dollars_are_shown_with_the_decimals_they_have(amount: Decimal | float, shown: str):
    """Two at least, six at most."""
    assert dollars(amount) == shown


def test_a_broad_except_does_not_catch_the_end_of_a_budget():
    """Neither `except Exception` nor `suppress(Exception)`."""

    def carefree() -> None:
        with contextlib.suppress(Exception):
            try:
                raise SPENT
            except Exception:
                pytest.fail("caught")

    with pytest.raises(BudgetSpent):
        carefree()


def test_a_pool_of_threads_hands_it_on():
    """It comes out of the future's result, with its facts."""

    def work(_: int) -> None:
        raise SPENT

    with ThreadPoolExecutor(2) as pool, pytest.raises(BudgetSpent) as caught:
        list(pool.map(work, range(2)))

    assert caught.value.args == SPENT.args


def test_it_survives_pickling_and_is_told_as_facts():
    """A result backend and a database row keep it."""
    again = pickle.loads(pickle.dumps(SPENT))

    assert (type(again), str(again)) == (BudgetSpent, str(SPENT))
    assert as_facts(again)["error"] == str(SPENT)


def test_our_own_code_catches_everything_only_to_raise_it_again():
    """Outside the files that run inside the sandbox, a bare or total `except` ends with `raise`."""
    swallowing = [
        f"{path.relative_to(ROOT)}:{handler.lineno}"
        for folder in ("atra", "workers")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not path.name.endswith("inside.py")
        for handler in ast.walk(ast.parse(path.read_text()))
        if isinstance(handler, ast.ExceptHandler)
        if handler.type is None or "BaseException" in ast.unparse(handler.type)
        if not (isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None)
    ]

    assert swallowing == []
