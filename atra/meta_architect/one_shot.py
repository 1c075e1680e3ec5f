"""One sample: a model is told of the failure once, answers with changes to files, and these are tried.

What cannot be read or fits nowhere goes back to it once, with the reasons. What its tests say does not: a model that
may look at results is the agent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from atra.core.errors import BudgetSpent, ModelRejected
from atra.core.redaction import MASK
from atra.llm.chat import ChatModel
from atra.llm.records import Effort, Message, Reply, Request
from atra.meta_architect.context import prompt
from atra.meta_architect.records import Plausible, Proposal, Proposals
from atra.meta_architect.replies import fit, read_answer
from atra.meta_architect.screening import Bench, NearMiss, candidate_of, proposal_of, screen, syntax_fault

TEMPLATE = "one-shot"

_TIMEOUT_S = 120.0  # for one reply where the bench has no deadline


@dataclass(frozen=True)
class Question:
    """What is asked of the model, besides which model it is.

    Args:
        text: the context, see `context.tell`.
        nonce: the one in it.
        number: which sample of the run this is, from 1; where there is a seed it makes the samples differ.
    """

    text: str
    nonce: str
    number: int
    max_output_tokens: int = 8192
    seed: int | None = None
    effort: Effort | None = None


@dataclass(frozen=True)
class Sample:
    """What one sample came to, and its patch where that came near."""

    proposals: Proposals
    near: NearMiss | None = None


@dataclass
class _Tally:
    """The replies so far, counted."""

    replies: list[Reply] = field(default_factory=list)

    def proposals(
        self, made: Proposal | None, *, plausible: tuple[Plausible, ...] = (), skipped: str = ""
    ) -> Proposals:
        """Return the record of the sample."""
        return Proposals(
            plausible=plausible,
            made=(made,) if made else (),
            skipped=skipped,
            calls=len(self.replies),
            tokens=sum(reply.usage.input_tokens + reply.usage.output_tokens for reply in self.replies),
            cost_usd=sum(reply.cost_usd or 0.0 for reply in self.replies),
        )


@dataclass(frozen=True)
class _Written:
    """What the model wrote in the end: new contents by path, or why there are none, and was not asked again."""

    after: Mapping[str, str]
    verdict: str = ""
    why: str = ""
    skipped: str = ""


def sample(model: ChatModel, question: Question, bench: Bench) -> Sample:
    """Ask for one patch and try it; money that is used up ends the sample with what there is.

    Raises:
        ModelUnavailable, KeyRefused: as `ChatModel.reply` says.
    """
    tally = _Tally()
    try:
        written = _write(model, question, bench, tally)
    except BudgetSpent as spent:
        return Sample(tally.proposals(None, skipped=str(spent)))
    except ModelRejected as rejected:
        written = _Written({}, "unanswered", str(rejected))
    if written.verdict:
        made = Proposal(model.name, TEMPLATE, written.verdict, why=written.why)  # type: ignore[arg-type]
        return Sample(tally.proposals(made, skipped=written.skipped))
    screened = screen(written.after, bench)
    made = proposal_of(screened, written.after, bench.read, model=model.name, template=TEMPLATE)
    if screened.verdict == "plausible":
        candidate = candidate_of(written.after, bench.read, model=model.name, template=TEMPLATE)
        return Sample(tally.proposals(made, plausible=(Plausible(candidate, question.number),)))
    near = screened.verdict in {"failed", "broke"} and screened.fixed and screened.red
    return Sample(tally.proposals(made), NearMiss(written.after, screened.red) if near else None)


def _write(model: ChatModel, question: Question, bench: Bench, tally: _Tally) -> _Written:
    """Ask, and ask once more where the answer cannot be used."""
    messages: tuple[Message, ...] = (
        Message("system", prompt("one_shot", nonce=question.nonce)),
        Message("user", question.text),
    )
    written = _Written({}, "empty", "nothing came")
    for _ in range(2):
        request = Request(
            messages,
            max_output_tokens=question.max_output_tokens,
            seed=question.seed,
            effort=question.effort,
            timeout_s=bench.left_s() or _TIMEOUT_S,
        )
        try:
            reply = model.reply(request)
        except (BudgetSpent, ModelRejected) as error:
            if not tally.replies:
                raise
            return replace(written, skipped=str(error))
        tally.replies.append(reply)
        written = _read(reply, bench)
        if written.verdict != "unapplied" or bench.stop():
            break
        again = prompt("again", nonce=question.nonce, faults=written.why)
        messages = (*messages, reply.as_message(), Message("user", again))
    return written


def _read(reply: Reply, bench: Bench) -> _Written:
    """Return what a reply makes of the files. A protected path decides before anything of it is read."""
    if reply.finish == "refusal":
        return _Written({}, "empty", "the model refused")
    answer = read_answer(reply.text)
    if outside := sorted({block.path for block in answer.blocks if bench.protected(block.path)}):
        return _Written({}, "outside", f"it would change {outside[0]}")
    if not answer.blocks and not answer.faults:
        cut = reply.finish == "length"
        return _Written(
            {}, "empty", "the reply was cut off before any change" if cut else "the reply has no change in it"
        )
    fitted = fit(answer.blocks, bench.read)
    faults = [*answer.faults, *fitted.faults]
    faults += _hidden(fitted.after, bench)
    if fault := syntax_fault(fitted.after):
        faults.append(f"with these changes the file is no Python: {fault}")
    if faults:
        return _Written({}, "unapplied", "\n".join(faults))
    return _Written(fitted.after) if fitted.after else _Written({}, "empty", "it changes nothing")


def _hidden(after: Mapping[str, str], bench: Bench) -> list[str]:
    """Return which files would get a mask in the place of text that the model was not shown."""
    return [
        f"{path}: {MASK} stands for text that is not shown; leave lines with it as they are"
        for path, text in after.items()
        if text.count(MASK) > (bench.read(path) or "").count(MASK)
    ]
