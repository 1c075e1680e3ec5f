"""Every error ATRA raises on purpose, as one tree.

    AtraError
    ├── Transient                  worth another try
    │   ├── DatabaseUnavailable
    │   ├── BrokerUnavailable
    │   ├── LeaseLost              another worker holds the step now
    │   ├── ModelUnavailable       a model did not answer, or is overloaded
    │   ├── ForgeUnavailable       a forge did not answer, or has had enough of us
    │   └── BoxFailed              a sandbox did not start or broke off
    └── Permanent                  the same answer every time
        ├── BadInput               what was given cannot be used (exit code 2)
        │   ├── NotARepository, UnknownRevision, UnknownRepository, UnknownRun, AmbiguousRun, UnknownFailure
        │   ├── UnknownEntry
        │   ├── NoMigrations, MigrationsBroken
        │   ├── NoTests, UnknownTest, CommandNotFound, TestsHang, TargetBroken, InterpreterUnusable
        │   └── BadReport
        ├── MissingPart            a part ATRA needs is not here (exit code 3)
        │   ├── SandboxUnavailable, StackUnavailable
        │   └── NoModel, KeyRefused, NoPrice    no model is configured, its key is not taken, its price not known
        ├── ModelRejected          a model will not take this request
        ├── ForgeRefused           a forge will not open this pull request
        ├── RunConflict            the open run of a failure is another one
        ├── BranchMoved            the branch to write holds something else
        ├── RevertConflict         a commit cannot be undone without a person
        └── ProtectedPath          a patch touches what no patch may touch

    BaseException
    └── BudgetSpent                money, tokens or calls are used up; no `except Exception` catches it

An error carries facts, not prose: its arguments are JSON values and its message is its docstring's first line with
the arguments filled in, so it survives pickling, a result backend and a database row.
"""

from typing import ClassVar


class AtraError(Exception):
    """ATRA could not go on: {0}"""

    exit_code: ClassVar[int] = 1
    hint: ClassVar[str] = ""

    def __str__(self) -> str:
        template = (type(self).__doc__ or "").partition("\n")[0]
        return template.format(*self.args, *[""] * 4)


class Transient(AtraError):
    """A part failed for now: {0}"""


class DatabaseUnavailable(Transient):
    """The database did not answer: {0}"""

    exit_code = 3
    hint = "Start one with `atra up`, or set ATRA_DATABASE_URL."


class BrokerUnavailable(Transient):
    """The broker did not answer: {0}"""

    exit_code = 3
    hint = "Start one with `atra up`, or set ATRA_REDIS_URL."


class LeaseLost(Transient):
    """Step {1} of run {0} is held by another worker now."""


class ModelUnavailable(Transient):
    """The model {0} did not answer: {1}"""

    hint = "Is its server running, and its address in atra.toml right?"


class ForgeUnavailable(Transient):
    """The forge {0} did not do it for now: {1}"""


class BoxFailed(Transient):
    """The sandbox broke off: {0}"""


class Permanent(AtraError):
    """This cannot succeed: {0}"""


class BadInput(Permanent):
    """The input cannot be used: {0}"""

    exit_code = 2


class NotARepository(BadInput):
    """{0} is not inside a git repository with at least one commit."""

    hint = "Run `git init`, commit the code, and try again."


class UnknownRevision(BadInput):
    """{0} has no revision {1}."""


class UnknownRepository(BadInput):
    """No repository named {0} is configured."""

    hint = "Name it in atra.toml under [repositories.NAME], with its path."


class UnknownRun(BadInput):
    """There is no run {0}."""

    hint = "`atra runs` lists them."


class AmbiguousRun(BadInput):
    """The beginning {0!r} of a run's id is ambiguous: {1}."""

    hint = "Write more letters of the id; `atra runs` lists them."


class UnknownFailure(BadInput):
    """There is no failure {0}."""

    hint = "`atra failures` lists them."


class UnknownEntry(BadInput):
    """No entry of the cache has the id {0}."""

    hint = "`atra cache search` lists them."


class NoTests(BadInput):
    """No tests were collected in {0}."""

    hint = "Point ATRA at the folder that holds the tests, or give --test-command."


class UnknownTest(BadInput):
    """The tests do not include {0}."""

    hint = "Test ids are those that pytest prints, for instance tests/test_shop.py::test_total."


class CommandNotFound(BadInput):
    """The test command {0} was not found in the sandbox."""


class TestsHang(BadInput):
    """The tests did not end within {0} s: {1}"""

    __test__ = False  # not a test class, whatever pytest makes of its name
    hint = "Give more time with --budget-seconds, or name the tests that matter with --test."


class TargetBroken(BadInput):
    """The tests could not be collected: {0}"""


class InterpreterUnusable(BadInput):
    """{0} cannot run the tests: {1}"""

    hint = "Name an interpreter that has pytest with --python."


class NoMigrations(BadInput):
    """There is no {0} to be found."""

    hint = "Point ATRA at a repository that uses alembic, or name its file with --config."


class MigrationsBroken(BadInput):
    """The migrations do not run: {0}"""

    hint = "`alembic upgrade head` on an empty PostgreSQL shows the same."


class BadReport(BadInput):
    """The report could not be read: {0}"""


class MissingPart(Permanent):
    """ATRA needs a part that is not here: {0}"""

    exit_code = 3


class SandboxUnavailable(MissingPart):
    """Code cannot be run safely here: {0}"""

    hint = "Install bubblewrap (`apt-get install bubblewrap`), or accept the risk explicitly with ATRA_SANDBOX=none."


class StackUnavailable(MissingPart):
    """The embedded services could not be started: {0}"""

    hint = "`atra doctor` says what is missing."


class NoModel(MissingPart):
    """No model is configured, and {0} needs one."""

    hint = "Name one in atra.toml under [models.NAME]; docs/models.md shows how."


class KeyRefused(MissingPart):
    """The model {0} did not take the key: {1}"""

    hint = "Set its api_key in atra.toml, or ATRA_MODELS__NAME__API_KEY."


class NoPrice(MissingPart):
    """Nobody has said what the model {0} ({1}) costs, so no budget can hold it."""

    hint = "Set input_usd and output_usd, US dollars per million tokens, in its [models.NAME] of atra.toml."


class ModelRejected(Permanent):
    """The model {0} does not take this request: {1}"""


class ForgeRefused(Permanent):
    """The forge {0} opens no pull request: {1}"""


class RunConflict(Permanent):
    """Failure {0} is already being worked on by run {1}."""


class BranchMoved(Permanent):
    """Branch {0} already holds {1}, which this run did not write."""


class RevertConflict(Permanent):
    """{0} cannot be undone by itself: later changes touch the same lines of {1}."""

    hint = "Undo it by hand with `git revert`, and settle the conflict there."


class ProtectedPath(Permanent):
    """A patch may not change {0}."""


class BudgetSpent(BaseException):
    """The budget of {0} is spent: {1} of {2} are used or reserved, and {3} more would be needed.

    It is no `Exception`, so that only code that names it goes on after it. The arguments are what the budget is for
    (`this call`, `run r…`, `today`), and amounts with their unit.
    """

    def __str__(self) -> str:
        return (type(self).__doc__ or "").partition("\n")[0].format(*self.args)


def as_facts(error: BaseException) -> dict[str, object]:
    """Return the error as JSON values: its type, its message, its hint and the exit code of a command it ends."""
    known = error if isinstance(error, AtraError) else AtraError(str(error))
    return {
        "type": type(error).__name__,
        "error": str(error) or type(error).__name__,
        "hint": known.hint,
        "exit_code": known.exit_code,
    }
