"""Repairs land as one commit on a branch, and nothing of the user's changes."""

import hashlib
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from atra.core.errors import BadInput, BranchMoved, Permanent, ProtectedPath, RevertConflict, UnknownRevision

from .conftest import Made

MESSAGE = "Fix the total\n\nIt was one short.\n\nAtra-Run: r1\nAtra-Failure: f1\n"
FIXED = {"shop/cart.py": "def total(prices):\n    return sum(prices)\n"}


def _surroundings(made: Made) -> tuple[str, str, str, list[str]]:
    """All that belongs to the user: status, index, checked out branch, references besides ATRA's."""
    index = hashlib.sha256((made.root / ".git/index").read_bytes()).hexdigest()
    references = made.git("for-each-ref", "--format=%(refname) %(objectname)").split("\n")
    users = [reference for reference in references if not reference.startswith("refs/heads/atra/")]
    return made.git("--no-optional-locks", "status", "--porcelain"), index, made.git("symbolic-ref", "HEAD"), users


class TestCommit:
    """One verified patch becomes one commit."""

    def test_it_holds_the_base_and_the_files(self, made: Made) -> None:
        """The parent is the base, the files are new, the rest is the base's; who did it is said plainly."""
        base = made.git("rev-parse", "HEAD")
        new = made.open().commit("HEAD", "atra/repair-r1", FIXED, MESSAGE)

        assert made.git("rev-parse", "atra/repair-r1", "atra/repair-r1^").split() == [new, base]
        assert made.git("diff", "--name-only", base, new) == "shop/cart.py"
        assert made.open().read(new, "shop/cart.py").decode() == FIXED["shop/cart.py"]
        assert made.git("log", "-1", "--format=%an <%ae> %cn <%ce>", new) == " ".join(["ATRA <atra@localhost>"] * 2)
        assert made.git("log", "-1", "--format=%(trailers:key=Atra-Run,valueonly)", new).strip() == "r1"

    def test_a_dirty_tree_stays_as_it_was(self, made: Made) -> None:
        """Status, index and branches are the same before and after, byte for byte."""
        made.write("shop/cart.py", "my own work\n")
        made.write("staged.py", "staged\n")
        made.git("add", "staged.py")
        made.write("untracked.py", "untracked\n")
        before = _surroundings(made)

        new = made.open().commit("HEAD", "atra/repair-r1", FIXED, MESSAGE)
        made.open().revert(new, run_id="r1")

        assert _surroundings(made) == before
        assert (made.root / "shop/cart.py").read_text() == "my own work\n"

    def test_twice_is_once(self, made: Made) -> None:
        """A second call finds its own commit, also when the two race."""
        opened = made.open()
        with ThreadPoolExecutor(4) as pool:
            ids = list(pool.map(lambda _: opened.commit("HEAD", "atra/repair-r1", FIXED, MESSAGE), range(4)))

        assert len(set(ids)) == 1
        assert made.git("rev-list", "--count", "main..atra/repair-r1") == "1"

    @pytest.mark.parametrize(
        ("files", "message"),
        [(FIXED, MESSAGE.replace("r1", "r2")), ({"shop/cart.py": "other\n"}, MESSAGE)],
        ids=["another run's", "another tree"],
    )
    def test_a_branch_that_holds_something_else_is_left_alone(
        self, made: Made, files: dict[str, str], message: str
    ) -> None:
        """Neither moved nor overwritten."""
        first = made.open().commit("HEAD", "atra/repair-r1", FIXED, MESSAGE)

        with pytest.raises(BranchMoved) as raised:
            made.open().commit("HEAD", "atra/repair-r1", files, message)

        assert raised.value.args == ("atra/repair-r1", first)
        assert made.git("rev-parse", "atra/repair-r1") == first

    def test_a_branch_in_the_way_is_named(self, made: Made) -> None:
        """With a branch `atra` there can be none below that name."""
        made.git("branch", "atra")

        with pytest.raises(BadInput, match="atra/repair-r1"):
            made.open().commit("HEAD", "atra/repair-r1", FIXED, MESSAGE)

    def test_modes_line_ends_and_odd_names_are_kept(self, made: Made) -> None:
        """An executable stays one; CRLF that a checkout made is not committed, CRLF that the base has is; files go."""
        made.write("run.sh", "#!/bin/sh\n").chmod(0o755)
        made.write("dos.py", "a = 1\r\n")
        made.write("unix.py", "a = 1\nb = 2\n")
        made.save()
        new = made.open().commit(
            "HEAD",
            "atra/repair-r1",
            {
                "run.sh": "#!/bin/sh\ntrue\n",
                "dos.py": "a = 2\r\n",
                "unix.py": b"a = 2\r\nb = 2\r\n",
                "new dir/ü\n.py": "new\n",
                "tests/test_cart.py": None,
            },
            MESSAGE,
        )

        listed = subprocess.run(["git", "ls-tree", "-rz", new], cwd=made.root, check=True, capture_output=True).stdout
        modes = {line.split("\t")[1]: line[:6] for line in listed.decode().split("\0") if line}
        assert modes == dict.fromkeys(["dos.py", "new dir/ü\n.py", "shop/cart.py", "unix.py"], "100644") | {
            "run.sh": "100755"
        }
        assert made.open().read(new, "dos.py") == b"a = 2\r\n"
        assert made.open().read(new, "unix.py") == b"a = 2\nb = 2\n"

    @pytest.mark.parametrize(
        "path", ["link.py", "linked/x.py", "../x.py", "/x.py", ".git/config", "shop/../x.py", "sub"]
    )
    def test_links_and_ways_out_are_refused(self, made: Made, tmp_path: Path, path: str) -> None:
        """A patch changes plain files of the repository and nothing else."""
        vendored = Made(tmp_path / "vendored")
        vendored.save()
        made.git("submodule", "--quiet", "add", str(vendored.root), "sub")
        (made.root / "link.py").symlink_to("shop/cart.py")
        (made.root / "linked").symlink_to("shop")
        made.save()

        with pytest.raises(ProtectedPath):
            made.open().commit("HEAD", "atra/repair-r1", {path: "x\n"}, MESSAGE)

        assert not made.open().has_branch("atra/repair-r1")

    def test_it_works_from_a_detached_head_and_a_second_working_tree(self, made: Made, tmp_path: Path) -> None:
        """Branches belong to the repository, whichever working tree asks."""
        made.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "side"))
        side = type(made.open()).open(tmp_path / "side")

        new = side.commit("HEAD", "atra/repair-r1", FIXED, MESSAGE)

        assert made.git("rev-parse", "atra/repair-r1") == new

    def test_a_message_without_its_key_is_a_mistake(self, made: Made) -> None:
        """Without the run's trailer a second call could not know its commit."""
        with pytest.raises(ValueError, match="Atra-Run"):
            made.open().commit("HEAD", "atra/repair-r1", FIXED, "Fix\n")


class TestRevert:
    """A repair is undone by a commit, wherever it has got to."""

    def test_unmerged_it_is_undone_on_its_own_branch(self, made: Made) -> None:
        """The branch ends with the base's files, and twice is once."""
        new = made.open().commit("HEAD", "atra/repair-r1", FIXED, MESSAGE)

        landed = made.open().revert(new, run_id="r1")

        assert landed.branch == "atra/repair-r1"
        assert made.git("rev-parse", f"{landed.commit}^") == new
        assert made.git("diff", "main", landed.commit) == ""
        assert made.open().revert(new, run_id="r1") == landed

    def test_merged_it_is_undone_on_a_branch_of_its_own(self, made: Made) -> None:
        """What came after stays, in the same file too, and the user's branch is not moved."""
        body = "".join(f"line_{i} = {i}\n" for i in range(30))
        made.write("shop/cart.py", body)
        made.save()
        new = made.open().commit("HEAD", "atra/repair-r1", {"shop/cart.py": body.replace("= 3\n", "= 4\n")}, MESSAGE)
        made.git("merge", "--quiet", "atra/repair-r1")
        made.write("shop/cart.py", (made.root / "shop/cart.py").read_text().replace("= 25\n", "= 26\n"))
        head = made.save("later work")

        landed = made.open().revert(new, run_id="r1")

        assert landed.branch == "atra/revert-r1"
        assert made.open().read(landed.commit, "shop/cart.py").decode() == body.replace("= 25\n", "= 26\n")
        assert made.git("rev-parse", "main", f"{landed.commit}^").split() == [head, head]
        assert made.open().revert(new, run_id="r1") == landed

    def test_a_conflict_is_named_and_nothing_is_made(self, made: Made) -> None:
        """The same lines changed later: a person decides."""
        new = made.open().commit("HEAD", "atra/repair-r1", FIXED, MESSAGE)
        made.git("merge", "--quiet", "atra/repair-r1")
        made.write("shop/cart.py", "def total(prices):\n    return sum(prices) * 2\n")
        made.save()

        with pytest.raises(RevertConflict, match=r"shop/cart\.py"):
            made.open().revert(new, run_id="r1")

        assert not made.open().has_branch("atra/revert-r1")

    def test_what_is_undone_already_or_unknown_is_refused(self, made: Made) -> None:
        """A merge that was reverted by hand needs no second revert."""
        new = made.open().commit("HEAD", "atra/repair-r1", FIXED, MESSAGE)
        made.git("merge", "--quiet", "atra/repair-r1")
        made.git("revert", "--no-edit", new)

        with pytest.raises(BadInput, match="undone already"):
            made.open().revert(new, run_id="r1")
        with pytest.raises(UnknownRevision):
            made.open().revert("0" * 40, run_id="r1")


class TestFastForward:
    """The `merge` policy."""

    def test_an_idle_branch_is_moved(self, made: Made) -> None:
        """Nobody has it checked out, and it has not moved; twice is once."""
        base = made.git("rev-parse", "HEAD")
        made.git("checkout", "--quiet", "-b", "elsewhere")
        new = made.open().commit("main", "atra/repair-r1", FIXED, MESSAGE)

        for _ in range(2):
            assert made.open().fast_forward("atra/repair-r1", "main", base) == new
        assert made.git("rev-parse", "main") == new

    def test_a_checked_out_branch_is_left_alone(self, made: Made, tmp_path: Path) -> None:
        """In whichever working tree it is; the files there would no longer fit it."""
        base = made.git("rev-parse", "HEAD")
        made.open().commit("main", "atra/repair-r1", FIXED, MESSAGE)
        made.git("checkout", "--quiet", "-b", "elsewhere")
        made.git("worktree", "add", "--quiet", str(tmp_path / "side"), "main")

        with pytest.raises(BadInput, match="checked out"):
            made.open().fast_forward("atra/repair-r1", "main", base)

        assert made.git("rev-parse", "main") == base

    def test_a_branch_that_moved_is_left_alone(self, made: Made) -> None:
        """The patch was not verified on what is there now."""
        base = made.git("rev-parse", "HEAD")
        made.open().commit("main", "atra/repair-r1", FIXED, MESSAGE)
        moved = made.save("meanwhile")
        made.git("checkout", "--quiet", "-b", "elsewhere")

        with pytest.raises(BranchMoved):
            made.open().fast_forward("atra/repair-r1", "main", base)

        assert made.git("rev-parse", "main") == moved


class TestPush:
    """The `push` policy."""

    def test_the_branch_arrives_and_nothing_is_forced(self, made: Made, tmp_path: Path) -> None:
        """The bare remote has the same commit; a different one there stays."""
        made.git("clone", "--quiet", "--bare", str(made.root), str(tmp_path / "remote.git"))
        made.git("remote", "add", "origin", str(tmp_path / "remote.git"))
        new = made.open().commit("main", "atra/repair-r1", FIXED, MESSAGE)
        for _ in range(2):
            made.open().push("atra/repair-r1")
        assert made.git("rev-parse", "atra/repair-r1", cwd=tmp_path / "remote.git") == new

        made.git("branch", "--force", "atra/repair-r1", made.git("commit-tree", "main^{tree}", "-m", "unrelated"))
        with pytest.raises(BranchMoved):
            made.open().push("atra/repair-r1")
        assert made.git("rev-parse", "atra/repair-r1", cwd=tmp_path / "remote.git") == new

    @pytest.mark.parametrize("remote", ["nowhere", "--receive-pack=touch x", "/tmp/elsewhere", ""])
    def test_only_a_configured_remote_is_spoken_to(self, made: Made, remote: str) -> None:
        """Addresses and options are no names of remotes."""
        with pytest.raises(BadInput):
            made.open().push("main", remote)

    def test_a_remote_that_will_not_take_it_is_told_from_one_that_moved(self, made: Made, tmp_path: Path) -> None:
        """A hook there that refuses, and a remote that is gone, are no moved branch."""
        remote = tmp_path / "remote.git"
        made.git("clone", "--quiet", "--bare", str(made.root), str(remote))
        made.git("remote", "add", "origin", str(remote))
        made.open().commit("main", "atra/repair-r1", FIXED, MESSAGE)
        hook = remote / "hooks/pre-receive"
        hook.write_text("#!/bin/sh\necho no >&2\nexit 1\n")
        hook.chmod(0o755)

        with pytest.raises(Permanent, match="pre-receive hook declined") as refused:
            made.open().push("atra/repair-r1")
        remote.rename(tmp_path / "gone.git")
        with pytest.raises(Permanent, match="does not appear to be a git repository") as gone:
            made.open().push("atra/repair-r1")

        assert not isinstance(refused.value, BranchMoved)
        assert not isinstance(gone.value, BranchMoved)


class TestHolds:
    """Whether what failed ran with the fix."""

    def test_a_revision_holds_a_fix_merged_or_rebased_until_it_is_undone(self, made: Made) -> None:
        """Before it does not; on it, and rebased onto something else, it does; under a revert it does not."""
        base = made.git("rev-parse", "HEAD")
        fix = made.open().commit("HEAD", "atra/repair-r1", FIXED, MESSAGE)
        made.write("other.txt", "elsewhere")
        unrelated = made.save()
        made.git("cherry-pick", fix)
        rebased = made.git("rev-parse", "HEAD")
        made.git("reset", "--quiet", "--hard", fix)
        undone = made.open().revert(fix, run_id="r1").commit
        made.git("revert", "--no-edit", fix)
        by_hand = made.git("rev-parse", "HEAD")
        opened = made.open()

        assert [opened.holds(revision, fix) for revision in (base, unrelated)] == [False, False]
        assert [opened.holds(revision, fix) for revision in (fix, fix[:9], rebased)] == [True, True, True]
        assert [opened.holds(revision, fix) for revision in (undone, by_hand)] == [False, False]

    @pytest.mark.parametrize("revision", ["", "main", "HEAD", "0" * 40, "--all", "v1.0\n", "deadbee"])
    def test_what_names_no_known_commit_tells_nothing(self, made: Made, revision: str) -> None:
        """A name may mean something else by now, and nobody knows an id that is not here."""
        assert made.open().holds(revision, made.git("rev-parse", "HEAD")) is None
