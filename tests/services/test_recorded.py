"""A failure that no test shows: its recorded call becomes one in a real box, is repaired, and stays in the commit."""

from collections.abc import Callable
from pathlib import Path

import pytest

from atra.cli.outcome import as_contract
from atra.core.clock import utc_now
from atra.core.redaction import Redactor
from atra.core.settings import Settings
from atra.integrations.capture import capture
from atra.repository import Repository
from atra.self_repair.fingerprint import fingerprint
from atra.self_repair.records import Failure, Report
from atra.wiring import Wiring, use
from tests.carrying import carry_out
from tests.targets import git, make_repository
from workers.targets import make_target

BUGGY = {
    "shop/__init__.py": "",
    "shop/prices.py": (
        "def first(prices):\n    return prices[0]\n\n\n"
        'def last(prices):\n    """Return the last price."""\n    return prices[len(prices)]\n'
    ),
    "tests/test_prices.py": "from shop.prices import first\n\n\ndef test_first():\n    assert first([3, 4]) == 3\n",
}


@pytest.fixture
def wired(settings: Settings) -> Wiring:
    return use(settings)


def failed(wired: Wiring, root: Path, called: Callable[[dict[str, object]], object]) -> Failure:
    """Run the repository's module here, as an application does, and record how the call fails."""
    space: dict[str, object] = {"__name__": "shop.prices"}
    exec(compile((root / "shop/prices.py").read_text(), str(root / "shop/prices.py"), "exec"), space)
    try:
        called(space)
    except Exception as error:
        report = capture(error, error.__traceback__, repository="shop", origin="celery", seen_at=utc_now(),
                         redactor=Redactor())  # fmt: skip
        return wired.failures.record(report, fingerprint(report), "repair", "a mistake in the code")
    raise AssertionError("it did not fail")


def repaired(wired: Wiring, root: Path, failure: Failure, suspect: str = "shop/prices.py"):
    target = make_target(Repository.open(root), wired.settings, suspect=suspect, budget_s=120)
    run, steps = carry_out(wired, target, failure.id)
    return run, as_contract(run, steps)


def test_a_recorded_call_becomes_a_test_and_its_failure_a_commit(wired: Wiring, tmp_path: Path):
    """The test fails with the recorded exception, the patch turns it green, both are in the commit, labelled."""
    root = make_repository(tmp_path / "shop", BUGGY)
    failure = failed(wired, root, lambda shop: shop["last"]([1, 2, 3]))

    run, told = repaired(wired, root, failure)

    path = f"tests/test_atra_{failure.fingerprint[:12]}.py"
    message = git(root, "log", "-1", "--format=%B", told["branch"])
    assert (run.outcome, told["failing_before"]) == ("fixed", [f"{path}::test_last_raises_nothing"])
    assert sorted(git(root, "diff", "--name-only", "main", told["branch"]).split()) == ["shop/prices.py", path]
    assert "Written by ATRA from a recorded failure" in git(root, "show", f"{told['branch']}:{path}")
    assert "last([1, 2, 3])" in git(root, "show", f"{told['branch']}:{path}")
    assert "Atra-Tests: 1 fixed (from a recorded call), 2 passing, 0 failing" in message
    assert told["confidence"] <= 0.3
    assert told["written_test"] == path
    assert git(root, "status", "--porcelain") == ""


def test_a_call_that_fails_no_more_is_nothing_to_repair(wired: Wiring, tmp_path: Path):
    """The code was mended meanwhile; the test is not kept."""
    root = make_repository(tmp_path / "shop", BUGGY)
    failure = failed(wired, root, lambda shop: shop["last"]([1, 2, 3]))
    (root / "shop/prices.py").write_text(BUGGY["shop/prices.py"].replace("prices[len(prices)]", "prices[-1]"))
    git(root, "commit", "-q", "-a", "-m", "Mend it")

    run, told = repaired(wired, root, failure)

    assert (run.outcome, told["written_test"]) == ("nothing_to_repair", None)
    assert run.reason == "all 1 tests pass; so does a test of the recorded call: it passes"


def test_another_exception_than_the_recorded_one_is_not_repaired_as_if_it_were(wired: Wiring, tmp_path: Path):
    """What the call does here is something else: it is said, and left."""
    root = make_repository(tmp_path / "shop", BUGGY)
    failure = failed(wired, root, lambda shop: shop["last"]([1, 2, 3]))
    (root / "shop/prices.py").write_text(BUGGY["shop/prices.py"].replace("prices[len(prices)]", "prices['x']"))
    git(root, "commit", "-q", "-a", "-m", "Make it worse")

    run, _ = repaired(wired, root, failure)

    assert run.outcome == "nothing_to_repair"
    assert "the recorded call raises TypeError here, and not IndexError" in (run.reason or "")


def test_without_any_test_the_recorded_one_is_the_first(wired: Wiring, tmp_path: Path):
    """A repository that has none gets one."""
    root = make_repository(tmp_path / "shop", {path: text for path, text in BUGGY.items() if "tests" not in path})
    failure = failed(wired, root, lambda shop: shop["last"]([1, 2, 3]))

    run, told = repaired(wired, root, failure)

    assert (run.outcome, told["written_test"]) == ("fixed", f"test_atra_{failure.fingerprint[:12]}.py")


def test_a_failure_without_a_call_says_so(wired: Wiring, tmp_path: Path):
    """A pasted traceback has none."""
    root = make_repository(tmp_path / "shop", BUGGY)
    report = Report("shop", "IndexError", "list index out of range", (), "", "traceback", utc_now())
    failure = wired.failures.record(report, fingerprint(report), "repair", "why")

    run, _ = repaired(wired, root, failure)

    assert run.reason == "all 1 tests pass; no call was recorded with the failure"
