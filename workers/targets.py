"""What is to be repaired: a repository, what was asked for, and what its entry in `atra.toml` says."""

import shlex
from dataclasses import fields
from pathlib import Path

from atra.core.errors import BadInput, InterpreterUnusable, NotARepository, UnknownRepository
from atra.core.settings import RepositorySettings, Settings
from atra.meta_architect.migrations.records import MigrationTarget
from atra.meta_architect.records import Target
from atra.repository import OWN, Repository, is_own

ITSELF = "atra"
"""The name under which ATRA's own checkout is configured, where it is to repair itself."""


def make_target(
    repository: Repository,
    settings: Settings,
    *,
    revision: str = "HEAD",
    test_command: str = "",
    tests: tuple[str, ...] = (),
    python: Path | None = None,
    include_uncommitted: bool = False,
    commit: bool = True,
    generator: str = "auto",
    suspect: str = "",
    budget_s: float,
    budget_usd: float | None = None,
) -> Target:
    """Return what is to be repaired; what is not said comes from the repository's entry in `atra.toml`.

    Raises:
        UnknownRevision, InterpreterUnusable, BadInput: as their names say.
    """
    name, known = entry_of(repository.root, settings)
    command = test_command or known.test_command or ""
    try:
        shlex.split(command)
    except ValueError as error:
        raise BadInput(f"--test-command: {error}") from error
    interpreter = python or known.python
    if interpreter and not interpreter.exists():
        raise InterpreterUnusable(str(interpreter), "there is no such file")
    return Target(
        repository=name,
        path=str(repository.root),
        revision=repository.capture() if include_uncommitted else repository.resolve(revision),
        subfolder=repository.subfolder,
        tests=tests,
        test_command=command,
        python=str(interpreter.absolute()) if interpreter else "",
        commit=commit,
        protected=known.protected,
        allowed=known.allowed,
        generator=generator,
        suspect=suspect,
        budget_s=budget_s,
        budget_usd=settings.run_usd if budget_usd is None else budget_usd,
        models=settings.models_digest(),
    )


def migration_of(
    target: Target,
    settings: Settings,
    config: str = "",
    rows: int = 50,
    allow_loss: tuple[str, ...] = (),
    url_variables: tuple[str, ...] = (),
) -> MigrationTarget:
    """Return what is to be migrated: a repository as for a repair, and what only a migration needs."""
    known = entry_of(Path(target.path), settings)[1].url_variables
    given = {one.name: getattr(target, one.name) for one in fields(Target)}
    return MigrationTarget(
        **given, config=config, rows=rows, allow_loss=allow_loss, url_variables=(*known, *url_variables)
    )


def entry_of(root: Path, settings: Settings) -> tuple[str, RepositorySettings]:
    """Return the name and the policies of the repository whose working tree lies here; the defaults if it has none.

    For ATRA itself, told by the name `atra` or by what the repository holds, they are stricter than what is configured.
    """
    named = ((name, entry) for name, entry in settings.repositories.items() if _lies_at(entry, root))
    name, entry = next(named, (root.name, RepositorySettings(path=root)))
    return name, guarded(entry) if name == ITSELF or _holds_atra(root) else entry


def guarded(entry: RepositorySettings) -> RepositorySettings:
    """Return the policies under which ATRA may be repaired by itself: a branch for people to read, and no more."""
    forced = {"policy": "branch", "pull_request": False, "protected": (*entry.protected, *OWN)}
    return entry.model_copy(update=forced)


def _lies_at(entry: RepositorySettings, root: Path) -> bool:
    return entry.path.expanduser().resolve() == root.resolve()


def _holds_atra(root: Path) -> bool:
    """Return whether the checked out commit is one of ATRA's own code."""
    try:
        return is_own(Repository.open(root).files("HEAD"))
    except NotARepository:
        return False


def open_named(name: str, settings: Settings) -> Repository:
    """Return the repository that is configured under this name.

    Raises:
        UnknownRepository: none is.
        NotARepository: its path holds none.
    """
    entry = settings.repositories.get(name)
    if entry is None:
        raise UnknownRepository(name)
    return Repository.open(entry.path.expanduser())
