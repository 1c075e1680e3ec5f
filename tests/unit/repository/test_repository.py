"""Repositories are opened, looked at and exported; what they hold is data, whatever their configuration says."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from atra.core.errors import BadInput, NotARepository, UnknownRevision
from atra.repository import Repository

from .conftest import Made


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): os.readlink(file).encode() if file.is_symlink() else file.read_bytes()
        for file in folder.rglob("*")
        if file.is_symlink() or file.is_file()
    }


def _state(made: Made) -> tuple[dict[str, bytes], str, str]:
    """Every byte of the working tree and of the index, and what git says of them."""
    files = {path: data for path, data in _tree(made.root).items() if not path.startswith(".git/")}
    index = hashlib.sha256((made.root / ".git/index").read_bytes()).hexdigest()
    return files, index, made.git("--no-optional-locks", "status", "--porcelain")


class TestOpen:
    """Which repository a path means."""

    def test_a_folder_inside_it_opens_the_whole(self, made: Made) -> None:
        """The root is found, and the rest of the path is kept."""
        opened = Repository.open(made.root / "shop")

        assert (opened.root, opened.subfolder, opened.name) == (made.root, "shop", "shop")
        assert made.open().subfolder == ""

    def test_a_file_opens_the_repository_of_its_folder(self, made: Made) -> None:
        """A path to a module is as good as one to its folder."""
        assert Repository.open(made.root / "shop/cart.py").subfolder == "shop"

    @pytest.mark.parametrize("kind", ["no repository", "no commit", "bare", "inside .git", "missing", "elsewhere"])
    def test_what_is_none_is_refused(self, made: Made, tmp_path: Path, kind: str) -> None:
        """One clear error for everything that cannot be repaired."""
        plain = tmp_path / "plain"
        plain.mkdir()
        path = {"inside .git": made.root / ".git", "missing": tmp_path / "missing", "elsewhere": made.root}.get(
            kind, plain
        )
        if kind == "no commit":
            made.git("init", "--quiet", cwd=plain)
        elif kind == "bare":
            made.git("clone", "--quiet", "--bare", str(made.root), str(plain))
        elif kind == "elsewhere":
            made.git("config", "core.worktree", "/")

        with pytest.raises(NotARepository):
            Repository.open(path)

    def test_another_users_repository_is_refused_with_the_remedy(
        self, made: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Git's own check of the owner stands, and its advice is passed on."""
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")

        with pytest.raises(BadInput, match=r"dubious ownership(.|\n)*safe\.directory"):
            made.open()

    def test_a_surrounding_git_command_does_not_lead_astray(
        self, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Inside a hook git points everything at the repository of the hook; ATRA does not follow."""
        other = Made(tmp_path / "other")
        other.save()
        monkeypatch.setenv("GIT_DIR", str(other.root / ".git"))
        monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))

        opened = Repository.open(made.root)

        assert opened.root == made.root
        assert opened.files("HEAD") == ("shop/cart.py", "tests/test_cart.py")

    def test_a_second_working_tree_is_a_repository(self, made: Made, tmp_path: Path) -> None:
        """`git worktree add` makes a folder whose `.git` is a file."""
        made.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))

        opened = Repository.open(tmp_path / "side")

        assert (opened.root, opened.branch()) == (tmp_path / "side", "side")


class TestRevisions:
    """Names of commits."""

    def test_names_resolve_to_commits(self, made: Made) -> None:
        """Branches, ancestors and annotated tags all give the commit's full id."""
        first = made.git("rev-parse", "HEAD")
        made.git("tag", "--annotate", "v1", "--message", "one")
        second = made.save()
        opened = made.open()

        assert opened.head() == opened.resolve("main") == second
        assert opened.resolve("HEAD~1") == opened.resolve("v1") == opened.resolve(first[:9]) == first

    @pytest.mark.parametrize("revision", ["nowhere", "--help", "-n1", "HEAD~9", "", "HEAD:shop/cart.py"])
    def test_an_unknown_one_is_named(self, made: Made, revision: str) -> None:
        """Options and files are no revisions either."""
        with pytest.raises(UnknownRevision):
            made.open().resolve(revision)

    def test_a_detached_head_has_no_branch(self, made: Made) -> None:
        """CI checks out commits, not branches."""
        first = made.git("rev-parse", "HEAD")
        made.git("checkout", "--quiet", "--detach")

        assert (made.open().head(), made.open().branch()) == (first, None)

    def test_the_recently_changed_come_with_their_age(self, made: Made) -> None:
        """The newest commit's files have age 0; an older mention does not count."""
        made.write("a b\nü.py", "1\n")
        made.save()
        made.write("shop/cart.py", "2\n")
        made.save()

        assert made.open().recently_changed("HEAD", 10) == {"shop/cart.py": 0, "a b\nü.py": 1, "tests/test_cart.py": 2}
        assert made.open().recently_changed("HEAD", 1) == {"shop/cart.py": 0}

    def test_files_and_their_contents_are_read(self, made: Made) -> None:
        """Contents are bytes of the revision, not of the disk."""
        made.write("shop/cart.py", "changed\n")
        opened = made.open()

        assert opened.read("HEAD", "shop/cart.py") == b"def total(prices):\n    return sum(prices) - 1\n"
        for path in ("shop/none.py", "shop", "../x", "/etc/passwd"):
            with pytest.raises(BadInput):
                opened.read("HEAD", path)


class TestDirtyFiles:
    """What differs from HEAD."""

    def test_every_kind_of_change_is_named(self, made: Made) -> None:
        """Changed, staged, deleted and untracked files; ignored ones are not."""
        made.write(".gitignore", "*.log\n")
        made.save()
        made.write("shop/cart.py", "changed\n")
        (made.root / "tests/test_cart.py").unlink()
        made.write("new dir/ü.py", "new\n")
        made.write("x.log", "ignored\n")

        assert made.open().dirty_files() == ("new dir/ü.py", "shop/cart.py", "tests/test_cart.py")

    def test_a_clean_tree_has_none(self, made: Made) -> None:
        """Touching a file without changing it is no change."""
        os.utime(made.root / "shop/cart.py", (1, 1))

        assert made.open().dirty_files() == ()


class TestExport:
    """A tree of files, taken out."""

    def test_odd_names_modes_and_bytes_survive(self, made: Made, tmp_path: Path) -> None:
        """Spaces, line ends, unicode and bytes that are no UTF-8 in names; executables; links; CRLF; no attributes."""
        made.write("a b\nü.py", "x = 1\r\n")
        made.write("bad\udcff.bin", b"\x00\xff")
        made.write("run.sh", "#!/bin/sh\n").chmod(0o755)
        made.write(".gitattributes", "tests export-ignore\n*.py eol=lf\n*.txt ident\n")
        made.write("note.txt", "$Id$\n")
        (made.root / "link").symlink_to("/etc/passwd")
        made.git("config", "core.autocrlf", "true")
        made.save()
        made.open().export("HEAD", tmp_path / "out")

        assert _tree(tmp_path / "out") == {
            "a b\nü.py": b"x = 1\n",
            "bad\udcff.bin": b"\x00\xff",
            "run.sh": b"#!/bin/sh\n",
            ".gitattributes": b"tests export-ignore\n*.py eol=lf\n*.txt ident\n",
            "note.txt": b"$Id$\n",
            "link": b"/etc/passwd",
            "shop/cart.py": b"def total(prices):\n    return sum(prices) - 1\n",
            "tests/test_cart.py": b"def test_total():\n    assert True\n",
        }
        assert os.access(tmp_path / "out/run.sh", os.X_OK)
        assert not os.access(tmp_path / "out/note.txt", os.X_OK)

    def test_the_disk_is_exported_as_it_is(self, made: Made, tmp_path: Path) -> None:
        """Changed, untracked and deleted files as they are; ignored files, pipes and what hides behind links not."""
        made.write(".gitignore", "secret\n")
        made.write("gone/x.py", "1\n")
        made.save()
        made.write("shop/cart.py", "changed\r\n")
        made.write("new.py", "new\n")
        made.write("secret", "hunter2")
        (made.root / "tests/test_cart.py").unlink()
        os.mkfifo(made.root / "pipe")
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "x.py").write_text("outside")
        (made.root / "gone/x.py").unlink()
        (made.root / "gone").rmdir()
        (made.root / "gone").symlink_to(outside)
        before = _state(made)

        opened = made.open()
        opened.export(opened.capture(), tmp_path / "out")

        assert _tree(tmp_path / "out") == {
            ".gitignore": b"secret\n",
            "shop/cart.py": b"changed\r\n",
            "new.py": b"new\n",
            "gone": str(outside).encode(),
        }
        assert _state(made) == before

    def test_a_folder_with_something_in_it_is_refused(self, made: Made, tmp_path: Path) -> None:
        """Nothing is ever mixed or overwritten."""
        (tmp_path / "out").mkdir()
        (tmp_path / "out/x").write_text("mine")

        with pytest.raises(BadInput, match="not empty"):
            made.open().export("HEAD", tmp_path / "out")

    @pytest.mark.parametrize("captured", [False, True], ids=["revision", "disk"])
    def test_a_submodule_comes_along_where_it_is_checked_out(self, made: Made, tmp_path: Path, captured: bool) -> None:
        """Tests import vendored code; a submodule that is not checked out is an empty folder."""
        vendored = Made(tmp_path / "vendored")
        vendored.write("tax.py", "RATE = 7\n")
        vendored.save()
        for name in ("here", "absent"):
            made.git("submodule", "--quiet", "add", str(vendored.root), name)
        made.save()
        made.git("submodule", "--quiet", "deinit", "--force", "absent")

        made.write("new.py", "new = True\n" if captured else "")
        made.open().export(made.open().capture() if captured else "HEAD", tmp_path / "out")

        assert (tmp_path / "out/here/tax.py").read_text() == "RATE = 7\n"
        assert list((tmp_path / "out/absent").iterdir()) == []
        assert made.open().files("HEAD") == (".gitmodules", "shop/cart.py", "tests/test_cart.py")

    @pytest.mark.parametrize("below_mode", ["100644", "120000"], ids=["file", "link"])
    def test_a_forged_tree_writes_nothing_outside(self, made: Made, tmp_path: Path, below_mode: str) -> None:
        """A tree may name a link and a file below it, or `..`; git's own commands would not make one."""
        outside = tmp_path / "outside"
        outside.mkdir()
        blob = made.git("rev-parse", "HEAD:shop/cart.py")
        made.write("target", str(outside))
        link = made.git("hash-object", "-w", "target")
        below = _tree_object(made, [(below_mode, "evil.py", blob)])
        forged = _tree_object(made, [("120000", "a", link), ("40000", "a", below), ("40000", "..", below)])
        commit = made.git("commit-tree", forged, "-m", "forged")

        with pytest.raises(BadInput, match="two entries named a"):
            made.open().export(commit, tmp_path / "in/out")

        assert list(outside.iterdir()) == []
        assert [path.name for path in (tmp_path / "in").iterdir()] == ["out"]


def _tree_object(made: Made, entries: list[tuple[str, str, str]]) -> str:
    data = b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(object_id) for mode, name, object_id in entries)
    command = ["git", "hash-object", "-t", "tree", "-w", "--literally", "--stdin"]
    return subprocess.run(command, cwd=made.root, input=data, check=True, capture_output=True).stdout.decode().strip()


def test_the_log_and_who_wrote_what(made: Made) -> None:
    """Newest first, with what each commit touched; each line names the commit that wrote it."""
    first = made.open().head()
    made.write("shop/cart.py", (made.root / "shop/cart.py").read_text() + "\n\nADDED = 1\n")
    second = made.save("Add one |\u00fc| line")
    opened = made.open()

    newest, oldest = opened.log("HEAD")[0], opened.log("HEAD")[-1]
    wrote = opened.blame("HEAD", "shop/cart.py")

    assert (newest.id, newest.age_days, newest.subject, newest.paths) == (
        *(second, 0.0),
        *("Add one |\u00fc| line", ("shop/cart.py",)),
    )
    assert oldest.id == first
    assert "shop/cart.py" in oldest.paths
    assert wrote[1] == first
    assert wrote[max(wrote)] == second
    assert list(wrote) == list(range(1, len((made.root / "shop/cart.py").read_text().splitlines()) + 1))
    assert opened.blame("HEAD", "nowhere.py") == {}


def test_a_merge_brought_what_its_branch_wrote(made: Made) -> None:
    """Whoever compares lines with the log finds the commits that the log names."""
    made.write("one.py", "A = 1\n")
    made.save("Begin")
    made.git("checkout", "--quiet", "-b", "side")
    made.write("one.py", "A = 1\nB = 2\n")
    made.save("On the side")
    made.git("checkout", "--quiet", "main")
    made.git("merge", "--quiet", "--no-ff", "--message", "Merge", "side")
    opened = made.open()

    assert opened.blame("HEAD", "one.py")[2] == opened.log("HEAD")[0].id


class TestHostileConfiguration:
    """A repository that came in a box of chocolates starts nothing."""

    @pytest.fixture
    def canary(self, made: Made, tmp_path: Path) -> Path:
        """A file that every trap in the repository would write; the repository is full of traps."""
        canary = tmp_path / "canary"
        script = tmp_path / "trap.sh"
        script.write_text(f'#!/bin/sh\necho "$0 $*" >> {canary}\ncat\n')
        script.chmod(0o755)
        made.write(".gitattributes", "*.py filter=evil diff=evil merge=evil\n*.txt filter=a=b\n")
        made.write("a.txt", "1\n")
        made.save()
        hooks = made.root / ".git/own-hooks"
        hooks.mkdir()
        for hook in (
            "reference-transaction",
            "post-index-change",
            "post-commit",
            "pre-commit",
            "post-checkout",
            "pre-push",
        ):
            (hooks / hook).symlink_to(script)
        for key, value in {
            "core.hooksPath": str(hooks),
            "core.fsmonitor": str(script),
            "core.pager": str(script),
            "core.sshCommand": str(script),
            "core.editor": str(script),
            "diff.external": str(script),
            "gpg.program": str(script),
            "commit.gpgSign": "true",
            "log.showSignature": "true",
            "filter.evil.clean": str(script),
            "filter.evil.smudge": str(script),
            "filter.evil.process": str(script),
            "filter.evil.required": "true",
            "filter.a=b.clean": str(script),
            "filter.a=b.required": "true",
            "diff.evil.textconv": str(script),
            "diff.evil.command": str(script),
            "blame.ignoreRevsFile": "/nowhere",
            "merge.evil.driver": str(script),
        }.items():
            made.git("config", key, value)
        canary.unlink(missing_ok=True)
        return canary

    def test_the_traps_would_catch_a_user(self, made: Made, canary: Path) -> None:
        """The harmless twin: git itself does start these programs."""
        os.utime(made.root / "shop/cart.py", (1, 1))
        subprocess.run(["git", "status"], cwd=made.root, capture_output=True)
        subprocess.run(
            ["git", "-c", "core.fsmonitor=", "add", "--renormalize", "a.txt"], cwd=made.root, capture_output=True
        )

        assert canary.read_text().count("trap.sh") >= 2

    def test_nothing_starts(self, made: Made, canary: Path, tmp_path: Path) -> None:
        """Reading, exporting, committing and undoing leave the canary alone."""
        made.write("shop/cart.py", "changed = True\n")
        os.utime(made.root / "a.txt", (1, 1))
        opened = made.open()

        opened.dirty_files()
        opened.recently_changed("HEAD", 5)
        assert opened.log("HEAD")[0].paths
        assert opened.blame("HEAD", "shop/cart.py")
        opened.export("HEAD", tmp_path / "one")
        opened.export(opened.capture(), tmp_path / "two")
        new = opened.commit(
            "HEAD", "atra/repair-r1", {"shop/cart.py": "fixed\n", "a.txt": "2\n"}, "Fix\n\nAtra-Run: r1\n"
        )
        opened.revert(new, run_id="r1")

        assert not canary.exists()
        assert opened.read(new, "a.txt") == b"2\n"
