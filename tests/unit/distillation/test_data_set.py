"""A data set is what its id says: the same rows under the same rules, whole or not there at all."""

import json
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from atra.distillation.curation import Bounds
from atra.distillation.data_set import HASHES, MANIFEST, ROWS, Built, build, is_whole
from atra.distillation.policy import Rule, policy_of
from atra.distillation.traces import Trace
from tests.unit.distillation.given import curation, trace

ROOT = Path(__file__).parents[3]
TRACES = [*(trace(number) for number in range(20)), trace(0)]


@pytest.fixture
def built(tmp_path: Path) -> Built:
    return build(curation(), TRACES, tmp_path / "sets")


def test_a_data_set_says_what_it_holds(built: Built):
    """Every row has its hash, every drop its reason, every file its digest; a manifest's hash is the id."""
    manifest = json.loads((built.path / MANIFEST).read_bytes())
    lines = (built.path / ROWS).read_text().splitlines()
    hashes = [line.split() for line in (built.path / HASHES).read_text().splitlines()]

    assert (manifest["traces"], manifest["rows"], manifest["dropped"]) == (21, 20, {"duplicate": 1})
    assert [[sha256(line.encode()).hexdigest(), json.loads(line)["trace"]] for line in lines] == hashes
    assert list(built.trace_ids()) == [one.id for one in TRACES[:20]]
    assert sha256((built.path / MANIFEST).read_bytes()).hexdigest() == built.id == built.path.name
    assert is_whole(built.path)
    assert sum(manifest["lengths"].values()) == 20


def test_a_row_keeps_the_working_apart(built: Built):
    """In the field where templates look for it."""
    row = json.loads((built.path / ROWS).read_text().splitlines()[0])

    assert row["prompt"] == [{"role": "user", "content": TRACES[0].prompt}]
    assert row["completion"] == [
        {"role": "assistant", "reasoning_content": TRACES[0].reasoning, "content": TRACES[0].answer}
    ]


def test_the_same_traces_make_the_same_data_set(built: Built, tmp_path: Path):
    """Here it is found, elsewhere it is made again, byte for byte; other rules make another."""
    again = build(curation(), TRACES, tmp_path / "sets")
    elsewhere = build(curation(), TRACES, tmp_path / "others")
    stricter = build(curation(bounds=Bounds(longest_tokens=128)), TRACES, tmp_path / "sets")
    denied = policy_of((Rule("openai", "*", "*", False, "a rule about others"),))
    otherwise = build(curation(policy=denied), TRACES, tmp_path / "sets")

    assert (again.id, again.new, elsewhere.id, elsewhere.new) == (built.id, False, built.id, True)
    assert len({built.id, stricter.id, otherwise.id}) == 3
    assert sorted(path.name for path in (tmp_path / "sets").iterdir()) == sorted({built.id, stricter.id, otherwise.id})


def test_a_building_that_breaks_off_leaves_nothing(tmp_path: Path):
    """Neither a folder with a name nor a draft."""

    def broken() -> Iterator[Trace]:
        yield trace(1)
        raise OSError("the database went away")

    with pytest.raises(OSError, match="went away"):
        build(curation(), broken(), tmp_path)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import sys
from pathlib import Path
from atra.distillation.data_set import build
from tests.unit.distillation.given import curation, trace

def traces():
    yield trace(1)
    print("begun", flush=True)
    sys.stdin.read()

build(curation(), traces(), Path(sys.argv[1]))
"""


def test_what_a_killed_building_left_is_removed_by_the_next(tmp_path: Path):
    """And what one that lives is working on is not."""
    command = (sys.executable, "-c", KILLED, str(tmp_path))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"begun\n"
        first = build(curation(), TRACES, tmp_path)
        (draft,) = set(tmp_path.iterdir()) - {first.path}
        other.kill()

    build(curation(), TRACES, tmp_path)

    assert draft.name.startswith(".draft-")
    assert list(tmp_path.iterdir()) == [first.path]


@pytest.mark.parametrize("name", [ROWS, HASHES, MANIFEST])
def test_a_data_set_that_lost_something_is_made_again(built: Built, name: str):
    """What was changed on the disk is noticed, and put aside."""
    file = built.path / name
    file.write_bytes(file.read_bytes()[:-3])
    assert not is_whole(built.path)

    again = build(curation(), TRACES, built.path.parent)

    assert (again.id, again.new) == (built.id, True)
    assert is_whole(again.path)


def test_rows_that_are_too_long_and_too_many_are_left_out(tmp_path: Path):
    """The first stay, and the manifest counts the others."""
    long = [trace(number, reasoning=f"{trace(number).reasoning} " * 6) for number in range(30, 36)]
    made = build(curation(bounds=Bounds(long_tokens=200, long_share=0.25)), [*TRACES[:6], *long], tmp_path)

    assert (made.summary["rows"], made.summary["dropped"]) == (8, {"too_many_long": 4})
    assert list(made.trace_ids()) == [one.id for one in [*TRACES[:6], *long[:2]]]


def test_what_no_file_can_hold_costs_no_data_set(tmp_path: Path):
    """A lone half of a character becomes a mark; a line's separator of Unicode ends no line."""
    odd = trace(1, answer="It is \ud800 and \u2028 the other half of the story, which is told.")
    made = build(curation(), [odd, trace(2)], tmp_path)

    assert made.summary["rows"] == 2
    assert is_whole(made.path)
