"""A throw-away folder with a revision's files, what may be changed in it, and the runner of its tests."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from atra.core.clock import utc_now
from atra.core.errors import ProtectedPath
from atra.core.texts import decode, encode
from atra.meta_architect.records import Target
from atra.repository import Repository, protected, unsafe
from atra.sandbox.project import make_project, runner_for
from atra.sandbox.runner import Project, Runner
from workers.scratch import throw_away
from workers.task import Work

_LEAST_PROOF_S = 60.0


@dataclass(frozen=True)
class Workspace:
    """A throw-away folder with the base revision's files, and the runner of their tests."""

    target: Target
    repository: Repository
    folder: Path
    tree: Path
    project: Project
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
                if not self._plain(path):
                    raise ProtectedPath(path)
                (tree / path).parent.mkdir(parents=True, exist_ok=True)
                (tree / path).write_bytes(self.encoded(path, text))
            yield str(tree)

    def encoded(self, path: str, text: str) -> bytes:
        """Return the new text of a file as its bytes: in the encoding of the base's file, or in the one it declares."""
        return encode(text, (self.tree / path).read_bytes() if path in self.files else text.encode())

    def read(self, path: str) -> str | None:
        """Return the text of a file of the base; None where it has no such file, or it is no text."""
        return decode((self.tree / path).read_bytes()) if path in self.files and _readable(self.tree / path) else None

    def protected(self, path: str) -> bool:
        """Return whether no patch may change this path."""
        guarded = path in self.target.added or protected(path, self.target.protected, self.target.allowed)
        return guarded or not self._plain(path)

    @cached_property
    def files(self) -> frozenset[str]:
        """The base's regular files, those added to it among them."""
        return frozenset(self.repository.files(self.target.revision)) | frozenset(self.target.added)

    def _plain(self, path: str) -> bool:
        """Return whether the path is a regular file, or may become one: no link, no folder, in no submodule."""
        if path in self.files:
            return True
        above = [folder for folder in reversed(Path(path).parents) if folder != Path()]
        real = [folder for folder in above if (self.tree / folder).is_symlink() or (self.tree / folder).exists()]
        if any((self.tree / folder).is_symlink() or not (self.tree / folder).is_dir() for folder in real):
            return False
        own = not real or any(file.startswith(f"{real[-1].as_posix()}/") for file in self.files)
        return own and not (self.tree / path).is_symlink() and not (self.tree / path).exists()


def target_of(work: Work) -> Target:
    """Return the run's target; a test that was written from a recorded call is added to what it adds to the base."""
    target = work.given(Target)
    reproduced = work.wired.runs.outputs(work.run.id, "reproduce")
    written = {path: text for output in reproduced for path, text in output.get("written", {}).items()}
    return replace(target, added={**target.added, **written})


def with_added(here: Workspace, files: Mapping[str, str]) -> Workspace:
    """Put further files on top of the base revision, and return the workspace that has them.

    Raises:
        ProtectedPath: one would go through a link, or out of the repository.
    """
    for path, text in files.items():
        _add(here.tree, path, text)
    return replace(here, target=replace(here.target, added={**here.target.added, **files}))


@contextmanager
def workspace(work: Work) -> Iterator[Workspace]:
    """Export the base revision of the run's target, with what is added to it, into a folder that is gone afterwards.

    Raises:
        ProtectedPath: what is added would go through a link, or out of the repository.
    """
    target = target_of(work)
    repository = Repository.open(target.path)
    with throw_away(work.wired.scratch, f"{work.run.id}-") as at:
        tree = at / "tree"
        tree.mkdir()
        repository.export(target.revision, tree)
        for path, text in target.added.items():
            _add(tree, path, text)
        project = make_project(
            target.path,
            python=target.python,
            test_command=target.test_command,
            subfolder=target.subfolder,
            limits=work.wired.limits,
        )
        yield Workspace(target, repository, at, tree, project, runner_for(project, work.wired.sandbox))


def contents(repository: Repository, target: Target, files: Mapping[str, str]) -> dict[str, bytes]:
    """Return what a commit writes: new files, each in its encoding, and what was added to the base."""
    known = frozenset(repository.files(target.revision))
    texts = {**target.added, **files}
    return {
        path: encode(text, repository.read(target.revision, path) if path in known else text.encode())
        for path, text in texts.items()
    }


def _add(tree: Path, path: str, text: str) -> None:
    here = tree / path
    if unsafe(path) or any(above.is_symlink() for above in (here, *here.parents) if above.is_relative_to(tree)):
        raise ProtectedPath(path)
    here.parent.mkdir(parents=True, exist_ok=True)
    here.write_bytes(text.encode())


def own_modules(tree: Path) -> frozenset[str]:
    """Return the top-level names that the repository itself provides."""
    places = [tree, tree / "src"]
    names = {entry.stem for place in places if place.is_dir() for entry in place.iterdir() if entry.suffix == ".py"}
    folders = (entry for place in places if place.is_dir() for entry in place.iterdir() if entry.is_dir())
    return frozenset(names | {folder.name for folder in folders if any(folder.glob("*.py"))})


def python_files(here: Workspace) -> tuple[str, ...]:
    """Return the Python files that can be read as text."""
    return tuple(path for path in sorted(here.files) if path.endswith(".py") and _readable(here.tree / path))


def _readable(file: Path) -> bool:
    try:
        decode(file.read_bytes())
    except (OSError, ValueError, LookupError):
        return False
    return not file.is_symlink()


def left_s(work: Work) -> float:
    """Return what is left of the run's wall time, counted from when its first step began."""
    began_at = min((step.started_at for step in work.wired.runs.steps(work.run.id) if step.started_at), default=None)
    spent_s = (utc_now() - began_at).total_seconds() if began_at else 0.0
    return work.given(Target).budget_s - spent_s


def proof_deadline_s(target: Target) -> float:
    """Return until when a proof may take, on the monotonic clock: the run's budget anew, and a minute at least.

    What the search or a model found is not thrown away because it took the whole budget.
    """
    return time.monotonic() + max(_LEAST_PROOF_S, target.budget_s)
