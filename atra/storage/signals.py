"""Short-lived signs between processes, in Redis: losing one costs time, never truth."""

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from atra.core.errors import BrokerUnavailable

_HOUR_S = 3600


def connect(url: str) -> Redis:
    """Return a client that gives up on a silent server within seconds; nothing is sent until it is used."""
    url = url.replace("redis+socket://", "unix://", 1).replace("virtual_host=", "db=")
    return Redis.from_url(
        url,
        socket_timeout=5,
        socket_connect_timeout=3,
        health_check_interval=10,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
        decode_responses=True,
    )


class Horizon:
    """How far the shards of one search need to look: the lowest rank at which any of them found something.

    Every shard of a search posts here and reads here. A Redis that is away means that the shards search on alone.
    """

    def __init__(self, client: Redis, run_id: str) -> None:
        self._client = client
        self._key = f"atra:horizon:{run_id}"

    def post(self, rank: int) -> None:
        """Say that a plausible candidate stands at this rank."""
        try:
            with self._client.pipeline() as both:
                both.zadd(self._key, {"lowest": rank}, lt=True)
                both.expire(self._key, _HOUR_S)
                both.execute()
        except RedisError:
            return

    def lowest(self) -> int | None:
        """Return the lowest rank posted so far, if any."""
        try:
            score = self._client.zscore(self._key, "lowest")
        except RedisError:
            return None
        return None if score is None else int(score)


class Signals:
    """The signs themselves: beat's life, and one horizon per search."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def horizon(self, run_id: str) -> Horizon:
        """Return the horizon that the shards of this run share."""
        return Horizon(self._client, run_id)

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
        self._client.connection_pool.disconnect()
