"""What this installation is about: what its repositories depend on, read from files and never run."""

import configparser
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from atra.precache.records import Interest

FILES = re.compile(r"^(?:requirements[\w.-]*\.txt|requirements/[\w.-]+\.txt|pyproject\.toml|setup\.cfg)$")
"""Paths in a repository that name dependencies."""

_NAME = re.compile(r"^\s*(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?)\s*(?:\[|[<>=!~;@,(]|\s|$)")
_MOST = 500


def dependencies(repository: str, files: Mapping[str, str]) -> list[Interest]:
    """Return what the files say the repository depends on, each package once, in order; what cannot be read is nothing.

    Args:
        files: texts by path, see `FILES`.
    """
    names: dict[str, str] = {}
    for path, text in sorted(files.items()):
        for line in _lines(path, text):
            found = _NAME.match(line)
            if found and len(names) < _MOST:
                names.setdefault(re.sub(r"[-_.]+", "-", found["name"]).lower(), found["name"])
    return [Interest(name, "dependency", repository) for name in names.values()]


def _lines(path: str, text: str) -> Iterator[str]:
    """Yield the requirements of a file, as PEP 508 writes them."""
    if path.endswith(".txt"):
        yield from (line for line in text.splitlines() if not line.lstrip().startswith(("#", "-")))
    elif path.endswith(".cfg"):
        yield from _of_setup(text)
    else:
        yield from _of_project(text)


def _of_setup(text: str) -> Iterator[str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return
    yield from parser.get("options", "install_requires", fallback="").splitlines()
    if parser.has_section("options.extras_require"):
        for value in parser["options.extras_require"].values():
            yield from value.splitlines()


def _of_project(text: str) -> Iterator[str]:
    try:
        read = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return
    project = _table(read, "project")
    yield from _strings(project.get("dependencies"))
    for extra in _table(project, "optional-dependencies").values():
        yield from _strings(extra)
    yield from (name for name in _table(_table(_table(read, "tool"), "poetry"), "dependencies") if name != "python")


def _table(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = of.get(name)
    return found if isinstance(found, dict) else {}


def _strings(given: Any) -> list[str]:
    return [one for one in given if isinstance(one, str)] if isinstance(given, list) else []
