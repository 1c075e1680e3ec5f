"""Repairs by models, played by a server that speaks the wire format: through a real stack, and step by step."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from atra.cli.outcome import as_contract
from atra.cli.stack import Crew, StackInfo, temporary_stack
from atra.core.errors import ModelUnavailable
from atra.core.records import to_json
from atra.core.runs import new_id
from atra.core.settings import ModelSettings, Settings
from atra.repository import Repository
from atra.wiring import Wiring, use
from tests.carrying import carry_out
from tests.targets import git, make_repository, small_shop
from tests.wires import Status, Step, Turn, WireServer
from workers.pipelines import repair_plan
from workers.self_repair import STEPS
from workers.targets import make_target
from workers.task import run_step

Body = dict[str, Any]


def edit(search: str, replace: str, path: str) -> str:
    return f"FILE: {path}\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n"


WITH_A_NEW_FILE = (
    "Ten pieces are enough, says the docstring.\n\n"
    + edit("    if pieces > 10:\n", "    if pieces >= LEAST:\n", "shop/pricing.py")
    + edit('"""Prices in cents."""\n', '"""Prices in cents."""\n\nfrom shop.limits import LEAST\n', "shop/pricing.py")
    + edit("", '"""Limits."""\n\nLEAST = 10\n', "shop/limits.py")
)
LABELS = {
    "labels.py": (
        "def label(name, pieces):\n    return name\n\n\ndef share_off(pieces):\n"
        "    if pieces > 10:\n        return 5\n    return 0\n"
    ),
    "test_labels.py": (
        "from labels import label, share_off\n\n\ndef test_label():\n"
        "    assert (label('tea', 1), label('tea', 3)) == ('tea', '3 x tea')\n\n\n"
        "def test_share():\n    assert [share_off(n) for n in (1, 9, 10, 11)] == [0, 0, 5, 5]\n"
    ),
}
HALF_A_REPAIR = edit("    return name\n", "    return name if pieces == 1 else f'{pieces} x {name}'\n", "labels.py")


GIVES_UP = Turn(calls=[("finish", {"why": "no idea"})])


class Play:
    """A model's server, and what it says from now on where it is asked for a patch; as an agent it gives up."""

    def __init__(self) -> None:
        self.says: Callable[[Body], Step] = lambda body: Status(400)
        self.server = WireServer(lambda body: GIVES_UP if "tools" in body else self.says(body))

    def asked_for_patches(self) -> int:
        return sum("tools" not in body for body in self.server.bodies)

    def model(self) -> ModelSettings:
        given = {"provider": "openai-compatible", "model": "m", "base_url": self.server.url, "input_usd": 2.0}
        return ModelSettings(**{**given, "output_usd": 8.0, "api_key": SecretStr("key-of-this-model")})


@pytest.fixture(scope="module")
def play() -> Iterator[Play]:
    played = Play()
    with played.server:
        yield played


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, play: Play) -> Iterator[StackInfo]:
    """A stack whose workers know one model."""
    home = tmp_path_factory.mktemp("stack") / "home"
    settings = Settings(_env_file=None, home=home, shards=2, samples=2, models={"cheap": play.model()})
    with temporary_stack(settings, Crew(workers=2)) as running:
        yield running.info


@pytest.fixture
def repair(stack: StackInfo, play: Play, tmp_path: Path):
    """Run `atra repair` as a user would who has this model in `atra.toml`; return the exit code and the result."""
    config = tmp_path / "atra.toml"
    config.write_text(
        "samples = 2\n[models.cheap]\nprovider = 'openai-compatible'\nmodel = 'm'\ninput_usd = 2.0\noutput_usd = 8.0\n"
        f"base_url = '{play.server.url}'\n"
    )

    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ATRA_")}
        environment |= {"ATRA_DATABASE_URL": stack.database_url, "ATRA_REDIS_URL": stack.redis_url}
        environment |= {"ATRA_CONFIG": str(config), "ATRA_HOME": str(tmp_path / "home")}
        command = (sys.executable, "-m", "atra", "repair", *arguments, "--json")
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
        return done.returncode, json.loads(done.stdout)

    return run


def test_a_models_patch_becomes_a_commit(repair, play: Play, tmp_path: Path):
    """With a new file in it; the result and the trailer say who wrote it and what it cost."""
    repository = small_shop(tmp_path / "shop")
    play.says = lambda body: Turn(WITH_A_NEW_FILE)

    code, result = repair(str(repository), "--generator", "model")

    assert (code, result["status"], result["files"]) == (0, "fixed", ["shop/limits.py", "shop/pricing.py"])
    assert (result["generator"], result["template"]) == ("model/cheap", "one-shot")
    assert result["proposals"][0]["verdict"] == "plausible"
    assert result["model_calls"] >= 1
    assert result["cost_usd"] == pytest.approx(result["model_calls"] * (100 * 2 + 20 * 8) / 1e6)
    assert "Atra-Generator: model/cheap" in git(repository, "log", "-1", "--format=%B", result["branch"])
    assert git(repository, "show", f"{result['branch']}:shop/limits.py") == '"""Limits."""\n\nLEAST = 10'
    assert git(repository, "status", "--porcelain") == ""


@pytest.fixture
def wired(settings: Settings, play: Play) -> Wiring:
    models = {"cheap": play.model()}
    return use(settings.model_copy(update={"models": models, "samples": 1}))


def in_process(wired: Wiring, repository: Path, generator: str = "model", **options: Any) -> dict[str, Any]:
    """Repair without a worker; return what `atra repair --json` would print."""
    target = make_target(Repository.open(repository), wired.settings, generator=generator, budget_s=120, **options)
    return as_contract(*carry_out(wired, target))


def test_the_search_goes_on_from_a_models_near_miss(wired: Wiring, play: Play, tmp_path: Path):
    """Templates find nothing alone, the model mends half, and the search from there the rest: one commit."""
    repository = make_repository(tmp_path / "labels", LABELS)
    play.says = lambda body: Turn(HALF_A_REPAIR)

    result = in_process(wired, repository, "auto")

    assert result["status"] == "fixed", result["reason"]
    assert (result["generator"], result["template"]) == ("model/cheap", "seeded")
    assert result["proposals"][0]["verdict"] == "failed"
    assert "x {name}" in result["diff"]
    assert git(repository, "rev-list", "--count", f"main..{result['branch']}") == "1"


def test_models_are_not_asked_where_the_free_search_finds_a_patch(wired: Wiring, play: Play, tmp_path: Path):
    """What costs nothing goes first, and where it is proved nothing is paid."""
    before = play.asked_for_patches()

    result = in_process(wired, small_shop(tmp_path / "shop"), "auto")

    assert (result["status"], result["generator"]) == ("fixed", "templates")
    assert play.asked_for_patches() == before
    assert (result["model_calls"], result["cost_usd"]) == (0, 0)


def test_a_budget_of_one_cent_is_not_passed(wired: Wiring, play: Play, tmp_path: Path):
    """The run ends as not fixed, says which budget is spent, and nothing is committed."""
    wired.settings.__dict__["samples"] = 3
    repository = small_shop(tmp_path / "shop")
    before = play.asked_for_patches()
    play.says = lambda body: Turn("I cannot tell.", usage=(1500, 0, body["max_tokens"], 0))

    result = in_process(wired, repository, budget_usd=0.01)

    assert (result["status"], result["commit"]) == ("not_fixed", None)
    assert result["reason"].count(f"The budget of run {result['run_id']} is spent") == 1
    assert (play.asked_for_patches() - before, 0 < result["cost_usd"] <= 0.01) == (1, True)
    assert git(repository, "branch", "--list", "atra/*") == ""


TEST_EDIT = edit("    assert total(100, pieces) == due\n", "    pass\n", "tests/test_cart.py")
REJECTED = (
    "the one proposal of a model had no change in it (the model ended it: no idea); 1 question to models brought no "
    "answer: The model cheap does not take this request: status 400: context_length_exceeded"
)
USELESS: dict[str, tuple[Step, str, str]] = {
    "refusal": (Turn("I will not.", finish="refusal"), "empty", "refused"),
    "malformed": (Turn("FILE: shop/cart.py\n<<<<<<< SEARCH\nnope"), "unapplied", "no end"),
    "fits nowhere": (Turn(edit("nothing like it\n", "x\n", "shop/cart.py")), "unapplied", "do not stand there"),
    "tests": (Turn(TEST_EDIT + WITH_A_NEW_FILE), "outside", "tests/test_cart.py"),
    "continuous integration": (Turn(edit("", "on: push\n", ".github/workflows/x.yml")), "outside", ".github"),
    "through a link": (Turn(edit("", "x = 1\n", "outside/evil.py")), "outside", "outside/evil.py"),
    "wrong": (Turn(edit("    return 0\n", "    return 1\n", "shop/pricing.py")), "failed", "test_total"),
    "rejected": (Status(400, message="context_length_exceeded"), "unanswered", "context_length_exceeded"),
}


@pytest.mark.parametrize(("step", "verdict", "why"), USELESS.values(), ids=USELESS.keys())
def test_what_is_no_repair_ends_the_run_with_its_reason(
    wired: Wiring, play: Play, tmp_path: Path, step: Step, verdict: str, why: str
):
    """Recorded with its verdict, nothing committed, nothing written outside of the box."""
    away = tmp_path / "away"
    away.mkdir()
    repository = small_shop(tmp_path / "shop")
    (repository / "outside").symlink_to(away)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "A link")
    play.says = lambda body: step

    result = in_process(wired, repository)

    assert (result["status"], result["commit"]) == ("not_fixed", None)
    assert result["reason"].startswith(REJECTED if verdict == "unanswered" else "of 2 proposals of models ")
    assert result["proposals"][0]["verdict"] == verdict
    assert why in result["proposals"][0]["why"]
    assert git(repository, "branch", "--list", "atra/*") == ""
    assert list(away.iterdir()) == []


def test_a_key_that_is_not_taken_ends_a_repair_by_models_alone(wired: Wiring, play: Play, tmp_path: Path):
    """As an error with a hint; where the search came before, it would only be told."""
    play.says = lambda body: Status(401)

    with pytest.raises(Exception, match="did not take the key"):
        in_process(wired, small_shop(tmp_path / "shop"))

    [run] = wired.runs.recent(1)
    assert (run.state, run.outcome) == ("ended", "error")


def test_later_samples_are_not_asked_once_one_has_passed_the_tests(wired: Wiring, play: Play, tmp_path: Path):
    """The second and third settle at once, and say why."""
    wired.settings.__dict__["samples"] = 3
    before = play.asked_for_patches()
    play.says = lambda body: Turn(WITH_A_NEW_FILE)

    result = in_process(wired, small_shop(tmp_path / "shop"))

    skipped = [output["skipped"] for output in wired.runs.outputs(result["run_id"], "ask")]
    assert result["status"] == "fixed"
    assert skipped == ["", *["another sample passed the tests already"] * 2]
    assert play.asked_for_patches() == before + 1


def test_a_model_that_stays_away_costs_the_run_a_sample_and_not_its_end(wired: Wiring, play: Play, tmp_path: Path):
    """The task gives the step back twice; the third time the sample is settled without a change, and says why."""
    play.says = lambda body: Status(503, retry_after="0.01")
    target = make_target(Repository.open(small_shop(tmp_path / "shop")), wired.settings, generator="model", budget_s=60)
    run = wired.runs.open(new_id("r"), repair_plan(wired.settings, "model", 1), to_json(target))
    for name in ("reproduce", "diagnose", "propose"):
        run_step(name, run.id, 0, STEPS[name])

    for _ in range(2):
        with pytest.raises(ModelUnavailable):
            run_step("ask", run.id, 0, STEPS["ask"])
    run_step("ask", run.id, 0, STEPS["ask"])

    [output] = wired.runs.outputs(run.id, "ask")
    assert (output["made"][0]["verdict"], output["plausible"]) == ("unanswered", [])
    assert "did not answer" in output["made"][0]["why"]
    assert wired.runs.get(run.id).state == "open"


def test_a_module_that_is_not_there_is_written(wired: Wiring, play: Play, tmp_path: Path):
    """Where no line is under suspicion, templates have nothing to change, and a model may still make the file."""
    missing = {
        "shop/__init__.py": "",
        "tests/test_tax.py": "def test_rate():\n    from shop.tax import rate\n\n    assert rate() == 3\n",
    }
    repository = make_repository(tmp_path / "shop", missing)
    play.says = lambda body: Turn(edit("", "def rate():\n    return 3\n", "shop/tax.py"))

    result = in_process(wired, repository, "auto")

    assert (result["status"], result["files"]) == ("fixed", ["shop/tax.py"]), result["reason"]
    assert result["diff"].startswith("diff --git a/shop/tax.py b/shop/tax.py\nnew file mode 100644\n")


def test_a_worker_that_knows_other_models_says_so(wired: Wiring, tmp_path: Path):
    """A key may differ, an address not: what `atra.toml` says now is not what this worker read when it started."""
    target = make_target(
        Repository.open(small_shop(tmp_path / "shop")), wired.settings, generator="templates", budget_s=60
    )
    cheap = wired.settings.models["cheap"]

    def warned(**changed: Any) -> list[str]:
        models = {"cheap": cheap.model_copy(update=changed)}
        return list(
            as_contract(*carry_out(use(wired.settings.model_copy(update={"models": models})), target))["warnings"]
        )

    assert warned(api_key=SecretStr("another key")) == []
    [said] = warned(base_url="http://127.0.0.1:1/v1")
    assert said.startswith("workers know other models (cheap) than whoever asked")
