"""The tasks that write new code for given tests: plan, write, verify, commit; the writer is a model at a desk."""

import secrets
from collections.abc import Mapping
from dataclasses import replace

from atra.core.errors import ModelUnavailable, NoTests, TestsHang
from atra.core.runs import Ending
from atra.llm.chat import ChatModel
from atra.llm.records import Message, Request
from atra.llm.structured import Answer, ask_for
from atra.meta_architect.agent import Done, TestsSaid
from atra.meta_architect.agent_repair import NOTHING_CHANGED
from atra.meta_architect.author import Brief, Outline, fits, given, message, said, task
from atra.meta_architect.context import prompt
from atra.meta_architect.records import Choice, Commit, Plausible, Reproduction, Target, Verification
from atra.meta_architect.screening import candidate_of
from atra.meta_architect.verification import verify as prove
from atra.repository import Repository
from atra.sandbox.reports import TestReport
from workers.app import app
from workers.desks import asked_again, at_desk, models_of, reply_s, reply_tokens
from workers.journals import nonce_of
from workers.task import StepFunction, Work, step_task
from workers.workspace import Workspace, contents, left_s, proof_deadline_s, workspace

TEMPLATE = "author"


def plan(work: Work) -> tuple[Brief, Ending | None]:
    """Run the tests as they are, and let the model outline what to write."""
    target, model = work.given(Target), _model(work, "plan")
    with workspace(work) as here:
        report = _report(work, here, str(here.tree))
        now = given(report, target.tests)
        wanted = {result.id for result in now.results}
        passing = tuple(r.id for r in report.results if r.outcome == "passed" and r.id not in wanted)
        brief = Brief(passing, "", report.tampered)
        if now.green:
            return brief, Ending("nothing_to_repair", "the given tests pass already")
        brief = Brief(passing, work.wired.redactor.text(said(report, brief, target).text), report.tampered)
        known = work.wired.settings.models[model.name]
        if not fits(target, known.context_tokens):
            return brief, Ending("not_written", f"the given tests have no room in {known.context_tokens} tokens")
        nonce = secrets.token_hex(6)
        text = task(target, brief, sorted(here.files), nonce=nonce, tokens=known.context_tokens // 2)
    asked = Request(
        (Message("system", prompt("outline", nonce=nonce)), Message("user", text)),
        max_output_tokens=reply_tokens(known),
        effort=known.effort,
        timeout_s=reply_s(work),
    )
    try:
        answer = ask_for(model, asked, Outline)
    except ModelUnavailable as error:
        if asked_again(work):
            raise
        return brief, Ending("not_written", str(error))
    outline, note = (answer.value, "") if isinstance(answer, Answer) else (None, answer.why)
    return replace(
        brief,
        outline=outline,
        note=work.wired.redactor.text(note)[:500],
        calls=len(answer.replies),
        tokens=sum(reply.usage.input_tokens + reply.usage.output_tokens for reply in answer.replies),
        cost_usd=sum(reply.cost_usd or 0.0 for reply in answer.replies),
    ), None


def write(work: Work) -> tuple[Done, Ending | None]:
    """Let the model write at a desk until the given tests are green, or a limit is reached."""
    model = _model(work, "write")
    try:
        with workspace(work) as here:
            done = _written(work, model, here)
    except ModelUnavailable as error:
        if asked_again(work):
            raise
        done = Done({}, False, str(error), 0, 0, 0.0, model.name)
    if not done.green:
        return done, Ending("not_written", f"the given tests did not turn green: {done.ended}")
    return done, None if done.files else Ending("not_written", NOTHING_CHANGED)


def verify(work: Work) -> tuple[Verification, Ending | None]:
    """Prove what was written by the whole suite in cold boxes, as a repair is proved."""
    target, brief, done = work.given(Target), work.output_of("plan", Brief), work.output_of("write", Done)
    with workspace(work) as here:
        with here.patched(done.files) as tree:
            now = given(_report(work, here, tree), target.tests)
        goal = Reproduction(now.results, brief.passing, tampered=brief.tampered)
        written = Plausible(candidate_of(done.files, here.read, model=done.model, template=TEMPLATE), 1)
        sources = {path: text for path in done.files if (text := here.read(path)) is not None}
        proof = prove(
            goal,
            Choice((written,)),
            sources,
            here.runner,
            here.patched,
            here.protected,
            confidence=0.0,
            deadline_s=proof_deadline_s(target),
            stop=work.over,
        )
    if proof.winner is None or not now.green:
        return proof, Ending("not_written", f"what was written did not hold: {'; '.join(proof.refused)}")
    if not target.commit:
        return proof, Ending("written", "the code was written and proved; it was not committed, as asked for")
    return proof, None


def commit(work: Work) -> tuple[Commit, Ending]:
    """Land tests and code as one commit on a branch of its own."""
    target, proof = work.given(Target), work.output_of("verify", Verification)
    repository = Repository.open(target.path)
    files = contents(repository, target, proof.files)
    branch = f"atra/author-{work.run.id}"
    landed = repository.commit(target.revision, branch, files, message(work.run.id, target, proof))
    record = Commit(branch, landed, target.revision, tuple(sorted(files)))
    return record, Ending("written", f"commit {landed[:12]} on {branch}")


def _model(work: Work, purpose: str) -> ChatModel:
    return models_of(work, purpose)[0]


def _report(work: Work, here: Workspace, tree: str) -> TestReport:
    """Run the whole suite; a tree whose only tests cannot be collected yet gives an empty report."""
    try:
        return here.runner.report(tree, wall_s=max(1.0, left_s(work)), stop=work.over)
    except (NoTests, TestsHang) as error:
        return TestReport((), (), broken=(str(error),))


def _written(work: Work, model: ChatModel, here: Workspace) -> Done:
    target, brief = here.target, work.output_of("plan", Brief)
    nonce, tokens = nonce_of(work), work.wired.settings.models[model.name].context_tokens // 2

    def run_tests(after: Mapping[str, str]) -> TestsSaid:
        try:
            with here.patched(after) as tree:
                return said(_report(work, here, tree), brief, target)
        except ValueError as error:  # the encoding that a file declares has no place for its text
            return TestsSaid(False, f"not run: {error}")

    text = task(target, brief, sorted(here.files), nonce=nonce, tokens=tokens)
    return at_desk(work, here, model, "author", text, run_tests)


STEPS: dict[str, StepFunction] = {"plan": plan, "write": write, "verify": verify, "commit": commit}

TASKS = {name: step_task(app, "author", name, work_on) for name, work_on in STEPS.items()}
