"""The agent in the repair chain: a real box, the real SDK against a server, a journal that outlives its worker."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from atra.cli.outcome import as_contract
from atra.core.records import to_json
from atra.core.runs import Claim, Run, new_id
from atra.core.settings import ModelSettings, Settings
from atra.llm.records import Request
from atra.meta_architect.agent import replay
from atra.repository import Repository
from atra.wiring import Wiring, use
from tests.carrying import carry_out
from tests.targets import git, small_shop
from tests.wires import Turn, WireServer
from workers.pipelines import repair_plan
from workers.self_repair import STEPS
from workers.targets import make_target
from workers.task import Work, run_step

Body = dict[str, Any]
FIX = {"path": "shop/pricing.py", "search": "    if pieces > 10:", "replace": "    if pieces >= 10:"}
USEFUL = [
    Turn(calls=[("search", {"pattern": "share_off"})]),
    Turn(calls=[("read", {"path": "shop/pricing.py"}), ("read", {"path": "config/.env"})]),
    Turn(calls=[("edit", {"path": "tests/test_cart.py", "search": "import pytest", "replace": "x"}), ("edit", FIX)]),
    Turn(calls=[("run_tests", {})]),
]


class Play:
    """A server whose one-shot answers are useless, and whose agent takes these turns."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.taken: list[Body] = []
        self.server = WireServer(self.answer)

    def answer(self, body: Body) -> Turn:
        if "tools" not in body:
            return Turn("I cannot tell.")
        self.taken.append(body)
        return self.turns[len(self.taken) - 1]


@pytest.fixture
def play() -> Iterator[Play]:
    played = Play()
    with played.server:
        yield played


@pytest.fixture
def provider() -> str:
    return "openai-compatible"


@pytest.fixture
def wired(settings: Settings, play: Play, provider: str) -> Wiring:
    given = {"provider": provider, "model": "m", "base_url": play.server.url, "input_usd": 2.0}
    model = ModelSettings(**{**given, "output_usd": 8.0, "api_key": SecretStr("key-of-this-model")})
    return use(settings.model_copy(update={"models": {"cheap": model}, "samples": 1}))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    repository = small_shop(tmp_path / "shop")
    (repository / "config").mkdir()
    (repository / "config" / ".env").write_text("PASSWORD=a-canary-of-the-repository\n")
    git(repository, "add", "-Af")
    git(repository, "commit", "-q", "-m", "A secret that should not be here")
    return repository


@pytest.mark.parametrize("provider", ["openai-compatible", "openai", "anthropic"])
def test_an_agent_looks_edits_tests_and_its_patch_is_committed(wired: Wiring, play: Play, shop: Path):
    """Over each wire: the result says who wrote it; protected files and secrets stayed out of reach; it replays."""
    play.turns = USEFUL
    target = make_target(Repository.open(shop), wired.settings, generator="model", budget_s=120)
    run, steps = carry_out(wired, target)
    result = as_contract(run, steps)
    events = [kept.event for kept in wired.events.of(run.id, "agent")]
    said = " ".join(str(event.get("text", "")) for event in events)

    assert (result["status"], result["generator"], result["template"]) == ("fixed", "model/cheap", "agent")
    assert git(shop, "diff", "--stat", "main", result["branch"]).startswith("shop/pricing.py")
    assert "tests/test_cart.py is protected" in said
    assert "there is no config/.env" in said
    assert "a-canary-of-the-repository" not in str(play.taken)
    assert [reply.calls[0].name for reply in _replies(events)] == ["search", "read", "edit", "run_tests"]


def _replies(events: list[Any]) -> list[Any]:
    model = replay(events)
    return [model.reply(Request(())) for event in events if event["kind"] == "reply"]


def test_a_killed_worker_pays_for_no_turn_twice(wired: Wiring, play: Play, shop: Path):
    """The worker dies after its third turn; the next one goes on with the fourth."""
    play.turns = USEFUL
    target = make_target(Repository.open(shop), wired.settings, generator="model", budget_s=120)
    run = wired.runs.open(new_id("r"), repair_plan(wired.settings, "model", 1), to_json(target))
    for name in ("reproduce", "diagnose", "propose", "ask"):
        run_step(name, run.id, 0, STEPS[name])
    dies_after(wired, run, events=6)
    before = len(play.taken)
    for name in ("agent", "prove", "commit"):
        run_step(name, run.id, 0, STEPS[name])

    assert before == 3
    assert len(play.taken) == 4
    assert wired.runs.get(run.id).outcome == "fixed"
    assert len(wired.ledger.calls(run.id)) == 5


def dies_after(wired: Wiring, run: Run, *, events: int) -> None:
    """Do the agent's step up to so many events, and leave it as a killed worker does: claimed until its lease ends."""
    claim = wired.runs.claim(run.id, "agent", 0, owner="dead", lease_s=0.001, max_attempts=5)
    assert isinstance(claim, Claim)
    work, real = Work(claim, wired.runs, wired), wired.events

    class Dying:
        def of(self, *arguments: Any) -> Any:
            return real.of(*arguments)

        def append(self, claim: Claim, event: Any) -> int:
            if len(real.of(run.id, "agent")) == events:
                raise KeyboardInterrupt
            return real.append(claim, event)

    wired.__dict__["events"] = Dying()
    with pytest.raises(KeyboardInterrupt):
        STEPS["agent"](work)
    wired.__dict__["events"] = real
