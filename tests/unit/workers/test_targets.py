"""The policies of a repository, and those of ATRA itself, which nothing that is configured can loosen."""

from pathlib import Path

import pytest

from atra.core.settings import RepositorySettings, Settings
from atra.repository import OWN, Repository, is_own, protected
from tests.targets import make_repository, small_shop
from workers.targets import entry_of, make_target

ROOT = Path(__file__).parents[3]
LOOSE = {"policy": "push", "pull_request": True, "allowed": ("**",), "protected": ("docs/**",)}
GUARDED = (
    "atra/sandbox/policy.py",
    "atra/sandbox/new.py",
    "Atra/Sandbox/policy.py",
    "atra/core/redaction.py",
    "atra/core/settings.py",
    "atra/llm/budget.py",
    "atra/llm/meter.py",
    "atra/llm/prices.json",
    "atra/storage/ledger.py",
    "atra/repository/protection.py",
    "atra/repository/forge.py",
    "workers/delivery.py",
    "workers/signing.py",
    "workers/targets.py",
    "workers/own_failures.py",
    "migrations/versions/0001_x.py",
)


def settings_for(name: str, path: Path) -> Settings:
    return Settings(_env_file=None, home=path, repositories={name: RepositorySettings(path=path, **LOOSE)})


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with the file by which ATRA knows itself, in a folder of another name."""
    return make_repository(tmp_path / "fork", {"atra/repository/protection.py": "", "atra/cli/main.py": ""})


@pytest.mark.parametrize("name", ["atra", "fork"])
@pytest.mark.parametrize("path", GUARDED)
def test_no_repair_of_atra_touches_what_confines_it(checkout: Path, name: str, path: str):
    """Whatever the entry allows, and under whatever name it stands."""
    target = make_target(Repository.open(checkout), settings_for(name, checkout), budget_s=1)

    assert protected(path, target.protected, target.allowed)
    assert protected(f"vendored/{path}", target.protected, target.allowed)
    assert protected("docs/a.md", target.protected, target.allowed)
    assert not protected("atra/cli/main.py", target.protected, target.allowed)


@pytest.mark.parametrize("name", ["atra", "fork"])
def test_a_repair_of_atra_stays_on_its_branch(checkout: Path, name: str):
    """`push` and pull requests are switched off."""
    entry = entry_of(checkout, settings_for(name, checkout))[1]

    assert (entry.policy, entry.pull_request) == ("branch", False)


def test_a_checkout_in_nobodys_settings_is_guarded_too(checkout: Path):
    """What it holds decides."""
    entry = entry_of(checkout, Settings(_env_file=None, home=checkout))[1]

    assert set(OWN) <= set(entry.protected)


def test_other_repositories_keep_their_policies(tmp_path: Path):
    """They may have a folder `sandbox` and a file `settings.py`."""
    shop = small_shop(tmp_path / "shop")

    assert entry_of(shop, settings_for("shop", shop)) == ("shop", RepositorySettings(path=shop, **LOOSE))


def test_every_pattern_protects_a_file_that_exists():
    """A file that is renamed would lose its protection without a word."""
    tops = (ROOT / top for top in ("atra", "workers", "migrations"))
    files = [file.relative_to(ROOT).as_posix() for top in tops for file in top.rglob("*.*")]

    assert is_own(files)
    assert [pattern for pattern in OWN if not any(protected(file, (pattern,), ("**",)) for file in files)] == []
