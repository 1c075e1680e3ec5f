"""Exceptions that nobody caught, in the main thread and in others, reach ATRA before the hooks that stood there run."""

import sys
import threading
from types import TracebackType
from typing import Any

from atra.integrations.reporter import Reporter, make_reporter

FLUSH_S = 2.0  # the process ends after this; what is not sent by then waits for the next one


def install(repository: str, **options: Any) -> Reporter:
    """Report uncaught exceptions, then go on as before; see `make_reporter` for the options.

    A program that ends on Ctrl-C or on purpose (`SystemExit`) did not fail.
    """
    reporter = make_reporter(repository, **options)
    before, before_in_threads = sys.excepthook, threading.excepthook

    def uncaught(kind: type[BaseException], exception: BaseException, trace: TracebackType | None) -> None:
        try:
            before(kind, exception, trace)
        finally:
            if isinstance(exception, Exception):
                reporter.report(exception, trace, "excepthook")
                reporter.shipper.flush(FLUSH_S)

    def uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
        try:
            before_in_threads(arguments)
        finally:
            if isinstance(arguments.exc_value, Exception):
                reporter.report(arguments.exc_value, arguments.exc_traceback, "excepthook")

    sys.excepthook, threading.excepthook = uncaught, uncaught_in_thread
    return reporter
