"""What is to be done about a failure: a pure decision from the report, with its reason in words.

Nothing here is certain. A wrong `repair` costs a search that finds no failing test; a wrong `report` costs a person a
look. The kinds are told by names of exception classes, the most specific first, so that a subclass that an application
defines is judged by what it derives from.
"""

import re
from dataclasses import dataclass
from typing import Literal

from atra.self_repair.records import Report

Path = Literal["repair", "report", "migrate"]

_CODE, _SURROUNDINGS, _DRIFT = "a mistake in the code", "the surroundings refused", "the schema is behind"
_KINDS = {
    _CODE: """
        ArithmeticError AssertionError AttributeError FloatingPointError FrozenInstanceError ImportError
        IndentationError IndexError InvalidOperation KeyError LookupError NameError NotImplementedError OverflowError
        RecursionError StopIteration SyntaxError TabError TypeError UnboundLocalError UnicodeDecodeError
        UnicodeEncodeError UnicodeError ValidationError ValueError ZeroDivisionError
        """,
    _DRIFT: "UndefinedColumn UndefinedColumnError UndefinedObject UndefinedTable UndefinedTableError",
    _SURROUNDINGS: """
        BlockingIOError ChildProcessError FileExistsError FileNotFoundError IOError InterruptedError IsADirectoryError
        ModuleNotFoundError NotADirectoryError OSError PermissionError ProcessLookupError
        """,
    "a connection failed": """
        BrokenPipeError ClientConnectorError ConnectError ConnectTimeout ConnectionAbortedError
        ConnectionDoesNotExistError ConnectionError ConnectionRefusedError ConnectionResetError
        EndpointConnectionError HTTPError IncompleteRead InterfaceError MaxRetryError NewConnectionError ProxyError
        ReadTimeout RemoteDisconnected RemoteProtocolError RequestException SSLError ServerDisconnectedError URLError
        gaierror herror
        """,
    "something took too long": """
        ConnectTimeoutError DeadlineExceeded LockNotAvailable LockTimeout QueryCanceled ReadTimeoutError
        SoftTimeLimitExceeded TimeLimitExceeded Timeout TimeoutError timeout
        """,
    "the machine ran short": "DiskFull MemoryError OutOfMemoryError WorkerLostError",
    "a login or a right is missing": """
        AuthenticationError AuthorizationError ExpiredTokenException Forbidden InvalidPassword NoCredentialsError
        NotAuthorized PermissionDenied Unauthorized
        """,
    "a service would not answer": """
        APIConnectionError APITimeoutError InternalServerError QuotaExceeded RateLimitError ServiceUnavailable
        ThrottlingException TooManyRequests
        """,
    "the data changed under the transaction": "DeadlockDetected SerializationFailure",
    "it was stopped": "CancelledError GeneratorExit KeyboardInterrupt SystemExit Terminated",
}
_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names.split()}
_DRIFT_WORDS = re.compile(
    r"no such (?:column|table)|(?:column|relation|table) \S+(?: of relation \S+)? does not exist|unknown column"
    r"|table '[^']*' doesn't exist",
    re.IGNORECASE,
)
_ENVIRONMENT_WORDS = re.compile(
    r"no space left on device|too many open files|cannot allocate memory|connection (?:refused|reset|timed out)"
    r"|could not connect|name or service not known|too many connections|server closed the connection|rate limit"
    r"|read-only file system|database is locked",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Decision:
    """`repair`: look for a patch; `migrate`: the database's schema is behind the code; `report`: tell a person."""

    path: Path
    reason: str


def triage(report: Report) -> Decision:
    """Decide what is to be done about a report."""
    own = [_short(name) for name in report.lineage or (report.error_type,)]
    causes = [_short(name) for name in report.causes]
    kind = next((_KIND_OF[name] for name in own if name in _KIND_OF), None)
    kinds_behind = [_KIND_OF[name] for name in causes if name in _KIND_OF]
    if _DRIFT in (kind, *kinds_behind) or _DRIFT_WORDS.search(report.message):
        return Decision("migrate", "the database lacks a table or a column that the code uses")
    if _ENVIRONMENT_WORDS.search(report.message):
        return Decision("report", "the message tells of the surroundings, not of the code")
    if report.test and kind in (None, _CODE, _SURROUNDINGS):
        return Decision("repair", f"the test {report.test} fails with {own[0]}")
    if kind not in (None, _CODE):
        return Decision("report", f"{kind} ({own[0]})")
    if behind := next((kind for kind in kinds_behind if kind != _CODE), None):
        return Decision("report", f"{behind} ({own[0]} was raised because of it)")
    if not any(frame.in_app for frame in report.frames):
        return Decision("report", "no frame of the application's own code is in the traceback")
    return Decision("repair", f"{own[0]} came up in the application's own code")


def _short(name: str) -> str:
    return name.rpartition(".")[2]
