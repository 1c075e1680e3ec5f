"""A mutant planted in a repository, repaired by the command, and the repair compared with what stood there."""

import ast
import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import mutants, results, stack

COLUMNS = ("package", "path", "line", "operator", "status", "template", "rank", "tried", "seconds", "place", "same")


@dataclass(frozen=True)
class Row:
    """What became of one mutant.

    `status` is `survived` where the tests pass in spite of it: such a one is no bug that a test shows. `file_at` and
    `place_at` are where the mutated file stands among the suspect files, and its line among the suspect places, from 1;
    None where it is not there. `same` is `text`, `tree` (the same but for layout) or `different` from the original.
    """

    package: str
    path: str
    line: int
    operator: str
    occurrence: int
    change: str
    status: str
    template: str | None = None
    rank: int | None = None
    tried: int | None = None
    seconds: float | None = None
    wall_seconds: float | None = None
    confidence: float | None = None
    file_at: int | None = None
    place_at: int | None = None
    same: str = ""
    diff: str = ""
    error: str = ""


def repair(
    mutation: mutants.Mutation,
    package: str,
    clone: Path,
    revision: str,
    around: Mapping[str, str],
    wishes: Sequence[str],
    *,
    cosmic_ray: Path,
    patience_s: float,
) -> Row:
    """Plant the mutant in the clone's only commit, repair it, and compare the repair with the original.

    Args:
        revision: the commit without any mutant.
        around: the environment of commands, see `stack`.
        wishes: options of `atra repair`.
        patience_s: how long the command may take.
    """
    git(clone, "checkout", "-q", "--detach", revision)
    mutants.apply(cosmic_ray, clone, mutation)
    change = git(clone, "diff", "--unified=0")
    _forget_history(clone)
    began = time.monotonic()
    answer = stack.repair(clone, around, wishes, patience_s)
    row = Row(
        package,
        mutation.path,
        mutation.line,
        mutation.operator.removeprefix("core/"),
        mutation.occurrence,
        "\n".join(line for line in change.splitlines() if line[:1] in "+-" and line[:3] not in {"+++", "---"}),
        status=_SURVIVED.get(answer["status"], answer["status"]),
        template=answer.get("template"),
        rank=answer.get("rank"),
        tried=answer.get("candidates_tried"),
        seconds=answer.get("seconds"),
        wall_seconds=round(time.monotonic() - began, 1),
        confidence=answer.get("confidence"),
        diff=answer.get("diff") or "",
        error="" if answer["status"] == "fixed" else str(answer.get("error") or answer.get("reason") or ""),
    )
    if row.status != "survived" and answer.get("run_id"):
        file_at, place_at = _suspected(mutation, stack.shown(answer["run_id"], around))
        row = replace(row, file_at=file_at, place_at=place_at)
    if not answer.get("commit"):
        return row
    original, written = (git(clone, "show", f"{one}:{mutation.path}") for one in (revision, answer["commit"]))
    return replace(row, same=likeness(original, written))


def _forget_history(clone: Path) -> None:
    """Commit the folder as the first commit of all: whoever looks for what was written last must find nothing."""
    git(clone, "add", "-u")
    tree = git(clone, "write-tree").strip()
    git(clone, "reset", "-q", "--soft", git(clone, *IDENTITY, "commit-tree", tree, "-m", "Begin").strip())


def likeness(original: str, written: str) -> str:
    """Return how like the original module the repaired one is."""
    if written == original:
        return "text"
    return "tree" if ast.dump(ast.parse(written)) == ast.dump(ast.parse(original)) else "different"


def killed(rows: Sequence[Row]) -> list[Row]:
    """Return the mutants that the tests kill."""
    return [row for row in rows if row.status != "survived"]


def total(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the sums that a claim can be made of; medians are over the mutants that were repaired.

    `reliability` counts as correct what is the original again: another repair that does the same is not told from a
    wrong one.
    """
    counted = killed(rows)
    fixed = [row for row in counted if row.status == "fixed"]
    seconds = [row.seconds for row in fixed if row.seconds is not None]
    ranks = [row.rank for row in fixed if row.rank is not None]
    return {
        "mutants": len(counted),
        "survived_the_tests": len(rows) - len(counted),
        "fixed": len(fixed),
        "same_text": sum(row.same == "text" for row in fixed),
        "same_tree": sum(row.same == "tree" for row in fixed),
        "different": sum(row.same == "different" for row in fixed),
        "not_fixed": sum(row.status == "not_fixed" for row in counted),
        "errors": sum(row.status not in {"fixed", "not_fixed"} for row in counted),
        "file_found_first": sum(row.file_at == 1 for row in counted),
        "line_in_first_ten": sum(row.place_at is not None and row.place_at <= 10 for row in counted),
        "median_seconds": round(median(seconds), 1) if seconds else None,
        "median_rank": median(ranks) if ranks else None,
        "candidates_tried": sum(row.tried or 0 for row in counted),
        "reliability": results.reliability((row.confidence or 0.0, row.same != "different") for row in fixed),
    }


def line(row: Row) -> str:
    """Return the row for who waits."""
    found = f"{row.template} at {row.rank}, {row.tried} tried, {row.same}" if row.template else row.error[:100]
    where = f"{row.package} {row.path}:{row.line}".strip()
    return (
        f"{where} {row.operator} {row.status} {row.wall_seconds} s  file {row.file_at}, place {row.place_at}  {found}"
    )


def resumed(file: Path, facts: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a run of the same facts that was broken off; none where there was none."""
    if not file.is_file():
        return []
    known = json.loads(file.read_text())
    free = {"date", "changed_since_commit"}  # what was written so far is such a change
    same = all(known.get(name) == value for name, value in facts.items() if name not in free)
    return [Row(**row) for row in known["rows"]] if same else []


def git(folder: Path, *arguments: str) -> str:
    """Return what git says in the folder."""
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


IDENTITY = ("-c", "user.name=Benchmark", "-c", "user.email=benchmark@localhost", "-c", "commit.gpgsign=false")
_SURVIVED = {"nothing_to_repair": "survived"}


def _suspected(mutation: mutants.Mutation, shown: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return where the mutated file and line stand in the run's diagnosis."""
    outputs = {step["name"]: step["output"] for step in shown.get("steps", ())}
    places = (outputs.get("diagnose") or {}).get("places", [])
    files = list(dict.fromkeys(place["path"] for place in places))
    at = [number for number, place in enumerate(places, 1) if _covers(place, places, mutation)]
    return files.index(mutation.path) + 1 if mutation.path in files else None, at[0] if at else None


def _covers(place: Mapping[str, Any], places: Sequence[Mapping[str, Any]], mutation: mutants.Mutation) -> bool:
    """Say whether the place, named by its statement's first line, is the last one that begins before the mutant."""
    if place["path"] != mutation.path or place["line"] > mutation.line:
        return False
    begun = [one["line"] for one in places if one["path"] == mutation.path and one["line"] <= mutation.line]
    return bool(place["line"] == max(begun))
