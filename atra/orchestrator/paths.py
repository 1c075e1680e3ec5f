"""A failure's path: repair it, convene a war-room, migrate, wait, or only report. Facts and rules in, a path out.

The rules are asked in one fixed order and the first that speaks decides; what each said is kept, so that a stored path
can be read like minutes. Nothing here reads a clock or a store.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Name = Literal["repair", "war_room", "migrate", "wait", "report"]


@dataclass(frozen=True)
class Rules:
    """When a room is worth its price.

    Args:
        window: how far back reports and repairs count.
        recurrences: reports of one fingerprint within the window from which on it counts as repeated.
        unresolved: repairs within the window that ended without a fix from which on experts are asked.
        cool_down: how long after a room on a fingerprint no other one is convened on it.
        quiet_hours: (first, last) hour of the day, UTC, in which no room is convened unless the failure is urgent; the
            last one is not included, and a first one after the last spans midnight.
        room_usd: what one room may cost; a day's budget with less left convenes none that asks models.
        most_open_runs: how many runs may be open, of all failures, before another one is started.
        most_errors: how many runs at one revision may end without a result before no other is started there.
    """

    window: timedelta = timedelta(hours=24)
    recurrences: int = 5
    unresolved: int = 1
    cool_down: timedelta = timedelta(hours=1)
    quiet_hours: tuple[int, int] | None = None
    room_usd: float = 1.0
    most_open_runs: int = 50
    most_errors: int = 5


@dataclass(frozen=True)
class Situation:
    """What is known of one fingerprint at one moment.

    Args:
        triaged: what triage made of the newest report, and why.
        reports: how many came within the window.
        unresolved: repairs within the window that ended without a fix, none of them followed by one that was fixed.
        tried_here: what a repair or migration at the reported revision came to, in words; empty where there was none.
        hinted_here: whether a repair there that had a room's hints has ended without a fix.
        errors_here: how many ended there in an error or were cancelled.
        room_here: whether a room there has ended; one that was cancelled has not been held.
        open_run: the run that works on it now.
        open_runs: how many runs are open, of all failures.
        room_ended_at: when the last room on it ended.
        day_left_usd: what models may still cost today; None where no model is configured.
        no_target: why there is nothing to work on; empty where there is.
        no_room: why no room can be convened at all; empty where one can.
    """

    at: datetime
    triaged: Literal["repair", "migrate", "report"]
    why: str
    urgent: bool = False
    regressed: bool = False
    reports: int = 1
    unresolved: int = 0
    tried_here: str = ""
    hinted_here: bool = False
    errors_here: int = 0
    room_here: bool = False
    open_run: str | None = None
    open_runs: int = 0
    room_ended_at: datetime | None = None
    day_left_usd: float | None = None
    no_target: str = ""
    no_room: str = ""


@dataclass(frozen=True)
class Path:
    """Where a failure goes next. `models` says whether its room may ask models; `reasons` are in the order asked."""

    name: Name
    reasons: tuple[str, ...]
    models: bool = False


def path_of(situation: Situation, rules: Rules) -> Path:
    """Decide which path the failure takes now.

    One fingerprint has at most one open run of any kind. What is urgent, regressed, repeated or was not resolved by a
    repair goes to a room, once a revision, unless one has just ended on it or the hour is quiet; else code is repaired,
    or a schema migrated, once a revision. Where all that was tried a person is asked.
    """
    reasons = [situation.why]

    def ended(name: Name, *why: str, models: bool = False) -> Path:
        return Path(name, tuple(dict.fromkeys((*reasons, *why))), models)

    if situation.open_run is not None:
        return ended("wait", f"run {situation.open_run} works on it")
    if situation.no_target and situation.triaged != "report":
        return ended("report", situation.no_target)
    pressing = _pressing(situation, rules) if situation.triaged != "migrate" else []
    hindered = _hindrances(situation, rules) if pressing else []
    reasons += [*pressing, *hindered]
    if pressing and not hindered:
        models, about_money = _models(situation, rules)
        return ended("war_room", *about_money, models=models)
    if situation.triaged == "report":
        return ended("report")
    if spent := _spent(situation):
        return ended("report", spent)
    if held := _held_back(situation, rules):
        return ended("wait", held)
    return ended(situation.triaged)


def _pressing(situation: Situation, rules: Rules) -> list[str]:
    """Return why more than one opinion is called for, if it is."""
    found = []
    if situation.urgent:
        found.append("it is urgent")
    if situation.regressed:
        found.append("it came back although its fix is in")
    if situation.reports >= rules.recurrences:
        found.append(f"{situation.reports} reports came within {_spoken(rules.window)}")
    if situation.unresolved >= rules.unresolved:
        many = "a repair" if situation.unresolved == 1 else f"{situation.unresolved} repairs"
        found.append(f"{many} within {_spoken(rules.window)} ended without a fix")
    return found


def _hindrances(situation: Situation, rules: Rules) -> list[str]:
    """Return why no room is convened now although one is called for."""
    found = []
    if situation.room_ended_at is not None and (ago := situation.at - situation.room_ended_at) < rules.cool_down:
        found.append(f"a room on it ended {_spoken(max(ago, timedelta()))} ago, less than {_spoken(rules.cool_down)}")
    if rules.quiet_hours and not situation.urgent and _within(situation.at.hour, *rules.quiet_hours):
        found.append("these are quiet hours ({:02}-{:02} UTC)".format(*rules.quiet_hours))
    if situation.room_here or situation.hinted_here:
        found.append("a room at this revision has ended already")
    return [*found, *filter(None, (situation.no_target, situation.no_room, _crowded(situation, rules)))]


def _spent(situation: Situation) -> str:
    """Return why nothing that ATRA could start at this revision is left; nothing where something is."""
    if situation.hinted_here:
        return "a war-room and the repair with its hints ended without a fix"
    if situation.tried_here and situation.room_here:
        return f"{situation.tried_here}; a war-room at this revision is over, too"
    return ""


def _held_back(situation: Situation, rules: Rules) -> str:
    """Return why nothing is started now though something could be later; nothing where it is."""
    if situation.tried_here:
        return situation.tried_here
    if situation.errors_here >= rules.most_errors:
        return f"{situation.errors_here} runs at this revision ended without a result"
    return _crowded(situation, rules)


def _crowded(situation: Situation, rules: Rules) -> str:
    if situation.open_runs < rules.most_open_runs:
        return ""
    return f"{situation.open_runs} runs are open already (ATRA_MAX_OPEN_RUNS)"


def _models(situation: Situation, rules: Rules) -> tuple[bool, list[str]]:
    if situation.day_left_usd is None:
        return False, []
    if situation.day_left_usd < rules.room_usd:
        return False, [f"{situation.day_left_usd:.2f} USD are left today, a room may cost {rules.room_usd:.2f}"]
    return True, []


def _within(hour: int, first: int, last: int) -> bool:
    return first <= hour < last if first <= last else hour >= first or hour < last


def _spoken(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds // 60} min" if seconds >= 120 else f"{seconds} s"
