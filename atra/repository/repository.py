"""One git repository, as the rest of ATRA sees it: revisions and their files out, commits in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from atra.core.errors import AtraError, BadInput, NotARepository, Transient, UnknownRevision
from atra.repository import history, landing, snapshot
from atra.repository.door import Git, text_of
from atra.repository.history import Logged
from atra.repository.landing import Landed
from atra.repository.protection import unsafe

RECENT_LIMIT_S = 5.0
_ID = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True)
class Repository:
    """A repository with a working tree and at least one commit. Nothing here changes that tree or its index.

    Args:
        root: the working tree's folder, absolute.
        subfolder: where inside it the path that was opened points; empty for the root itself.
    """

    root: Path
    subfolder: str
    _git: Git = field(repr=False, compare=False)

    @classmethod
    def open(cls, path: str | Path) -> "Repository":
        """Open the repository that holds the path (a folder, or a file in one).

        Raises:
            NotARepository: none, a bare one, one without a commit, or a path inside `.git`.
            BadInput: it belongs to another user, and git has not been told to trust it.
        """
        here = Path(path).expanduser().resolve()
        folder = here.parent if here.is_file() else here
        if not folder.is_dir():
            raise NotARepository(str(path))
        try:
            root = Path(Git(folder).line("rev-parse", "--show-toplevel")).resolve()
            opened = cls(root, _relative(folder, root), Git(root))
            opened.head()
        except (UnknownRevision, ValueError, NotARepository) as error:
            raise NotARepository(str(path)) from error
        return opened

    @property
    def name(self) -> str:
        """The name of the root folder."""
        return self.root.name

    def head(self) -> str:
        """Return the full id of the checked out commit."""
        return self.resolve("HEAD")

    def branch(self) -> str | None:
        """Return the name of the checked out branch; None when HEAD is detached."""
        return self._git.line("symbolic-ref", "--quiet", "--short", "HEAD", accept=(0, 1)) or None

    def resolve(self, revision: str) -> str:
        """Return the full id of the commit that a revision names (a branch, a tag, `HEAD~2`, …).

        Raises:
            UnknownRevision: there is no such commit.
        """
        if revision.startswith("-") or "\0" in revision:
            raise UnknownRevision(str(self.root), revision)
        found = self._git.line("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", accept=(0, 1, 128))
        if not found:
            raise UnknownRevision(str(self.root), revision)
        return found

    def dirty_files(self) -> tuple[str, ...]:
        """Return the paths that differ from HEAD in the index or on disk, untracked ones too, sorted.

        Submodules are not looked into. A file under a content filter (Git LFS) may be named although it is clean.
        """
        status = self._git.run(
            "status", "--porcelain=v1", "-z", "--untracked-files=all", "--ignore-submodules=all", "--no-renames"
        )
        return tuple(sorted(text_of(record[3:]) for record in status.split(b"\0") if record))

    def files(self, revision: str) -> tuple[str, ...]:
        """Return the paths of the revision's regular files, sorted; links and submodules are left out."""
        found = snapshot.entries(self._git, self.resolve(revision))
        return tuple(sorted(e.path for e in found if e.mode not in (snapshot.SYMLINK, snapshot.SUBMODULE)))

    def read(self, revision: str, path: str) -> bytes:
        """Return a file's contents in a revision.

        Raises:
            BadInput: the revision has no such file.
        """
        commit = self.resolve(revision)
        found = [] if unsafe(path) else list(snapshot.entries(self._git, commit, path))
        if not found or found[0].mode in ("040000", snapshot.SUBMODULE):
            raise BadInput(f"{revision} has no file {path}")
        return self._git.run("cat-file", "blob", found[0].object_id)

    def export(self, revision: str, into: Path) -> None:
        """Write the revision's files into an empty folder, which is made if need be.

        Raises:
            BadInput: the folder is not empty.
        """
        snapshot.write_revision(self._git, self.resolve(revision), into)

    def recently_changed(self, revision: str, n: int = 50) -> dict[str, int]:
        """Return the paths that the last n commits touched, each with how many commits ago (0 for the newest one).

        On a history so large that this takes longer than `RECENT_LIMIT_S`, nothing is known and the result is empty.
        """
        commits = (
            self._git.run("rev-list", f"--max-count={n}", "--first-parent", self.resolve(revision)).decode().split()
        )
        try:
            listed = self._git.run(
                *("diff-tree", "--stdin", "-z", "-r", "--root", "-m", "--name-only", "--no-renames", "--no-ext-diff"),
                given="".join(f"{commit}\n" for commit in commits).encode(),
                limit_s=RECENT_LIMIT_S,
            )
        except Transient:
            return {}
        recency: dict[str, int] = {}
        ages = {commit: age for age, commit in enumerate(commits)}
        age = 0
        for word in text_of(listed).split("\0"):
            if word in ages:
                age = ages[word]
            elif word:
                recency.setdefault(word, age)
        return recency

    def log(self, revision: str, n: int = 200) -> tuple[Logged, ...]:
        """Return the last n commits of a revision, newest first; see `history.log`."""
        return history.log(self._git, self.resolve(revision), n)

    def blame(self, revision: str, path: str) -> dict[int, str]:
        """Return who wrote each line of a file at a revision; see `history.blame`."""
        return history.blame(self._git, self.resolve(revision), path)

    def capture(self) -> str:
        """Return a commit of the working tree as it is on disk, on no branch; see `landing.capture`."""
        return landing.capture(self._git)

    def captured(self, commit: str) -> bool:
        """Return whether a commit holds what was uncommitted when a repair was asked for."""
        return landing.captured(self._git, self.resolve(commit))

    def commit(self, base: str, branch: str, files: Mapping[str, str | bytes | None], message: str) -> str:
        """Make one commit on `base` on a new branch and return its id; asked twice, the same id comes back.

        The commit is the base's tree with these files in it and nothing else.

        Args:
            files: new contents by path; None deletes. Modes are kept; links and submodules are refused.
            message: ends in a paragraph of trailers; by its `Atra-Run` a second call knows its commit.

        Raises:
            ProtectedPath: a path leads out of the repository's files, or through a link.
            BranchMoved: the branch exists and is not this commit.
        """
        return landing.commit(self._git, self.resolve(base), branch, files, message)

    def revert(self, commit: str, *, run_id: str, repair_branch: str | None = None) -> Landed:
        """Undo a commit by a commit, on `atra/revert-<run id>` where it was merged, else on the repair's branch.

        See `landing.revert` for the errors. `repair_branch` is `atra/repair-<run id>` unless said.
        """
        return landing.revert(self._git, self.resolve(commit), run_id, repair_branch or f"atra/repair-{run_id}")

    def fast_forward(self, branch: str, onto: str, base: str) -> str:
        """Move the branch `onto` from the commit `base` to the head of `branch`; see `landing.fast_forward`."""
        return landing.fast_forward(self._git, branch, onto, self.resolve(base))

    def push(self, branch: str, remote: str = "origin") -> None:
        """Send a branch to a remote, never by force; see `landing.push`."""
        landing.push(self._git, branch, remote)

    def holds(self, revision: str, commit: str) -> bool | None:
        """Return whether a commit's change is in a revision and not undone there; see `landing.holds`.

        None where it cannot be told: this repository has no such revision or commit. A revision counts only as its id,
        whole or its first seven digits or more, since a name may mean something else by now.
        """
        if not _ID.fullmatch(revision):
            return None
        try:
            return landing.holds(self._git, self.resolve(revision), self.resolve(commit))
        except UnknownRevision:
            return None

    def undone(self, commit: str, branch: str) -> bool:
        """Return whether a commit was taken back on the checked out revision or on this branch."""
        heads = [self.head(), *([head] if (head := landing.head_of(self._git, branch)) else [])]
        found = self.resolve(commit)
        return any(
            landing.contains(self._git, head, found) and not landing.holds(self._git, head, found) for head in heads
        )

    def message(self, commit: str) -> str:
        """Return a commit's message."""
        return landing.message_of(self._git, self.resolve(commit))

    def remote_url(self, remote: str) -> str:
        """Return the address from which a remote is fetched.

        Raises:
            BadInput: there is no such remote.
        """
        return landing.remote_url(self._git, remote)

    def has_branch(self, branch: str) -> bool:
        """Return whether there is such a branch; a name git does not take is none."""
        try:
            return landing.head_of(self._git, branch) is not None
        except AtraError:
            return False


def _relative(folder: Path, root: Path) -> str:
    """Return the folder's path below the root.

    Raises:
        ValueError: it is not below it, or the root is none that git made (a configured `core.worktree` may name any
            folder, the whole disk for instance).
    """
    if not (root / ".git").exists():
        raise ValueError(f"{root} holds no .git")
    inside = folder.relative_to(root).as_posix()
    return "" if inside == "." else inside
