"""The door to git: runs one git command so that nothing in the repository can start a program, and names its errors.

A repository is data that somebody else wrote, its `.git/config` included. Git would start programs that the
configuration names: hooks, the file system monitor, clean and smudge filters, external diffs, signature checkers, ssh.
Here hooks and the monitor are off, every configured filter is emptied, only plumbing that runs no diff driver is used,
no protocol is allowed (`push` alone lifts that), and variables that point git at another repository are dropped.
"""

import re
import subprocess
import tempfile
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from git import Git as GitPython
from git.exc import GitCommandError, GitCommandNotFound

from atra.core.errors import AtraError, BadInput, MissingPart, NotARepository, Permanent, Transient

LIMIT_S = 120.0  # no single command ATRA runs takes this long on a repository it can repair

# What a program around us (a hook, say) may have set: `git rev-parse --local-env-vars`, but for GIT_CONFIG_COUNT and
# GIT_CONFIG_PARAMETERS, which may hold the safe.directory of a container.
_DROPPED = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_EXTERNAL_DIFF",
)
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",  # `status` would rewrite the user's index to remember what it saw
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_PAGER": "cat",
    "GIT_AUTHOR_NAME": "ATRA",
    "GIT_AUTHOR_EMAIL": "atra@localhost",
    "GIT_COMMITTER_NAME": "ATRA",
    "GIT_COMMITTER_EMAIL": "atra@localhost",
    "ATRA_NOTHING": "",
}
_OFFLINE = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}  # a partial clone would fetch what it lacks
_ONLINE = {"GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh", "GIT_ASKPASS": "false", "SSH_ASKPASS": "false"}
_OVERRIDES = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.splitIndex=false",
    "core.quotePath=false",
    "core.pager=cat",
    "commit.gpgSign=false",
    "log.showSignature=false",
    "gpg.program=false",
    "i18n.commitEncoding=utf-8",
    "gc.auto=0",
    "maintenance.auto=false",
)

# Who asks for a password tells for whom, and a remote's address may name a token as its user.
_USER_OF_URL = re.compile(r"(?<=://)[^\s/@]+@")

# The first line whose words stand in git's complaint decides; the message itself is the fact.
_ERRORS: tuple[tuple[str, type[AtraError]], ...] = (
    ("dubious ownership", BadInput),
    ("not a git repository", NotARepository),
    ("must be run in a work tree", NotARepository),
    ("No space left on device", Transient),
    (".lock': File exists", Transient),
    ("Timeout: the command", Transient),
    ("Could not resolve host", Transient),
    ("env: 'git'", MissingPart),
)


class Git:
    """Runs git commands in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filters: tuple[str, ...] | None = None

    def run(
        self,
        *arguments: str,
        given: bytes = b"",
        environment: Mapping[str, str] | None = None,
        accept: Sequence[int] = (0,),
        online: bool = False,
        limit_s: float = LIMIT_S,
    ) -> bytes:
        """Return the command's standard output, as it is.

        Args:
            given: the command's standard input.
            accept: exit codes that are answers rather than errors.
            online: lets the command talk to remotes, as the user's own configuration says.

        Raises:
            AtraError: git refused; the class by the table above, `Permanent` for all else, with git's own words.
        """
        with _as_file(given) as stdin, self._translated():
            code, out, complaint = GitPython(str(self.folder)).execute(
                self._command(arguments, environment or {}),
                istream=stdin,
                env=self._environment(environment, online),
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
                kill_after_timeout=limit_s,
            )
            if code not in accept:
                raise GitCommandError(list(arguments), code, complaint)
            assert isinstance(out, bytes)
            return out

    def line(self, *arguments: str, **options: Any) -> str:
        """Return the output of a command that prints one line."""
        return text_of(self.run(*arguments, **options).removesuffix(b"\n"))

    @contextmanager
    def stream(self, *arguments: str, given: bytes) -> Iterator[IO[bytes]]:
        """Give the command's standard output while it runs; its end is awaited."""
        with _as_file(given) as stdin, self._translated():
            process: Any = GitPython(str(self.folder)).execute(
                self._command(arguments, {}), istream=stdin, env=self._environment(None, False), as_process=True
            )
            try:
                yield process.stdout
                process.wait()
            finally:
                process.stdout.close()

    def _command(self, arguments: Sequence[str], kept: Container[str]) -> list[str]:
        if self._filters is None:
            self._filters = ()  # reading the configuration itself needs none
            self._filters = self._configured_filters()
        command = ["env", *(f"--unset={name}" for name in _DROPPED if name not in kept), "git"]
        for override in _OVERRIDES:
            command += ["-c", override]
        return [*command, *self._filters, *arguments]

    def _configured_filters(self) -> tuple[str, ...]:
        """Return options that empty every configured filter.

        `--config-env` splits at the last equals sign, `-c` at the first: a filter may have one in its name.
        """
        listed = self.run("config", "-z", "--name-only", "--get-regexp", r"^filter\..*", accept=(0, 1, 128, 129))
        names = {name.rpartition(".")[0] for name in text_of(listed).split("\0") if name}
        emptied = [
            f"--config-env={name}.{verb}=ATRA_NOTHING" for name in names for verb in ("clean", "smudge", "process")
        ]
        return (*emptied, *(f"--config-env={name}.required=ATRA_NOTHING" for name in names))

    def _environment(self, more: Mapping[str, str] | None, online: bool) -> dict[str, str]:
        return {**_ENVIRONMENT, **(_ONLINE if online else _OFFLINE), **(more or {})}

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (GitCommandNotFound, NotADirectoryError) as error:
            raise MissingPart("git") from error
        except GitCommandError as error:
            complaint = str(error.stderr).strip().removeprefix("stderr: '").removesuffix("'")
            complaint = _USER_OF_URL.sub("", complaint)
            kind = next((kind for words, kind in _ERRORS if words in complaint), Permanent)
            raise kind(str(self.folder) if kind is NotARepository else complaint) from error


def text_of(path: bytes) -> str:
    """Return a path (or any of git's words) as text; bytes that are no UTF-8 survive as surrogates."""
    return path.decode("utf-8", "surrogateescape")


def bytes_of(path: str) -> bytes:
    """Return what `text_of` made text of."""
    return path.encode("utf-8", "surrogateescape")


@contextmanager
def _as_file(given: bytes) -> Iterator[Any]:
    if not given:
        yield subprocess.DEVNULL
        return
    with tempfile.TemporaryFile() as file:
        file.write(given)
        file.seek(0)
        yield file
