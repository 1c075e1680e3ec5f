"""Runs one stack for a whole benchmark, by the command a user would type, and repairs repositories through it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_STARTS_WITHIN_S = 60.0
_STOPS_WITHIN_S = 30.0
ATRA = (str(Path(sys.executable).with_name("atra")),)


@contextlib.contextmanager
def running_stack(home: Path | None, workers: int) -> Iterator[Mapping[str, str]]:
    """Give the environment in which commands find a stack: the one of this home, or a new one that ends with the block.

    Raises:
        RuntimeError: the stack ended, or was not up within a minute; with what it printed.
    """
    if home is not None:
        yield {**os.environ, "ATRA_HOME": str(home)}
        return
    with TemporaryDirectory(prefix="atra-bench-") as folder:
        # PostgreSQL as root runs under another user, who must be able to pass through.
        Path(folder).chmod(0o711)
        environment = {**os.environ, "ATRA_HOME": f"{folder}/home"}
        log = Path(folder, "up.log")
        with log.open("wb") as out:
            command = [*ATRA, "up", "--workers", str(workers)]
            process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        try:
            _await(process, Path(folder, "home", "stack.json"), log)
            yield environment
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_STOPS_WITHIN_S)


def repair(
    repository: Path, environment: Mapping[str, str], options: Sequence[str], patience_s: float
) -> dict[str, Any]:
    """Return what `atra repair --json` says of the repository; a command that says nothing readable is an error."""
    command = [*ATRA, "repair", str(repository), "--json", *options]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=patience_s, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return {"status": "error", "error": f"no answer within {patience_s:.0f} s"}
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"status": "error", "error": (done.stderr or done.stdout).strip()[-500:]}
    return {"status": "error", **answer}


def shown(run_id: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what `atra show --json` says of a run; nothing where it says nothing readable."""
    command = [*ATRA, "show", run_id, "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        return {}


def _await(process: "subprocess.Popen[bytes]", record: Path, log: Path) -> None:
    until = time.monotonic() + _STARTS_WITHIN_S
    while not record.is_file():
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the stack did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)
