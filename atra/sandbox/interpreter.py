"""What a Python interpreter of the host needs to be seen of in a box, told by reading files: nothing of it runs here.

An interpreter that belongs to a repository is code nobody trusts, and so are its `.pth` files. Python finds its library
by landmarks next to the executable, following links step by step; this module looks at the same places. A repository
may come with a virtual environment made to show more than one should: its links out of itself are not followed, and
the base it names must look like one.

Not found this way: shared libraries outside the system's folders and the interpreter's own, and folders that `.pth`
files of a virtual environment name elsewhere on the host, other than the repository, which stands at its own path.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from atra.core.errors import InterpreterUnusable

# Of a prefix only these are shown: it may be a repository's root, or a home folder.
PARTS = ("bin", "lib", "lib64", "include", "share", "ssl", "pyvenv.cfg")
ALWAYS_THERE = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
VERSIONED = re.compile(r"python(\d+)\.(\d+)$")


def find_python(root: str) -> str | None:
    """Return the interpreter of the repository's own virtual environment, `.venv` or else `venv`, if it has one."""
    candidates = (f"{root}/{name}/bin/python" for name in (".venv", "venv"))
    return next((path for path in candidates if os.access(path, os.X_OK)), None)


def paths_of(python: str) -> tuple[str, ...]:
    """Return the host paths a box must show for the interpreter to start and import what is installed for it.

    They are absolute and sorted, none lies in another nor in the system's own folders, which every box shows.

    Raises:
        InterpreterUnusable: there is no interpreter at that path.
    """
    _make_sure(python)
    wanted: set[str] = set()
    for step in _steps(python):
        prefix = _prefix(step)
        wanted.update([os.path.dirname(step)] if prefix is None else _parts(prefix))
    outside = sorted(path for path in wanted if not _within_any(path, ALWAYS_THERE))
    return tuple(path for path in outside if not _within_any(path, (other for other in outside if other != path)))


def version_of(python: str) -> tuple[int, int]:
    """Return the interpreter's version, for instance (3, 11), as the names of its files say.

    Raises:
        InterpreterUnusable: there is no interpreter at that path, or nothing says its version.
    """
    _make_sure(python)
    steps = list(_steps(python))
    libraries = (str(folder) for step in steps if (prefix := _prefix(step)) for folder in _libraries(prefix))
    for name in (*reversed(steps), *libraries):
        if found := VERSIONED.search(name):
            return int(found[1]), int(found[2])
    raise InterpreterUnusable(python, "its version cannot be told")


def _make_sure(python: str) -> None:
    if not os.path.isfile(python):
        raise InterpreterUnusable(python, "no such file")
    with open(python, "rb") as file:
        start = file.read(4)
    if start != b"\x7fELF":
        raise InterpreterUnusable(python, "it is not a program but perhaps a script that starts one; name that one")


def _steps(python: str) -> Iterator[str]:
    """Yield the executable, each link on the way to the real one, and the base that a virtual environment names."""
    path = os.path.abspath(python)
    seen: set[str] = set()
    while path not in seen:
        seen.add(path)
        yield path
        if home := _home(path):
            yield home
        if os.path.islink(path):
            path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    if (real := os.path.realpath(python)) not in seen:
        yield real


def _prefix(executable: str) -> str | None:
    """Return the folder that holds `bin` and `lib` of the interpreter or of the virtual environment."""
    if cfg := _pyvenv_cfg(executable):
        return str(cfg.parent)
    above = list(Path(executable).parents)[:-1]  # not "/", whose /lib is the system's
    return next((str(folder) for folder in above if any((lib / "os.py").is_file() for lib in _libraries(folder))), None)


def _parts(prefix: str) -> Iterator[str]:
    real = os.path.realpath(prefix)
    for part in PARTS:
        path = os.path.join(prefix, part)
        if os.path.exists(path) and Path(os.path.realpath(path)).is_relative_to(real):
            yield path


def _libraries(prefix: str | Path) -> Iterator[Path]:
    for lib in ("lib", "lib64"):
        yield from sorted(Path(prefix, lib).glob("python3.*"))


def _pyvenv_cfg(executable: str) -> Path | None:
    above = list(Path(executable).parents)[:2]
    return next((folder / "pyvenv.cfg" for folder in above if (folder / "pyvenv.cfg").is_file()), None)


def _home(executable: str) -> str | None:
    """Return the base's executable in the folder that `pyvenv.cfg` names, if a library belongs to it."""
    if not (cfg := _pyvenv_cfg(executable)):
        return None
    for line in cfg.read_text(errors="replace").splitlines():
        name, _, value = line.partition("=")
        base = os.path.join(os.path.normpath(value.strip()), "python3")
        if name.strip().lower() == "home" and os.path.isabs(base) and not _pyvenv_cfg(base) and _prefix(base):
            return base
    return None


def _within_any(path: str, folders: Iterable[str]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in folders)
