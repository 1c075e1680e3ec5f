"""A command that waits for a run bears a short outage, and does not wait for ever."""

from types import SimpleNamespace
from typing import cast

import pytest

from atra.cli import repair
from atra.core.errors import AtraError, DatabaseUnavailable
from atra.core.records import to_json
from atra.core.runs import Plan, Run, Step, new_id
from atra.core.settings import Settings
from atra.meta_architect.records import Target
from atra.storage.runs import RunStore
from atra.wiring import Wiring


class Shaky:
    """The runs as they are, of a database that is away for some of the questions."""

    def __init__(self, runs: RunStore, away: int) -> None:
        self._runs, self._away = runs, away

    def get(self, run_id: str) -> Run:
        """Fail, or return the run, which has been cancelled meanwhile."""
        self._away -= 1
        if self._away >= 0:
            raise DatabaseUnavailable("starting up")
        self._runs.cancel(run_id)
        return self._runs.get(run_id)

    def steps(self, run_id: str) -> list[Step]:
        """Return them as they are."""
        return self._runs.steps(run_id)


def watched(settings: Settings, away: int) -> Run:
    runs = Wiring(settings).runs
    target = Target("shop", "/shop", "0" * 40, budget_s=10)
    run = runs.open(new_id("r"), Plan("self_repair", (("reproduce", 1),)), to_json(target))
    return repair.watch(cast(Wiring, SimpleNamespace(runs=Shaky(runs, away))), run, quiet=True)


def test_a_database_that_is_away_for_a_moment_is_waited_for(settings: Settings):
    """The stack starts it again; the run goes on, and so does the command."""
    assert watched(settings, away=3).outcome == "cancelled"


def test_a_database_that_stays_away_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    """After a while the command gives up with the reason."""
    monkeypatch.setattr(repair, "_OUTAGE_S", 0.3)

    with pytest.raises(DatabaseUnavailable, match="starting up"):
        watched(settings, away=1000)


def test_a_run_that_outlasts_its_budget_by_far_is_left_with_a_word(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    """It is no bad input (exit code 1, not 2), and the sentence says where to look."""
    monkeypatch.setattr(repair, "_GRACE_S", 0.0)
    wired = Wiring(settings)
    target = Target("shop", "/shop", "0" * 40, budget_s=0.1)
    run = wired.runs.open(new_id("r"), Plan("self_repair", (("reproduce", 1),)), to_json(target))

    with pytest.raises(AtraError, match=f"atra show {run.id}") as caught:
        repair.watch(wired, run, quiet=True)

    assert caught.value.exit_code == 1
    assert wired.runs.get(run.id).state == "open"
