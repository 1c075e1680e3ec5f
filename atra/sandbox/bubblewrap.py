"""Boxes made with bubblewrap: the door to `bwrap` and to the small system tools used inside.

A box has namespaces of its own for users, processes, network, mounts, IPC, host name and cgroups; no capability and no
way to regain one; a filter of system calls; the policy's environment and nothing else of ATRA's; the system's programs
and libraries read-only; a copy of the tree in memory; limits per process, set inside before the program starts, and for
the box as a whole, watched from outside. It dies with ATRA.

As an ordinary user ATRA starts `bwrap` and is done. As root it first becomes a user id that nothing else on the machine
has, because the kernel never counts the processes of its own root (RLIMIT_NPROC), and because a hole in a namespace
should not end at root. That user cannot walk through a closed folder like /root, so an outer `bwrap`, still root, first
shows it the paths of the policy below open folders.

What this does not guard:
- holes in the kernel itself, and what can be learned from timing, caches and load;
- the machine's speed, up to the limits; memory between two looks (ten times a second at most), and memory that the
  kernel itself holds for the box, in the buffers of pipes and sockets;
- the host's facts in /proc that no namespace covers: processor, memory, load, the kernel's version and command line;
- whatever lies below /usr and in the policy's readable paths: the program reads it;
- secrets that are part of the tree; only `.git` is left out;
- the honesty of what the program prints or writes as its result.
`docs/sandbox.md` has the same at length, and what to do where boxes cannot be made.
"""

import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from atra.core.errors import BoxFailed, SandboxUnavailable
from atra.sandbox.policy import Limits, Policy
from atra.sandbox.process import Conversation, Launch, Pipes, limiting, run_child
from atra.sandbox.protocol import Box, Finished, Sandbox, Stop, never
from atra.sandbox.seccomp import filter_program
from atra.sandbox.unboxed import UnboxedSandbox

BWRAP, SETPRIV, TAR = "/usr/bin/bwrap", "/usr/bin/setpriv", "/usr/bin/tar"
USER_INSIDE = "1000"
# Beyond what useradd, systemd and containers hand out; then, where few ids are mapped, systemd's passing ones.
USERS_OF_BOXES = (range(2_000_000_000, 2_100_000_000), range(61_184, 65_520))

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SETTINGS = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types", "/etc/ssl/certs")
WRITTEN = {
    "/etc/passwd": f"atra:x:{USER_INSIDE}:{USER_INSIDE}::/tmp:/bin/sh\n",
    "/etc/group": f"atra:x:{USER_INSIDE}:\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
TMP, SHARED = "/tmp", "/dev/shm"  # noqa: S108  these are the box's own
OWN = ("/proc", "/dev", TMP)
CLOSED = frozenset(("/", "/boot", "/dev", "/etc", "/home", "/proc", "/root", "/run", "/srv", "/sys", "/var", TMP))
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": TMP, "TMPDIR": TMP, "LANG": "C.UTF-8"}

BEGIN = b"\0the box stands\0\n"
# The first program inside: offers the box to the kernel when memory runs out, unpacks the tree, says so, sets the
# limits and becomes the command. Nothing untrusted has run before it; a tree that does not fit ends it before `BEGIN`.
FIRST = r"""
echo 1000 2>/dev/null >/proc/self/oom_score_adj
/usr/bin/tar --extract --preserve-permissions --file=- --directory="$1" || exit 1
shift
printf '\0the box stands\0\n'
exec "$@" </dev/null
"""


class BubblewrapSandbox:
    """Implements `Sandbox` with bubblewrap; the module's docstring says what a box guards and what it does not."""

    def __init__(self) -> None:
        self._works = False

    def check(self) -> None:
        """Make sure that boxes can be made here, by making one; a good answer is kept.

        Raises:
            SandboxUnavailable: with the reason.
        """
        if not self._works:
            if reason := _unavailable():
                raise SandboxUnavailable(reason)
            self._works = True

    def describe(self) -> dict[str, str]:
        """Say what holds on this machine and what does not, for `atra doctor`."""
        reason = _unavailable()
        return {
            "boxes": f"none: {reason}" if reason else "bubblewrap",
            "system calls": "filtered" if filter_program() else "not filtered: libseccomp is not installed",
            "user": _describe_user(),
        }

    def run(self, command: Sequence[str], policy: Policy, *, stop: Stop = never) -> Finished:
        """Run the command to its end in a box of its own; see `Sandbox.run`.

        An exit code of 128 + n is told as signal n, for bubblewrap does not tell them apart.
        """
        self.check()
        return _run(command, policy, stop)

    def start(self, command: Sequence[str], policy: Policy) -> Box:
        """Start the command in a box and return when the box stands; see `Sandbox.start`."""
        self.check()
        _refuse(policy)
        pipes = Pipes(conversation=True)
        with _launch(command, policy, pipes) as launch:
            return Conversation(launch, pipes, policy.limits)


def make_sandbox(name: str) -> Sandbox:
    """Return the sandbox that the setting `ATRA_SANDBOX` names, `bubblewrap` or `none`."""
    return UnboxedSandbox() if name == "none" else BubblewrapSandbox()


@dataclass
class _Handed:
    """Data that bubblewrap reads from descriptors; closed with the stack."""

    stack: ExitStack
    descriptors: list[int] = field(default_factory=list)

    def data(self, content: bytes) -> str:
        """Return the number of a descriptor from which the content can be read, as an argument."""
        descriptor = os.memfd_create("atra")
        self.stack.callback(os.close, descriptor)
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        self.descriptors.append(descriptor)
        return str(descriptor)


def _run(command: Sequence[str], policy: Policy, stop: Stop) -> Finished:
    _refuse(policy)
    pipes = Pipes(conversation=False)
    with _launch(command, policy, pipes) as launch:
        finished = run_child(launch, pipes, policy.limits, stop)
    signal = finished.exit_code - 128
    return replace(finished, exit_code=-signal) if 0 < signal <= 64 else finished


@contextmanager
def _launch(command: Sequence[str], policy: Policy, pipes: Pipes) -> Iterator[Launch]:
    """Yield how to start the box; by the end of the context the box stands or is over."""
    with ExitStack() as stack:
        stack.callback(pipes.close_inner)
        handed = _Handed(stack)
        user = _box_user()
        arguments = [*_isolation(handed), *_environment(policy, pipes), *_mounts(policy, handed)]
        first = ["/bin/sh", "-c", FIRST, "sh", policy.at, *limiting(policy.limits, processes=True), *command]
        listed = handed.data(b"".join(argument.encode() + b"\0" for argument in arguments))
        yield Launch(
            [*([] if user is None else _view_for(user, policy)), BWRAP, "--args", listed, "--", *first],
            environment={},
            folder="/",
            stdin=stack.enter_context(_packed(policy)),
            descriptors=tuple(handed.descriptors),
            begin=BEGIN,
            volumes=(policy.at, TMP, SHARED),
        )


def _refuse(policy: Policy) -> None:
    """Raise BoxFailed for a policy that would hide the system, or show what no box may see."""
    if not os.path.isdir(policy.tree):
        raise BoxFailed(f"{policy.tree} is not a folder")
    hides = any(_within(path, policy.at) for path in (*SYSTEM, *SETTINGS, *WRITTEN, *OWN))
    if hides or _crooked(policy.at) or any(_within(policy.at, path) for path in (*SYSTEM[1:], "/proc", "/dev")):
        raise BoxFailed(f"no copy can stand at {policy.at}")
    for path in policy.readable:
        if path == policy.at or _crooked(path) or not {path, os.path.realpath(path)}.isdisjoint(_closed()):
            raise BoxFailed(f"{path} is never shown in a box as a whole")
    for path in policy.files.values():
        if _crooked(path):
            raise BoxFailed(f"no file can stand at {path}")


def _closed() -> frozenset[str]:
    return CLOSED | {os.path.realpath(os.path.expanduser("~"))}


def _isolation(handed: _Handed) -> list[str]:
    flags = ["--unshare-user", "--unshare-all", "--disable-userns", "--die-with-parent", "--new-session", "--clearenv"]
    who = ["--uid", USER_INSIDE, "--gid", USER_INSIDE, "--hostname", "box", "--cap-drop", "ALL"]
    program = filter_program()
    return [*flags, *who, *(["--seccomp", handed.data(program)] if program else [])]


def _environment(policy: Policy, pipes: Pipes) -> Iterator[str]:
    for name, value in (ENVIRONMENT | dict(policy.environment) | pipes.environment).items():
        yield from ("--setenv", name, value)


def _mounts(policy: Policy, handed: _Handed) -> list[str]:
    """Return what fills the box, parents before children, so that a path below another covers it."""
    share = policy.limits.disk_bytes // 8  # the tree gets four eighths, /tmp three, shared memory one
    mounts = dict(_system())
    mounts |= {path: ["--ro-bind-try", path, path] for path in SETTINGS}
    mounts |= {
        path: ["--perms", "0444", "--ro-bind-data", handed.data(text.encode()), path] for path, text in WRITTEN.items()
    }
    # The box's first process, bubblewrap's own, has no limits: through its memory the program would run without them.
    first = [*_memory("/proc/1", 0), "--remount-ro", "/proc/1"]
    mounts |= {"/proc": ["--proc", "/proc"], "/proc/1": first, "/dev": ["--dev", "/dev"]}
    mounts |= {TMP: _memory(TMP, 3 * share), SHARED: _memory(SHARED, share)}
    mounts |= {policy.at: _memory(policy.at, 4 * share)}
    mounts |= {path: ["--ro-bind", path, path] for path in policy.readable}
    mounts |= {inside: ["--ro-bind", host, inside] for host, inside in policy.files.items()}
    arguments = [argument for path in _parents_first(mounts) for argument in mounts[path]]
    return [*arguments, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", policy.at]


def _memory(path: str, size_bytes: int) -> list[str]:
    return ["--perms", "0700", "--size", str(max(size_bytes, 4096)), "--tmpfs", path]


def _system() -> Iterator[tuple[str, list[str]]]:
    for path in SYSTEM:
        if os.path.islink(path):
            yield path, ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            yield path, ["--ro-bind", path, path]


def _view_for(user: int, policy: Policy) -> list[str]:
    """Return the command that shows a user who may open next to nothing what bubblewrap is about to mount."""
    mounts = dict(_system())
    mounts |= {path: ["--ro-bind-try", path, path] for path in SETTINGS}
    mounts |= {"/proc": ["--bind", "/proc", "/proc"], "/dev": ["--dev-bind", "/dev", "/dev"]}
    mounts |= {path: ["--ro-bind", path, path] for path in (*policy.readable, *policy.files)}
    folders = {str(folder) for path in mounts for folder in PurePosixPath(path).parents} - {"/"}
    # /tmp is where bubblewrap builds a box; without open folders of our own it copies the modes of the real ones.
    mounts = {path: ["--perms", "0755", "--dir", path] for path in (*folders, TMP)} | mounts
    # In a process namespace of its own, whose end the kernel sees to: the signal that a parent's death sends to its
    # child does not reach one of another user.
    rights = [
        "--unshare-pid",
        "--die-with-parent",
        "--cap-drop",
        "ALL",
        "--cap-add",
        "CAP_SETUID",
        "--cap-add",
        "CAP_SETGID",
    ]
    become = [SETPRIV, f"--reuid={user}", f"--regid={user}", "--clear-groups", "--inh-caps=-all", "--"]
    return [BWRAP, *rights, *(argument for path in _parents_first(mounts) for argument in mounts[path]), "--", *become]


@contextmanager
def _packed(policy: Policy) -> Iterator[int]:
    """Yield a descriptor with the tree's contents as an archive, made while it is read.

    It leaves out every `.git` and what the policy mounts over the copy. What ATRA may not read is missing.
    """
    covered = [path for path in (*policy.readable, *policy.files.values()) if _within(path, policy.at)]
    anchored = [f"--exclude=./{os.path.relpath(path, policy.at)}" for path in covered]
    # Anchored, because tar takes minutes over a few hundred nested folders where a pattern may begin at each of them.
    choice = ["--wildcards", "--anchored", "--exclude=*/.git", "--no-wildcards", *anchored]
    command = [TAR, "--create", "--file=-", f"--directory={policy.tree}", "--ignore-failed-read", *choice, "."]
    packer = subprocess.Popen(
        command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={}
    )
    with packer:
        assert packer.stdout is not None
        try:
            yield packer.stdout.fileno()
        finally:
            packer.kill()


def _box_user() -> int | None:
    """Return a user id for one box that nothing else has, or None when ATRA cannot take on another."""
    if os.geteuid() != 0:
        return None
    for users in USERS_OF_BOXES:
        if _mapped("uid", users) and _mapped("gid", users):
            return users[secrets.randbelow(len(users))]
    return None


def _mapped(kind: str, users: range) -> bool:
    rows = [
        [int(number) for number in line.split()] for line in Path(f"/proc/self/{kind}_map").read_text().splitlines()
    ]
    return any(first <= users[0] and users[-1] < first + count for first, _, count in rows)


def _describe_user() -> str:
    if os.geteuid() != 0:
        return "this ordinary user, in a namespace of its own"
    if _box_user() is None:
        return "root, in a namespace of its own: the number of processes is only watched, not limited"
    return "a fresh user id for each box"


def _unavailable() -> str:
    """Return why no box can be made here; nothing when one could be made just now."""
    if not os.access(BWRAP, os.X_OK):
        return f"{BWRAP} (bubblewrap) is not installed"
    with tempfile.TemporaryDirectory() as empty:
        try:
            finished = _run(["/bin/true"], Policy(empty, "/box", limits=Limits(wall_s=10.0)), never)
        except (BoxFailed, OSError) as error:
            return str(error)
    return "" if finished.exit_code == 0 else f"a box's first program ended with {finished.exit_code}"


def _parents_first(paths: Iterable[str]) -> list[str]:
    return sorted(paths, key=lambda path: PurePosixPath(path).parts)


def _crooked(path: str) -> bool:
    return not os.path.isabs(path) or os.path.normpath(path) != path


def _within(path: str, folder: str) -> bool:
    return PurePosixPath(path).is_relative_to(folder)
