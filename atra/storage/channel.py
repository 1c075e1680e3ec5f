"""The channel of a war-room: a Redis stream that whoever watches can follow live, and that is gone after the room.

PostgreSQL has the ballots; a post that is lost here is missed by a watcher and by nobody else.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from atra.core.errors import BrokerUnavailable

MOST_POSTS = 500
"""How many posts a channel keeps; the oldest go first, so a flood costs its own history and no memory."""

LARGEST_POST = 16 * 1024
"""Bytes of one post as JSON; a larger one is replaced by a note of its size."""

_BLOCK_S = 2.0  # below the client's socket time-out


@dataclass(frozen=True)
class Post:
    """One thing said in a room. `id` orders the posts of a channel and says where a watcher goes on."""

    id: str
    kind: str
    said: Mapping[str, Any]


class Channel:
    """One room's stream, `atra:war-room:<room id>`.

    Args:
        client: text in and out (`decode_responses`).
        life_s: how long after its last post the stream goes away.
    """

    def __init__(self, client: Redis, room_id: str, *, life_s: float = 3600.0) -> None:
        self._client = client
        self._life_ms = round(life_s * 1000)
        self.key = f"atra:war-room:{room_id}"

    def post(self, kind: str, said: Mapping[str, Any]) -> bool:
        """Say something; return whether it was heard. What is said must be redacted by now."""
        text = json.dumps(dict(said), ensure_ascii=False, separators=(",", ":"))
        if len(text.encode(errors="replace")) > LARGEST_POST:
            text = json.dumps({"left_out": f"{len(text)} characters"})
        try:
            with self._client.pipeline() as both:
                both.xadd(
                    self.key,
                    {"kind": kind, "said": text.encode(errors="replace")},
                    maxlen=MOST_POSTS,
                    approximate=False,
                )
                both.pexpire(self.key, self._life_ms)
                both.execute()
        except RedisError:
            return False
        return True

    def read(self, after: str = "0", *, wait_s: float = 0.0) -> list[Post]:
        """Return what was said after a post, oldest first; with `wait_s`, wait up to about 2 s for the first.

        Posts of another form than `post` makes are left out: a room's channel can be written by all who reach Redis.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        block = max(1, round(min(wait_s, _BLOCK_S) * 1000)) if wait_s > 0 else None
        try:
            found: Any = self._client.xread({self.key: after}, block=block)
        except RedisError as error:
            raise BrokerUnavailable(str(error)) from error
        streams = found.values() if isinstance(found, dict) else (rows for _, rows in found or ())
        return [post for rows in streams for post in _posts(rows)]

    def ends_in_s(self) -> float | None:
        """Return after how many seconds the stream goes away; None when there is none.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        try:
            left: Any = self._client.pttl(self.key)
        except RedisError as error:
            raise BrokerUnavailable(str(error)) from error
        return left / 1000 if left >= 0 else None


def _posts(rows: Any) -> Iterator[Post]:
    for id_, fields in _flat(rows):
        try:
            said = json.loads(fields["said"])
        except (KeyError, TypeError, ValueError):
            continue
        if isinstance(said, dict):
            yield Post(id_, str(fields.get("kind", "")), said)


def _flat(rows: Any) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the entries of a stream's reply; the protocol's third version wraps them in a list of their own."""
    for row in rows:
        if row and isinstance(row[0], str):
            yield row[0], row[1]
        else:
            yield from _flat(row)
