"""How far a repair's commit goes by itself: merged, pushed to a bare remote, proposed at a loopback forge, or left."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from atra.cli.delivery import as_delivery, delivery_of
from atra.core.errors import Transient
from atra.core.records import to_json
from atra.core.runs import Claim, Run, new_id
from atra.core.settings import RepositorySettings, Settings
from atra.meta_architect.records import Commit
from atra.repository import Repository
from atra.wiring import Wiring, use
from tests.forges import TOKEN, LoopbackForge
from tests.targets import git, small_shop
from workers.app import app
from workers.delivery import STEPS, start_delivery
from workers.pipelines import self_repair
from workers.targets import make_target
from workers.task import Work, run_step

FIXED = {"shop/cart.py": "def total(price, pieces):\n    return price * pieces\n"}
MESSAGE = "Fix the total\n\nIt was @everyone's ~~~ fault.\n\nAtra-Run: {}\n"


class Shop:
    """A repository with a bare remote, and a commit of a repair in it."""

    def __init__(self, settings: Settings, place: Path) -> None:
        self.root, self.remote, self._settings = small_shop(place / "shop"), place / "remote.git", settings
        git(place, "clone", "-q", "--bare", str(self.root), str(self.remote))
        git(self.root, "remote", "add", "origin", "https://127.0.0.1/acme/shop.git")
        git(self.root, "config", "remote.origin.pushurl", str(self.remote))
        self.base, self.run_id = git(self.root, "rev-parse", "HEAD"), new_id("r")
        self.branch = f"atra/repair-{self.run_id}"
        opened = Repository.open(self.root)
        self.commit = opened.commit("HEAD", self.branch, FIXED, MESSAGE.format(self.run_id))

    def delivered(self, *, token: str | None = TOKEN, **policies: object) -> Run:
        """Deliver as a worker with these policies does, and return the delivery's run."""
        run = self.started(token=token, **policies)
        self.step(run)
        return self.wired.runs.get(run.id)

    def started(self, *, token: str | None = TOKEN, **policies: object) -> Run:
        entry = RepositorySettings(path=self.root, **policies)
        secret = SecretStr(token) if token else None
        changed = {"repositories": {"shop": entry}, "forge_token": secret, "max_attempts": 5}
        self.wired: Wiring = use(self._settings.model_copy(update=changed))
        target = make_target(Repository.open(self.root), self.wired.settings, budget_s=60)
        repair = self.wired.runs.open(self.run_id, self_repair(1), to_json(target))
        work = Work(Claim(repair, "commit", 0, 1, 1), self.wired.runs, self.wired)
        for _ in range(2):  # a step that is done twice delivers once
            start_delivery(work, target, Commit(self.branch, self.commit, self.base, ("shop/cart.py",)))
        (run,) = [run for run in self.wired.runs.recent() if run.kind == "delivery"]
        return run

    def step(self, run: Run) -> None:
        run_step("deliver", run.id, 0, STEPS["deliver"])

    def told(self, run: Run) -> dict[str, object]:
        return as_delivery(self.wired.runs, run) or {}


@pytest.fixture
def shop(settings: Settings, redis_url: str, tmp_path: Path) -> Iterator[Shop]:
    """The shop, in a process that can speak to the real broker."""
    before = app.conf.broker_url
    app.conf.broker_url = redis_url
    yield Shop(settings, tmp_path)
    app.conf.broker_url = before


def test_by_default_a_commit_stays_on_its_branch(shop: Shop):
    """No run is opened for it."""
    with pytest.raises(ValueError, match="not enough values"):
        shop.started()

    assert delivery_of(shop.wired.runs, shop.wired.runs.get(shop.run_id)) is None


def test_a_merge_moves_a_branch_that_nobody_works_on(shop: Shop):
    """By fast-forward; the checked out branch and its files stay."""
    git(shop.root, "checkout", "-q", "-b", "work")
    run = shop.delivered(policy="merge", merge_into="main")

    assert (run.outcome, run.reason) == ("delivered", "merged into main")
    assert git(shop.root, "rev-parse", "main") == shop.commit
    assert git(shop.root, "rev-parse", "HEAD") == shop.base
    assert git(shop.root, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("prepare", "into", "words"),
    [
        ((), "main", "main is checked out"),
        ((), None, "main is checked out"),
        (("checkout", "-q", "--detach"), None, "no branch is checked out, and merge_into names none"),
        (("branch", "-f", "side", "atra"), "side", ""),
        ((), "no such", ""),
    ],
    ids=["checked out", "unsaid", "detached", "moved", "none"],
)
def test_a_merge_that_cannot_be_is_told_and_nothing_moves(shop: Shop, prepare, into: str | None, words: str):
    """The repair's branch stays as it is."""
    if "side" in prepare:
        prepare = (
            "branch",
            "-f",
            "side",
            git(shop.root, "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "elsewhere"),
        )
        words = "Branch side already holds"
    if prepare:
        git(shop.root, *prepare)
    before = git(shop.root, "for-each-ref")
    run = shop.delivered(policy="merge", merge_into=into)

    assert run.outcome == "undelivered"
    assert words in (run.reason or "")
    assert shop.told(run)["state"] == "failed"
    assert git(shop.root, "for-each-ref") == before


def test_a_push_brings_the_branch_to_the_remote(shop: Shop):
    """And nothing else."""
    git(shop.root, "tag", "-a", "-m", "mine", "mine")
    git(shop.root, "config", "push.followTags", "true")
    run = shop.delivered(policy="push")

    assert git(shop.remote, "tag") == ""
    assert (run.outcome, run.reason) == ("delivered", "pushed to origin")
    assert git(shop.remote, "rev-parse", shop.branch, "main").split() == [shop.commit, shop.base]


def test_a_remote_that_refuses_is_told(shop: Shop):
    """Its hook says no: the commit stays here, on its branch."""
    hook = shop.remote / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    run = shop.delivered(policy="push")

    assert (run.outcome, shop.told(run)["state"]) == ("undelivered", "failed")
    assert "pre-receive hook declined" in (run.reason or "")
    assert git(shop.root, "rev-parse", shop.branch) == shop.commit


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("moved", "already holds something else"),
        ("gone", "does not appear to be a git repository"),
        ("none", "no remote"),
    ],
)
def test_a_remote_that_is_not_as_it_was_is_told(shop: Shop, what: str, words: str):
    """Nothing is forced."""
    if what == "moved":
        other = git(shop.root, "commit-tree", "HEAD^{tree}", "-m", "somebody else's")
        git(shop.root, "push", "-q", str(shop.remote), f"{other}:refs/heads/{shop.branch}")
    if what == "gone":
        shop.remote.rename(shop.remote.with_name("elsewhere.git"))
    run = shop.delivered(policy="push", remote="nowhere" if what == "none" else "origin")

    assert run.outcome == "undelivered"
    assert words in (run.reason or "")


def test_a_remote_that_asks_for_a_password_is_not_waited_for(shop: Shop):
    """Nobody is there to type one."""
    with LoopbackForge(lambda number: (401, {}, {"www-authenticate": 'Basic realm="git"'})) as remote:
        git(shop.root, "config", "remote.origin.pushurl", f"{remote.url}/acme/shop.git")
        run = shop.delivered(policy="push")

    assert run.outcome == "undelivered"
    assert "terminal prompts disabled" in (run.reason or "")


def test_a_remote_whose_address_names_a_token_tells_it_nobody(shop: Shop):
    """Git asks for a password, and says for which user."""
    with LoopbackForge(lambda number: (401, {}, {"www-authenticate": 'Basic realm="git"'})) as remote:
        address = f"{remote.url}/acme/shop.git".replace("://", "://canaryTokenAsUser@")
        git(shop.root, "config", "remote.origin.pushurl", address)
        run = shop.delivered(policy="push")

    assert "could not read Password for 'http://127.0.0.1" in (run.reason or "")
    assert "canary" not in f"{run} {shop.wired.runs.steps(run.id)}"


@pytest.mark.parametrize(
    "policy", [{"policy": "push"}, {"policy": "merge", "merge_into": "side"}], ids=["push", "merge"]
)
def test_uncommitted_work_goes_nowhere_by_itself(shop: Shop, policy: dict[str, str]):
    """A repair may stand on it; it is still nobody's but the user's."""
    (shop.root / "private.txt").write_text("not yet")
    opened = Repository.open(shop.root)
    shop.base = opened.capture()
    git(shop.root, "branch", "side", shop.base)
    shop.run_id = new_id("r")
    shop.branch = f"atra/repair-{shop.run_id}"
    shop.commit = opened.commit(shop.base, shop.branch, FIXED, MESSAGE.format(shop.run_id))
    run = shop.delivered(**policy)

    assert "uncommitted changes" in (run.reason or "")
    assert git(shop.remote, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
    assert git(shop.root, "rev-parse", "side") == shop.base


def test_a_pull_request_is_opened_once_for_a_pushed_branch(shop: Shop):
    """With the commit's subject, its message in a block that a forge does not read, and its address kept."""
    with LoopbackForge() as forge:
        run = shop.delivered(policy="push", pull_request=True, forge_url=forge.url)
        shop.step(run)

    (pull,) = forge.pulls
    address = "https://github.com/acme/shop/pull/1"
    assert shop.told(run)["pull_request"] == address
    assert run.reason == f"pushed to origin; pull request {address}"
    assert (pull["title"], pull["head"]["ref"], pull["base"]["ref"]) == ("Fix the total", shop.branch, "main")
    assert pull["body"].startswith("~~~~text\n")
    assert pull["body"].endswith("\n~~~~\n")


@pytest.mark.parametrize(
    ("token", "answer", "words"),
    [
        (None, None, "ATRA_FORGE_TOKEN"),
        ("ghp_anotherTokenOfThisTest0123456789", None, "does not know the token"),
        (TOKEN, (403, {"message": f"not with {TOKEN}"}, {}), "may not open pull requests"),
    ],
    ids=["none", "unknown", "forbidden"],
)
def test_a_pull_request_that_is_refused_leaves_the_push(shop: Shop, token: str | None, answer, words: str):
    """It is told how far the commit went, and why no further; no token is in any row."""
    with LoopbackForge(lambda number: answer) as forge:
        run = shop.delivered(policy="push", pull_request=True, forge_url=forge.url, token=token)

    assert (run.outcome, shop.told(run)["state"]) == ("undelivered", "pushed")
    assert words in (run.reason or "")
    rows = f"{shop.wired.runs.recent()} {shop.wired.runs.steps(run.id)}"
    assert TOKEN not in rows
    assert git(shop.remote, "rev-parse", shop.branch) == shop.commit


def test_a_forge_that_is_overloaded_is_asked_again_and_then_left(shop: Shop):
    """Three times; after that the commit is pushed, and why there is no pull request is told."""
    with LoopbackForge(lambda number: (503, {}, {})) as forge:
        run = shop.started(policy="push", pull_request=True, forge_url=forge.url)
        for _ in range(2):
            with pytest.raises(Transient):
                shop.step(run)
        shop.step(run)

    run = shop.wired.runs.get(run.id)
    assert (run.outcome, len(forge.asked)) == ("undelivered", 3)
    assert "503" in (run.reason or "")


def test_the_policy_is_the_one_that_holds_when_it_is_carried_out(shop: Shop):
    """Somebody took it back meanwhile."""
    run = shop.started(policy="push")
    use(shop.wired.settings.model_copy(update={"repositories": {}}))
    shop.step(run)

    assert shop.wired.runs.get(run.id).reason == "it stays on its branch"
    assert git(shop.remote, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
