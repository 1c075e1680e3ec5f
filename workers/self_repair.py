"""The repair chain's tasks: each loads what the steps before it put out, does its step, and puts out a record."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from celery import Task

from atra.core.redaction import Redactor
from atra.core.runs import Ending
from atra.core.texts import decode, encode
from atra.meta_architect.localisation import diagnose as locate
from atra.meta_architect.message import message
from atra.meta_architect.ranking import choose as rank
from atra.meta_architect.ranking import confidence
from atra.meta_architect.records import (
    Area,
    Choice,
    Commit,
    Diagnosis,
    Reproduction,
    Search,
    Target,
    Verification,
)
from atra.meta_architect.reproduction import Green
from atra.meta_architect.reproduction import reproduce as run_suite
from atra.meta_architect.search import search
from atra.meta_architect.stream import candidates
from atra.meta_architect.verification import verify as prove
from atra.repository import Repository, protected
from atra.sandbox.project import make_project, runner_for
from atra.sandbox.runner import Runner
from workers.app import app
from workers.scratch import throw_away
from workers.task import AtraTask, StepFunction, Work, run_step

_SEARCH_SHARE = 0.6
"""The share of a repair's budget that the search may use; the rest is for the suite, before and after."""

_LEAST_PROOF_S = 60.0
"""What a proof may take at least: what the search found is not thrown away because it took the whole budget."""


@dataclass(frozen=True)
class Workspace:
    """A throw-away folder with the base revision's files, and the runner of their tests."""

    target: Target
    repository: Repository
    folder: Path
    tree: Path
    runner: Runner

    def sources(self, paths: tuple[str, ...]) -> dict[str, str]:
        """Return the text of these files."""
        return {path: decode((self.tree / path).read_bytes()) for path in paths}

    @contextmanager
    def patched(self, after: Mapping[str, str]) -> Iterator[str]:
        """Give a fresh copy of the base revision with these new contents."""
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            tree = Path(place, "tree")
            shutil.copytree(self.tree, tree, symlinks=True)
            for path, text in after.items():
                (tree / path).write_bytes(encode(text, (self.tree / path).read_bytes()))
            yield str(tree)

    def protected(self, path: str) -> bool:
        """Return whether no patch may change this path."""
        return protected(path, self.target.protected, self.target.allowed)


@contextmanager
def workspace(work: Work) -> Iterator[Workspace]:
    """Export the base revision of the run's target into a folder that is gone afterwards."""
    target = work.given(Target)
    repository = Repository.open(target.path)
    with throw_away(work.wired.scratch, f"{work.run.id}-") as at:
        tree = at / "tree"
        tree.mkdir()
        repository.export(target.revision, tree)
        project = make_project(
            target.path,
            python=target.python,
            test_command=target.test_command,
            subfolder=target.subfolder,
            limits=work.wired.limits,
        )
        yield Workspace(target, repository, at, tree, runner_for(project, work.wired.sandbox))


def _task(name: str, work_on: StepFunction) -> Task:
    """Make the Celery task of one step."""

    def run(run_id: str, shard: int = 0) -> str:
        return run_step(name, run_id, shard, work_on)

    run.__doc__ = work_on.__doc__
    return app.task(run, base=AtraTask, name=f"self_repair.{name}")


def reproduce(work: Work) -> tuple[Reproduction | Green, Ending | None]:
    """Run the suite on the base revision."""
    with workspace(work) as here:
        found = run_suite(here.target, here.runner, str(here.tree), _own_modules(here.tree), stop=work.over)
    if isinstance(found, Green):
        return found, Ending("nothing_to_repair", found.reason)
    return _masked(found, work.wired.redactor), None


def diagnose(work: Work) -> tuple[Diagnosis, None]:
    """Rank the places that may be wrong."""
    reproduction = work.output_of("reproduce", Reproduction)
    with workspace(work) as here:
        return locate(reproduction, here.sources(_python_files(here)), protected=here.protected), None


def propose(work: Work) -> tuple[Area, Ending | None]:
    """Say which files the search may change, in which order."""
    diagnosis = work.output_of("diagnose", Diagnosis)
    paths = tuple(dict.fromkeys(place.path for place in diagnosis.places))
    shards = sum(step.name == "try" for step in work.wired.runs.steps(work.run.id))
    area = Area(paths, len(diagnosis.places), shards)
    if paths:
        return area, None
    return area, Ending("not_fixed", "the failing tests touch no file that a patch may change")


def try_candidates(work: Work) -> tuple[Search, None]:
    """Try this shard's share of the candidates in a workshop."""
    reproduction = work.output_of("reproduce", Reproduction)
    diagnosis = work.output_of("diagnose", Diagnosis)
    area = work.output_of("propose", Area)
    failing = sorted(reproduction.failing, key=lambda result: result.seconds)
    deadline_s = time.monotonic() + work.given(Target).budget_s * _SEARCH_SHARE
    with workspace(work) as here:
        stream = candidates(here.sources(area.paths), diagnosis)
        workshop = here.runner.workshop(
            str(here.tree),
            [result.id for result in failing],
            reproduction.passing,
            reproduction.seconds,
            stop=work.over,
        )
        with workshop:
            found = search(
                stream,
                workshop,
                work.wired.signals.horizon(work.run.id),
                shard=work.claim.shard,
                shards=area.shards,
                deadline_s=deadline_s,
                stop=work.over,
                report=lambda tried, plausible: work.report(tried=tried, plausible=plausible),
            )
    return found, None


def choose(work: Work) -> tuple[Choice, Ending | None]:
    """Put the plausible candidates of all shards in order."""
    reproduction = work.output_of("reproduce", Reproduction)
    found = work.outputs_of("try", Search)
    plausible = [candidate for one in found for candidate in one.plausible]
    if not plausible:
        return Choice(()), Ending("not_fixed", _what_was_tried(found, reproduction))
    with workspace(work) as here:
        paths = work.output_of("propose", Area).paths
        tests = tuple(path for path in _python_files(here) if here.protected(path))
        return rank(plausible, here.sources((*paths, *tests)), reproduction), None


def verify(work: Work) -> tuple[Verification, Ending | None]:
    """Prove the best choice by the whole suite in cold boxes."""
    choice = work.output_of("choose", Choice)
    with workspace(work) as here:
        proof = prove(
            work.output_of("reproduce", Reproduction),
            choice,
            here.sources(_paths_of(choice)),
            here.runner,
            here.patched,
            here.protected,
            confidence=confidence(choice),
            deadline_s=time.monotonic() + max(_LEAST_PROOF_S, here.target.budget_s),
            stop=work.over,
        )
    if proof.winner is None:
        return proof, Ending("not_fixed", f"no plausible patch held in the whole suite: {'; '.join(proof.refused[:3])}")
    if not here.target.commit:
        return proof, Ending("fixed", "a verified patch was found; it was not committed, as asked for")
    return proof, None


def commit(work: Work) -> tuple[Commit, Ending]:
    """Land the proved patch as one commit on a branch of its own."""
    target = work.given(Target)
    reproduction = work.output_of("reproduce", Reproduction)
    proof = work.output_of("verify", Verification)
    repository = Repository.open(target.path)
    files = {path: encode(text, repository.read(target.revision, path)) for path, text in proof.files.items()}
    branch = f"atra/repair-{work.run.id}"
    landed = repository.commit(
        target.revision, branch, files, message(work.run.id, work.run.failure_id, target, reproduction, proof)
    )
    if work.run.failure_id:
        work.wired.failures.mark_repaired(work.run.failure_id)
    record = Commit(branch, landed, target.revision, tuple(sorted(files)))
    return record, Ending("fixed", f"commit {landed[:12]} on {branch}")


def _masked(found: Reproduction, redactor: Redactor) -> Reproduction:
    """Mask secrets in what the tests said: it is stored, shown, and quoted in the commit."""
    failing = (
        replace(result, message=redactor.text(result.message), text=redactor.text(result.text))
        for result in found.failing
    )
    return replace(found, failing=tuple(failing), warnings=tuple(map(redactor.text, found.warnings)))


def _own_modules(tree: Path) -> frozenset[str]:
    """Return the top-level names that the repository itself provides."""
    places = [tree, tree / "src"]
    names = {entry.stem for place in places if place.is_dir() for entry in place.iterdir() if entry.suffix == ".py"}
    folders = (entry for place in places if place.is_dir() for entry in place.iterdir() if entry.is_dir())
    return frozenset(names | {folder.name for folder in folders if any(folder.glob("*.py"))})


def _python_files(here: Workspace) -> tuple[str, ...]:
    """Return the Python files that can be read as text."""
    return tuple(
        path
        for path in here.repository.files(here.target.revision)
        if path.endswith(".py") and _readable(here.tree / path)
    )


def _readable(file: Path) -> bool:
    try:
        decode(file.read_bytes())
    except (OSError, ValueError, LookupError):
        return False
    return not file.is_symlink()


def _paths_of(choice: Choice) -> tuple[str, ...]:
    return tuple(sorted({edit.path for plausible in choice.ranked for edit in plausible.candidate.patch}))


def _what_was_tried(found: list[Search], reproduction: Reproduction) -> str:
    tried = sum(one.tried for one in found)
    end = "every candidate was tried" if all(one.exhausted for one in found) else "the budget ended"
    said = f"{tried} candidates were tried and none passed the tests; {end}"
    best = max(found, key=lambda one: one.best_fixed, default=None)
    if best is None or best.best is None:
        return said
    nearest = best.best.candidate
    return (
        f"{said}. The nearest, {nearest.template} at {nearest.path}:{nearest.line}, turned {best.best_fixed} of "
        f"{len(reproduction.failing)} failing tests green"
    )


STEPS: dict[str, StepFunction] = {
    "reproduce": reproduce,
    "diagnose": diagnose,
    "propose": propose,
    "try": try_candidates,
    "choose": choose,
    "verify": verify,
    "commit": commit,
}

TASKS = {name: _task(name, work_on) for name, work_on in STEPS.items()}
