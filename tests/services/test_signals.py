"""The horizon of a search on the real Redis: shared, remembered, and no reason to wait."""

import socket
import time
from collections.abc import Iterator

import pytest

from atra.storage.signals import Signals


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never answers, as a hanging Redis does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"


def test_the_shards_of_a_run_share_the_lowest_rank(redis_url: str):
    """Each reads what any of them posted; another run has a horizon of its own."""
    one, other = Signals(redis_url).horizon("r1"), Signals(redis_url).horizon("r1")
    assert other.lowest() is None

    one.post(30)
    one.post(70)
    other.post(50)

    assert (one.lowest(), other.lowest()) == (30, 30)
    assert Signals(redis_url).horizon("r2").lowest() is None


def test_a_redis_that_hangs_costs_one_short_wait(silent: str):
    """The shard searches on alone after it, and knows what it found itself."""
    horizon = Signals(silent).horizon("r1")
    began = time.monotonic()

    asked = [horizon.lowest() for _ in range(50)]
    horizon.post(9)
    horizon.post(12)

    assert time.monotonic() - began < 4
    assert asked == [None] * 50
    assert horizon.lowest() == 9
