"""The queue on disk: bounded, private, safe with many processes."""

import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from atra.integrations.spool import Spool


def _fill(folder: Path, number: int) -> int:
    return sum(Spool(folder, most_files=60).put(b"x" * 50) for _ in range(number))


def test_what_was_put_waits_oldest_first(tmp_path: Path) -> None:
    """In a folder that only its owner can read."""
    spool = Spool(tmp_path / "a/spool")
    for data in (b"one", b"two", b"three"):
        assert spool.put(data)

    assert [file.read_bytes() for file in spool.waiting()] == [b"one", b"two", b"three"]
    assert (tmp_path / "a/spool").stat().st_mode & 0o777 == 0o700
    assert spool.waiting()[0].stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("limits", [{"most_files": 3}, {"most_bytes": 30}], ids=["files", "bytes"])
def test_what_has_no_room_is_counted(tmp_path: Path, limits: dict[str, int]) -> None:
    """Neither the number nor the size grows past its limit."""
    spool = Spool(tmp_path / "spool", **limits)

    assert [spool.put(b"x" * 10) for _ in range(5)] == [True, True, True, False, False]
    assert (len(spool.waiting()), spool.dropped()) == (3, 2)


def test_many_processes_write_at_once(tmp_path: Path) -> None:
    """No report is torn or lost uncounted, and the limit is passed by one per process at most."""
    with ProcessPoolExecutor(4) as pool:
        kept = sum(pool.map(_fill, [tmp_path / "spool"] * 4, [25] * 4))
    spool = Spool(tmp_path / "spool")

    assert kept == len(spool.waiting())
    assert kept + spool.dropped() == 100
    assert 60 <= kept <= 63
    assert {len(file.read_bytes()) for file in spool.waiting()} == {50}


def test_one_process_drains_at_a_time(tmp_path: Path) -> None:
    """Another is told so, and a child that was forked meanwhile keeps nothing locked."""
    spool = Spool(tmp_path / "spool")
    with spool.draining() as mine:
        child = os.fork()
        if child == 0:
            with spool.draining() as its:
                os._exit(7 if its else 3)
        assert mine
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    child = os.fork()
    if child == 0:
        with spool.draining() as its:
            os._exit(7 if its else 3)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_what_a_killed_writer_left_is_removed_in_time(tmp_path: Path) -> None:
    """A file that is still being written stays."""
    spool = Spool(tmp_path / "spool")
    spool.put(b"x")
    for name, age in (("old.part", 1), ("new.part", None)):
        (tmp_path / "spool" / name).write_bytes(b"half")
        if age:
            os.utime(tmp_path / "spool" / name, (age, age))

    with spool.draining():
        assert [file.name for file in (tmp_path / "spool").glob("*.part")] == ["new.part"]


def test_somebody_elses_folder_is_not_used(tmp_path: Path) -> None:
    """A link put in its place leads nowhere."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "spool").symlink_to(tmp_path / "theirs")

    with pytest.raises(PermissionError):
        Spool(tmp_path / "spool").put(b"x")

    assert list((tmp_path / "theirs").iterdir()) == []


def test_an_absent_folder_is_an_empty_one(tmp_path: Path) -> None:
    """Looking makes nothing."""
    spool = Spool(tmp_path / "spool")

    assert (spool.waiting(), spool.dropped()) == ([], 0)
    assert not (tmp_path / "spool").exists()
