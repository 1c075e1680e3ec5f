"""Which policies a box is made for, and what is said when none can be made."""

import os
from pathlib import Path

import pytest

from atra.core.errors import BoxFailed, SandboxUnavailable
from atra.sandbox import bubblewrap
from atra.sandbox.bubblewrap import BubblewrapSandbox
from atra.sandbox.policy import Limits, Policy


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with one file."""
    root = tmp_path / "tree"
    root.mkdir()
    (root / "file").write_text("content\n")
    return root


@pytest.mark.parametrize(
    "at",
    [
        "/tmp/x/repo",
        "/root/project",
        "/home/u/project",
        "/work/main",
        "/srv/a b/c'd\"e",
        "/var/lib/app",
        "/opt",
        "/usr/local/src",
    ],
)
def test_the_copy_can_stand_anywhere_harmless(tree, at):
    """The copy is at that path, it is the working directory, and it can be written."""
    finished = BubblewrapSandbox().run(["sh", "-c", "pwd; cat file; echo more >>file"], Policy(str(tree), at))

    assert finished.output.decode() == f"{at}\ncontent\n"
    assert finished.exit_code == 0


@pytest.mark.parametrize(
    "at",
    ["/", "/usr", "/proc", "/proc/x", "/dev", "/dev/shm", "/tmp", "/etc", "/bin/x", "relative", "/a/../b", "/a/", ""],
)
def test_the_copy_cannot_hide_the_system(tree, at):
    """A path that would hide what a box is made of, or is not a plain absolute path, is refused."""
    with pytest.raises(BoxFailed, match="no copy can stand"):
        BubblewrapSandbox().run(["true"], Policy(str(tree), at))


@pytest.mark.parametrize(
    "path", ["/", "/root", "/home", "/etc", "/var", "/run", "/tmp", "~", "LINK", "/srv/tree", "/a/../b"]
)
def test_no_box_shows_whole_parts_of_the_host(tree, tmp_path, path):
    """Folders full of other things are refused, by a link as well, and so is one that would hide the copy."""
    (tmp_path / "link").symlink_to("/root")
    path = os.path.expanduser(path).replace("LINK", str(tmp_path / "link"))

    with pytest.raises(BoxFailed, match="never shown"):
        BubblewrapSandbox().run(["true"], Policy(str(tree), "/srv/tree", readable=(path,)))


def test_a_tree_larger_than_its_disk_is_an_error(tree):
    """The error says what went wrong inside."""
    (tree / "big").write_bytes(bytes(4 * 2**20))

    with pytest.raises(BoxFailed, match=r"Wrote only|No space left"):
        BubblewrapSandbox().run(["true"], Policy(str(tree), "/srv/tree", limits=Limits(disk_bytes=4 * 2**20)))


def test_a_missing_readable_path_is_an_error(tree):
    """The error names the path."""
    with pytest.raises(BoxFailed, match="/srv/missing"):
        BubblewrapSandbox().run(["true"], Policy(str(tree), "/srv/tree", readable=("/srv/missing",)))


def test_a_folder_that_only_atra_may_enter_can_be_shown(tree, tmp_path):
    """A virtual environment below a closed home folder is visible, and the home folder's other files are not."""
    home = tmp_path / "home"
    (home / "env").mkdir(parents=True)
    (home / "env" / "file").write_text("shown")
    (home / "secret").write_text("x")
    home.chmod(0o700)
    policy = Policy(str(tree), "/srv/tree", readable=(str(home / "env"),))

    finished = BubblewrapSandbox().run(["sh", "-c", f"cat {home}/env/file; ls {home}"], policy)

    assert finished.output == b"shownenv\n"


def test_names_of_every_kind_are_copied(tree):
    """Spaces, quotes, line ends, leading dashes, patterns and bytes that are no text."""
    names = [b"a b", b"-rf", b"line\nend", b"*", b"[x]", b"'\"", b"\xff\xfe", b"--exclude=file"]
    for name in names:
        (tree / os.fsdecode(name)).touch()
    code = "import os; print(sorted(os.listdir(b'.')))"

    finished = BubblewrapSandbox().run(["/usr/bin/python3", "-I", "-S", "-c", code], Policy(str(tree), "/srv/tree"))

    assert eval(finished.output) == sorted([*names, b"file"])


def test_a_machine_without_bubblewrap_gets_the_reason(tree, monkeypatch):
    """Nothing runs, and the error says what is missing and what to do."""
    monkeypatch.setattr(bubblewrap, "BWRAP", "/nonexistent/bwrap")
    sandbox = BubblewrapSandbox()

    with pytest.raises(SandboxUnavailable, match="not installed") as caught:
        sandbox.run(["true"], Policy(str(tree), "/srv/tree"))

    assert "ATRA_SANDBOX=none" in caught.value.hint
    assert "not installed" in sandbox.describe()["boxes"]


def test_a_machine_that_forbids_boxes_gets_the_reason(monkeypatch, tmp_path):
    """What bubblewrap says is passed on, for instance where user namespaces are forbidden."""
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2; exit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setattr(bubblewrap, "BWRAP", str(refusing))

    with pytest.raises(SandboxUnavailable, match="No permissions to create a new namespace"):
        BubblewrapSandbox().check()


def test_without_the_filter_boxes_work_and_say_so(tree, monkeypatch):
    """libseccomp may be missing; the doctor tells."""
    monkeypatch.setattr(bubblewrap, "filter_program", lambda: None)
    sandbox = BubblewrapSandbox()

    assert (
        sandbox.run(["grep", "Seccomp:", "/proc/self/status"], Policy(str(tree), "/srv/tree")).output.split()[1] == b"0"
    )
    assert sandbox.describe()["system calls"].startswith("not filtered")


def test_a_working_machine_is_described():
    """The doctor's lines on a machine where all holds."""
    described = BubblewrapSandbox().describe()

    assert described["boxes"] == "bubblewrap"
    assert described["system calls"] == "filtered"
    assert described["user"] == (
        "a fresh user id for each box" if os.geteuid() == 0 else "this ordinary user, in a namespace of its own"
    )
