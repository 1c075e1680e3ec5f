"""Keeps a worker alive when Redis goes away while it holds a late-acknowledged message.

In kombu 5.7.0, closing a channel after the connection is lost asks the dead connection for its parameters: its client
is already None, an AttributeError leaves the consumer's reconnect loop, and the worker's main process exits. Raising
the error that the loop expects instead lets it reconnect. `tests/faults/test_broker_outage.py` fails once kombu no
longer needs this or once it no longer helps.
"""

from typing import Any

from kombu.transport.redis import Channel
from redis.exceptions import ConnectionError as RedisConnectionError


def install() -> None:
    """Guard kombu's Redis channel; installing twice is harmless."""
    original: Any = Channel._connparams
    if hasattr(original, "unguarded"):
        return

    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("the connection to the broker is closed")
        return original(self, *args, **kwargs)

    guarded.unguarded = original  # type: ignore[attr-defined]
    Channel._connparams = guarded  # type: ignore[method-assign]
