"""Throw-away folders that outlive no worker: each is locked by whoever uses it, and what nobody locks is removed."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_YOUNG_S = 60.0  # a folder may be made and not locked yet


@contextmanager
def throw_away(root: Path, prefix: str) -> Iterator[Path]:
    """Give a new folder below the root that is gone afterwards; the kernel unlocks it if this process is killed."""
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=prefix, ignore_cleanup_errors=True) as at:
        descriptor = os.open(at, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield Path(at)
        finally:
            os.close(descriptor)


def clear(root: Path, *, now: float | None = None) -> list[str]:
    """Remove the folders below the root that killed processes left, and return their names.

    Args:
        now: seconds since the epoch; the present, unless said.
    """
    removed = []
    for folder in sorted(root.glob("*/")):
        with suppress(OSError):
            if (now or time.time()) - folder.stat().st_mtime > _YOUNG_S and _unlocked(folder):
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder.name)
    return removed


def _unlocked(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
