"""The application that settings make: addresses, timetable, signatures."""

import ssl
from typing import Any

import pytest

import celeryconfig
from atra.core.settings import Settings
from workers import signing
from workers.app import make_app


def settings(**given: object) -> Settings:
    return Settings(_env_file=None, **{"redis_url": "redis://:secret@h:1/0", **given})


def test_results_over_tls_check_certificates():
    """An address with TLS works as it is written, and a word on certificates in it is kept."""
    plain = make_app(settings(redis_url="rediss://:secret@h:1/0")).backend
    lenient = make_app(settings(redis_url="rediss://:secret@h:1/0?ssl_cert_reqs=none")).backend

    assert plain.connparams["ssl_cert_reqs"] == ssl.CERT_REQUIRED
    assert lenient.connparams["ssl_cert_reqs"] == ssl.CERT_NONE


def test_the_timetable_follows_the_settings_and_stays_data():
    """One application's interval is not another's."""
    often, seldom = make_app(settings(sweep_s=1)), make_app(settings(sweep_s=60))

    def ticks(timetable: Any) -> set[float]:
        return {entry["schedule"] for entry in timetable.values() if entry["task"].startswith("maintenance.")}

    assert ticks(often.conf.beat_schedule) == {1}
    assert ticks(seldom.conf.beat_schedule) == {60}
    assert ticks(celeryconfig.beat_schedule) == {10.0}


@pytest.mark.parametrize(
    ("broker_url", "has_options"), [(None, True), ("redis://h:2/0", True), ("amqp://u:p@h//", False)]
)
def test_options_of_redis_are_for_redis(broker_url: str | None, has_options: bool):
    """Another broker does not get a key prefix and a visibility timeout that mean nothing to it."""
    app = make_app(settings(broker_url=broker_url))

    assert app.conf.broker_url == (broker_url or "redis://:secret@h:1/0")
    assert bool(app.conf.broker_transport_options) is has_options


def test_with_a_key_nothing_unsigned_is_taken():
    """Tasks and results are signed, and only signed ones are read."""
    app = make_app(settings(message_key="k" * 16))

    assert (app.conf.task_serializer, app.conf.result_serializer) == (signing.NAME, signing.NAME)
    assert app.conf.accept_content == app.conf.result_accept_content == [signing.CONTENT_TYPE]
