"""What comes after a repair's commit: a failure that is back is told from one that ran without its fix, and undone."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from atra.cli.outcome import status
from atra.cli.runs import regression_of
from atra.core.clock import utc_now
from atra.core.records import to_json
from atra.core.runs import Ending, Run, new_id
from atra.core.settings import RepositorySettings, Settings
from atra.meta_architect.records import Candidate, Commit, Plausible, Verification
from atra.repository import Repository
from atra.self_repair.records import Report, ReportFrame
from atra.storage.runs import RunStore
from atra.wiring import use
from tests.targets import git, small_shop
from workers.app import app
from workers.intake import Taken, take_in
from workers.pipelines import self_repair
from workers.targets import make_target
from workers.task import run_step
from workers.watch import STEPS, changed_lines

FRAMES = (ReportFrame("shop/pricing.py", 6, "share_off", in_app=True),)
REPORT = Report("shop", "ValueError", "too few", FRAMES, "ValueError: too few", "celery", utc_now())
FIXED = (
    '"""Prices in cents."""\n\n\ndef share_off(pieces):\n'
    '    """Return the percentage taken off from ten pieces on."""\n'
    "    if pieces >= 10:\n        return 5\n    return 0\n"
)
DIFF = "--- a/shop/pricing.py\n+++ b/shop/pricing.py\n@@ -6 +6 @@\n-    if pieces > 10:\n+    if pieces >= 10:\n"


class Shop:
    """A repository with a failure that was repaired, and what ATRA knows of both."""

    def __init__(self, settings: Settings, root: Path) -> None:
        self.root = small_shop(root)
        entry = RepositorySettings(path=self.root)
        self.settings = settings.model_copy(update={"repositories": {"shop": entry}})
        self.wired = use(self.settings)
        self.base = git(self.root, "rev-parse", "HEAD")
        self.failure_id = self.record().failure.id
        for run in self.runs():
            self.wired.runs.cancel(run.id)
        self.repair = self.repaired()

    def record(self, **report: object) -> Taken:
        return take_in(self.wired, replace(REPORT, **{"id": new_id("i"), "seen_at": utc_now(), **report}))

    def runs(self) -> list[Run]:
        return self.wired.runs.recent(50, failure_id=self.failure_id)

    def repaired(self) -> Run:
        """End a run as a repair does: with a commit on a branch, and the failure repaired."""
        runs, target = self.wired.runs, make_target(Repository.open(self.root), self.settings, budget_s=60)
        run = runs.open(new_id("r"), replace(self_repair(1), steps=(("verify", 1), ("commit", 1))), to_json(target),
                        self.failure_id)  # fmt: skip
        winner = Plausible(Candidate((), "compare-boundary", "shop/pricing.py", 6, 0.5), 1)
        settle(runs, run, "verify", Verification(winner, {"shop/pricing.py": FIXED}, DIFF, confidence=0.9))
        branch, message = f"atra/repair-{run.id}", f"Fix it\n\nAtra-Run: {run.id}\n"
        commit = Repository.open(self.root).commit(self.base, branch, {"shop/pricing.py": FIXED}, message)
        self.wired.failures.mark_repaired(self.failure_id)
        settle(runs, run, "commit", Commit(branch, commit, self.base, ("shop/pricing.py",)), Ending("fixed", "fixed"))
        self.fix, self.branch = commit, branch
        return runs.get(run.id)

    def carry_out(self, run: Run) -> Run:
        for step in self.wired.runs.steps(run.id):
            run_step(step.name, run.id, step.shard, STEPS[step.name])
        return self.wired.runs.get(run.id)

    def policy(self, **policies: object) -> None:
        entry = RepositorySettings(path=self.root, **policies)
        self.settings = self.settings.model_copy(update={"repositories": {"shop": entry}})
        self.wired = use(self.settings)

    @property
    def failure(self):
        return self.wired.failures.get(self.failure_id)


def settle(runs: RunStore, run: Run, name: str, output: object, ending: Ending | None = None) -> None:
    claim = runs.claim(run.id, name, 0, owner="me", lease_s=30, max_attempts=5)
    runs.settle(claim, to_json(output), ending)


@pytest.fixture
def shop(settings: Settings, redis_url: str, tmp_path: Path) -> Iterator[Shop]:
    """The shop, in a process that can speak to the real broker."""
    before = app.conf.broker_url
    app.conf.broker_url = redis_url
    yield Shop(settings, tmp_path / "shop")
    app.conf.broker_url = before


def test_a_failure_that_is_back_with_its_fix_is_undone_and_escalated(shop: Shop):
    """It is regressed and urgent with the reason, and a commit on the fix's branch takes the fix back."""
    taken = shop.record(revision=shop.fix)
    assert taken.run
    run = shop.carry_out(taken.run)

    failure, told = shop.failure, regression_of(shop.wired.runs, shop.repair)
    assert (failure.state, failure.urgent, failure.path) == ("regressed", True, "escalate")
    assert shop.fix[:12] in failure.reason
    assert told
    assert told == regression_of(shop.wired.runs, run)
    assert (status(run), told["commit"]) == ("reverted", git(shop.root, "rev-parse", shop.branch))
    assert git(shop.root, "diff", shop.base, shop.branch) == ""
    assert git(shop.root, "rev-parse", "HEAD") == shop.base


def test_however_often_it_is_reported_it_is_undone_once(shop: Shop):
    """A second report counts and leads to the same run; after that the failure is urgent, and experts are asked."""
    first, second = shop.record(revision=shop.fix), shop.record(revision=shop.fix)
    assert first.run
    assert second.run
    ended = [shop.carry_out(first.run), shop.carry_out(second.run)]
    third = shop.record(revision=shop.fix)

    assert ended[0] == ended[1]
    assert (shop.failure.count, third.failure.state) == (4, "regressed")
    assert git(shop.root, "rev-list", "--count", f"{shop.base}..{shop.branch}") == "2"
    assert third.run
    assert third.run.kind == "war_room"


def test_a_fix_that_was_merged_is_undone_on_a_branch_of_its_own(shop: Shop):
    """The checked out branch and its files stay as they are."""
    git(shop.root, "merge", "-q", "--ff-only", shop.branch)
    taken = shop.record(revision=shop.fix[:10])
    assert taken.run
    shop.carry_out(taken.run)

    assert git(shop.root, "diff", shop.base, f"atra/revert-{shop.repair.id}") == ""
    assert git(shop.root, "rev-parse", "HEAD") == shop.fix
    assert git(shop.root, "status", "--porcelain") == ""


def test_a_policy_may_leave_the_fix_where_it_is(shop: Shop):
    """Then the regression is reported with that reason, and no commit is made."""
    shop.policy(on_regression="report")
    taken = shop.record(revision=shop.fix)
    assert taken.run
    run = shop.carry_out(taken.run)

    assert (run.outcome, shop.failure.state) == ("reported", "regressed")
    assert "policy" in (run.reason or "")
    assert git(shop.root, "rev-parse", shop.branch) == shop.fix


def test_a_fix_that_cannot_be_undone_is_left_with_the_reason(shop: Shop):
    """Later changes touch the same lines: a person has to do it."""
    git(shop.root, "merge", "-q", "--ff-only", shop.branch)
    (shop.root / "shop/pricing.py").write_text(FIXED.replace(">= 10", ">= 12"))
    git(shop.root, "commit", "-q", "-a", "-m", "Another limit")
    taken = shop.record(revision=git(shop.root, "rev-parse", "HEAD"))
    assert taken.run
    run = shop.carry_out(taken.run)

    assert run.outcome == "reported"
    assert "later changes touch the same lines of shop/pricing.py" in (run.reason or "")


@pytest.mark.parametrize(
    ("revision", "merged", "words"),
    [
        ("base", True, "does not hold the fix"),
        ("0" * 40, False, "nobody here knows the revision 000000000000"),
        ("", False, "the checked out revision does not hold it"),
        ("", True, "the report names no revision, so nobody can tell"),
    ],
)
def test_a_failure_that_ran_without_its_fix_stays_repaired(shop: Shop, revision: str, merged: bool, words: str):
    """It is counted, nothing is undone, and what is known of it is said."""
    if merged:
        git(shop.root, "merge", "-q", "--ff-only", shop.branch)
    taken = shop.record(revision=shop.base if revision == "base" else revision)

    assert (taken.run, taken.failure.state, taken.failure.count) == (None, "repaired", 2)
    assert words in taken.why
    assert taken.failure.reason == taken.why


def test_a_report_older_than_the_fix_says_nothing_about_it(shop: Shop):
    """One that waited in a spool while the repair was made."""
    git(shop.root, "merge", "-q", "--ff-only", shop.branch)

    assert "seen before the fix was made" in shop.record(seen_at=utc_now() - timedelta(hours=1)).why


def test_a_failure_whose_fix_a_person_took_back_is_repaired_anew(shop: Shop):
    """There is no fix that could have failed."""
    Repository.open(shop.root).revert(shop.fix, run_id=shop.repair.id)
    git(shop.root, "commit", "-q", "--allow-empty", "-m", "Go on")
    taken = shop.record()

    assert (shop.failure.state, taken.run and taken.run.kind) == ("open", "self_repair")


def test_the_same_message_taken_in_again_does_what_was_left_undone(shop: Shop):
    """The report was counted and the database failed before the run was opened."""
    report = replace(REPORT, id="twice", revision=shop.fix, seen_at=utc_now())
    shop.wired.failures.record(report, shop.failure.fingerprint, "repair", "why")
    taken = take_in(shop.wired, report)

    assert (taken.failure.count, taken.run and taken.run.kind) == (2, "watch")


def test_what_failed_once_is_not_proposed_again(shop: Shop):
    """The next repair knows the lines that the fix changed, wherever in the file they are."""
    from workers.watch import _failed_patches

    assert _failed_patches(shop.wired, shop.failure_id) == frozenset()
    shop.record(revision=shop.fix)

    assert _failed_patches(shop.wired, shop.failure_id) == {changed_lines(DIFF.replace("-6 +6", "-60 +61"))}
    assert _failed_patches(shop.wired, None) == frozenset()
