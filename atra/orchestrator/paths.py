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
    """

    window: timedelta = timedelta(hours=24)
    recurrences: int = 5
    unresolved: int = 1
    cool_down: timedelta = timedelta(hours=1)
    quiet_hours: tuple[int, int] | None = None
    room_usd: float = 1.0


@dataclass(frozen=True)
class Situation:
    """What is known of one fingerprint at one moment.

    Args:
        triaged: what triage made of the newest report, and why.
        reports: how many came within the window.
        unresolved: repairs within the window that ended without a fix, none of them followed by one that was fixed.
        tried_here: whether a repair at the reported revision has ended without a fix.
        open_run: the run that works on it now.
        room_ended_at: when the last room on it ended.
        day_left_usd: what models may still cost today; None where no model is configured.
    """

    at: datetime
    triaged: Literal["repair", "migrate", "report"]
    why: str
    urgent: bool = False
    regressed: bool = False
    reports: int = 1
    unresolved: int = 0
    tried_here: bool = False
    open_run: str | None = None
    room_ended_at: datetime | None = None
    day_left_usd: float | None = None


@dataclass(frozen=True)
class Path:
    """Where a failure goes next. `models` says whether its room may ask models; `reasons` are in the order asked."""

    name: Name
    reasons: tuple[str, ...]
    models: bool = False


def path_of(situation: Situation, rules: Rules) -> Path:
    """Decide which path the failure takes now.

    One fingerprint has at most one open run of any kind. What is urgent, regressed, repeated or was not resolved by a
    repair goes to a room, unless one has just ended on it or the hour is quiet; else code is repaired once a revision.
    """
    reasons = [situation.why]

    def ended(name: Name, *why: str, models: bool = False) -> Path:
        return Path(name, (*reasons, *why), models)

    if situation.open_run is not None:
        return ended("wait", f"run {situation.open_run} works on it")
    if situation.triaged == "migrate":
        return ended("migrate")
    pressing = _pressing(situation, rules)
    reasons += pressing
    if pressing and not (hindered := _hindrances(situation, rules)):
        models, about_money = _models(situation, rules)
        return ended("war_room", *about_money, models=models)
    if pressing:
        reasons += hindered
    if situation.triaged == "report":
        return ended("report")
    if situation.tried_here:
        return ended("wait", "a repair at this revision has ended without a fix")
    return ended("repair")


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
        found.append(f"{situation.unresolved} repairs within {_spoken(rules.window)} ended without a fix")
    return found


def _hindrances(situation: Situation, rules: Rules) -> list[str]:
    """Return why no room is convened now although one is called for."""
    found = []
    if situation.room_ended_at is not None and (ago := situation.at - situation.room_ended_at) < rules.cool_down:
        found.append(f"a room on it ended {_spoken(max(ago, timedelta()))} ago, fewer than {_spoken(rules.cool_down)}")
    if rules.quiet_hours and not situation.urgent and _within(situation.at.hour, *rules.quiet_hours):
        found.append("these are quiet hours ({:02}-{:02} UTC)".format(*rules.quiet_hours))
    return found


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
