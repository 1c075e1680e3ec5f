"""Structured logs: one JSON object a line for machines, one readable line for a terminal, secrets masked in both.

Whoever works for a run binds its id (`structlog.contextvars.bind_contextvars(run_id=…)`), and it is in every line.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from atra.core.redaction import Redactor


def configure(redactor: Redactor, level: str = "INFO", *, as_json: bool | None = None) -> None:
    """Send structlog's and the standard library's records to standard error in one form.

    Args:
        redactor: masks secrets in every event.
        level: least level shown, as `logging` names it.
        as_json: None means JSON unless standard error is a terminal.
    """

    def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        masked: MutableMapping[str, Any] = redactor.value(event)
        return masked

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    plain = not sys.stderr.isatty() if as_json is None else as_json
    last: Any = structlog.processors.JSONRenderer() if plain else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
