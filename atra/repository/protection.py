"""Which paths no patch may touch: tests, CI, lock files, secrets, git's own files, and what decides how tests run."""

import re
from collections.abc import Iterable
from functools import cache

SECRETS = (
    "**/.env",
    "**/.env.*",
    "**/*.pem",
    "**/*.key",
    "**/*.p12",
    "**/id_rsa*",
    "**/id_ed25519*",
    "**/.netrc",
    "**/.pypirc",
)

STANDING = (
    # tests and what steers them
    "**/tests/**",
    "**/test/**",
    "**/test_*.py",
    "**/*_test.py",
    "**/tests.py",
    "**/conftest.py",
    "**/pytest.ini",
    "**/.pytest.ini",
    "**/pytest.toml",
    "**/.pytest.toml",
    "**/tox.ini",
    "**/setup.cfg",
    "**/pyproject.toml",
    "**/noxfile.py",
    "**/.coveragerc",
    # what runs before any code of the project does
    "**/sitecustomize.py",
    "**/usercustomize.py",
    "**/*.pth",
    # continuous integration
    ".github/**",
    ".gitlab-ci.yml",
    ".gitlab/**",
    ".circleci/**",
    ".ci/**",
    ".travis.yml",
    ".pre-commit-config.yaml",
    "azure-pipelines.yml",
    "**/Jenkinsfile",
    # lock files
    "**/*.lock",
    "**/*.lock.json",
    "**/package-lock.json",
    "**/requirements*.txt",
    "**/pylock*.toml",
    *SECRETS,
    # git's own
    "**/.git*",
    "**/.git*/**",
    ".husky/**",
    "hooks/**",
)

OWN = (
    # what confines and masks
    "**/atra/sandbox/**",
    "**/atra/core/redaction.py",
    "**/atra/core/settings.py",
    # what counts money
    "**/atra/llm/budget*",
    "**/atra/llm/meter*",
    "**/atra/llm/prices*",
    "**/atra/storage/ledger.py",
    # what says which paths these are, how far a commit goes, and who may send messages
    "**/atra/repository/protection.py",
    "**/atra/repository/forge.py",
    "**/workers/targets.py",
    "**/workers/own_failures.py",
    "**/workers/delivery.py",
    "**/workers/signing.py",
    # ATRA's own database
    "**/migrations/env.py",
    "**/migrations/versions/**",
)
"""What no repair of ATRA itself may touch, whatever is configured."""


def is_own(paths: Iterable[str]) -> bool:
    """Return whether these are files of ATRA itself: of a checkout, wherever in a repository it lies."""
    return any(f"/{path}".endswith("/atra/repository/protection.py") for path in paths)


def protected(path: str, extra: Iterable[str] = (), allowed: Iterable[str] = ()) -> bool:
    """Return whether a patch must not touch the path.

    Patterns are globs from the repository's root, matched without regard to case: `*` and `?` stay inside one part of
    a path, `**` spans any number of parts, a pattern that ends in `/` means all below it.

    Args:
        path: relative to the repository's root, with forward slashes. One that is unsafe (see `unsafe`) is protected
            whatever is allowed.
        extra: patterns protected besides the standing ones; `allowed` does not lift them.
        allowed: patterns lifted from the standing protection; never from git's own files.
    """
    if unsafe(path) or _any(extra, path):
        return True
    return _any(STANDING, path) and not _any(allowed, path)


def secret(path: str) -> bool:
    """Return whether the file is one that holds secrets, by its name: nobody outside is shown what stands in it."""
    return _any(SECRETS, path)


def unsafe(path: str) -> bool:
    """Return whether the path could mean something outside the repository's own files: absolute, `..`, `.git`, …"""
    parts = path.split("/")
    return (
        not path
        or "\\" in path
        or "\0" in path
        or any(part in ("", ".", "..") or part.casefold() == ".git" for part in parts)
    )


def _any(patterns: Iterable[str], path: str) -> bool:
    return any(_compiled(pattern).fullmatch(path) for pattern in patterns)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    if pattern.endswith("/"):
        pattern += "**"
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    spans = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(spans.get(part) or re.escape(part) for part in parts), re.IGNORECASE | re.DOTALL)
