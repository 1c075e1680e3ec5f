"""A question's path: which sources are asked for its answer, in which order, and why not the others.

Facts in, a route out. Nothing here asks anybody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Source = Literal["cache", "local", "cloud", "extractive", "none"]


@dataclass(frozen=True)
class Sources:
    """What could answer now. Each says in words why it cannot, and is empty where it can.

    Args:
        cache: the answers that are kept.
        local: the model of one's own that was promoted.
        cloud: the models of `atra.toml`.
        extractive: articles, and the documentation of the configured repositories.
    """

    cache: str = ""
    local: str = ""
    cloud: str = ""
    extractive: str = ""


@dataclass(frozen=True)
class Route:
    """The sources in the order in which they are asked until one answers; `passed` are the others, each with why."""

    asked: tuple[Source, ...]
    passed: tuple[str, ...]


def route(sources: Sources) -> Route:
    """Return the way to an answer: what costs nothing and is surest first, a quotation last.

    A kept answer costs a look; one's own model costs no money; a model in the cloud writes an answer out of the same
    passages from which the last source can only quote.
    """
    order: tuple[tuple[Source, str], ...] = (
        ("cache", sources.cache),
        ("local", sources.local),
        ("cloud", sources.cloud),
        ("extractive", sources.extractive),
    )
    asked = tuple(name for name, why_not in order if not why_not)
    return Route(asked, tuple(f"{name}: {why_not}" for name, why_not in order if why_not))


@dataclass(frozen=True)
class Asked:
    """A question as it was asked; the input of its run.

    Args:
        tenant, language: whose question it is, and in which language it is to be answered; see `Scope`.
        model: the configured model that is to answer, by its name; any where it is empty.
        budget_usd: what the answer may cost; None for what the settings say.
        cloud: whether models may be asked, but for one's own that was promoted.
        fresh: pass over the answers that are kept.
        context: texts of files that go with it, by their names.
    """

    question: str
    tenant: str = ""
    language: str = ""
    model: str = ""
    budget_usd: float | None = None
    cloud: bool = True
    fresh: bool = False
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Citation:
    """What an answer rests on; `published_at` is an ISO date, empty where there is none."""

    title: str
    address: str
    published_at: str = ""


@dataclass(frozen=True)
class Answered:
    """An answer with where it is from; what a run of this kind puts out.

    Args:
        source: where it came from now.
        made_by: who made it when it was made: the name of a model, or `extractive`.
        age_s: how long ago it was made.
        price_usd: what it cost this time.
        similarity, tier: of a kept answer, to what was asked.
        hit: by which a kept answer can be judged, see `atra cache judge`.
        passed: sources that were not asked or did not answer, each with why.
    """

    answer: str
    source: Source
    made_by: str = ""
    citations: tuple[Citation, ...] = ()
    age_s: float = 0.0
    price_usd: float = 0.0
    similarity: float | None = None
    tier: str = ""
    hit: int | None = None
    kept_question: str = ""
    steps: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    seconds: float = 0.0
