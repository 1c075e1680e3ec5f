"""A room's channel on the real Redis: order, caps, life, and a Redis that is away."""

import json
import threading

import pytest

from atra.core.errors import BrokerUnavailable
from atra.storage.channel import LARGEST_POST, MOST_POSTS, Channel
from atra.storage.signals import connect


@pytest.fixture
def channel(redis_url: str) -> Channel:
    return Channel(connect(redis_url), "r1", life_s=60)


def test_posts_come_in_order_and_only_once(channel: Channel):
    """A watcher goes on where it was."""
    assert channel.post("ballot", {"expert": "history", "first": "ü"})
    first = channel.read()
    channel.post("decision", {"option": "a"})

    assert [(post.kind, post.said) for post in first] == [("ballot", {"expert": "history", "first": "ü"})]
    assert [post.kind for post in channel.read(first[-1].id)] == ["decision"]
    assert channel.read(channel.read()[-1].id) == []


def test_a_watcher_wakes_when_something_is_said(channel: Channel, redis_url: str):
    """Waiting ends with the post, not with the time."""
    heard: list[str] = []
    watcher = threading.Thread(
        target=lambda: heard.extend(post.kind for post in Channel(connect(redis_url), "r1").read(wait_s=2))
    )
    watcher.start()
    channel.post("ballot", {})
    watcher.join(10)

    assert heard == ["ballot"]


def test_an_empty_channel_answers_nothing(channel: Channel):
    """Nothing said, nothing read, waiting or not; and there is no stream to go away."""
    assert channel.read() == channel.read(wait_s=0.01) == []
    assert channel.ends_in_s() is None


def test_a_flood_stays_small_and_goes_away(channel: Channel):
    """Neither many posts nor large ones fill Redis, and nothing stays for ever."""
    for number in range(MOST_POSTS + 50):
        channel.post("noise", {"number": number})
    channel.post("large", {"text": "x" * (LARGEST_POST + 1)})
    posts = channel.read()

    assert len(posts) == MOST_POSTS
    assert posts[-1].said == {
        "left_out": f"{len(json.dumps({'text': ''}, separators=(',', ':'))) + LARGEST_POST + 1} characters"
    }
    assert 0 < (channel.ends_in_s() or 0) <= 60


def test_strangers_posts_are_left_out(channel: Channel, redis_url: str):
    """Whoever reaches Redis can write; what is not a post is not read as one."""
    client = connect(redis_url)
    for fields in ({"kind": "x"}, {"said": "{"}, {"said": "[]"}, {"other": "1"}):
        client.xadd(channel.key, fields)  # type: ignore[arg-type]
    channel.post("ballot", {"lone": "\ud800"})

    assert [post.kind for post in channel.read()] == ["ballot"]


def test_without_redis_nobody_hears_and_nothing_breaks():
    """Speaking into a dead channel is no error; following one says what is missing."""
    channel = Channel(connect("redis://127.0.0.1:1/0"), "r1")

    assert channel.post("ballot", {}) is False
    with pytest.raises(BrokerUnavailable):
        channel.read()
