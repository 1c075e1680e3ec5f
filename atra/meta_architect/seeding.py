"""A near miss goes on as a search: templates on top of a model's patch that turned some of the failing tests green."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from atra.core.edits import apply, by_path
from atra.meta_architect.ranking import choose
from atra.meta_architect.records import Diagnosis, Plausible
from atra.meta_architect.screening import Bench, NearMiss, candidate_of, screen
from atra.meta_architect.search import LocalHorizon, search
from atra.meta_architect.second_edits import places_after
from atra.meta_architect.stream import candidates

TEMPLATE = "seeded"

_CHANGED = 0.95
"""How suspect a line is that the model wrote: it was right in part."""

_MOST_SCREENED = 3


@dataclass(frozen=True)
class Seeded:
    """The best patch that the search made plausible, model's part and template's part in one; and what it tried."""

    plausible: Plausible | None
    tried: int


def search_from(
    near: NearMiss,
    diagnosis: Diagnosis,
    bench: Bench,
    *,
    model: str,
    number: int,
    deadline_s: float,
    report: Callable[[int, int], None] = lambda tried, plausible: None,
) -> Seeded:
    """Search on the patched files: the lines that the model changed first, then the diagnosis' places.

    The tests that are still red must turn green and all others that must pass must stay so. What the search finds is
    tried cold as one patch against the base.

    Args:
        model: who wrote it.
        number: the sample's.
        deadline_s: of the search, on the monotonic clock.
    """
    after, red = near.after, set(near.red)
    before = {path: bench.read(path) or "" for path in after if path.endswith(".py")}
    where = replace(diagnosis, places=places_after(before, after, diagnosis, _CHANGED, "written by the model"))
    texts = {path: text for path in {place.path for place in where.places} if (text := _text(path, after, bench))}
    required = [*(result.id for result in bench.reproduction.failing), *bench.reproduction.passing]
    green = [test for test in required if test not in red]
    with bench.patched(after) as tree:
        workshop = bench.runner.workshop(
            tree, list(near.red), green, bench.reproduction.seconds, stop=lambda: bench.stop() or _past(deadline_s)
        )
        with workshop:
            found = search(
                candidates(texts, where),
                workshop,
                LocalHorizon(),
                deadline_s=deadline_s,
                stop=bench.stop,
                report=report,
            )
    for item in choose(found.plausible, texts, bench.reproduction).ranked[:_MOST_SCREENED]:
        both = {**after, **{path: apply(texts[path], e) for path, e in by_path(item.candidate.patch).items()}}
        if screen(both, bench).verdict == "plausible":
            whole = candidate_of(both, bench.read, model=model, template=TEMPLATE, score=item.candidate.score)
            return Seeded(Plausible(whole, number), found.tried)
    return Seeded(None, found.tried)


def _past(deadline_s: float) -> bool:
    return time.monotonic() > deadline_s


def _text(path: str, after: Mapping[str, str], bench: Bench) -> str | None:
    return after[path] if path in after else bench.read(path)
