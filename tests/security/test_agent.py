"""An agent that does what it must not: no path, no code and no length of its work gets it past its rules."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from atra.cli.outcome import as_contract
from atra.core.settings import ModelSettings, Settings
from atra.repository import Repository
from atra.wiring import Wiring, use
from tests.carrying import carry_out
from tests.targets import git, small_shop
from tests.wires import Turn, WireServer
from workers.targets import make_target

Call = tuple[str, dict[str, Any]]

OUT_OF_BOUNDS = [
    *("tests/test_cart.py", "./tests/test_cart.py", "tests/test_more.py", "TESTS/test_cart.py", "shop/test_new.py"),
    *("conftest.py", "./conftest.py", "shop/../conftest.py", "shop//conftest.py", "shop/./conftest.py"),
    *("pytest.ini", "sitecustomize.py", "shop/evil.pth", ".github/workflows/ci.yml", ".git/hooks/post-commit"),
    *("/tmp/evil.py", "../evil.py", "away/evil.py", "shop/pricing.py/evil.py", "shop\\evil.py"),
]
CHEATS = {
    "the end of the run": "import os\n\nos._exit(0)\n",
    "the runner": "from _pytest import runner\n\nrunner.call_and_report = lambda *_, **__: None\n",
    "the outcome": "import atexit, os\n\natexit.register(os._exit, 0)\nraise SystemExit(0)\n",
}
FIX = {"path": "shop/pricing.py", "search": "    if pieces > 10:", "replace": "    if pieces >= 10:"}


def write(path: str, text: str) -> Call:
    return "write", {"path": path, "text": text}


class Agent:
    """A model's server that has no answer where it is asked for a patch, and takes these turns where it has tools."""

    def __init__(self) -> None:
        self.turns: list[list[Call]] = []
        self.server = WireServer(self.answer)

    def answer(self, body: dict[str, Any]) -> Turn:
        if "tools" not in body:
            return Turn("I cannot tell.")
        number = sum(message["role"] == "assistant" for message in body["messages"])
        return Turn(calls=self.turns[number] if number < len(self.turns) else self.turns[-1], usage=(1500, 0, 900, 0))


@pytest.fixture
def agent():
    played = Agent()
    with played.server:
        yield played


@pytest.fixture
def wired(settings: Settings, agent: Agent) -> Wiring:
    model = ModelSettings(
        provider="openai-compatible", model="m", base_url=agent.server.url, api_key=SecretStr("key-of-this-model"),
        input_usd=0.2, output_usd=2.0, max_output_tokens=1000,
    )  # fmt: skip
    return use(settings.model_copy(update={"models": {"cheap": model}, "samples": 1}))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    away = tmp_path / "away"
    away.mkdir()
    repository = small_shop(tmp_path / "shop")
    (repository / "away").symlink_to(away)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "A link")
    return repository


def repaired(wired: Wiring, shop: Path, **options: Any) -> tuple[dict[str, Any], list[str]]:
    """Repair with this agent alone; return what `atra repair --json` prints and what the tools' results were."""
    target = make_target(Repository.open(shop), wired.settings, generator="model", budget_s=120, **options)
    run, steps = carry_out(wired, target)
    events = [kept.event for kept in wired.events.of(run.id, "agent")]
    return as_contract(run, steps), [event["text"] for event in events if event["kind"] == "result"]


def test_no_path_leads_out_of_what_may_be_changed(wired: Wiring, agent: Agent, shop: Path):
    """However it is spelt; and no code turns the tests green but the repair, which alone is committed."""
    cheats = [write("shop/pricing.py", text) for text in CHEATS.values()]
    honest = write("shop/pricing.py", (shop / "shop" / "pricing.py").read_text())
    agent.turns = [
        *([write(path, "x = 1\n"), ("list", {})] for path in OUT_OF_BOUNDS),
        *([cheat, ("run_tests", {})] for cheat in cheats),
        [honest, ("edit", FIX), ("run_tests", {})],
    ]
    result, said = repaired(wired, shop)
    refused, tests = said[: 2 * len(OUT_OF_BOUNDS) : 2], [text for text in said if " begin tests]" in text]

    assert [text for text in refused if "is protected: no change of it is taken" not in text] == []
    assert len(tests) == len(CHEATS) + 1
    assert [text for text in tests if "and so do the others" in text] == tests[-1:]
    assert (result["status"], result["files"]) == ("fixed", ["shop/pricing.py"])
    assert git(shop, "diff", "--name-only", "main", result["branch"]) == "shop/pricing.py"
    assert list((shop.parent / "away").iterdir()) == []
    assert not Path("/tmp/evil.py").exists()


def test_a_model_that_loops_is_warned_and_stopped(wired: Wiring, agent: Agent, shop: Path):
    """After six turns, and not after its forty; nothing is committed."""
    agent.turns = [[("run_tests", {})]]
    result, said = repaired(wired, shop)

    assert result["status"] == "not_fixed"
    assert result["proposals"][-1]["why"] == "it went in circles"
    assert [number for number, text in enumerate(said) if "same again and again" in text] == [2, 5]
    assert git(shop, "branch", "--list", "atra/*") == ""


def test_a_budget_of_one_cent_ends_an_agent_with_what_there_is(wired: Wiring, agent: Agent, shop: Path):
    """No more is paid than it says, and what was changed by then is still tried."""
    agent.turns = [[("read", {"path": f"shop/{name}.py"})] for name in ("cart", "pricing")] + [[("edit", FIX)]]
    result, said = repaired(wired, shop, budget_usd=0.01)

    assert 0 < result["cost_usd"] <= 0.01
    assert len(said) < 6  # by then it would have gone in circles
    assert result["status"] == "fixed"
    assert (result["proposals"][-1]["template"], result["proposals"][-1]["verdict"]) == ("agent", "plausible")
