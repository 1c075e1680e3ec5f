"""Reads the programs of a QuixBugs checkout and writes each as a small repository with its published tests.

A repository holds `programs/NAME.py`, `programs/node.py` where the tests use it, `tests/test_NAME.py` as published save
for where it takes its imports and data from, and the data beside it. Cases that the publishers skip as too slow
(one of knapsack, one of levenshtein) stay skipped.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_IMPORT = re.compile(r"if pytest\.use_correct:\n.*?\nelse:\n    from python_programs\.", re.DOTALL)
_LOAD = """import json
from pathlib import Path


def load_json_testcases(name):
    lines = (Path(__file__).parent / f"{name}.json").read_text().splitlines()
    return [json.loads(line) for line in lines]
"""
CONFIGURATION = "[pytest]\npythonpath = .\ntestpaths = tests\n"
_IDENTITY = ("-c", "user.name=Benchmark", "-c", "user.email=benchmark@localhost", "-c", "commit.gpgsign=false")


@dataclass(frozen=True)
class Program:
    """One published program: with its defect, corrected, and the files of its repository except the program itself."""

    name: str
    defective: str
    correct: str
    files: dict[str, str]

    @property
    def path(self) -> str:
        """The program's file in its repository."""
        return f"programs/{self.name}.py"

    def write(self, folder: Path, source: str) -> None:
        """Write the files with this source of the program into the folder."""
        for path, text in {**self.files, self.path: source}.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)


def read_all(checkout: Path) -> list[Program]:
    """Return the checkout's programs by name.

    Raises:
        FileNotFoundError: the folder is not a checkout of QuixBugs.
    """
    names = sorted(file.stem.removeprefix("test_") for file in (checkout / "python_testcases").glob("test_*.py"))
    if not names:
        raise FileNotFoundError(f"{checkout} holds no python_testcases; give a checkout of jkoppel/QuixBugs")
    return [_read(checkout, name) for name in names]


def make_repository(program: Program, folder: Path) -> None:
    """Make the folder a git repository with the defective program in its only commit."""
    program.write(folder, program.defective)
    for command in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", f"Add {program.name}")):
        subprocess.run(["git", *_IDENTITY, *command], cwd=folder, check=True, capture_output=True)


def _read(checkout: Path, name: str) -> Program:
    test = _self_contained((checkout / "python_testcases" / f"test_{name}.py").read_text())
    files = {"pytest.ini": CONFIGURATION, "programs/__init__.py": "", f"tests/test_{name}.py": test}
    data = checkout / "json_testcases" / f"{name}.json"
    if data.is_file():
        files[f"tests/{name}.json"] = data.read_text()
    if "programs.node" in test:
        files["programs/node.py"] = (checkout / "python_testcases" / "node.py").read_text()
    return Program(
        name,
        (checkout / "python_programs" / f"{name}.py").read_text(),
        (checkout / "correct_python_programs" / f"{name}.py").read_text(),
        files,
    )


def _self_contained(test: str) -> str:
    test = _IMPORT.sub("from programs.", test)
    test = test.replace("from node import Node", "from programs.node import Node")
    test = test.replace("from load_testdata import load_json_testcases\n", _LOAD)
    test = test.replace("pytest.run_slow", "False")
    return re.sub(r"(parametrize\(.*?, testdata)\)", r'\1, ids=[f"case{n}" for n in range(len(testdata))])', test)
