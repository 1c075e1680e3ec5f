"""Throw-away folders: gone afterwards, and gone in the end when their process was killed."""

import subprocess
import sys
import time
from pathlib import Path

from workers.scratch import clear, throw_away

KILLED = """
import os, signal, sys
from pathlib import Path
from workers.scratch import throw_away
with throw_away(Path(sys.argv[1]), "killed-") as at:
    (at / "tree").mkdir()
    (at / "tree" / "file").write_text("left")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_folder_is_gone_afterwards(tmp_path: Path):
    """With all that is in it."""
    with throw_away(tmp_path / "scratch", "run-") as at:
        (at / "file").write_text("x")

    assert list((tmp_path / "scratch").iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_is_used_is_not(tmp_path: Path):
    """The lock tells them apart; a folder made this very minute is left alone."""
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    with throw_away(tmp_path, "used-") as used:
        assert clear(tmp_path) == []
        assert clear(tmp_path, now=time.time() + 120) == [left.name]

        assert list(tmp_path.iterdir()) == [used]


def test_no_scratch_is_nothing_to_clear(tmp_path: Path):
    """The first worker of a home finds none."""
    assert clear(tmp_path / "none") == []
