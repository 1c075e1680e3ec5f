"""`atra demo`: a small shop with a planted bug is repaired twice, once by hand and once because a task of its raised.

Everything is real: the shop is a git repository, its Celery worker runs as a process of its own, ATRA's worker and beat
run beside it on embedded services. All of it lies in one temporary folder, and nothing is left behind.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import typer
from rich.rule import Rule

from atra.cli.console import err, out, plain
from atra.cli.outcome import as_contract, print_outcome, timeline
from atra.cli.repair import carry_out, watch
from atra.cli.stack import temporary_stack
from atra.core.errors import AtraError
from atra.core.runs import Run
from atra.core.settings import RepositorySettings, Settings, load_settings
from atra.repository import Repository
from atra.wiring import Wiring, use
from workers.targets import make_target

_ORDER = {"pen": 12, "atlas": 1}
_PATIENCE_S = 60.0
_QUIET = ("-c", "user.name=Shop", "-c", "user.email=shop@localhost", "-c", "commit.gpgsign=false")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    keep: bool = typer.Option(False, "--keep", help="Leave the shop's repository behind and say where it is."),
) -> None:
    """Repair a small shop's planted bug twice: by hand, and because its Celery task raised."""
    began = time.monotonic()
    place = Path(tempfile.mkdtemp(prefix="atra-demo-"))
    try:
        _demonstrate(place, began)
    finally:
        _clear(place, keep)


def _demonstrate(place: Path, began: float) -> None:
    shop = _build_shop(place / "shop")
    settings = load_settings().model_copy(
        update={
            "home": place / "home",
            "database_url": None,
            "redis_url": None,
            "broker_url": None,
            "repositories": {"shop": RepositorySettings(path=shop)},
        }
    )
    out.print(Rule("a shop with a planted bug", align="left"))
    out.print(f"{len(list(shop.rglob('*.py')))} Python files in {plain(shop)}; its tests say:\n")
    out.print(plain(_run_tests(shop)))
    with ExitStack() as stack:
        with err.status("starting PostgreSQL, Redis, a worker and beat"):
            running = stack.enter_context(temporary_stack(settings))
        wired = use(running.info.settings(settings))
        out.print(f"the stack is up after {time.monotonic() - began:.1f} s\n")
        by_hand = _repair_by_hand(wired, shop)
        by_report = _repair_by_report(wired, shop, place / "shop.log")
    out.print(Rule("what the repository holds now", align="left"))
    out.print(plain(_git(shop, "log", "--all", "--graph", "--oneline", "--decorate")), soft_wrap=True)
    out.print(f"\nworking tree: {plain(_git(shop, 'status', '--short') or 'untouched')}")
    out.print(f"[bold]{time.monotonic() - began:.1f} s[/] in all, runs {by_hand.id} and {by_report.id}")


def _repair_by_hand(wired: Wiring, shop: Path) -> Run:
    from workers.intake import opening_of  # the application is made from the wiring, which is set up by now
    from workers.pipelines import repair_plan

    out.print(Rule("first: atra repair", align="left"))
    target = make_target(Repository.open(shop), wired.settings, budget_s=wired.settings.budget_s)
    plan = repair_plan(wired.settings, target.generator, wired.settings.shards)
    return _told(wired, carry_out(wired, opening_of(target, plan), quiet=False), shop)


def _repair_by_report(wired: Wiring, shop: Path, log: Path) -> Run:
    out.print(Rule("second: the shop's own Celery task raises, and reports it", align="left"))
    with _shop_worker(wired.settings, shop, log) as send:
        send()
        out.print(f"sent shop.confirm({_ORDER}) to the shop's worker")
        until = time.monotonic() + _PATIENCE_S
        while not (found := wired.failures.recent(1)) or not (runs := wired.runs.recent(1, failure_id=found[0].id)):
            if time.monotonic() > until:
                raise AtraError(f"the shop's failure did not arrive; its worker said:\n{log.read_text()[-2000:]}")
            time.sleep(0.1)
    failure = found[0]
    out.print(f"it raised [red]{plain(failure.error_type)}[/]: {plain(failure.message)}")
    out.print(f"reported as failure [bold]{failure.id}[/]; {failure.path}: {plain(failure.reason)}")
    return _told(wired, watch(wired, runs[0], quiet=False), shop)


def _told(wired: Wiring, run: Run, shop: Path) -> Run:
    steps = wired.runs.steps(run.id)
    out.print(timeline(steps))
    out.print()
    print_outcome(run, steps)
    commit = as_contract(run, steps)["commit"]
    if commit is None:
        raise AtraError(f"run {run.id} ended without a commit: {run.reason}")
    said = _git(shop, "show", "--no-patch", "--format=%B", commit)
    out.print(f"\n[dim]{plain(said)}[/]\n", soft_wrap=True)
    return run


@contextmanager
def _shop_worker(settings: Settings, shop: Path, log: Path) -> Iterator[Callable[[], None]]:
    """Run the shop's Celery worker as its owners would; gives a function that sends one order to it."""
    assert settings.redis_url is not None
    redis_url = settings.redis_url.get_secret_value()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ATRA_")},
        "HOME": str(log.parent),  # where reports wait until ATRA has taken them
        "ATRA_REDIS_URL": redis_url,
        "SHOP_BROKER": redis_url.removesuffix("/0") + "/1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(shop),
    }
    celery = (sys.executable, "-m", "celery", "-A", "shop.tasks", "--quiet")
    order = (*celery, "call", "shop.confirm", "--args", json.dumps([_ORDER]))

    def send() -> None:
        subprocess.run(order, env=environment, cwd=log.parent, check=True, stdout=subprocess.DEVNULL)

    with log.open("wb") as said:
        worker = subprocess.Popen(
            (*celery, "worker", "-c", "1", "--without-gossip", "--without-mingle"),
            env=environment, cwd=log.parent, stdout=said, stderr=said,
        )  # fmt: skip
        try:
            yield send
        finally:
            worker.terminate()
            worker.wait(timeout=30)


def _build_shop(root: Path) -> Path:
    """Write the shop's files, whose names end in `.txt` where ATRA keeps them, and commit them."""
    _copy(files("atra.cli") / "demo_shop", root)
    _git(root, "init", "-q", "-b", "main")
    _git(root, "add", "-A")
    _git(root, "commit", "-q", "-m", "Price carts with discounts")
    return root


def _copy(source: Traversable, into: Path) -> None:
    into.mkdir(parents=True)
    for entry in source.iterdir():
        if entry.is_dir():
            _copy(entry, into / entry.name)
        elif entry.name.endswith(".txt"):
            name = entry.name.removesuffix(".txt")
            (into / (".gitignore" if name == "gitignore" else name)).write_text(entry.read_text())


def _run_tests(shop: Path) -> str:
    """Run the shop's tests as its owners would; the shop is ours, so this needs no sandbox."""
    command = (sys.executable, "-m", "pytest", "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider")
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=shop, env=environment, capture_output=True, text=True).stdout


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ("git", *_QUIET, *arguments), cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()


def _clear(place: Path, keep: bool) -> None:
    if keep:
        shutil.rmtree(place / "home", ignore_errors=True)
        out.print(f"the shop is in {plain(place / 'shop')}")
    else:
        shutil.rmtree(place, ignore_errors=True)
