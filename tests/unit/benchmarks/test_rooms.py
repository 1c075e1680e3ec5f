"""The benchmark of rooms: what counts as right, what a liar does, and that our own bugs are what they say."""

import ast
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from atra.core.settings import load_settings
from atra.sandbox.bubblewrap import make_sandbox
from atra.war_room.case import regions_of
from atra.war_room.records import Ballot
from benchmarks import mutants, room_bugs
from benchmarks.cases import Known, build
from benchmarks.room_bugs import Bug
from benchmarks.rooms import Heard, halves, hear, lying, rank_of, rows_of, voted
from tests.unit.war_room.cases import CASE, INIT, ROUNDED, TOTAL

KNOWN = Known("one", "package", "own", ROUNDED, "a change", CASE)
BUGS = room_bugs.read_all()


def ballot(expert: str, *ranking: str) -> Ballot:
    return Ballot(expert, expert, "evidence", ranking)


def test_what_is_not_named_stands_in_the_middle_of_the_rest():
    """A ranking that leaves the truth out is neither right nor wholly wrong."""
    assert rank_of("b", ("a", "b"), 9) == 2
    assert rank_of("z", ("a", "b"), 9) == 6  # places 3 to 9


def test_a_liar_turns_its_ranking_round():
    """All options are named, what it left out first, its own best last; the others say what they said."""
    heard = Heard(KNOWN, (ballot("a", ROUNDED, TOTAL), ballot("b", TOTAL)), True, {})

    said = lying(heard, "a")

    assert said[0].ranking[-2:] == (TOTAL, ROUNDED)
    assert set(said[0].ranking) == {region.id for region in CASE.regions}
    assert said[1] == heard.ballots[1]


def test_a_room_is_judged_by_its_order():
    """The truth's place is that in the room's order; a heavier seat moves it."""
    heard = Heard(KNOWN, (ballot("a", ROUNDED, TOTAL), ballot("b", TOTAL, INIT), ballot("c", TOTAL, ROUNDED)), True, {})

    assert voted(heard, heard.ballots, None) == 2
    assert voted(heard, heard.ballots, {"a": 3.0}) == 1


def test_halves_are_made_by_package():
    """No package is in both halves, and both kinds are in each."""
    known = [replace(KNOWN, package=name, kind=kind) for kind in ("own", "mutant") for name in (f"{kind}1", f"{kind}2")]

    assert halves(known) == {"own2", "mutant2"}


def test_every_row_is_a_share():
    """A table has each expert, both votes and the liars, with shares in [0, 1]."""
    heard = [hear(KNOWN, True)]

    rows = rows_of(heard, heard, {})

    assert [row["who"] for row in rows[6:8]] == ["plain vote", "room, learned weights"]
    assert all(0 <= row[key] <= 1 for row in rows for key in ("top_1", "top_3"))


def test_there_are_bugs_enough():
    """At least fifteen, in several repositories, each in files that Python reads, in the region that it names."""
    assert len(BUGS) >= 15
    assert len({bug.id for bug in BUGS}) == len(BUGS)
    for bug in BUGS:
        assert bug.original != bug.files[bug.truth.partition("::")[0]]
        code = {path: text for path, text in bug.files.items() if path.endswith(".py")}
        assert all(ast.parse(text) for path, text in code.items() if text)
        assert bug.truth in {region.id for region in regions_of(code)}


@pytest.mark.parametrize("bug", BUGS[::12], ids=lambda bug: bug.id)
def test_a_bug_becomes_a_case(bug: Bug, tmp_path: Path):
    """The tests see the bug, what they ran are the options, and the case does not say which it is."""
    bug.write(tmp_path)

    case = build(tmp_path, (), make_sandbox(load_settings().sandbox), bug.history)

    assert case is not None
    assert case.failing
    assert bug.truth in {region.id for region in case.regions}
    assert len({region.path for region in case.regions}) > 1
    assert case.commits[0].age_days == min(commit.age_days for commit in case.commits)
    assert not {path for path in case.sources if path.startswith("tests/")}


def test_a_distribution_is_unpacked_without_its_tests(tmp_path: Path):
    """Mutants are made of the package's own modules."""
    archive = tmp_path / "some-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        for name in ("src/some/__init__.py", "src/some/core.py", "tests/__init__.py", "setup.py"):
            made = tarfile.TarInfo(f"some-1.0/{name}")
            packed.addfile(made, io.BytesIO(b""))

    folders = mutants.unpack(tmp_path, tmp_path / "out")

    assert list(folders) == ["some-1.0"]
    assert set(mutants.code_of(folders["some-1.0"])) == {"src/some/__init__.py", "src/some/core.py"}
