"""The ledger in the real database: what counts, who waits for whom, and that no budget is ever exceeded."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as tried
from hypothesis import strategies as st
from sqlalchemy import text

from atra.core.errors import BudgetSpent
from atra.core.runs import Plan, new_id
from atra.core.settings import Settings
from atra.llm.budget import Bill, Budgets, Reservation, Spent, Wanted, fit
from atra.llm.prices import Price
from atra.llm.records import Usage
from atra.storage.database import connect, transaction
from atra.storage.ledger import LedgerStore
from atra.storage.runs import RunStore

A_DOLLAR_A_TOKEN = Price(0.0, 0.0, 1_000_000.0)
ROOMY = Budgets(1000.0, 1000.0, 1000.0)


@pytest.fixture
def ledger(settings: Settings) -> LedgerStore:
    return LedgerStore(connect(settings.database_url.get_secret_value()))


@pytest.fixture
def run_id(ledger: LedgerStore) -> str:
    return RunStore(ledger._engine).open(new_id("r"), Plan("self_repair", (("ask", 1),)), {}).id


def wanted(run_id: str | None, dollars: int, attempts: int = 1, name: str = "main") -> Wanted:
    return Wanted(run_id, "ask", name, "openai", "gpt-x", A_DOLLAR_A_TOKEN, 0, dollars, attempts)


def bill(usd: str, usage: Usage | None = None, error: str = "") -> Bill:
    return Bill(Decimal(usd), usage, 0.1, "gpt-x-2026", "stop", error)


def move_back(ledger: LedgerStore, made: Reservation, interval: str) -> None:
    with transaction(ledger._engine) as db:
        moved = "UPDATE model_calls SET created_at = created_at - CAST(:by AS interval) WHERE id = :id"
        db.execute(text(moved), {"by": interval, "id": made.id})


def test_a_reservation_counts_until_it_is_settled_and_then_what_it_took(ledger: LedgerStore, run_id: str):
    """The worst case first, then the bill; also tokens."""
    made = ledger.reserve(wanted(run_id, 5), ROOMY)
    reserved = ledger.spent(run_id)
    ledger.settle(made, bill("2", Usage(3, 2)))

    assert reserved == Spent(Decimal(5), 5, Decimal(5))
    assert ledger.spent(run_id) == Spent(Decimal(2), 5, Decimal(2))


def test_a_lost_call_counts_at_its_worst_case_for_ever(ledger: LedgerStore, run_id: str):
    """Nobody knows whether it was billed; a bill that comes later changes nothing."""
    made = ledger.reserve(wanted(run_id, 5, attempts=2), ROOMY)
    ledger.lose(made, bill("5", error="ModelUnavailable: silence"))
    ledger.settle(made, bill("1"))

    assert ledger.spent(run_id).run_usd == 5
    (call,) = ledger.calls(run_id)
    assert (call.state, call.cost_usd, call.error) == ("lost", 5.0, "ModelUnavailable: silence")


def test_a_call_that_was_turned_away_costs_nothing(ledger: LedgerStore, run_id: str):
    """Neither money nor tokens count of what no model saw."""
    ledger.lose(ledger.reserve(wanted(run_id, 5), ROOMY), bill("0", error="KeyRefused"))

    assert ledger.spent(run_id) == Spent()
    assert ledger.calls(run_id)[0].state == "settled"


def test_a_run_pays_for_its_own_calls_and_the_day_for_all(ledger: LedgerStore, run_id: str):
    """Another run's calls, and those of no run, are in the day's sum only; yesterday's are in neither day's."""
    ledger.reserve(wanted(run_id, 1), ROOMY)
    ledger.reserve(wanted(None, 2), ROOMY)
    move_back(ledger, ledger.reserve(wanted(run_id, 4), ROOMY), "1 day")

    assert ledger.spent(run_id) == Spent(Decimal(5), 5, Decimal(3))
    assert ledger.spent(None) == Spent(day_usd=Decimal(3))


@pytest.mark.parametrize(
    ("budgets", "what"),
    [
        (Budgets(3.0, 100.0, 100.0), "this call"),
        (Budgets(100.0, 7.0, 100.0), "run "),
        (Budgets(100.0, 100.0, 7.0), "today"),
        (Budgets(100.0, 100.0, 100.0, run_tokens=7), "run "),
    ],
    ids=["call", "run", "day", "tokens"],
)
def test_a_call_that_a_budget_does_not_pay_for_is_not_written_down(
    ledger: LedgerStore, run_id: str, budgets: Budgets, what: str
):
    """Which budget it was is told, and nothing is left behind."""
    ledger.reserve(wanted(run_id, 4), ROOMY)

    with pytest.raises(BudgetSpent) as caught:
        ledger.reserve(wanted(run_id, 4), budgets)

    assert caught.value.args[0].startswith(what)
    assert len(ledger.calls(run_id)) == 1


def test_a_server_that_claims_any_number_of_tokens_is_written_down(ledger: LedgerStore, run_id: str):
    """What no column holds is cut at what it holds, and a text that PostgreSQL cannot keep is marked."""
    made = ledger.reserve(wanted(run_id, 1), ROOMY)
    ledger.settle(made, Bill(Decimal(10) ** 30, Usage(10**30, 10**30), 0.1, "gpt\0", "stop"))

    (call,) = ledger.calls(run_id)
    assert (call.input_tokens, call.model) == (2**31 - 1, "gpt\ufffd")
    with pytest.raises(BudgetSpent):
        ledger.reserve(wanted(run_id, 1), ROOMY)


def test_spending_is_told_by_model_for_today_and_for_a_week(ledger: LedgerStore, run_id: str):
    """The dearest comes first; what is older than the days asked for is left out."""
    ledger.reserve(wanted(run_id, 1, name="small"), ROOMY)
    ledger.reserve(wanted(run_id, 2, name="large"), ROOMY)
    move_back(ledger, ledger.reserve(wanted(run_id, 3, name="large"), ROOMY), "6 days")
    move_back(ledger, ledger.reserve(wanted(run_id, 100, name="large"), ROOMY), "7 days")

    told = [(one.name, one.calls, one.cost_usd, one.today_usd) for one in ledger.spending(7)]

    assert told == [("large", 2, 5.0, 2.0), ("small", 1, 1.0, 1.0)]


def test_a_hundred_workers_reserve_what_the_budget_holds_and_not_a_cent_more(settings: Settings, run_id: str):
    """Of 100 askers on 20 threads for one dollar each, 37 are given one by a budget of 37."""
    url = settings.database_url.get_secret_value()
    stores = [LedgerStore(connect(url)) for _ in range(4)]

    def ask(number: int) -> bool:
        try:
            stores[number % 4].reserve(wanted(run_id, 1), Budgets(1000.0, 37.0, 1000.0))
        except BudgetSpent:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        given_one = sum(pool.map(ask, range(100)))

    assert given_one == 37
    assert stores[0].spent(run_id).run_usd == 37


PROCESS = """
import json, sys
from atra.core.errors import BudgetSpent
from atra.llm.budget import Budgets, Wanted
from atra.llm.prices import Price
from atra.storage.database import connect
from atra.storage.ledger import LedgerStore
url, run_id = sys.argv[1:]
store, got = LedgerStore(connect(url)), []
sys.stdin.readline()
try:
    while True:
        asked = Wanted(run_id, "ask", "main", "openai", "gpt-x", Price(0.0, 0.0, 1_000_000.0), 0, 2, 3)
        made = store.reserve(asked, Budgets(1000.0, 1000.0, 41.0))
        got.append(float(made.granted.usd(made.granted.attempts)))
except BudgetSpent:
    print(json.dumps(got))
"""


def test_processes_share_a_day_to_the_last_dollar(settings: Settings, ledger: LedgerStore, run_id: str):
    """Four processes that take all they can get at the same time stop one dollar short, which buys no call of two."""
    asked = [sys.executable, "-c", PROCESS, settings.database_url.get_secret_value(), run_id]
    takers = [subprocess.Popen(asked, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for taker in takers:
        taker.stdin.write("go\n")
        taker.stdin.flush()
    got = [json.loads(taker.communicate(timeout=60)[0]) for taker in takers]

    assert sum(map(sum, got)) == 40
    assert ledger.spent(None).day_usd == 40


@tried(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(
        st.tuples(
            st.integers(1, 12),  # dollars wanted
            st.integers(1, 3),  # attempts
            st.sampled_from(["settle", "lose", "free", "killed"]),
            st.integers(0, 100),  # share of it that it takes, in percent
        ),
        max_size=12,
    ),
    run_usd=st.integers(1, 40),
)
def test_the_ledger_agrees_with_a_sequential_model(
    ledger: LedgerStore, calls: list[tuple[int, int, str, int]], run_usd: int
):
    """Whatever becomes of the calls, it grants what `fit` grants on a plain sum, which stays within the budget."""
    budgets = Budgets(1000.0, float(run_usd), 1_000_000.0)
    run_id = RunStore(ledger._engine).open(new_id("r"), Plan("self_repair", (("ask", 1),)), {}).id
    total = Decimal(0)

    for dollars, attempts, end, percent in calls:
        call = wanted(run_id, dollars, attempts)
        try:
            expected = fit(call, Spent(run_usd=total), budgets)
        except BudgetSpent:
            with pytest.raises(BudgetSpent):
                ledger.reserve(call, budgets)
            continue
        made = ledger.reserve(call, budgets)
        assert made.granted == expected
        worst = expected.usd(expected.attempts)
        took = worst * percent / 100
        if end == "settle":
            ledger.settle(made, Bill(took, Usage(1, 1), 0.1))
        elif end == "lose":
            ledger.lose(made, Bill(took, None, 0.1))
        elif end == "free":
            ledger.lose(made, Bill(Decimal(0), None, 0.1))
        total += {"settle": took, "lose": took, "free": Decimal(0), "killed": worst}[end]
        assert ledger.spent(run_id).run_usd == total <= run_usd
