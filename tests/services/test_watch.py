"""A command that waits for a run does not wait for ever."""

import pytest

from atra.cli import repair
from atra.core.errors import AtraError
from atra.core.records import to_json
from atra.core.runs import Plan, new_id
from atra.core.settings import Settings
from atra.meta_architect.records import Target
from atra.wiring import Wiring


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
