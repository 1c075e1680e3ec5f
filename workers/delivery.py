"""How far a repair's commit goes by itself: it is merged or pushed, or proposed at a forge, as the policy says.

The policy is this worker's own settings', read when it is carried out; nothing in the repository has a say. Delivery
is a run of its own, so the repair is over, and fixed, when its commit is made, whatever becomes of it then. All that it
does can be done twice: a merge moves a branch from the base only, a push is never forced, and a pull request is looked
for before one is opened.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from atra.core.errors import AtraError, BrokerUnavailable, MissingPart, Permanent, Transient
from atra.core.records import from_json, to_json
from atra.core.runs import Ending, following
from atra.core.settings import RepositorySettings
from atra.meta_architect.records import Commit, Delivery, Target
from atra.repository import Repository
from atra.repository.forge import GitHub, PullRequest, place_of
from workers.app import app, broker
from workers.pipelines import delivery as delivery_plan
from workers.pipelines import send
from workers.targets import entry_of
from workers.task import StepFunction, Work, step_task

_TRIES = 3
"""How often a remote or a forge that does not answer is asked."""


@dataclass(frozen=True)
class ToDeliver:
    """A commit, and the run that made it."""

    repair_id: str
    commit: Commit


def start_delivery(work: Work, target: Target, commit: Commit) -> None:
    """Open the run that delivers this commit and send it, unless the policy leaves it on its branch; once, if asked
    twice. Where the broker is away the sweeper sends it."""
    if entry_of(Path(target.path), work.wired.settings)[1].policy == "branch":
        return
    given = {**to_json(target), "deliver": to_json(ToDeliver(work.run.id, commit))}
    run = work.wired.runs.open(following(work.run.id, "d"), delivery_plan(), given)
    with contextlib.suppress(BrokerUnavailable), broker():
        send(app, work.wired.runs, run)


def deliver(work: Work) -> tuple[Delivery, Ending]:
    """Merge, push or propose a commit, as the policy says; what cannot be done is told, and the branch stays."""
    target, asked = work.given(Target), from_json(ToDeliver, work.run.input["deliver"])
    entry = entry_of(Path(target.path), work.wired.settings)[1]
    try:
        done = _carried_out(work, entry, Repository.open(target.path), asked.commit)
    except AtraError as error:
        if isinstance(error, Transient) and work.claim.attempt < _TRIES:
            raise
        done = Delivery(entry.policy, "failed", why=work.wired.redactor.text(str(error)))
    return done, Ending("undelivered" if done.why else "delivered", told(done))


def told(done: Delivery) -> str:
    """Return in a sentence how far a commit went."""
    went = {
        "branch": "it stays on its branch",
        "merged": f"merged into {done.where}",
        "pushed": f"pushed to {done.where}",
        "failed": f"not delivered ({done.policy})",
    }[done.state]
    asked = f"; pull request {done.pull_request}" if done.pull_request else ""
    return f"{went}{asked}{f': {done.why}' if done.why else ''}"


def _carried_out(work: Work, entry: RepositorySettings, repository: Repository, commit: Commit) -> Delivery:
    if entry.policy == "branch":
        return Delivery("branch", "branch")
    if repository.captured(commit.base):
        raise Permanent("it stands on uncommitted changes, which go nowhere by themselves")
    if entry.policy == "merge":
        onto = _onto(entry, repository)
        repository.fast_forward(commit.branch, onto, commit.base)
        return Delivery("merge", "merged", onto)
    repository.push(commit.branch, entry.remote)
    pushed = Delivery("push", "pushed", entry.remote)
    if not entry.pull_request:
        return pushed
    try:
        address = _requested(work, entry, repository, commit)
    except Permanent as error:
        return Delivery("push", "pushed", entry.remote, why=work.wired.redactor.text(str(error)))
    except Transient as error:
        if work.claim.attempt < _TRIES:
            raise
        return Delivery("push", "pushed", entry.remote, why=work.wired.redactor.text(str(error)))
    return Delivery("push", "pushed", entry.remote, address)


def _requested(work: Work, entry: RepositorySettings, repository: Repository, commit: Commit) -> str:
    """Open the pull request, or find the one there is, and return its address."""
    token = work.wired.settings.forge_token
    if token is None:
        raise MissingPart("a token for the forge (ATRA_FORGE_TOKEN)")
    message = work.wired.redactor.text(repository.message(commit.commit))
    title, _, body = message.partition("\n\n")
    place = place_of(repository.remote_url(entry.remote))
    asked = PullRequest(place, commit.branch, _onto(entry, repository), title, _fenced(body))
    return GitHub(entry.forge_url, token.get_secret_value()).open(asked)


def _onto(entry: RepositorySettings, repository: Repository) -> str:
    onto = entry.merge_into or repository.branch()
    if not onto:
        raise Permanent("no branch is checked out, and merge_into names none")
    return onto


def _fenced(text: str) -> str:
    """Return text that comes from a repository as a block in which a forge reads no mention, link or command."""
    fence = "~~~"
    while fence in text:
        fence += "~"
    return f"{fence}text\n{text.rstrip()}\n{fence}\n"


STEPS: dict[str, StepFunction] = {"deliver": deliver}
TASKS = {"deliver": step_task(app, "delivery", "deliver", deliver, soft_time_limit=300, time_limit=360)}
