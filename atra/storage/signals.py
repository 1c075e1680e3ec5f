"""Short-lived signs between processes, in Redis: losing one costs time, never truth."""

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from atra.core.errors import BrokerUnavailable
from atra.storage.channel import Channel

_HOUR_S = 3600
_ANSWER_S = 5.0
_CONNECT_S = 3.0
_TRIES = 2  # after the first
_HASTY_S = 2.0


def connect(url: str, *, answer_s: float = _ANSWER_S, tries: int = _TRIES) -> Redis:
    """Return a client that gives up on a silent server within seconds; nothing is sent until it is used.

    Args:
        answer_s: how long one answer may take.
        tries: how often a request is repeated that had none.
    """
    url = url.replace("redis+socket://", "unix://", 1).replace("virtual_host=", "db=")
    return Redis.from_url(
        url,
        socket_timeout=answer_s,
        socket_connect_timeout=min(answer_s, _CONNECT_S),
        health_check_interval=10,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), tries),
        decode_responses=True,
    )


class Horizon:
    """How far the shards of one search need to look: the lowest rank at which any of them found something.

    Every shard of a search posts here and reads here. A Redis that was away once is not asked again: the shard searches
    on alone, by the lowest rank it knows of.
    """

    def __init__(self, client: Redis, run_id: str) -> None:
        self._client = client
        self._key = f"atra:horizon:{run_id}"
        self._known: int | None = None
        self._alone = False

    def post(self, rank: int) -> None:
        """Say that a plausible candidate stands at this rank."""
        self._learn(rank)
        if self._alone:
            return
        try:
            with self._client.pipeline() as both:
                both.zadd(self._key, {"lowest": rank}, lt=True)
                both.expire(self._key, _HOUR_S)
                both.execute()
        except RedisError:
            self._alone = True

    def lowest(self) -> int | None:
        """Return the lowest rank posted so far, if any."""
        if not self._alone:
            try:
                score = self._client.zscore(self._key, "lowest")
            except RedisError:
                self._alone = True
            else:
                self._learn(None if score is None else int(score))
        return self._known

    def _learn(self, rank: int | None) -> None:
        self._known = min((known for known in (self._known, rank) if known is not None), default=None)


class Signals:
    """The signs themselves: beat's life, and one horizon per search."""

    def __init__(self, url: str) -> None:
        self._client = connect(url)
        self._hasty = connect(url, answer_s=_HASTY_S, tries=0)  # for what a search would rather miss than wait for

    def horizon(self, run_id: str) -> Horizon:
        """Return the horizon that the shards of this run share."""
        return Horizon(self._hasty, run_id)

    def channel(self, run_id: str, *, deadline_s: float = 0.0) -> Channel:
        """Return a war-room's channel, which goes away an hour after what is said last, or after the deadline."""
        return Channel(self._client, run_id, life_s=_HOUR_S + deadline_s)

    def beat_seen(self) -> None:
        """Note, by Redis's clock, that a tick of beat reached a worker.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        try:
            self._client.set("atra:beat-seen", self._client.time()[0], ex=24 * _HOUR_S)
        except RedisError as error:
            raise BrokerUnavailable(str(error)) from error

    def beat_age_s(self) -> float | None:
        """Return the seconds since beat's last tick reached a worker, None when none did within a day.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        try:
            seen = self._client.get("atra:beat-seen")
            return None if seen is None else max(0.0, self._client.time()[0] - float(seen))
        except RedisError as error:
            raise BrokerUnavailable(str(error)) from error

    def close(self) -> None:
        """Drop the connections; the next use opens new ones."""
        for client in (self._client, self._hasty):
            client.connection_pool.disconnect()
