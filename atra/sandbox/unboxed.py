"""Runs code without a box, where a person accepted that in so many words: `ATRA_SANDBOX=none`.

It protects nothing: the code reads, writes, sends and starts whatever ATRA's own user may. It only works on a copy, has
limits on what one process uses, a wall clock, and takes its process group and descendants down at the end.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from atra.core.errors import BoxFailed
from atra.sandbox.policy import Policy
from atra.sandbox.process import Conversation, Launch, Pipes, limiting, run_child
from atra.sandbox.protocol import Box, Finished, Stop, never

DEFAULTS = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


class UnboxedSandbox:
    """Implements `Sandbox` by plain processes in a temporary copy of the tree. It protects nothing.

    The copy stands at a temporary path, not at `policy.at`: paths below `at` in the command and in the environment are
    rewritten, those that the program computes itself are not. Files of `policy.files` are used where they are. What
    left its session and lost its parent survives.
    """

    def check(self) -> None:
        """Return: plain processes can be started anywhere."""

    def describe(self) -> dict[str, str]:
        """Say what holds, for `atra doctor`."""
        return {"boxes": "none: code runs with all the rights of this user"}

    def run(self, command: Sequence[str], policy: Policy, *, stop: Stop = never) -> Finished:
        """Run the command to its end in a copy of the tree; see `Sandbox.run`."""
        copy = _copy(policy)
        try:
            pipes = Pipes(conversation=False)
            return run_child(_launch(command, policy, copy, pipes), pipes, policy.limits, stop)
        finally:
            shutil.rmtree(copy, ignore_errors=True)

    def start(self, command: Sequence[str], policy: Policy) -> Box:
        """Start the command in a copy of the tree; see `Sandbox.start`."""
        copy = _copy(policy)
        pipes = Pipes(conversation=True)
        launch = _launch(command, policy, copy, pipes)
        return Conversation(launch, pipes, policy.limits, at_close=lambda: shutil.rmtree(copy, ignore_errors=True))


def _copy(policy: Policy) -> str:
    folder = os.path.realpath(tempfile.mkdtemp(prefix="atra-unboxed-"))
    covered = {path for path in policy.readable if _below(path, policy.at)}

    def leave_out(parent: str, names: list[str]) -> set[str]:
        inside = os.path.normpath(os.path.join(policy.at, os.path.relpath(parent, policy.tree)))
        return {name for name in names if name == ".git" or os.path.join(inside, name) in covered}

    try:
        shutil.copytree(policy.tree, f"{folder}/tree", symlinks=True, ignore=leave_out)
        for path in covered:
            link = Path(f"{folder}/tree", os.path.relpath(path, policy.at))
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
        Path(folder, "scratch").mkdir()
    except (OSError, shutil.Error) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise BoxFailed(f"the tree could not be copied: {error}") from error
    return folder


def _launch(command: Sequence[str], policy: Policy, copy: str, pipes: Pipes) -> Launch:
    own = {"HOME": f"{copy}/scratch", "TMPDIR": f"{copy}/scratch"}
    given = {name: _rewrite(value, policy, copy) for name, value in policy.environment.items()}
    environment: Mapping[str, str] = DEFAULTS | own | given | pipes.environment
    rewritten = [_rewrite(argument, policy, copy) for argument in command]
    return Launch([*limiting(policy.limits, processes=False), *rewritten], environment, f"{copy}/tree")


def _rewrite(text: str, policy: Policy, copy: str) -> str:
    """Return the text, one path or several joined by colons, with each path as it is outside a box."""
    return ":".join(_outside(part, policy, copy) for part in text.split(":"))


def _outside(path: str, policy: Policy, copy: str) -> str:
    hosts = {inside: host for host, inside in policy.files.items()}
    if path in hosts:
        return hosts[path]
    if _below(path, policy.at) and not any(_below(path, readable) for readable in policy.readable):
        return f"{copy}/tree{path[len(policy.at) :]}"
    return path


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
