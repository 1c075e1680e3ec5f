"""A bounded queue on disk: reports wait here while ATRA is away, whatever becomes of the process that wrote them.

One file per report, made under another name and renamed, so a reader never sees half of one. Many processes may write
at once; the limits may then be passed by one report per process. Nothing is synced to the disk: a report may be lost
when the machine itself stops.
"""

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOST_FILES = 1000
MOST_BYTES = 16 * 1024 * 1024
_ABANDONED_S = 60.0
_SUFFIX = ".json"


class Spool:
    """A folder of reports, private to one user, oldest first."""

    def __init__(self, folder: Path, *, most_files: int = MOST_FILES, most_bytes: int = MOST_BYTES) -> None:
        self.folder = folder
        self._most_files = most_files
        self._most_bytes = most_bytes

    def put(self, data: bytes) -> bool:
        """Keep the data; False if there is no room, and then it is counted as dropped.

        Raises:
            OSError: the folder cannot be used: the disk is full, it is somebody else's, or it may not be written.
        """
        self._make()
        sizes = [size for _, size in self._listed()]
        if len(sizes) >= self._most_files or sum(sizes) + len(data) > self._most_bytes:
            self.count_dropped()
            return False
        name = f"{time.time_ns():020d}-{secrets.token_hex(6)}"
        part = self.folder / f"{name}.part"
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        part.rename(self.folder / f"{name}{_SUFFIX}")
        return True

    def waiting(self) -> list[Path]:
        """Return the files of the reports that wait, oldest first; none if there is no folder."""
        return [self.folder / name for name, _ in sorted(self._listed())]

    def count_dropped(self) -> None:
        """Add one to the number of reports that were given up."""
        self._make()
        with open(os.open(self.folder / "dropped", os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            count = int(file.read() or b"0") + 1
            file.seek(0)
            file.write(str(count).encode())
            file.flush()

    def dropped(self) -> int:
        """Return how many reports were given up since the folder was made."""
        try:
            return int((self.folder / "dropped").read_bytes() or b"0")
        except FileNotFoundError:
            return 0

    @contextmanager
    def draining(self) -> Iterator[bool]:
        """Give whether this process may take reports out now; one process at a time may.

        A record lock is used since it, unlike `flock`, is not shared with children that are forked meanwhile.
        """
        self._make()
        with open(os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            self._sweep()
            yield True

    def _listed(self) -> list[tuple[str, int]]:
        listed = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(_SUFFIX):
                    with contextlib.suppress(FileNotFoundError):
                        listed.append((entry.name, entry.stat(follow_symlinks=False).st_size))
        return listed

    def _sweep(self) -> None:
        """Remove what writers that were killed left behind."""
        for part in self.folder.glob("*.part"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - part.stat().st_mtime > _ABANDONED_S:
                    part.unlink()

    def _make(self) -> None:
        """Make sure that the folder is there and nobody else's: it may stand in a place where others can write."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = self.folder.lstat()
        if self.folder.is_symlink() or facts.st_uid != os.getuid():
            raise PermissionError(f"{self.folder} belongs to somebody else")
        if facts.st_mode & 0o077:
            self.folder.chmod(0o700)
