"""Small repositories to be repaired, made afresh for a test."""

import subprocess
from pathlib import Path

_QUIET = ("-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")


def git(repository: Path, *arguments: str) -> str:
    """Run git in the repository and return what it prints, without the last line's end."""
    done = subprocess.run(("git", *_QUIET, *arguments), cwd=repository, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def make_repository(root: Path, files: dict[str, str]) -> Path:
    """Make a git repository with one commit of these files, by path."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "First state")
    return root


def small_shop(root: Path) -> Path:
    """A package of two modules with one planted bug: the discount begins one piece too late."""
    return make_repository(
        root,
        {
            "shop/__init__.py": "",
            "shop/pricing.py": (
                '"""Prices in cents."""\n\n\n'
                "def share_off(pieces):\n"
                '    """Return the percentage taken off from ten pieces on."""\n'
                "    if pieces > 10:\n"
                "        return 5\n"
                "    return 0\n"
            ),
            "shop/cart.py": (
                "from shop.pricing import share_off\n\n\n"
                "def total(price, pieces):\n"
                "    full = price * pieces\n"
                "    return full - full * share_off(pieces) // 100\n"
            ),
            "tests/test_cart.py": (
                "import pytest\n\nfrom shop.cart import total\n\n\n"
                '@pytest.mark.parametrize(("pieces", "due"), [(1, 100), (9, 900), (10, 950), (11, 1045)])\n'
                "def test_total(pieces, due):\n"
                "    assert total(100, pieces) == due\n"
            ),
        },
    )
