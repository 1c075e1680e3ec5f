"""Changes put into a repository as commits: made from plumbing on an index of their own, published by compare-and-set.

The user's working tree, index, checked out branch and hooks are never touched. Author and committer are
`ATRA <atra@localhost>`, whatever the repository's configuration says, so that nobody is credited with a machine's work.
Every step is keyed by its trailers: done twice, it gives one commit.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from atra.core.errors import BadInput, BranchMoved, Permanent, ProtectedPath, RevertConflict
from atra.repository.door import Git, bytes_of, text_of
from atra.repository.protection import unsafe
from atra.repository.snapshot import EXECUTABLE, PLAIN, entries

RUN, REVERTS = "Atra-Run", "Atra-Revert"

PUSH_LIMIT_S = 60.0

_CAPTURED = "Uncommitted changes, as found\n\nTaken before a repair was asked for; the repair stands on top of it.\n"


@dataclass(frozen=True)
class Landed:
    """A branch and the commit at its head."""

    branch: str
    commit: str


@dataclass(frozen=True)
class _CommitFacts:
    tree: str
    parents: tuple[str, ...]
    message: str


def commit(git: Git, base: str, branch: str, files: Mapping[str, str | bytes | None], message: str) -> str:
    """Make one commit on `base` and a new branch that holds it; return the commit's id.

    A file keeps the mode it has in `base`. Where the base's file has only LF line ends and every line of the new
    contents ends in CRLF (a checkout with `core.autocrlf`), LF is written, as git itself would.

    Args:
        files: new contents by path; None deletes. Text is written as UTF-8, surrogates as the bytes they stand for.
        message: ends in a paragraph of trailers, `Atra-Run` among them, which is the commit's key.

    Raises:
        ProtectedPath: a path is unsafe, a link, a submodule, or below one of those.
        BranchMoved: the branch exists and is not this very commit (same run, base and tree).
    """
    with _index() as environment:
        git.run("read-tree", f"{base}^{{tree}}", environment=environment)
        lines = [_index_line(git, base, path, contents) for path, contents in sorted(files.items())]
        git.run("update-index", "-z", "--index-info", given=b"".join(lines), environment=environment)
        tree = git.line("write-tree", environment=environment)
    run_id = _trailer(message, RUN)
    if not run_id:
        raise ValueError(f"the message has no trailer {RUN}")
    existing = head_of(git, branch)
    if existing is None:
        new = git.line("commit-tree", tree, "-p", base, given=bytes_of(message))
        if _published(git, branch, new, None):
            return new
        existing = head_of(git, branch)
    if existing is None:
        raise BadInput(f"a branch named {branch} cannot stand beside the branches there are")
    found = _facts(git, existing)
    if (found.tree, found.parents, _trailer(found.message, RUN)) != (tree, (base,), run_id):
        raise BranchMoved(branch, existing)
    return existing


def capture(git: Git) -> str:
    """Return a commit of the working tree as it is on disk, on top of the checked out commit and on no branch.

    Ignored files are left out, and changes inside submodules that are not committed there. A clean working tree gives
    the checked out commit itself. The index is not touched.
    """
    head = git.line("rev-parse", "HEAD^{commit}")
    with _index() as environment:
        git.run("read-tree", "HEAD", environment=environment)
        git.run("add", "--all", environment=environment)
        tree = git.line("write-tree", environment=environment)
    if tree == _facts(git, head).tree:
        return head
    return git.line("commit-tree", tree, "-p", head, given=bytes_of(_CAPTURED))


def captured(git: Git, commit_id: str) -> bool:
    """Return whether the commit is one that `capture` made."""
    return _facts(git, commit_id).message == _CAPTURED


def revert(git: Git, commit_id: str, run_id: str, repair_branch: str) -> Landed:
    """Undo a commit by a commit that does the opposite; return where it landed.

    Where the checked out revision holds the commit, the opposite is made on top of it, on the new branch
    `atra/revert-<run id>`; else on the repair's own branch, on its head.

    Raises:
        RevertConflict: later changes touch the same lines.
        BadInput: the commit is on neither, or is undone already.
        BranchMoved: somebody else has written the branch meanwhile.
    """
    checked_out, repair_head = git.line("rev-parse", "HEAD^{commit}"), head_of(git, repair_branch)
    if contains(git, checked_out, commit_id):
        branch, top = f"atra/revert-{run_id}", checked_out
    elif repair_head and contains(git, repair_head, commit_id):
        branch, top = repair_branch, repair_head
    else:
        raise BadInput(f"{commit_id[:12]} is neither on the checked out branch nor on {repair_branch}")
    old = head_of(git, branch)
    if old and (done := _revert_among(git, commit_id, old)):
        return Landed(branch, done)
    if old and old != top:
        raise BranchMoved(branch, old)
    tree, subject = _opposite(git, commit_id, top), _facts(git, commit_id).message.partition("\n")[0]
    if tree == _facts(git, top).tree:
        raise BadInput(f"{commit_id[:12]} is undone already")
    message = f'Revert "{subject}"\n\nThis undoes commit {commit_id}.\n\n{RUN}: {run_id}\n{REVERTS}: {commit_id}\n'
    new = git.line("commit-tree", tree, "-p", top, given=bytes_of(message))
    if not _published(git, branch, new, old):
        raise BranchMoved(branch, head_of(git, branch) or "nothing")
    return Landed(branch, new)


def fast_forward(git: Git, branch: str, onto: str, base: str) -> str:
    """Move the branch `onto` from `base` to the head of `branch`; return that head.

    Raises:
        BranchMoved: `onto` is no longer at `base`.
        BadInput: `onto` is checked out in a working tree, which would then no longer fit its files.
    """
    head = head_of(git, branch)
    if head is None or not contains(git, head, base):
        raise BadInput(f"the branch {branch} does not stand on {base[:12]}")
    if head_of(git, onto) == head:
        return head
    if onto in checked_out_branches(git):
        raise BadInput(f"{onto} is checked out; merge {branch} there with `git merge --ff-only {branch}`")
    if head_of(git, onto) != base or not _published(git, onto, head, base):
        raise BranchMoved(onto, head_of(git, onto) or "nothing")
    return head


def push(git: Git, branch: str, remote: str) -> None:
    """Send the branch to the remote under the same name, never by force; hooks do not run.

    This is the one command that may reach the network and start what the user's configuration names for it (ssh, a
    credential helper). Nobody is asked for a password.

    Raises:
        BranchMoved: the remote's branch holds something else.
        BadInput: the repository has no such remote.
        Permanent: the remote would not take it (a hook or a rule there), in its own words, or is not there.
        Transient: it did not answer in time.
    """
    remote_url(git, remote)
    reference = f"refs/heads/{branch}"
    asked = ("push", "--porcelain", "--no-recurse-submodules", "--no-follow-tags", remote, f"{reference}:{reference}")
    answer = text_of(git.run(*asked, online=True, accept=(0, 1), limit_s=PUSH_LIMIT_S))
    said = next((line for line in answer.split("\n") if line.startswith("!\t")), "")
    if "(non-fast-forward)" in said or "(fetch first)" in said or "(stale info)" in said:
        raise BranchMoved(f"{remote}/{branch}", "something else")
    if said:
        raise Permanent(f"{remote} would not take {branch}: {said.rpartition(chr(9))[2]}")
    if "Done" not in answer:
        raise Permanent(f"git could not push to {remote}: {answer[:200]}")


def remote_url(git: Git, remote: str) -> str:
    """Return the address from which the remote is fetched.

    Raises:
        BadInput: the repository has no such remote.
    """
    if not remote or remote.startswith("-") or remote not in text_of(git.run("remote")).split("\n"):
        raise BadInput(f"the repository has no remote {remote}")
    return git.line("remote", "get-url", remote)


def message_of(git: Git, commit_id: str) -> str:
    """Return a commit's message."""
    return _facts(git, commit_id).message


def holds(git: Git, revision: str, commit_id: str) -> bool:
    """Return whether the commit's change is in the revision, and no later commit there undoes it.

    It is where the commit is an ancestor, or where every file that it changed has the contents it gave them, as after a
    rebase or a squash. A commit undoes it that says so, in ATRA's trailer or in the words of `git revert`.
    """
    if contains(git, revision, commit_id):
        words = (f"--grep={REVERTS}: {commit_id}", f"--grep=This reverts commit {commit_id}")
        return not git.run("rev-list", "--max-count=1", "--fixed-strings", *words, revision, f"^{commit_id}")
    parents = _facts(git, commit_id).parents
    if len(parents) != 1:
        return False
    compared = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--no-ext-diff")
    changed = [path for path in text_of(git.run(*compared, parents[0], commit_id)).split("\0") if path]
    return bool(changed) and not git.run(*compared, commit_id, revision, "--", *changed)


def head_of(git: Git, branch: str) -> str | None:
    """Return the id at the branch's head; None if there is no such branch."""
    reference = f"refs/heads/{branch}"
    git.run("check-ref-format", reference)
    return git.line("rev-parse", "--verify", "--quiet", reference, accept=(0, 1)) or None


def contains(git: Git, head: str, commit_id: str) -> bool:
    """Return whether the commit is the head or one of its ancestors."""
    merge_base = git.line("rev-list", "--max-count=1", commit_id, f"^{head}")
    return merge_base == ""


def checked_out_branches(git: Git) -> frozenset[str]:
    """Return the branches checked out in any working tree of the repository."""
    listed = text_of(git.run("worktree", "list", "--porcelain", "-z")).split("\0")
    return frozenset(
        line.removeprefix("branch refs/heads/") for line in listed if line.startswith("branch refs/heads/")
    )


@contextmanager
def _index() -> Iterator[dict[str, str]]:
    """Give the environment of an index of our own."""
    with tempfile.TemporaryDirectory(prefix="atra-index-") as folder:
        yield {"GIT_INDEX_FILE": str(Path(folder) / "index")}


def _index_line(git: Git, base: str, path: str, contents: str | bytes | None) -> bytes:
    mode, old = _base_file(git, base, path)
    name = bytes_of(path) + b"\0"
    if contents is None:
        return f"0 {'0' * len(base)}\t".encode() + name
    data = contents if isinstance(contents, bytes) else bytes_of(contents)
    if old and b"\r\n" not in (before := git.run("cat-file", "blob", old)) and b"\n" in before:
        data = _without_carriage_returns(data)
    blob = git.line("hash-object", "-w", "--no-filters", "--stdin", given=data)
    return f"{mode} {blob}\t".encode() + name


def _base_file(git: Git, base: str, path: str) -> tuple[str, str | None]:
    """Return the mode for the path and its blob in the base.

    Raises:
        ProtectedPath: the path, or a folder above it, is no plain file or folder there.
    """
    if unsafe(path):
        raise ProtectedPath(path)
    parts = path.split("/")
    above = ["/".join(parts[:i]) for i in range(1, len(parts))]
    found = {entry.path: entry for entry in entries(git, base, *above, path)}
    if any(folder in found and found[folder].mode != "040000" for folder in above):
        raise ProtectedPath(path)
    entry = found.get(path)
    if entry is None:
        return PLAIN, None
    if entry.mode not in (PLAIN, EXECUTABLE, "100664"):
        raise ProtectedPath(path)
    return entry.mode, entry.object_id


def _without_carriage_returns(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n") if data.count(b"\n") == data.count(b"\r\n") else data


def _trailer(message: str, name: str) -> str:
    """Return a trailer of the message's last paragraph; empty if it has none of that name."""
    last = message.rstrip("\n").rpartition("\n\n")[2]
    lines = (line.partition(": ") for line in last.split("\n"))
    return next((value for found, separator, value in lines if separator and found == name), "")


def _facts(git: Git, commit_id: str) -> _CommitFacts:
    head, _, message = text_of(git.run("cat-file", "commit", commit_id)).partition("\n\n")
    fields = [line.partition(" ") for line in head.split("\n")]
    tree = next(value for name, _, value in fields if name == "tree")
    return _CommitFacts(tree, tuple(value for name, _, value in fields if name == "parent"), message)


def _published(git: Git, branch: str, new: str, old: str | None) -> bool:
    """Set the branch from `old` (None: it must not exist) to `new`; False if it does not hold `old`."""
    try:
        git.run("update-ref", f"refs/heads/{branch}", new, old or "0" * len(new))
    except Permanent as error:
        if "cannot lock ref" in str(error):
            return False
        raise
    return True


def _revert_among(git: Git, commit_id: str, head: str) -> str | None:
    """Return the commit among the head's that undoes the given one."""
    later = git.run("rev-list", "--first-parent", head, f"^{commit_id}").decode().split()
    return next((one for one in later if _trailer(_facts(git, one).message, REVERTS) == commit_id), None)


def _opposite(git: Git, commit_id: str, top: str) -> str:
    """Return the tree of `top` without what the commit changed: a three-way merge with the commit as the base."""
    parents = _facts(git, commit_id).parents
    if len(parents) != 1:
        raise BadInput(f"{commit_id[:12]} has {len(parents)} parents; only a commit with one can be undone")
    with _index() as environment:
        git.run("read-tree", "-i", "-m", "--aggressive", commit_id, top, parents[0], environment=environment)
        stages: dict[str, dict[str, tuple[str, str]]] = {}
        for record in git.run("ls-files", "-u", "-z", environment=environment).split(b"\0")[:-1]:
            facts, _, path = record.partition(b"\t")
            mode, blob, stage = facts.decode().split(" ")
            stages.setdefault(text_of(path), {})[stage] = mode, blob
        merged = {path: _merged(git, sides) for path, sides in stages.items()}
        if conflicts := [path for path, blob in merged.items() if blob is None]:
            raise RevertConflict(commit_id[:12], ", ".join(sorted(conflicts)))
        lines = [f"{stages[path]['2'][0]} {blob}\t".encode() + bytes_of(path) + b"\0" for path, blob in merged.items()]
        git.run("update-index", "-z", "--index-info", given=b"".join(lines), environment=environment)
        return git.line("write-tree", environment=environment)


def _merged(git: Git, sides: Mapping[str, tuple[str, str]]) -> str | None:
    """Return the blob of a clean three-way merge of one file, or None."""
    if set(sides) != {"1", "2", "3"}:
        return None
    with tempfile.TemporaryDirectory(prefix="atra-merge-") as folder:
        for stage, (_, blob) in sides.items():
            (Path(folder) / stage).write_bytes(git.run("cat-file", "blob", blob))
        try:
            text = git.run("merge-file", "-p", *(str(Path(folder) / stage) for stage in "213"))
        except Permanent:  # its exit code is the number of conflicts, or that the file is no text
            return None
    return git.line("hash-object", "-w", "--no-filters", "--stdin", given=text)
