"""A Celery application tells ATRA of tasks that fail: two lines in the application.

    from atra.integrations.celery import install
    install(app, repository="shop")

The report is written to a folder in the process where the task failed, and sent from there by a thread. A pool process
that ends right afterwards leaves it in the folder, and the next one to start sends it. The main process of a prefork
pool only writes: a thread there could hold a lock at the moment of a fork.
"""

import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from celery import Celery, signals
from celery.exceptions import Ignore, Reject, Retry

from atra.integrations.reporter import Reporter, make_reporter


def install(
    app: Celery,
    repository: str,
    *,
    broker_url: str | None = None,
    spool: str | Path | None = None,
    serializer: str | None = None,
    urgent: bool = False,
    root: str | Path | None = None,
    revision: str | None = None,
) -> Reporter:
    """Report every task of the application that fails; see `make_reporter` for the arguments.

    Retries, and tasks that were ignored or rejected on purpose, are no failures. Installing twice for one application
    reports once.
    """
    reporter = make_reporter(
        repository,
        broker_url=broker_url,
        spool=spool,
        serializer=serializer,
        urgent=urgent,
        root=root,
        revision=revision,
    )
    watch = _Watch(app, reporter)
    key = f"atra.integrations.celery:{id(app)}"
    signals.task_failure.connect(watch.failed, weak=False, dispatch_uid=key)
    signals.worker_init.connect(watch.main_process_started, weak=False, dispatch_uid=key)
    signals.worker_process_init.connect(watch.pool_process_started, weak=False, dispatch_uid=key)
    return reporter


class _Watch:
    """The receivers of the signals, and which process must not start a thread."""

    def __init__(self, app: Celery, reporter: Reporter) -> None:
        self._app = app
        self._reporter = reporter
        self._forking_pid = 0

    def failed(
        self,
        sender: Any = None,
        exception: Any = None,
        args: Any = (),
        kwargs: Any = None,
        traceback: Any = None,
        einfo: Any = None,
        **_: Any,
    ) -> None:
        """Report a failed task of this application."""
        if getattr(sender, "app", self._app) is not self._app or isinstance(exception, Ignore | Reject | Retry):
            return
        if not isinstance(exception, BaseException):
            return
        self._reporter.report(
            exception,
            traceback if isinstance(traceback, TracebackType) else None,
            "celery",
            text=_printed(einfo),
            task=str(getattr(sender, "name", "")),
            arguments=_by_parameter(sender, args, kwargs),
            ship=self._forking_pid != os.getpid(),
        )

    def main_process_started(self, sender: Any = None, **_: Any) -> None:
        """Remember the process that forks the others."""
        forks = "prefork" in str(getattr(sender, "pool_cls", ""))  # a class or, this early, perhaps still its name
        self._forking_pid = os.getpid() if forks else 0

    def pool_process_started(self, **_: Any) -> None:
        """Send what a process before this one had no time to send."""
        try:
            if self._reporter.spool.waiting():
                self._reporter.shipper.wake()
        except OSError:
            return


def _printed(einfo: Any) -> str:
    text = getattr(einfo, "traceback", "")
    return text if type(text) is str else ""


def _by_parameter(task: Any, args: Any, kwargs: Any) -> dict[str, object]:
    """Return the arguments by the names of the parameters, so that a secret's name hides it, wherever it was passed."""
    given = tuple(args) if isinstance(args, Sequence) else ()
    named = dict(kwargs) if isinstance(kwargs, Mapping) else {}
    try:
        return dict(inspect.signature(task.run).bind_partial(*given, **named).arguments)
    except (TypeError, ValueError, AttributeError):
        return {**{f"args[{number}]": value for number, value in enumerate(given)}, **named}
