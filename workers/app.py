"""The Celery application: celeryconfig's data, the settings' addresses and keys, and every task module."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from celery import Celery
from celery.exceptions import WorkerLostError
from celery.signals import setup_logging, task_postrun, task_prerun, task_retry, worker_process_init, worker_ready
from kombu.exceptions import OperationalError

from atra.core.errors import BrokerUnavailable
from atra.core.logs import configure as configure_logs
from atra.core.settings import Settings, unread
from atra.wiring import wiring
from workers import broker_guard, signing

TASK_MODULES = (
    "workers.self_repair",
    "workers.migrate_target",
    "workers.author",
    "workers.war_room",
    "workers.reports",
    "workers.watch",
    "workers.delivery",
    "workers.scout",
    "workers.cache",
    "workers.ask",
    "workers.distillation",
    "workers.precache",
    "workers.brain",
    "workers.training",
    "workers.maintenance",
    "workers.own_failures",
)


def make_app(settings: Settings) -> Celery:
    """Return the application for these settings; connecting is left to the first use."""
    broker_guard.install()
    app = Celery("atra", include=TASK_MODULES)
    app.config_from_object("celeryconfig")
    redis_url = _reveal(settings.redis_url)
    app.conf.update(
        broker_url=_reveal(settings.broker_url) or redis_url,
        result_backend=_checking_certificates(redis_url),
        redbeat_redis_url=redis_url,
        beat_schedule={
            name: {**entry, "schedule": settings.sweep_s} if entry["task"].startswith("maintenance.") else entry
            for name, entry in app.conf.beat_schedule.items()
        },
    )
    if not app.conf.broker_url.startswith(("redis", "rediss", "sentinel")):
        app.conf.broker_transport_options = {}
    if settings.message_key:
        name = signing.register(settings.message_key.get_secret_value())
        app.conf.update(
            task_serializer=name,
            result_serializer=name,
            accept_content=[signing.CONTENT_TYPE],
            result_accept_content=[signing.CONTENT_TYPE],
        )
    return app


def _checking_certificates(url: str) -> str:
    """Return the URL as the result backend wants it: with TLS it asks what to do about certificates."""
    if not url.startswith("rediss://") or "ssl_cert_reqs" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required"


def _reveal(secret: Any) -> str:
    return secret.get_secret_value() if secret else ""


app = make_app(wiring().settings)


@contextmanager
def broker(speaker: Celery = app) -> Iterator[Celery]:
    """Give the application to somebody who is about to speak to the broker.

    Args:
        speaker: this process's application unless said.

    Raises:
        BrokerUnavailable: it did not answer, or broke off.
    """
    try:
        yield speaker
    except (OperationalError, *speaker.connection_for_write().connection_errors) as error:
        raise BrokerUnavailable(str(error)) from error


@setup_logging.connect
def _set_up_logging(**_: Any) -> None:
    settings = wiring().settings
    configure_logs(settings.redactor(), settings.log_level)
    for sentence in unread():
        structlog.get_logger(__name__).warning("a setting counts for nothing", why=sentence)


@worker_process_init.connect
def _forget_parents_connections(**_: Any) -> None:
    """A connection inherited over a fork belongs to the parent."""
    wiring().after_fork()


@worker_ready.connect
def _look_for_stuck_runs(sender: Any, **_: Any) -> None:
    """A worker that starts may be the one that was missing; beat might be the one that is missing now."""
    sender.app.send_task("maintenance.sweep", expires=60)


@task_retry.connect
def _look_for_what_it_held(sender: Any, reason: Any, **_: Any) -> None:
    """A process that was killed leaves its step to others, who need not wait for the next sweep."""
    if isinstance(getattr(reason, "exc", None), WorkerLostError):
        with suppress(OperationalError):
            sender.app.send_task("maintenance.sweep", expires=60, retry=False)


@task_prerun.connect
def _bind(task: Any, task_id: str, args: Any, **_: Any) -> None:
    structlog.contextvars.bind_contextvars(task=task.name, task_id=task_id)


@task_postrun.connect
def _unbind(**_: Any) -> None:
    structlog.contextvars.clear_contextvars()
