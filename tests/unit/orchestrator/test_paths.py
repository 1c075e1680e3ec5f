"""Paths: what urgency, recurrence, unresolved repairs, cool-down, quiet hours and money each change."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.orchestrator.paths import Path, Rules, Situation, path_of

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NEW = Situation(NOON, "repair", "TypeError came up in the application's own code")


@pytest.mark.parametrize(
    ("change", "name", "said"),
    [
        pytest.param({}, "repair", "TypeError came up", id="new"),
        pytest.param({"triaged": "migrate"}, "migrate", "TypeError", id="schema drift"),
        pytest.param({"triaged": "report"}, "report", "TypeError", id="not the code"),
        pytest.param({"open_run": "r7"}, "wait", "run r7 works on it", id="one open run"),
        pytest.param({"tried_here": "run r7: not_fixed"}, "wait", "run r7", id="once a revision"),
        pytest.param({"errors_here": 5}, "wait", "5 runs at this revision", id="in error again and again"),
        pytest.param({"errors_here": 4}, "repair", "TypeError", id="in error, but not for ever"),
        pytest.param({"open_runs": 50}, "wait", "ATRA_MAX_OPEN_RUNS", id="crowded"),
        pytest.param({"open_runs": 50, "urgent": True}, "wait", "ATRA_MAX_OPEN_RUNS", id="urgent, but crowded"),
        pytest.param({"triaged": "migrate", "open_runs": 50}, "wait", "ATRA_MAX", id="schema drift, but crowded"),
        pytest.param({"triaged": "migrate", "tried_here": "run r7"}, "wait", "r7", id="migrated once a revision"),
        pytest.param({"triaged": "migrate", "urgent": True}, "migrate", "TypeError", id="drift needs no experts"),
        pytest.param({"no_target": "no such repository"}, "report", "no such repository", id="nothing to work on"),
        pytest.param({"no_target": "gone", "urgent": True}, "report", "gone", id="urgent, but nothing to work on"),
        pytest.param({"no_room": "no expert", "urgent": True}, "repair", "no expert", id="urgent, but no room"),
        pytest.param(
            {"room_here": True, "urgent": True}, "repair", "a room at this revision", id="one room a revision"
        ),
        pytest.param(
            {"room_here": True, "tried_here": "run r7: not_fixed", "urgent": True},
            "report",
            "run r7: not_fixed; a war-room at this revision is over, too",
            id="nothing left",
        ),
        pytest.param(
            {"hinted_here": True, "tried_here": "run r7: not_fixed", "unresolved": 2},
            "report",
            "a war-room and the repair with its hints ended without a fix",
            id="hints did not help",
        ),
        pytest.param({"urgent": True}, "war_room", "it is urgent", id="urgent"),
        pytest.param({"regressed": True}, "war_room", "although its fix is in", id="regressed"),
        pytest.param({"reports": 5}, "war_room", "5 reports came within 24 h", id="repeated"),
        pytest.param({"unresolved": 1}, "war_room", "a repair within 24 h", id="unresolved"),
        pytest.param({"triaged": "report", "urgent": True}, "war_room", "it is urgent", id="urgent, not the code"),
        pytest.param({"urgent": True, "open_run": "r7"}, "wait", "run r7", id="urgent, but under way"),
        pytest.param(
            {"urgent": True, "room_ended_at": NOON - timedelta(minutes=10)}, "repair", "10 min ago", id="cool-down"
        ),
        pytest.param(
            {"urgent": True, "room_ended_at": NOON - timedelta(hours=2)}, "war_room", "urgent", id="cooled down"
        ),
        pytest.param(
            {"urgent": True, "room_ended_at": NOON + timedelta(hours=3)}, "repair", "0 s ago", id="a clock went back"
        ),
    ],
)
def test_each_fact_takes_its_path(change: dict[str, object], name: str, said: str):
    """The path and the sentence that leads to it."""
    path = path_of(replace(NEW, **change), Rules())

    assert path.name == name
    assert any(said in reason for reason in path.reasons)


@pytest.mark.parametrize(
    ("hours", "at", "urgent", "name"),
    [
        ((22, 6), 23, False, "repair"),
        ((22, 6), 5, False, "repair"),
        ((22, 6), 6, False, "war_room"),
        ((22, 6), 12, False, "war_room"),
        ((9, 17), 12, False, "repair"),
        ((9, 17), 12, True, "war_room"),
    ],
)
def test_quiet_hours_hold_back_what_is_not_urgent(hours: tuple[int, int], at: int, urgent: bool, name: str):
    """Hours may span midnight; an urgent failure wakes people anyway."""
    found = path_of(replace(NEW, reports=9, urgent=urgent, at=NOON.replace(hour=at)), Rules(quiet_hours=hours))

    assert found.name == name


@pytest.mark.parametrize(("left", "models"), [(None, False), (0.5, False), (5.0, True)])
def test_models_are_asked_only_where_the_day_pays_for_them(left: float | None, models: bool):
    """A room without money still has its evidence experts."""
    found = path_of(replace(NEW, urgent=True, day_left_usd=left), Rules(room_usd=1.0))

    assert (found.name, found.models) == ("war_room", models)


situations = st.builds(
    Situation,
    at=st.just(NOON),
    triaged=st.sampled_from(["repair", "migrate", "report"]),
    why=st.just("why"),
    urgent=st.booleans(),
    regressed=st.booleans(),
    reports=st.integers(1, 10),
    unresolved=st.integers(0, 3),
    tried_here=st.sampled_from(["", "run r7: not_fixed"]),
    hinted_here=st.booleans(),
    errors_here=st.integers(0, 6),
    room_here=st.booleans(),
    open_runs=st.integers(0, 60),
    no_target=st.sampled_from(["", "no such repository"]),
    no_room=st.sampled_from(["", "no expert"]),
    open_run=st.none() | st.just("r1"),
    room_ended_at=st.none() | st.integers(-120, 120).map(lambda minutes: NOON + timedelta(minutes=minutes)),
    day_left_usd=st.none() | st.floats(0, 5),
)


@given(situations)
def test_nothing_is_started_beside_an_open_run(situation: Situation):
    """Whatever else is known, one fingerprint has one open run; and every path says why."""
    path: Path = path_of(situation, Rules())

    assert (path.name == "wait") or situation.open_run is None
    assert path.reasons
    assert all(path.reasons)
    assert not path.models or path.name == "war_room"


@given(situations)
def test_one_revision_is_worked_on_a_few_times_at_most(situation: Situation):
    """No repair follows one there, no room another one, and nothing is started where there is nothing to work on."""
    path = path_of(situation, Rules())

    assert not (path.name in {"repair", "migrate"} and situation.tried_here)
    assert not (path.name == "war_room" and (situation.room_here or situation.no_room))
    assert not (path.name in {"repair", "migrate", "war_room"} and situation.no_target)
