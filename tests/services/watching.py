"""What tests that start processes look at: who runs for a folder, and what comes about in time."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of processes that work in this folder or name it."""
    found = []
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
            if process.pid != os.getpid() and (str(folder) in words or process.cwd().startswith(str(folder))):
                found.append(words)
        except psutil.Error:
            continue
    return found


def eventually(holds: Callable[[], bool], patience_s: float = 30.0) -> None:
    """Wait until it holds; fail where it does not in time."""
    deadline = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
