"""Proved repairs are read back, learned from on request, and repairs that begin then go by it on every shard."""

import json
from pathlib import Path

import pytest

from atra.cli.main import run as command_line
from atra.core.records import from_json, to_json
from atra.core.runs import Run, new_id
from atra.core.settings import Settings, load_settings
from atra.meta_architect.experience import Experience, learn
from atra.meta_architect.records import Area
from atra.repository import Repository
from atra.wiring import Wiring, use
from tests.targets import small_shop
from workers import self_repair
from workers.pipelines import self_repair as repair_plan
from workers.pipelines import watch
from workers.targets import make_target
from workers.task import run_step


@pytest.fixture
def wired(settings: Settings) -> Wiring:
    return use(settings)


def repaired(wired: Wiring, folder: Path) -> tuple[Run, str]:
    """Repair a small shop; return the run and the template that did it."""
    target = make_target(Repository.open(small_shop(folder)), wired.settings, budget_s=60)
    run = wired.runs.open(new_id("r"), repair_plan(2), to_json(target))
    for step in wired.runs.steps(run.id):
        run_step(step.name, run.id, step.shard, self_repair.STEPS[step.name])
    [proof] = wired.runs.outputs(run.id, "verify")
    assert wired.runs.get(run.id).outcome == "fixed"
    return run, proof["winner"]["candidate"]["template"]


def test_repairs_begin_with_what_was_learned_of_those_before(wired: Wiring, tmp_path: Path) -> None:
    """The newest word counts; a repair whose failure came back teaches nothing."""
    first, template = repaired(wired, tmp_path / "one")
    assert wired.experience.repairs() == [template]
    assert from_json(Area, wired.runs.outputs(first.id, "propose")[0]).learned == {}

    found = learn([template] * 20)
    wired.experience.keep(found)
    second, again = repaired(wired, tmp_path / "two")
    assert from_json(Area, wired.runs.outputs(second.id, "propose")[0]).learned == pytest.approx(found.factors)
    assert wired.experience.repairs() == [template, again]

    wired.runs.open(f"w{first.id[1:]}", watch(), {})
    assert wired.experience.repairs() == [again]
    wired.experience.keep(Experience())
    assert wired.experience.factors() == {}


def test_the_command_says_what_it_learned(
    wired: Wiring, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of too few nothing is; what is taken is in use; the exit code says which."""
    monkeypatch.setenv("ATRA_DATABASE_URL", wired.settings.database_url.get_secret_value())  # type: ignore[union-attr]
    monkeypatch.setenv("ATRA_REDIS_URL", wired.settings.redis_url.get_secret_value())  # type: ignore[union-attr]
    monkeypatch.setenv("ATRA_HOME", str(wired.settings.home))
    load_settings.cache_clear()
    assert command_line(["refit"]) == 1
    assert "10 are the fewest" in capsys.readouterr().out

    monkeypatch.setattr("atra.storage.experience.ExperienceStore.repairs", lambda store: ["scale"] * 12)
    assert command_line(["refit", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["repairs"], told["taken"], told["counts"]) == (12, True, {"scale": 12})
    assert wired.experience.factors() == pytest.approx(told["factors"])
    assert command_line(["refit"]) == 0
    assert "scale" in capsys.readouterr().out
