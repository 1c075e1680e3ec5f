"""A model at a desk, for whichever step sends it there, and how large and how long one reply may be."""

from collections.abc import Callable, Mapping

from atra.core.redaction import CodeRedactor
from atra.core.settings import ModelSettings
from atra.llm.chat import ChatModel
from atra.meta_architect.agent import Done, Files, Limits, TestsSaid
from atra.meta_architect.agent import work as work_at
from atra.meta_architect.context import prompt
from atra.meta_architect.records import Target
from atra.repository import secret
from atra.sandbox.desk import Desk
from workers.journals import StepJournal, masked_reply, nonce_of
from workers.task import Work
from workers.workspace import Workspace, left_s

_ASK_TRIES = 3
_LEAST_ASK_S = 5.0


def at_desk(
    work: Work,
    here: Workspace,
    model: ChatModel,
    system: str,
    task: str,
    run_tests: Callable[[Mapping[str, str]], TestsSaid],
) -> Done:
    """Let the model work on the base revision to its end, or on from where a killed worker left it.

    Args:
        system: the name of the prompt that says what it is and may do.
        task: what is to be done, marked with the step's nonce.
        run_tests: what the tests say of new contents by path.
    """
    settings = work.wired.settings
    known, redactor, nonce = settings.models[model.name], settings.redactor(CodeRedactor), nonce_of(work)
    limits = Limits(
        turns=max(1, settings.agent_steps),
        tokens=settings.agent_tokens,
        context_tokens=known.context_tokens,
        max_output_tokens=reply_tokens(known),
        effort=known.effort,
        timeout_s=lambda: reply_s(work),
        over=lambda: "" if left_s(work) > 0 else "the time for this is over",
    )
    unseen = [path for path in sorted(here.files) if secret(path)]
    with Desk(here.project, work.wired.sandbox, str(here.tree), without=unseen, stop=work.over) as desk:
        return work_at(
            prompt(system, nonce=nonce),
            task,
            desk,
            Files(here.read, here.protected, run_tests),
            model,
            StepJournal(work, redactor),
            limits,
            nonce=nonce,
            stop=work.over,
            report=lambda turns, tokens: work.report(model=model.name, turns=turns, tokens=tokens),
            redact=lambda reply: masked_reply(reply, redactor),
        )


def models_of(work: Work, purpose: str) -> tuple[ChatModel, ...]:
    """Return every configured model, paid by this run as its input says; no reply is waited for once it is stopped."""
    budget_usd = work.given(Target).budget_usd
    return work.wired.models(run_id=work.run.id, purpose=purpose, budget_usd=budget_usd, stop=work.over)


def asked_again(work: Work) -> bool:
    """Say whether a model that did not answer is asked again by giving the step back: twice, while there is time."""
    return work.claim.attempt < _ASK_TRIES and left_s(work) > _LEAST_ASK_S


def reply_tokens(known: ModelSettings) -> int:
    """Return how long one reply may be: no more than a quarter of what the model can hold."""
    return min(known.max_output_tokens, known.context_tokens // 4)


def reply_s(work: Work) -> float:
    """Return how long a reply may take by now: what is left of the run's time, and at least a second.

    The model's own time-out, which may be shorter, is held where it is asked.
    """
    return max(1.0, left_s(work))
