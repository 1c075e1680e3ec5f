"""Pre-caching: once an hour, questions that the news may raise are answered, so that who asks them waits for nothing.

`predict` settles what earlier runs predicted and chooses questions; `answer` answers them and keeps the answers. Both
can be done again: a question has one entry in the cache and one prediction of its run.
"""

import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import islice, zip_longest

import structlog
from kombu.exceptions import OperationalError

from atra.core.clock import utc_now
from atra.core.errors import AtraError, BudgetSpent, MissingPart, ModelRejected, ModelUnavailable
from atra.core.runs import Ending
from atra.orchestrator.answers import Asked
from atra.precache.asking import propose
from atra.precache.interests import FILES, dependencies
from atra.precache.nearness import compare
from atra.precache.questions import completed, questions, spoken_of
from atra.precache.ranking import Budget, Known, choose, rank
from atra.precache.records import Candidate, Interest, Story
from atra.repository import Repository
from atra.scout.records import Article
from atra.scout.trends import trends
from atra.semantic_cache.keys import key_of
from atra.semantic_cache.records import ANYONE, Fresh
from atra.storage.precache import Planned
from atra.wiring import Wiring, wiring
from workers.app import app
from workers.ask import made_now
from workers.pipelines import PRECACHE, precache, send
from workers.task import AtraTask, Work, step_task

log = structlog.get_logger(__name__)

NOTHING = "no article raises a question that is not answered already"

_NEWS_S = 7 * 86_400.0
_STORIES = 300
_LARGEST = 200_000  # bytes of a file that names dependencies
_LOOKED_AT = 10  # candidates whose meaning is looked at, for each that may be answered
_COMPARED = 500  # questions tried before, the newest, that new ones are compared with in meaning
_LONGEST_QUESTION = 400


@dataclass(frozen=True)
class Predicted:
    """What a run is going to answer, and what became of earlier predictions meanwhile."""

    planned: tuple[Planned, ...]
    credited: int
    written_off: int
    stories: int
    candidates: int


@dataclass(frozen=True)
class Answered:
    """How many questions a run answered, for how much, and how many it could not."""

    answered: int
    unanswered: int
    cost_usd: float


@app.task(base=AtraTask, name="precache.hourly", soft_time_limit=100, time_limit=120, ignore_result=True)
def hourly() -> str:
    """Open this hour's run, once, and send it."""
    wired = wiring()
    if not wired.settings.precache.questions_per_run:
        return ""
    run = wired.runs.open(f"p{utc_now():%Y%m%d%H}", precache(), {})
    if run.state == "open":
        with suppress(OperationalError):  # where the broker is away, the sweeper sends it
            send(app, wired.runs, run)
    return run.id


def predict(work: Work) -> tuple[Predicted, Ending | None]:
    """Credit and write off what was predicted before, and choose what to answer now."""
    wired, settings = work.wired, work.wired.settings.precache
    credited, written_off = wired.precache.settle()
    now = wired.scout.now()
    articles = wired.scout.recent(_STORIES, since=now - timedelta(seconds=_NEWS_S))
    stories = [_story(one) for one in articles]
    interests = interests_of(wired, stories)
    proposed = _proposed(work, stories, interests)
    rounds = zip_longest(proposed, *(questions(story, interests) for story in stories))
    candidates = [one for each in rounds for one in each if one]  # no story comes before all others have had a turn
    budget = Budget(settings.questions_per_run)
    templates, subjects = wired.precache.tallies()
    known = Known(templates, subjects, _heat(wired, interests, now.date()))
    tried = wired.precache.tried()
    known_keys = {key_of(question) for question in tried}
    new = (one.candidate for one in rank(candidates, known, budget) if key_of(one.candidate.question) not in known_keys)
    first = [one for one in islice(new, _LOOKED_AT * budget.questions) if not _is_kept(wired, one)]
    compared = compare(first, wired.precache.asked(ANYONE.key), tried[:_COMPARED], wired.embedder)
    chosen = choose(rank(compared.new, known, budget, compared.near), budget, compared.same)
    log.info("questions predicted", chosen=len(chosen), candidates=len(candidates))
    planned = tuple(
        Planned(
            one.candidate.question,
            one.candidate.template,
            one.candidate.subject,
            int(one.candidate.story.source.removeprefix("article:")),
            round(one.probability, 4),
            one.candidate.said,
        )
        for one in chosen
    )
    told = Predicted(planned, credited, written_off, len(stories), len(candidates))
    return told, None if planned else Ending("nothing", NOTHING)


def answer(work: Work) -> tuple[Answered, Ending]:
    """Answer the questions, and keep each answer that rests on the article which raised its question."""
    wired, settings = work.wired, work.wired.settings.precache
    planned = work.output_of("predict", Predicted).planned
    count, cost_usd = 0, 0.0
    for number, one in enumerate(planned, start=1):
        if work.over():
            break
        asked = Asked(one.question, budget_usd=settings.usd_per_run, cloud=settings.usd_per_run > 0)
        fresh = made_now(work, asked)
        cost_usd += fresh.cost_usd
        if fresh.keep and f"article:{one.article}" in fresh.sources:
            wired.precache.record(work.run.id, one, wired.cache.put(one.question, _kept(one, fresh)))
            count += 1
        else:
            wired.precache.unanswered(work.run.id, one)
        work.report(answered=count, of=len(planned), at=number)
    told = Answered(count, len(planned) - count, cost_usd)
    return told, Ending("answered", f"{count} of {len(planned)} questions") if count else Ending("nothing", NOTHING)


def interests_of(wired: Wiring, stories: Sequence[Story]) -> list[Interest]:
    """Return what this installation is about, as far as the stories speak of it."""
    found = [Interest(topic, "topic") for topic in wired.settings.precache.topics]
    for name, entry in wired.settings.repositories.items():
        try:
            repository = Repository.open(entry.path)
            head = repository.head()
            paths = [path for path in repository.files(head) if FILES.match(path)]
            texts = {path: repository.read(head, path)[:_LARGEST].decode("utf-8", "replace") for path in paths}
        except AtraError as error:
            log.info("dependencies are not read", repository=name, why=str(error))
        else:
            found += dependencies(name, texts)
    asked = " ".join(wired.precache.asked(ANYONE.key)).casefold()
    names = {subject for story in stories for subject in story.subjects}
    found += [Interest(name, "asked") for name in sorted(names) if name.casefold() in asked]
    spoken = spoken_of(stories, {one.name for one in found})
    return list({one.name.casefold(): one for one in reversed(found) if one.name in spoken}.values())


def _proposed(work: Work, stories: Sequence[Story], interests: Sequence[Interest]) -> list[Candidate]:
    """Return what the first model that answers proposes, where models may be asked for money at all."""
    settings = work.wired.settings.precache
    if not settings.usd_per_run or not stories:
        return []
    budget_usd = settings.usd_per_run
    for model in work.wired.models(run_id=work.run.id, purpose="precache", budget_usd=budget_usd, stop=work.over):
        try:
            return propose(model, stories, interests, most=2 * settings.questions_per_run, nonce=secrets.token_hex(6))
        except (ModelUnavailable, ModelRejected, MissingPart, BudgetSpent) as error:
            log.info("no questions of a model", model=model.name, why=str(error))
    return []


def _kept(planned: Planned, fresh: Fresh) -> Fresh:
    """Return the answer as it is kept: a quotation begins with the sentence that the question was made from."""
    said = planned.said if fresh.meta.get("source") == "extractive" else ""
    topics = tuple(dict.fromkeys((*fresh.topics, *filter(None, [planned.subject]))))
    return replace(fresh, answer=completed(said, fresh.answer), topics=topics, predicted=True)


def _story(article: Article) -> Story:
    return Story(
        f"article:{article.id}", article.title, article.text, article.address, article.published_at, article.subjects
    )


def _heat(wired: Wiring, interests: Sequence[Interest], today: date) -> dict[str, float]:
    """Return by subject how much it is of interest here, or how much the news speaks of it: 0 to 1."""
    hottest = trends(wired.scout.mentions(wired.scout.now() - timedelta(days=30)), today)
    top = max((one.score for one in hottest), default=1.0)
    heat = {one.subject.casefold(): 0.5 * one.score / top for one in hottest}
    return {**heat, **{one.name.casefold(): 1.0 for one in interests}}


def _is_kept(wired: Wiring, candidate: Candidate) -> bool:
    too_long = len(candidate.question) > _LONGEST_QUESTION
    return too_long or wired.cache_store.exact(ANYONE.key, key_of(candidate.question)) is not None


TASKS = {
    "predict": step_task(app, PRECACHE, "predict", predict, soft_time_limit=600, time_limit=660),
    "answer": step_task(app, PRECACHE, "answer", answer, soft_time_limit=1800, time_limit=1860),
}
