"""The registry is pinned: a task, queue, tick or command that appears, vanishes or changes its name is seen here."""

import re
from pathlib import Path

import pytest
import typer

import celeryconfig
from atra.cli.main import app as cli
from atra.cli.stack import QUEUES as LISTENED
from atra.core.errors import NoModel
from atra.core.settings import ModelSettings, Settings
from workers.app import TASK_MODULES, app
from workers.pipelines import repair_plan

ROOT = Path(__file__).parents[3]

TASKS = {
    "delivery.deliver", "distill.build", "distill.gather", "distill.start",
    "ask.answer", "brain.compare", "brain.judge", "brain.watch", "cache.judge", "cache.tidy", "precache.answer",
    "precache.hourly", "precache.predict",
    "author.commit", "author.plan", "author.verify", "author.write",
    "migrate_target.commit", "migrate_target.draft", "migrate_target.rehearse", "migrate_target.revise",
    "migrate_target.test",
    "maintenance.send", "maintenance.sweep", "maintenance.tick", "self_repair.agent", "self_repair.ask",
    "self_repair.choose",
    "self_repair.commit", "self_repair.diagnose", "self_repair.propose", "self_repair.prove", "self_repair.receive",
    "self_repair.reproduce", "self_repair.try", "self_repair.verify", "scout.poll", "watch.mark",
    "watch.undo",
    "training.offer", "training.train",
    "war_room.answer", "war_room.convene", "war_room.hear", "war_room.prove", "war_room.reproduce", "war_room.settle",
    "war_room.weigh",
}  # fmt: skip

COMMANDS = {
    "repair", "refit", "author", "migrate-target", "war-room", "runs", "show", "cancel", "revert", "report", "failures",
    "up", "status", "doctor", "demo", "brain", "cache", "distill", "precache", "ask", "scout", "trends",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    app.loader.import_default_modules()


def own_tasks() -> dict[str, object]:
    return {name: task for name, task in app.tasks.items() if type(task).__module__.startswith("workers.")}


def test_the_tasks_are_these():
    """Messages outlive renames, so a task's name is a promise."""
    assert set(own_tasks()) == TASKS
    assert len(TASK_MODULES) == 16


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_task_has_limits_a_route_and_late_acknowledgement(name: str):
    """A soft limit below the hard one below the visibility timeout, a queue that exists, one base class."""
    task = own_tasks()[name]
    soft, hard = (getattr(task, limit) or app.conf[f"task_{limit}"] for limit in ("soft_time_limit", "time_limit"))
    queue = app.amqp.router.route({}, name)["queue"].name

    assert 0 < soft < hard < celeryconfig.broker_transport_options["visibility_timeout"]
    assert (queue == "gpu") if name == "training.train" else (queue in LISTENED)
    assert task.acks_late
    assert task.__doc__


SEARCHED, ASKED = ["try", "choose", "verify"], ["ask", "agent", "prove"]


@pytest.mark.parametrize(
    ("generator", "models", "steps"),
    [
        ("auto", False, SEARCHED),
        ("auto", True, [*SEARCHED, *ASKED]),
        ("templates", True, SEARCHED),
        ("model", True, ASKED),
    ],
)
def test_every_step_of_a_plan_has_its_task(generator: str, models: bool, steps: list[str]):
    """A plan names no step that nobody does; models are asked where there are some and nobody said otherwise."""
    known = {"cheap": ModelSettings(provider="openai", model="m")} if models else {}

    plan = repair_plan(Settings(_env_file=None, models=known, samples=2), generator, 3)

    assert {f"{plan.kind}.{name}" for name, _ in plan.steps} <= TASKS
    assert [name for name, _ in plan.steps] == ["reproduce", "diagnose", "propose", *steps, "commit"]
    assert {name: number for name, number in plan.steps if number > 1} == {
        name: number for name, number in (("try", 3), ("ask", 2)) if name in steps
    }


def test_a_repair_by_models_alone_needs_one():
    """It is refused before a run is opened."""
    with pytest.raises(NoModel):
        repair_plan(Settings(_env_file=None), "model", 3)


def test_the_timetable_fires_tasks_that_exist_and_expire():
    """Ticks that nobody took do not pile up."""
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} == {
        "maintenance.sweep", "maintenance.tick", "scout.poll", "cache.tidy", "cache.judge", "precache.hourly",
        "distill.start", "brain.watch",
    }  # fmt: skip
    assert all(entry["options"]["expires"] <= max(60, entry["schedule"]) for entry in app.conf.beat_schedule.values())


def test_only_json_is_taken():
    """No worker unpickles anything."""
    assert app.conf.accept_content == app.conf.result_accept_content == ["json"]


def test_the_commands_are_those_of_the_readme():
    """Every command stands in the README, and the README names no other."""
    known = set(typer.main.get_command(cli).commands)
    told = set(re.findall(r"`atra ([a-z-]+)", (ROOT / "README.md").read_text()))

    assert known == COMMANDS
    assert told == COMMANDS


def test_make_targets_of_the_documents_exist():
    """A document names no target that the Makefile lacks."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    documents = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    told = {name for page in documents for name in re.findall(r"`make ([a-z-]+)|^    make ([a-z-]+)", page.read_text(),
                                                             re.MULTILINE) for name in name if name}  # fmt: skip

    assert told <= targets


def test_every_setting_stands_in_the_operations_page():
    """A setting that nobody can find is none."""
    from atra.core.settings import Settings

    page = (ROOT / "docs" / "operations.md").read_text()
    hidden = {"repositories", "log_level"}

    told = {name for name in Settings.model_fields if f"ATRA_{name.upper()}" in page or f"`[{name}" in page}
    assert set(Settings.model_fields) - told == hidden
