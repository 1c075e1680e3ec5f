"""What the sandbox that protects nothing does about paths, which cannot be the repository's own."""

from pathlib import Path

import pytest

from atra.core.errors import BoxFailed
from atra.sandbox.policy import Policy
from atra.sandbox.unboxed import UnboxedSandbox


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with one file and an environment."""
    root = tmp_path / "tree"
    (root / ".venv").mkdir(parents=True)
    (root / "file").write_text("the repository's own")
    return root


def test_paths_below_the_repository_mean_the_copy(tree):
    """In the command and in lists of paths in the environment; other paths and the environment stay as they are."""
    policy = Policy(
        str(tree), "/srv/repo", ("/srv/repo/.venv",), environment={"P": "/srv/repo/a:/usr/lib:/srv/repository"}
    )
    command = [
        "sh",
        "-c",
        'echo "$PWD $0 $1 $2"; echo "$P"',
        "/srv/repo",
        "/srv/repo/file",
        "/srv/repo/.venv/bin/python",
    ]

    first, second = UnboxedSandbox().run(command, policy).output.decode().splitlines()

    copy = first.split(" ")[0]
    assert first == f"{copy} {copy} {copy}/file /srv/repo/.venv/bin/python"
    assert second == f"{copy}/a:/usr/lib:/srv/repository"
    assert not Path(copy).exists()


def test_the_copy_is_what_is_written(tree):
    """A program that changes its file through the repository's path in the command leaves the repository alone."""
    UnboxedSandbox().run(["rm", f"{tree}/file"], Policy(str(tree), str(tree)))

    assert (tree / "file").exists()


def test_a_tree_that_cannot_be_copied_is_an_error(tree, tmp_path):
    """A tree with something that is neither file, folder nor link in place of itself."""
    with pytest.raises(BoxFailed, match="could not be copied"):
        UnboxedSandbox().run(["true"], Policy(f"{tree}/file", "/srv/repo"))


def test_it_says_that_it_protects_nothing():
    """The doctor's line."""
    assert "all the rights" in UnboxedSandbox().describe()["boxes"]
