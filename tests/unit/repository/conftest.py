"""Real repositories, made with the git on PATH."""

import os
import subprocess
from pathlib import Path

import pytest

from atra.repository import Repository


class Made:
    """A repository that a user would have made, and a way to run git in it as the user would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run git as the user and return what it prints."""
        done = subprocess.run(["git", *arguments], cwd=cwd or self.root, check=True, capture_output=True)
        return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")

    def write(self, path: str, contents: str | bytes) -> Path:
        """Write a file in the working tree."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(contents if isinstance(contents, bytes) else contents.encode("utf-8", "surrogateescape"))
        return file

    def save(self, message: str = "change") -> str:
        """Commit everything on disk and return the id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def open(self) -> Repository:
        """Open it as ATRA does."""
        return Repository.open(self.root)


@pytest.fixture(autouse=True)
def _a_user_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration of this machine reaches git, and the user has a name."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        '[user]\n name = Ada\n email = ada@example.org\n[protocol "file"]\n allow = always\n'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A repository with two small files and one commit."""
    made = Made(tmp_path / "shop")
    made.write("shop/cart.py", "def total(prices):\n    return sum(prices) - 1\n")
    made.write("tests/test_cart.py", "def test_total():\n    assert True\n")
    made.save("first")
    return made
