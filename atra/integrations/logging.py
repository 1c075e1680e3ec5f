"""Errors that an application logs with their exception reach ATRA through a handler of the standard library's logging.

logging.getLogger().addHandler(AtraHandler(repository="shop"))
"""

import logging
from typing import Any

from atra.integrations.reporter import make_reporter

_LEFT_ALONE = ("atra.", "kombu", "redis", "celery.")


class AtraHandler(logging.Handler):
    """Reports records of level ERROR and above that carry an exception; other records pass by.

    Args:
        repository: the name under which ATRA knows the code.
        options: see `make_reporter`.
    """

    def __init__(self, repository: str, **options: Any) -> None:
        super().__init__(logging.ERROR)
        self.reporter = make_reporter(repository, **options)

    def emit(self, record: logging.LogRecord) -> None:
        """Report the record's exception.

        Records of ATRA itself and of its broker's client are left alone, and those that Celery writes of failed tasks,
        which the signal reports better.
        """
        if not record.exc_info or record.exc_info[1] is None or record.name.startswith(_LEFT_ALONE):
            return
        exception = record.exc_info[1]
        self.reporter.report(exception, record.exc_info[2] or exception.__traceback__, "logging")
