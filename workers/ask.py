"""The one step of an asked question: an answer that is kept, else one that is made, else an honest none.

It needs the database alone, so `atra ask` does it in its own process; where that is killed, a worker does it again.
"""

import hashlib
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import structlog

from atra.core.errors import AtraError, BadInput, BudgetSpent, MissingPart, ModelRejected, ModelUnavailable
from atra.core.records import from_json, to_json
from atra.core.runs import Ending
from atra.llm.chat import ChatModel
from atra.llm.embedding import Embedder
from atra.llm.records import Reply, Request
from atra.local_brain.evaluation import question_for
from atra.local_brain.health import use_of
from atra.orchestrator.answers import Answered, Asked, Citation, Sources, route
from atra.orchestrator.asking import Told, answer_of, request_for
from atra.repository import Repository
from atra.scout.extractive import Passage
from atra.scout.extractive import answer as extract
from atra.scout.subjects import subjects_of
from atra.semantic_cache.records import Fresh, Scope
from atra.semantic_cache.staticity import DAY_S, HOUR_S, ttl_of
from atra.storage.brains import Brain
from atra.wiring import Wiring
from workers.app import app
from workers.brain import SOURCE
from workers.desks import reply_tokens
from workers.distillation import configured, keep_answer, of_brain
from workers.pipelines import ASK
from workers.task import Work, step_task

log = structlog.get_logger(__name__)

NO_ANSWER = "nothing that could be asked has an answer"

_ARTICLES, _TOLD = 12, 8
_DOCUMENTS, _LARGEST_DOCUMENT = 60, 60_000  # files of one repository, and bytes of one
_DOCUMENT = re.compile(r"(?:^README|^docs/.*|^[A-Z]+)\.(?:md|rst|txt)$")
_WORD = re.compile(r"\w[\w.+#-]*\w|\w")


@dataclass(frozen=True)
class _Made:
    """An answer that was made now; it travels with the kept one as its `meta`."""

    source: str
    made_by: str
    citations: tuple[Citation, ...] = ()
    steps: tuple[str, ...] = ()


def answer(work: Work) -> tuple[Answered, Ending]:
    """Return the kept answer, or make one: by a model if there is one and money, else out of passages."""
    begun = time.monotonic()
    asked = work.given(Asked)
    path = _Path(work, asked)
    scope = Scope(asked.tenant, asked.model, _digest(asked.context), asked.language)
    served = work.wired.cache.answer(path.question, path.made, scope, fresh=asked.fresh)
    known = served.hit.entry if served.hit else None
    made = _made_by(known.meta if known else served.fresh.meta if served.fresh else {})
    found = Answered(
        served.answer,
        "cache" if known else made.source,  # type: ignore[arg-type]
        made_by=made.made_by,
        citations=made.citations,
        steps=made.steps,
        passed=path.passed,
        seconds=round(time.monotonic() - begun, 3),
    )
    if served.hit and known:
        found = replace(
            found,
            age_s=known.age_s,
            similarity=served.hit.similarity,
            tier=served.hit.tier,
            hit=served.hit.id,
            kept_question=known.question,
        )
    elif served.fresh and not served.joined:
        found = replace(found, price_usd=served.fresh.cost_usd)
    if not found.answer:
        return found, Ending("no_answer", NO_ANSWER)
    return found, Ending("answered", f"by {found.source}")


def _made_by(meta: Mapping[str, object]) -> _Made:
    """Return how an answer was made; one that another program keeps in this scope says nothing of it."""
    with suppress(ValueError):
        return from_json(_Made, meta)
    return _Made("none", "")


def made_now(work: Work, asked: Asked) -> Fresh:
    """Return an answer to what the news raise, whatever is kept; one that may not be kept where nothing answers.

    The brain is not asked: it learned what it knows before that news.
    """
    return _Path(work, asked, why_no_brain="it learned before the news").made()


class _Path:
    """The sources of one question, asked in the orchestrator's order until one answers."""

    def __init__(self, work: Work, asked: Asked, *, why_no_brain: str = "") -> None:
        self._work, self._asked, self._wired, self._why_no_brain = work, asked, work.wired, why_no_brain
        self.question = work.wired.redactor.text(asked.question)
        self.passed: tuple[str, ...] = ()
        self._cost_usd = 0.0

    def made(self) -> Fresh:
        """Make an answer; one that may not be kept where nothing answers."""
        models = self._models()
        way = route(
            Sources(
                cache="it was passed over, as asked for" if self._asked.fresh else "",
                local=self._why_no_brain or self._why_not_local(),
                cloud=self._why_no_cloud(models),
                extractive="" if self.passages else "no article and no document speaks of it",
            )
        )
        self.passed = way.passed
        for source in way.asked:
            made = None
            if source == "local":
                made = self._of_brain()
            elif source == "cloud":
                made = self._of_models(models)
            elif source == "extractive":
                made = self._of_passages()
            if made is not None:
                return replace(made, cost_usd=self._cost_usd)
        return Fresh("", cost_usd=self._cost_usd, keep=False)

    @cached_property
    def passages(self) -> tuple[Passage, ...]:
        """What articles, documentation and given files say that has words of the question."""
        given = (Passage(text, title=name, address="", source=f"file:{name}") for name, text in self._given())
        return (*given, *articles(self._wired, self.question), *documents(self._wired, self.question))

    def _given(self) -> list[tuple[str, str]]:
        return [(name, self._wired.redactor.text(text)) for name, text in self._asked.context.items()]

    @cached_property
    def _brain(self) -> Brain | None:
        """The brain that serves."""
        serving = self._wired.brains.serving()
        return self._wired.brains.get(serving) if serving else None

    def _why_not_local(self) -> str:
        asked, brain = self._asked, self._brain
        if brain is None:
            return "no model was promoted here"
        if brain.withdrawn:
            return brain.withdrawn
        if asked.model:
            return "another model is to answer"
        if asked.context or asked.language:
            return "it answers questions alone, in the language it was taught"
        if ttl_of(self.question) <= DAY_S:
            return "the question asks for what changes from day to day"
        if brain.calibration is None or self._threshold is None:
            return "it was never shown to be right often enough"
        return "" if brain.calibration.kind.holds(self.question) else "it was not measured on questions like this one"

    @cached_property
    def _threshold(self) -> float | None:
        """How sure the brain must be."""
        known = self._brain.calibration if self._brain else None
        return known.threshold(self._wired.settings.brain.max_error) if known else None

    def _of_brain(self) -> Fresh | None:
        """Ask the brain; its answer counts where it is sure enough. How it did is kept, whatever becomes of it."""
        brain, threshold, chosen = self._brain, self._threshold, self._wired.settings.brain
        assert brain is not None
        assert threshold is not None
        request = question_for(self.question, max_output_tokens=chosen.max_output_tokens, timeout_s=chosen.timeout_s)
        run_id, begun = self._work.run.id, time.monotonic()
        try:
            model = self._wired.brain_model(Path(brain.path), run_id=run_id, purpose="ask", stop=self._work.over)
            begun = time.monotonic()
            reply = model.reply(request, attempts=1)
        except (
            BudgetSpent,
            ModelRejected,
            MissingPart,
            BadInput,
        ) as error:  # none of these says anything of its health
            self._pass("local", str(error))
            return None
        except ModelUnavailable as error:
            self._wired.brains.use(brain.id, "error", time.monotonic() - begun, None)
            self._pass("local", str(error))
            return None
        used = use_of(reply, time.monotonic() - begun, threshold, chosen.slow_s)
        self._wired.brains.use(brain.id, used.outcome, used.seconds, reply.mean_logprob)
        if not used.answers:
            self._pass("local", used.why)
            return None
        return self._said_by(brain, request, reply)

    def _said_by(self, brain: Brain, request: Request, reply: Reply) -> Fresh:
        """Keep the brain's answer as a trace, and return it."""
        keep_answer(
            self._wired,
            by=of_brain(brain.id),
            question=self.question,
            answer=reply.text,
            request=request,
            reply=reply,
            tenant=self._asked.tenant,
            run_id=self._work.run.id,
        )
        hide = self._wired.redactor.text
        steps = tuple(hide(line) for line in reply.reasoning.splitlines() if line.strip())
        made = _Made("local", of_brain(brain.id).model, steps=steps)
        return Fresh(hide(reply.text.strip()), sources=(f"{SOURCE}{brain.id}",), meta=to_json(made))

    def _models(self) -> tuple[ChatModel, ...]:
        asked = self._asked
        if not asked.cloud:
            return ()
        run_id = self._work.run.id
        models = self._wired.models(run_id=run_id, purpose="ask", budget_usd=asked.budget_usd, stop=self._work.over)
        return tuple(model for model in models if asked.model in {"", model.name})

    def _why_no_cloud(self, models: tuple[ChatModel, ...]) -> str:
        if models:
            return ""
        return "no model is configured" if self._asked.cloud else "it was not to be asked"

    def _of_models(self, models: tuple[ChatModel, ...]) -> Fresh | None:
        for model in models:
            try:
                made = self._of_model(model)
            except BudgetSpent as spent:
                self._pass("cloud", str(spent))
                return None
            except (ModelUnavailable, ModelRejected, MissingPart) as error:
                made = str(error)
            if isinstance(made, Fresh):
                return made
            self._pass(model.name, made)
        return None

    def _of_model(self, model: ChatModel) -> Fresh | str:
        known = self._wired.settings.models[model.name]
        passages = self._best()
        told = [Told(_titled(one), one.text) for one in passages]
        request = request_for(
            self.question,
            told,
            nonce=secrets.token_hex(6),
            language=self._asked.language,
            max_output_tokens=reply_tokens(known),
            effort=known.effort,
        )
        said, replies = answer_of(model, request, len(told))
        self._cost_usd += sum(reply.cost_usd or 0.0 for reply in replies)
        if isinstance(said, str):
            return said
        if not self._asked.context:  # it says what stands in files that were given for this question alone
            keep_answer(
                self._wired,
                by=configured(self._wired, model.name),
                question=self.question,
                answer=said.answer,
                request=request,
                reply=replies[-1],
                steps=said.steps,
                tenant=self._asked.tenant,
                run_id=self._work.run.id,
            )
        used = [passages[number - 1] for number in said.sources]
        steps = tuple(map(self._wired.redactor.text, said.steps))
        made = _Made("cloud", model.name, self._citations(used), steps)
        ttl_s = ttl_of(self.question)
        if said.needs_fresh_facts and not used:
            ttl_s = min(ttl_s, DAY_S)
        return Fresh(
            self._wired.redactor.text(said.answer),
            ttl_s=ttl_s,
            sources=tuple(one.source for one in used),
            topics=self._topics(used),
            meta=to_json(made),
        )

    def _of_passages(self) -> Fresh | None:
        """Quote. Where a model could answer the next who asks, that is kept for an hour at most, or not at all."""
        found = extract(self.question, self.passages, _embedder(self._wired))
        if found is None:
            self._pass("extractive", "no passage answers it well enough")
            return None
        asked, models = self._asked, self._wired.settings.models
        made = _Made("extractive", "extractive", self._citations(found.passages))
        return Fresh(
            self._wired.redactor.text(found.text),
            ttl_s=min(ttl_of(self.question), HOUR_S) if models else None,
            sources=tuple(one.source for one in found.passages),
            topics=self._topics(found.passages),
            keep=not models or (asked.cloud and asked.budget_usd is None),
            meta=to_json(made),
        )

    def _citations(self, used: Sequence[Passage]) -> tuple[Citation, ...]:
        hide = self._wired.redactor.text
        return tuple(
            Citation(
                hide(one.title), hide(one.address), one.published_at.date().isoformat() if one.published_at else ""
            )
            for one in used
        )

    def _topics(self, used: Sequence[Passage]) -> tuple[str, ...]:
        """Return what the question and the titles of what it was answered from speak of."""
        return subjects_of(self.question, " ".join(one.title for one in used))

    def _best(self) -> list[Passage]:
        """Return the passages that share most words with the question, given files first."""
        words = set(_words(self.question))
        ranked = sorted(self.passages, key=lambda one: -len(words & set(_words(f"{one.title} {one.text}"))))
        return sorted(ranked[:_TOLD], key=lambda one: not one.source.startswith("file:"))

    def _pass(self, source: str, why: str) -> None:
        self.passed = (*self.passed, f"{source}: {self._wired.redactor.text(why)}")


def articles(wired: Wiring, question: str) -> list[Passage]:
    """Return what the scout's articles say that speak of the question's words, the best match first."""
    return [
        Passage(
            one.text or one.title,
            title=one.title,
            address=one.address,
            published_at=one.published_at or one.seen_at,
            source=f"article:{one.id}",
        )
        for one in wired.scout.search(_words(question), _ARTICLES)
    ]


def documents(wired: Wiring, question: str) -> list[Passage]:
    """Return the parts of the configured repositories' documentation that have words of the question."""
    words = set(_words(question))
    found = []
    for name, entry in wired.settings.repositories.items():
        try:
            repository = Repository.open(entry.path)
            head = repository.head()
            files = [path for path in repository.files(head) if _DOCUMENT.search(path)][:_DOCUMENTS]
            for path in files:
                text = repository.read(head, path)[:_LARGEST_DOCUMENT].decode("utf-8", "replace")
                found += _parts(name, path, text, words)
        except AtraError as error:
            log.info("documentation is not read", repository=name, why=str(error))
    return sorted(found, key=lambda one: -len(words & set(_words(one.text))))[: 2 * _ARTICLES]


def _parts(repository: str, path: str, text: str, words: set[str]) -> list[Passage]:
    """Cut a document at its headings, and leave out what shares no two words with the question."""
    parts = re.split(r"\n(?=#+ )", text)
    return [
        Passage(part, title=f"{repository}: {path}", address=f"{repository}/{path}", source=f"doc:{repository}/{path}")
        for part in parts
        if len(words & set(_words(part))) >= min(2, len(words))
    ]


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.lower()) if len(word) > 2]


def _titled(passage: Passage) -> str:
    day = f", {passage.published_at:%Y-%m-%d}" if passage.published_at else ""
    return f"{passage.title}{day}"


def _embedder(wired: Wiring) -> Embedder | None:
    try:
        wired.embedder.embed(["ready"])
    except (MissingPart, ModelUnavailable):
        return None
    return wired.embedder


def _digest(context: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(context, sort_keys=True).encode()).hexdigest() if context else ""


TASKS = {"answer": step_task(app, ASK, "answer", answer, soft_time_limit=900, time_limit=960)}
