"""From an exception to the spool: never raises, bounded, counted."""

import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import Ignore, Reject, Retry

from atra.core.errors import BadInput
from atra.core.records import from_json
from atra.core.settings import load_settings
from atra.integrations import celery as celery_integration
from atra.integrations import excepthook
from atra.integrations.logging import AtraHandler
from atra.integrations.reporter import MOST_BYTES, Reporter, make_reporter
from atra.integrations.spool import Spool
from atra.self_repair.records import Report

NOBODY = "redis://127.0.0.1:1/0"  # no broker listens there


@pytest.fixture
def reporter(tmp_path: Path) -> Reporter:
    """A reporter whose broker is away."""
    return make_reporter("shop", broker_url=NOBODY, spool=tmp_path / "spool")


def _reports(folder: Path) -> list[Report]:
    return [from_json(Report, json.loads(file.read_bytes())) for file in Spool(folder).waiting()]


def _raise(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as raised:
        return raised


def test_a_report_waits_in_the_spool(reporter: Reporter, tmp_path: Path) -> None:
    """As JSON that ATRA's own record reads."""
    error = _raise(ValueError("no price"))
    reporter.report(error, error.__traceback__, "logging", ship=False)

    [report] = _reports(tmp_path / "spool")
    assert (report.repository, report.error_type, report.message, report.origin) == (
        "shop",
        "ValueError",
        "no price",
        "logging",
    )


def test_the_hosts_own_secrets_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value of the environment whose name says that it is a secret, and the broker's password, pass nowhere."""
    monkeypatch.setenv("SHOP_DB_PASSWORD", "canary-of-the-environment")
    reporter = make_reporter("shop", broker_url="redis://:canary-of-the-broker@127.0.0.1:1/0", spool=tmp_path / "spool")
    error = _raise(ValueError("canary-of-the-environment and canary-of-the-broker"))
    reporter.report(error, error.__traceback__, "logging", ship=False)

    assert "canary-of" not in Spool(tmp_path / "spool").waiting()[0].read_text().replace("_raise", "")


def test_a_report_has_a_size_limit(reporter: Reporter, tmp_path: Path) -> None:
    """Variables go first, then the middle of the text; what is left can be read."""

    def deep(n: int, **filler: str) -> None:
        if n:
            deep(n - 1, **filler)
        raise ValueError("ü" * 5000)

    try:
        deep(50, **{f"name_{i}": "ü" * 190 for i in range(20)})
    except ValueError as error:
        reporter.report(error, error.__traceback__, "celery", ship=False)

    [file] = Spool(tmp_path / "spool").waiting()
    assert file.stat().st_size <= MOST_BYTES
    assert _reports(tmp_path / "spool")[0].frames[-1].function == "deep"


def test_a_storm_is_cut_short_and_counted(reporter: Reporter, tmp_path: Path) -> None:
    """A thousand failures at once cost the host little."""
    error = _raise(ValueError())
    started = time.monotonic()
    for _ in range(1000):
        reporter.report(error, error.__traceback__, "celery", ship=False)

    assert time.monotonic() - started < 5
    assert 30 <= len(_reports(tmp_path / "spool")) <= 45
    assert reporter.given_up == reporter.spool.dropped() == 1000 - len(_reports(tmp_path / "spool"))


def test_an_unusable_spool_is_no_trouble_of_the_hosts(tmp_path: Path) -> None:
    """It is counted, nothing is raised, nothing is sent."""
    (tmp_path / "file").write_text("")
    reporter = make_reporter("shop", broker_url=NOBODY, spool=tmp_path / "file")
    error = _raise(ValueError())
    reporter.report(error, error.__traceback__, "celery")

    assert reporter.given_up == 1


class TestDefaults:
    """Where the broker is, if nobody says."""

    @pytest.fixture(autouse=True)
    def _fresh_settings(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.chdir(tmp_path)
        for name in ("ATRA_BROKER_URL", "ATRA_REDIS_URL", "ATRA_MESSAGE_KEY", "ATRA_CONFIG"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("ATRA_HOME", str(tmp_path / "home"))
        load_settings.cache_clear()
        yield
        load_settings.cache_clear()

    def test_atras_settings_say(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The spool then lies in ATRA's home."""
        monkeypatch.setenv("ATRA_REDIS_URL", NOBODY)

        assert make_reporter("shop").spool.folder.is_relative_to(tmp_path / "home" / "spool")

    def test_without_any_address_the_caller_is_told(self) -> None:
        """At start, where it can be mended; not at the first failure."""
        with pytest.raises(BadInput, match="ATRA_BROKER_URL"):
            make_reporter("shop")

    def test_with_a_key_a_serializer_is_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Unsigned messages would be refused by ATRA's workers, silently for the host."""
        monkeypatch.setenv("ATRA_REDIS_URL", NOBODY)
        monkeypatch.setenv("ATRA_MESSAGE_KEY", "0123456789abcdef0123456789abcdef")

        with pytest.raises(BadInput, match="serializer"):
            make_reporter("shop")


class TestLogging:
    """The handler."""

    def test_errors_with_an_exception_are_reported(self, tmp_path: Path) -> None:
        """Warnings, errors without an exception and ATRA's own records are not."""
        handler = AtraHandler("shop", broker_url=NOBODY, spool=tmp_path / "spool")
        log = logging.Logger("shop.cart")
        log.addHandler(handler)
        own = logging.Logger("atra.integrations")
        own.addHandler(handler)
        try:
            {}["price"]
        except KeyError:
            log.warning("a warning", exc_info=True)
            log.error("nothing caught")
            own.exception("ours")
            log.exception("no price")

        [report] = _reports(tmp_path / "spool")
        assert (report.error_type, report.origin, report.frames[-1].function) == (
            "KeyError",
            "logging",
            "test_errors_with_an_exception_are_reported",
        )


class TestExceptHook:
    """Uncaught exceptions."""

    @pytest.fixture(autouse=True)
    def seen_before(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The hooks that stood there before, which note what they saw."""
        seen: list[str] = []
        monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: seen.append(kind.__name__))
        monkeypatch.setattr(threading, "excepthook", lambda arguments: seen.append(arguments.exc_type.__name__))
        monkeypatch.setattr(excepthook, "FLUSH_S", 0.1)
        return seen

    def test_the_main_thread(self, seen_before: list[str], tmp_path: Path) -> None:
        """The hook before runs too; Ctrl-C is no failure."""
        excepthook.install("shop", broker_url=NOBODY, spool=tmp_path / "spool")
        for error in (ValueError("x"), KeyboardInterrupt()):
            raised = _raise(error)
            sys.excepthook(type(raised), raised, raised.__traceback__)

        assert [report.error_type for report in _reports(tmp_path / "spool")] == ["ValueError"]
        assert seen_before == ["ValueError", "KeyboardInterrupt"]

    def test_other_threads(self, seen_before: list[str], tmp_path: Path) -> None:
        """A thread that dies is reported."""
        excepthook.install("shop", broker_url=NOBODY, spool=tmp_path / "spool")
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()

        assert [report.error_type for report in _reports(tmp_path / "spool")] == ["ZeroDivisionError"]
        assert seen_before == ["ZeroDivisionError"]


class TestCelery:
    """The signal, without a worker; the services tests have real ones."""

    @pytest.fixture
    def app(self, tmp_path: Path) -> Celery:
        """An application with ATRA installed twice by mistake."""
        app = Celery("shop", set_as_current=False)
        for _ in range(2):
            celery_integration.install(app, "shop", broker_url=NOBODY, spool=tmp_path / "spool")
        return app

    def _fail(self, app: Celery, error: BaseException) -> Any:
        @app.task(name=f"shop.{type(error).__name__}", bind=True)
        def fail(self: Any, price: int, password: str = "") -> None:
            raise error

        return fail.apply(args=(3, "hunter2-canary"))

    def test_a_failed_task_is_reported_once(self, app: Celery, tmp_path: Path) -> None:
        """With its name, its arguments by parameter, and no secret."""
        self._fail(app, ValueError("no price"))

        [report] = _reports(tmp_path / "spool")
        assert (report.task, report.error_type, report.origin) == ("shop.ValueError", "ValueError", "celery")
        assert report.arguments == {"price": "3", "password": "[redacted]"}
        assert report.frames[-1].function == "fail"
        assert report.text.startswith("Traceback (most recent call last):")

    @pytest.mark.parametrize("error", [Ignore(), Retry(), Reject()], ids=lambda error: type(error).__name__)
    def test_what_is_no_failure_is_not_reported(self, app: Celery, tmp_path: Path, error: Exception) -> None:
        """Retries and tasks put aside on purpose."""
        self._fail(app, error)

        assert _reports(tmp_path / "spool") == []

    def test_other_applications_are_not_watched(self, app: Celery, tmp_path: Path) -> None:
        """A process may hold several."""
        self._fail(Celery("other", set_as_current=False), ValueError())

        assert _reports(tmp_path / "spool") == []
