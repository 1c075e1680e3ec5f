"""`atra author` with a model played by a server: planned, written, proved, committed; and what is refused at once."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from atra.cli.main import run as atra
from atra.cli.outcome import as_contract, summary
from atra.core.errors import ModelUnavailable
from atra.core.records import to_json
from atra.core.runs import Claim, Run, new_id
from atra.core.settings import ModelSettings, Settings, load_settings
from atra.meta_architect.agent_repair import NOTHING_CHANGED
from atra.meta_architect.author import Brief
from atra.repository import Repository
from atra.wiring import Wiring, use
from tests.targets import git, small_shop
from tests.wires import Status, Step, Turn, WireServer
from workers.author import STEPS
from workers.pipelines import author
from workers.targets import make_target
from workers.task import run_step

Body = dict[str, Any]
SPEC = "# Vouchers\n\nA voucher takes a fixed amount off, and never makes a price negative.\n"
TESTS = (
    "from shop.vouchers import apply\nfrom shop.amounts import at_least\n\n\n"
    "def test_takes_off():\n    assert apply(500, 200) == 300\n\n\n"
    "def test_never_negative():\n    assert apply(100, 200) == at_least(-100, 0) == 0\n"
)
OUTLINE = json.dumps({"approach": "Two small modules.", "files": [{"path": "shop/vouchers.py", "holds": "apply"}]})
AMOUNTS = "def at_least(amount, floor):\n    return max(amount, floor)\n"
WRONG = "from shop.amounts import at_least\n\n\ndef apply(price, off):\n    return price - off\n"
LATER = {
    "path": "shop/vouchers.py",
    "search": "    return price - off",
    "replace": "    return at_least(price - off, 0)",
}
USEFUL = [
    Turn(calls=[("list", {"path": "shop"})]),
    Turn(calls=[("write", {"path": "shop/amounts.py", "text": AMOUNTS})]),
    Turn(calls=[("write", {"path": "shop/vouchers.py", "text": WRONG}), ("run_tests", {})]),
    Turn(calls=[("write", {"path": "tests/test_vouchers.py", "text": "def test(): pass\n"}), ("edit", LATER)]),
    Turn(calls=[("run_tests", {})]),
]


class Play:
    """A server that outlines, and then takes these turns."""

    def __init__(self) -> None:
        self.turns: list[Step] = []
        self.outline: Step = Turn(OUTLINE)
        self.bodies: list[Body] = []
        self.server = WireServer(self.answer)

    def answer(self, body: Body) -> Step:
        self.bodies.append(body)
        if "tools" not in body:
            return self.outline
        return self.turns[sum(message["role"] == "assistant" for message in body["messages"]) % len(self.turns)]


@pytest.fixture
def play() -> Iterator[Play]:
    played = Play()
    with played.server:
        yield played


@pytest.fixture
def wired(settings: Settings, play: Play) -> Wiring:
    given = {"provider": "openai-compatible", "model": "m", "base_url": play.server.url, "input_usd": 2.0}
    model = ModelSettings(**{**given, "output_usd": 8.0, "api_key": SecretStr("key-of-this-model")})
    return use(settings.model_copy(update={"models": {"cheap": model}, "agent_steps": 12}))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The shop without its bug."""
    root = small_shop(tmp_path / "shop")
    (root / "shop" / "pricing.py").write_text((root / "shop" / "pricing.py").read_text().replace("> 10", ">= 10"))
    git(root, "commit", "-qam", "Give the discount from ten pieces on")
    return root


def opened(wired: Wiring, shop: Path, tests: str = TESTS, **options: Any) -> Run:
    target = make_target(
        Repository.open(shop), wired.settings, tests=("tests/test_vouchers.py",), generator="model",
        **{"budget_s": 120, **options},
    )  # fmt: skip
    target = replace(target, added={"tests/test_vouchers.py": tests}, spec=SPEC)
    return wired.runs.open(new_id("r"), author(), to_json(target))


def carried_out(wired: Wiring, shop: Path, tests: str = TESTS, **options: Any) -> dict[str, Any]:
    run = opened(wired, shop, tests, **options)
    for name, _ in author().steps:
        if run.state == "open":
            run_step(name, run.id, 0, STEPS[name])
            run = wired.runs.get(run.id)
    return as_contract(run, wired.runs.steps(run.id), wired.ledger.calls(run.id))


def test_new_modules_are_written_proved_and_committed(wired: Wiring, play: Play, shop: Path):
    """Several files, one round of failing tests, the given tests as they were given, all in one commit."""
    play.turns = USEFUL
    result = carried_out(wired, shop)
    show = f"{result['branch']}:tests/test_vouchers.py"

    assert (result["status"], result["files"]) == ("written", ["shop/amounts.py", "shop/vouchers.py"])
    assert git(shop, "show", show) == TESTS.rstrip("\n")
    assert git(shop, "rev-list", "--count", f"main..{result['branch']}") == "1"
    assert {"tests/test_vouchers.py::test_takes_off", "tests/test_vouchers.py::test_never_negative"} <= set(
        result["passing_after"]
    )
    assert git(shop, "status", "--porcelain") == ""
    message = git(shop, "log", "-1", "--format=%B", result["branch"])
    assert message.startswith("Add shop/amounts.py and 1 more\n\nAsked for as: Vouchers\n")
    assert "Atra-Generator: model/cheap" in message
    assert "Two small modules." in str(play.bodies[1])


def test_text_that_its_own_encoding_lacks_is_told_and_mended(wired: Wiring, play: Play, shop: Path):
    """It is no reason to end the work."""
    odd = Turn(
        calls=[("write", {"path": "shop/odd.py", "text": "# -*- coding: ascii -*-\nEURO = '€'\n"}), ("run_tests", {})]
    )
    even = Turn(calls=[("write", {"path": "shop/odd.py", "text": "EURO = '€'\n"})])
    play.turns = [odd, even, *USEFUL]
    result = carried_out(wired, shop)

    assert (result["status"], result["reason"][:6]) == ("written", "commit")
    assert "not run: 'ascii' codec" in str(play.bodies[2])


def test_a_model_that_loops_ends_it(wired: Wiring, play: Play, shop: Path):
    """Nothing is committed, and the reason is told."""
    play.turns = [Turn(calls=[("list", {})])]
    result = carried_out(wired, shop)

    assert (result["status"], result["commit"]) == ("not_written", None)
    assert "it went in circles" in result["reason"]
    assert git(shop, "branch", "--list", "atra/*") == ""


def test_a_budget_of_one_cent_ends_it(wired: Wiring, play: Play, shop: Path):
    """Not one cent more is spent."""
    play.turns = USEFUL
    result = carried_out(wired, shop, budget_usd=0.01)

    assert result["status"] in {"not_written", "not_fixed"}
    assert "budget" in result["reason"]
    assert result["cost_usd"] <= 0.01
    assert git(shop, "branch", "--list", "atra/*") == ""


def test_code_that_breaks_another_test_is_not_taken(wired: Wiring, play: Play, shop: Path):
    """The given tests alone are not enough."""
    breaks = {"path": "shop/pricing.py", "search": "        return 5", "replace": "        return 6"}
    play.turns = [
        *USEFUL[:4],
        Turn(calls=[("edit", breaks), ("run_tests", {})]),
        Turn(calls=[("finish", {"why": "x"})]),
    ]
    result = carried_out(wired, shop)

    assert (result["status"], result["commit"]) == ("not_written", None)


def test_tests_that_turn_green_by_themselves_prove_nothing(wired: Wiring, play: Play, shop: Path):
    """A flaky test that was red in the plan, and a model that writes a file back as it was: told, not an error."""
    same = (shop / "shop" / "pricing.py").read_text()
    play.turns = [Turn(calls=[("write", {"path": "shop/pricing.py", "text": same}), ("run_tests", {})])]
    run = opened(wired, shop, "def test_nothing():\n    assert True\n")
    claim = wired.runs.claim(run.id, "plan", 0, owner="here", lease_s=60, max_attempts=1)
    assert isinstance(claim, Claim)
    wired.runs.settle(claim, to_json(Brief((), "test_nothing is failed", note="no outline")))
    run_step("write", run.id, 0, STEPS["write"])

    ended = wired.runs.get(run.id)
    assert (ended.outcome, ended.reason) == ("not_written", NOTHING_CHANGED)


def test_the_model_that_wrote_is_named(wired: Wiring, play: Play, shop: Path):
    """Not the first that another worker's settings name by the time of the proof."""
    play.turns = USEFUL
    run = opened(wired, shop)
    for name in ("plan", "write"):
        run_step(name, run.id, 0, STEPS[name])
    cheap = wired.settings.models["cheap"]
    wired = use(wired.settings.model_copy(update={"models": {"dear": cheap, "cheap": cheap}}))
    for name in ("verify", "commit"):
        run_step(name, run.id, 0, STEPS[name])

    result = as_contract(wired.runs.get(run.id), wired.runs.steps(run.id))
    assert (result["status"], result["generator"]) == ("written", "model/cheap")


@pytest.mark.parametrize("away", ["plan", "write"])
def test_a_model_that_stays_away_ends_it_with_its_reason(wired: Wiring, play: Play, shop: Path, away: str):
    """The step is given back twice; the third time the run ends, and says that nobody answered."""
    run = opened(wired, shop)
    if away == "write":
        run_step("plan", run.id, 0, STEPS["plan"])
    play.turns = [Status(503, retry_after="0.01")]
    play.outline = play.turns[0]
    for _ in range(2):
        with pytest.raises(ModelUnavailable):
            run_step(away, run.id, 0, STEPS[away])
    run_step(away, run.id, 0, STEPS[away])

    ended = wired.runs.get(run.id)
    assert ended.outcome == "not_written"
    assert "The model cheap did not answer: status 503" in str(ended.reason)


def test_tests_that_pass_already_ask_nobody(wired: Wiring, play: Play, shop: Path):
    """There is nothing to write."""
    result = carried_out(wired, shop, "def test_nothing():\n    assert True\n")

    assert result["status"] == "nothing_to_repair"
    assert play.bodies == []
    assert summary(wired.runs.steps(result["run_id"])[0]) == "no model was asked"


@pytest.mark.parametrize(
    ("spec", "tests", "said"),
    [
        ("missing.md", "test_ok.py", "missing.md: No such file"),
        ("binary.md", "test_ok.py", "is no UTF-8 text"),
        ("empty.md", "test_ok.py", "says nothing"),
        ("spec.md", "test_broken.py", "test_broken.py is no Python"),
        ("spec.md", "test_empty.py", "has no test in it"),
        ("spec.md", "helper.py", "is no test file"),
        ("spec.md", "missing_test.py", "No such file"),
    ],
)
def test_input_that_cannot_be_used_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, shop: Path, spec: str,
    tests: str, said: str,
):  # fmt: skip
    """One sentence, exit code 2, and nothing started."""

    (tmp_path / "atra.toml").write_text("[models.m]\nprovider = 'openai'\nmodel = 'gpt-5'\n")
    monkeypatch.setenv("ATRA_CONFIG", str(tmp_path / "atra.toml"))
    monkeypatch.setenv("ATRA_HOME", str(tmp_path / "home"))
    load_settings.cache_clear()
    files = {
        "spec.md": SPEC,
        "empty.md": " \n",
        "test_ok.py": TESTS,
        "test_broken.py": "def test(:",
        "helper.py": TESTS,
    }
    for name, text in {**files, "test_empty.py": "x = 1\n"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "binary.md").write_bytes(b"\xff\xfe\x00")
    code = atra(["author", "--spec", str(tmp_path / spec), "--tests", str(tmp_path / tests), str(shop), "--json"])
    load_settings.cache_clear()

    assert code == 2
    assert said in json.loads(capsys.readouterr().out)["error"]
    assert not (tmp_path / "home").exists()


def test_without_a_model_there_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, shop: Path
):
    """What is missing, how to get it, and exit code 3."""

    monkeypatch.setenv("ATRA_HOME", str(tmp_path / "home"))
    load_settings.cache_clear()
    code = atra(["author", "--spec", "x.md", "--tests", "test_x.py", str(shop), "--json"])
    load_settings.cache_clear()

    assert code == 3
    assert "No model is configured" in json.loads(capsys.readouterr().out)["error"]
