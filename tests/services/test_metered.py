"""Metered models over the real wires and SDKs, with the real ledger: what servers bill never exceeds a budget."""

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import pytest
from pydantic import SecretStr

from atra.cli.stack import environment_of
from atra.core.errors import BudgetSpent, ModelUnavailable
from atra.core.runs import Plan, new_id
from atra.core.settings import ModelSettings, Settings
from atra.llm.records import Message, Request
from atra.wiring import Wiring, use
from tests.wires.server import WireServer
from tests.wires.turns import Cut, Silence, Step, Turn

A_CENT = 0.01
INPUT_USD, OUTPUT_USD = 2.0, 8.0
ASKED = Request((Message("user", f"The token is canary-in-a-prompt. {'Why? ' * 60}"),), max_output_tokens=700)


def wire(settings: Settings, url: str, provider: str) -> Wiring:
    model = ModelSettings(
        provider=provider, model="m", base_url=url, api_key=SecretStr("canary-in-a-prompt"),
        input_usd=INPUT_USD, output_usd=OUTPUT_USD, timeout_s=30,
    )  # fmt: skip
    return use(settings.model_copy(update={"models": {"main": model}}))


def opened(wired: Wiring) -> str:
    return wired.runs.open(new_id("r"), Plan("self_repair", (("ask", 1),)), {}).id


class Greedy:
    """A server that bills all it may: every byte of the question, and an answer of the longest kind.

    Every third answer is cut off or says nothing of what it took, and is billed all the same.
    """

    def __init__(self) -> None:
        self.billed_usd = 0.0
        self._lock, self._served = Lock(), 0

    def __call__(self, body: dict[str, Any]) -> Step:
        """Answer, and keep the bill."""
        most = next(body[name] for name in ("max_output_tokens", "max_completion_tokens", "max_tokens") if name in body)
        said = len(ASKED.messages[0].text)
        with self._lock:
            self._served += 1
            self.billed_usd += (said * INPUT_USD + most * OUTPUT_USD) / 1e6
            kind = self._served % 3
        return [Turn("so", usage=(said, 0, most, 0)), Turn("so", usage=None), Cut(Turn("so"))][kind]


@pytest.mark.parametrize("provider", ["openai", "openai-compatible", "anthropic"])
def test_a_cent_is_not_passed_by_eight_who_ask_at_once(settings: Settings, provider: str):
    """They ask until the budget ends; what the server bills is within it, and within what the ledger counts."""
    greedy = Greedy()
    with WireServer(greedy) as server:
        wired = wire(settings, server.url, provider)
        run_id = opened(wired)
        (model,) = wired.models(run_id=run_id, purpose="ask", budget_usd=A_CENT)

        def ask_on(_: int) -> str:
            while True:
                try:
                    model.reply(ASKED, attempts=1)
                except ModelUnavailable:
                    continue
                except BudgetSpent as spent:
                    return str(spent)

        with ThreadPoolExecutor(8) as pool:
            told = list(pool.map(ask_on, range(8)))
        bodies = json.dumps(server.bodies)

    counted = float(wired.ledger.spent(run_id).run_usd)
    calls = wired.ledger.calls(run_id)
    assert 0 < greedy.billed_usd <= counted <= A_CENT
    assert {call.state for call in calls} == {"settled", "lost"}
    assert len(calls) == len(server.requests)
    assert all(f"run {run_id} is spent" in sentence and "of $0.01 are" in sentence for sentence in told)
    assert "canary-in-a-prompt" not in bodies


ASKER = """
import sys
from atra.llm.records import Message, Request
from atra.wiring import wiring
(model,) = wiring().models(run_id=sys.argv[1], purpose="ask")
model.reply(Request((Message("user", "why?"),)))
"""


def test_a_worker_that_is_killed_while_it_waits_leaves_its_worst_case(settings: Settings):
    """Nobody knows whether the server bills it, so it counts, in the run and in the day."""
    with WireServer([Silence()]) as server:
        wired = wire(settings, server.url, "openai-compatible")
        run_id = opened(wired)
        environment = dict(environment_of(wired.settings))
        asker = subprocess.Popen([sys.executable, "-c", ASKER, run_id], env=environment)
        until = time.monotonic() + 60
        while not server.requests:
            assert time.monotonic() < until
            assert asker.poll() is None
            time.sleep(0.02)
        asker.send_signal(signal.SIGKILL)
        asker.wait()

    (call,) = wired.ledger.calls(run_id)
    assert (call.state, call.input_tokens) == ("reserved", None)
    assert float(wired.ledger.spent(run_id).run_usd) == call.cost_usd > 3 * 4096 * OUTPUT_USD / 1e6
    assert wired.ledger.spent(None).day_usd == wired.ledger.spent(run_id).run_usd
