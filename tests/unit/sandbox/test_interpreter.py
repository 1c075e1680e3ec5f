"""What is told of an interpreter by its files, for real ones and for made-up layouts."""

import os
import shutil
import sys
import venv
from pathlib import Path

import pytest

from atra.core.errors import InterpreterUnusable
from atra.sandbox.bubblewrap import BubblewrapSandbox
from atra.sandbox.interpreter import find_python, paths_of, version_of
from atra.sandbox.policy import Policy

ELF = b"\x7fELF made up"


@pytest.fixture(params=["links", "copies"])
def environment(request, tmp_path: Path) -> Path:
    """A real virtual environment without pip, inside a repository."""
    folder = tmp_path / "repository" / ".venv"
    venv.EnvBuilder(symlinks=request.param == "links").create(folder)
    return folder


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    """A prefix with an executable and a library of version 3.10."""
    prefix = tmp_path / "opt" / "python"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python3").write_bytes(ELF)
    (prefix / "lib" / "python3.10").mkdir(parents=True)
    (prefix / "lib" / "python3.10" / "os.py").touch()
    (prefix / "secrets").mkdir()
    return prefix


def test_an_environment_works_in_a_box_with_its_paths_alone(environment, tmp_path):
    """A virtual environment of either kind imports its library, C modules and what is installed in it."""
    python = str(environment / "bin" / "python")
    installed = next(environment.glob("lib/python3*/site-packages")) / "installed.py"
    installed.write_text("VALUE = 7\n")
    policy = Policy(str(environment.parent), str(environment.parent), readable=paths_of(python))
    code = "import sys, ssl, ctypes, decimal, installed; print(sys.version_info[:2], sys.prefix, installed.VALUE)"

    finished = BubblewrapSandbox().run([python, "-c", code], policy)

    assert finished.output.decode() == f"{sys.version_info[:2]} {environment} 7\n"
    assert version_of(python) == sys.version_info[:2]


def test_a_repositorys_environment_is_found(environment):
    """`.venv` comes before `venv`; neither is nothing."""
    root = environment.parent

    assert find_python(str(root)) == f"{root}/.venv/bin/python"
    environment.rename(root / "venv")
    assert find_python(str(root)) == f"{root}/venv/bin/python"
    (root / "venv").rename(root / "other")
    assert find_python(str(root)) is None


def test_only_parts_of_a_prefix_are_shown(made_up):
    """What else stands beside the library stays unseen."""
    python = str(made_up / "bin" / "python3")

    assert paths_of(python) == (f"{made_up}/bin", f"{made_up}/lib")
    assert version_of(python) == (3, 10)


def test_links_are_followed_step_by_step(made_up, tmp_path):
    """A chain through another folder and through a linked folder shows each place Python passes."""
    (tmp_path / "current").symlink_to("opt/python")
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "python3.10").symlink_to("../current/bin/python3")
    python = str(tmp_path / "local" / "python3.10")

    assert paths_of(python) == (
        f"{tmp_path}/current/bin",
        f"{tmp_path}/current/lib",
        f"{tmp_path}/local",
        f"{made_up}/bin",
        f"{made_up}/lib",
    )
    assert version_of(python) == (3, 10)


def test_the_system_is_always_there(tmp_path):
    """Nothing has to be shown for an interpreter below /usr; an environment on it adds its own parts only."""
    system = next(path for path in Path("/usr/bin").glob("python3.*") if path.suffix[1:].isdigit())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(system)
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\n")

    assert paths_of(str(system)) == ()
    assert paths_of(str(tmp_path / "bin" / "python")) == (f"{tmp_path}/bin", f"{tmp_path}/pyvenv.cfg")


@pytest.fixture
def hostile(made_up, tmp_path: Path) -> Path:
    """An environment that comes with a repository and would like to show a folder of secrets."""
    folder = tmp_path / "repository" / ".venv"
    shutil.copytree(made_up / "bin", folder / "bin")
    return folder


def test_a_link_out_of_an_environment_is_not_followed(hostile, made_up):
    """`lib` of an environment that leads elsewhere is left out, and so is a linked `pyvenv.cfg`."""
    (hostile / "lib").symlink_to(made_up / "secrets")
    (made_up / "secrets" / "key").write_text("home = /nowhere\n")
    (hostile / "pyvenv.cfg").symlink_to(made_up / "secrets" / "key")

    assert paths_of(f"{hostile}/bin/python3") == (f"{hostile}/bin",)


@pytest.mark.parametrize("home", ["secrets", "../python/secrets", "bin/.."])
def test_a_home_without_a_library_is_not_shown(hostile, made_up, tmp_path, home):
    """A `pyvenv.cfg` cannot name any folder as its base: a Python's library must belong to it."""
    lone = tmp_path / "lone"
    (lone / "secrets").mkdir(parents=True)
    (hostile / "pyvenv.cfg").write_text(f"home = {lone}/{home}\n")

    assert paths_of(f"{hostile}/bin/python3") == (f"{hostile}/bin", f"{hostile}/pyvenv.cfg")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(None, "no such file", id="missing"),
        pytest.param(b"#!/bin/sh\nexec python3\n", "a script", id="shim"),
        pytest.param(b"", "not a program", id="empty"),
    ],
)
def test_what_is_no_interpreter_is_refused(tmp_path, content, reason):
    """The reason is a part of the error's sentence."""
    path = tmp_path / "python"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InterpreterUnusable, match=reason):
        paths_of(str(path))


def test_a_version_that_nothing_tells_is_an_error(tmp_path):
    """An executable alone, without a number in its name, is not guessed at."""
    (tmp_path / "python").write_bytes(ELF)
    os.chmod(tmp_path / "python", 0o755)

    with pytest.raises(InterpreterUnusable, match="version"):
        version_of(str(tmp_path / "python"))
