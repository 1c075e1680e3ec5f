"""From a reproduced failure to the case of its war-room: what the sandbox, git and earlier repairs tell of it."""

import time
from collections.abc import Sequence
from dataclasses import replace

from atra.meta_architect.localisation import diagnose, is_test
from atra.meta_architect.records import Reproduction
from atra.war_room.case import Case, Commit, Region, by_line, options_of, regions_of
from workers.task import Work
from workers.workspace import Workspace, python_files

MOST_OPTIONS = 100
"""Regions that a room decides among; where failing tests ran more, the most suspect ones."""

MOST_FILES = 1500
"""Files of code in a case; of a larger repository only those that a test ran."""

_BLAME_S = 20.0  # for all files together
_RECENT, _RECENT_FILES = 10, 8


def case_of(
    work: Work, here: Workspace, question: str, options: tuple[Region, ...] | None = None, *, blame: bool = False
) -> Case:
    """Return the case of the run's failure.

    Args:
        options: the regions to decide among, where they were chosen before.
        blame: whether git is asked who wrote each line, which takes a while, see `_BLAME_S`.
    """
    found = work.output_of("reproduce", Reproduction)
    paths = python_files(here)
    hit = {path for lines in found.lines.values() for path in lines}
    known = [path for path in paths if not is_test(path)]
    if len(known) > MOST_FILES:
        seen = hit | set(found.passing_hits)
        known = sorted((path for path in known if path in seen), key=lambda path: path not in hit)[:MOST_FILES]
    code = here.sources(tuple(known))
    ran = hit & code.keys()
    failing = tuple({f"/{result.id.partition('::')[0]}" for result in found.failing})  # below where the tests are run
    told = (path for path in paths if is_test(path) and f"/{path}".endswith((*failing, "/conftest.py")))
    logged = here.repository.log(here.target.revision)
    case = Case(
        question=question,
        regions=options or (),
        failing=found.failing,
        lines={test: {path: rows for path, rows in by.items() if path in code} for test, by in found.lines.items()},
        passing_hits={path: hits for path, hits in found.passing_hits.items() if path in code},
        passing=len(found.passing),
        sources=code,
        tests=here.sources(tuple(told)),
        blame=_blame(here, sorted(ran)) if blame else {},
        commits=tuple(Commit(one.id, one.age_days, one.paths, one.subject) for one in logged),
        protected=tuple(path for path in sorted(code) if here.protected(path)),
        flaky={test: why for test, why in found.aside.items() if why.startswith("flaky")},
        past=work.wired.rooms.past(here.target.repository),
    )
    return case if options is not None else replace(case, regions=_options(case, found, here))


def recently_written(here: Workspace, paths: Sequence[str]) -> dict[str, dict[int, int]]:
    """Return, per path and line, how many commits ago it was written, of the files that the last few commits touched.

    What the first commit of all wrote is not recent: everything was new then.
    """
    logged = here.repository.log(here.target.revision, _RECENT + 1)[:-1]
    ages = {commit.id: age for age, commit in enumerate(logged)}
    touched = {path for commit in logged for path in commit.paths}
    blame = _blame(here, [path for path in dict.fromkeys(paths) if path in touched][:_RECENT_FILES])
    return {path: {line: ages[id_] for line, id_ in lines.items() if id_ in ages} for path, lines in blame.items()}


def _blame(here: Workspace, paths: Sequence[str]) -> dict[str, dict[int, str]]:
    """Return who wrote each line of these files, as far as the time goes."""
    until = time.monotonic() + _BLAME_S
    return {path: here.repository.blame(here.target.revision, path) for path in paths if time.monotonic() < until}


def _options(case: Case, found: Reproduction, here: Workspace) -> tuple[Region, ...]:
    """Return the regions that failing tests ran, in order; of very many, those with the most suspect lines."""
    every = options_of(regions_of(case.sources), case.lines)
    if len(every) <= MOST_OPTIONS:
        return every
    where = by_line(every)
    places = diagnose(found, case.sources, protected=here.protected).places
    first = dict.fromkeys(where[place.path, place.line] for place in places if (place.path, place.line) in where)
    kept = {region.id for region in [*first, *every][:MOST_OPTIONS]}
    return tuple(region for region in every if region.id in kept)
