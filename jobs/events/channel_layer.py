"""The channel layer: channels-redis's, with two ways more to send to groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from channels_redis.pubsub import RedisPubSubChannelLayer

Message = dict[str, Any]


class PipeliningChannelLayer(RedisPubSubChannelLayer):
    """`RedisPubSubChannelLayer` that sends to many groups in one round trip.

    Its own `group_send` takes a lock and waits for Redis once for each message. A worker with a hundred answers in
    flight pushes hundreds of messages a second: they would queue for seconds behind that lock.
    """

    async def group_send_many(self, messages: Iterable[tuple[str, Message]]) -> None:
        """Send each message to its group, in this order for a group."""
        layer = self._get_layer()
        by_shard = defaultdict(list)
        for group, message in messages:
            channel = layer._get_group_channel_name(group)
            by_shard[layer._get_shard(channel)].append((channel, self.serialize(message)))
        for shard, payloads in by_shard.items():
            shard._ensure_redis()
            async with shard._redis.pipeline(transaction=False) as pipe:
                for payload in payloads:
                    pipe.publish(*payload)
                await pipe.execute()

    def packed(self, group: str, message: Message) -> tuple[str, bytes]:
        """The Redis channel of the group and the message as bytes, for a synchronous PUBLISH to REDIS_URL.

        So the layer must have that one host: groups of more hosts would be spread over them.
        """
        return self.channel_of(group), self.serialize(message)

    def channel_of(self, group: str) -> str:
        """The Redis channel of the group."""
        return f"{self._kwargs['prefix']}__group__{group}"
