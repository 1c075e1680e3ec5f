"""What pre-caching knows: news, what this installation is about, and the questions it expects."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class Story:
    """News that somebody may ask about; plain text, as the scout cleaned it.

    Args:
        source: what answers drawn from it can be invalidated by, such as `article:7`.
        subjects: names, versions and packages that it speaks of, the most spoken of first.
    """

    source: str
    title: str
    text: str
    address: str = ""
    published_at: datetime | None = None
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Interest:
    """Something that is asked about here.

    Args:
        name: a package, a product or a topic.
        kind: how it is known: a repository depends on it, it was asked about, or the settings name it.
        of: the repository, where it is one's dependency.
    """

    name: str
    kind: Literal["dependency", "asked", "topic"]
    of: str = ""


@dataclass(frozen=True)
class Candidate:
    """A question that somebody may ask, and the story that would answer it.

    Args:
        template: how it was made; whether questions made so are asked is learned by it.
        subject: what it asks about.
        said: the sentence of the story that it was made from; empty where it is about the whole of it.
    """

    question: str
    template: str
    subject: str
    story: Story
    said: str = ""


@dataclass(frozen=True)
class Tally:
    """Of the questions made in one way, how many were asked in time and how many were answered for nobody."""

    asked: int = 0
    wasted: int = 0


@dataclass(frozen=True)
class Ranked:
    """A candidate with the probability that it is asked before its answer expires, and what answering it is worth.

    `worth_usd` is what a hit saves, times the probability, less what the answer costs.
    """

    candidate: Candidate
    probability: float
    worth_usd: float
