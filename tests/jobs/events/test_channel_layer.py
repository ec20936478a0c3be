"""group_send_many delivers each message to its own group's channels, in order."""

import asyncio

import pytest
from channels.layers import get_channel_layer

from tests.support import unique


async def received(layer, channel, count):
    async with asyncio.timeout(5):
        return [(await layer.receive(channel))["text"] for _ in range(count)]


@pytest.mark.parametrize("count", [1, 200])
async def test_every_group_gets_its_own_messages_in_order(count):
    layer = get_channel_layer()
    groups = {unique("group"): await layer.new_channel() for _ in range(2)}
    for group, channel in groups.items():
        await layer.group_add(group, channel)
    await layer.group_send_many(
        (group, {"type": "t", "text": f"{group} {n}"}) for n in range(count) for group in groups
    )
    for group, channel in groups.items():
        assert await received(layer, channel, count) == [f"{group} {n}" for n in range(count)]


async def test_channels_of_group_send_receive_group_send_many_too():
    layer = get_channel_layer()
    group, channel = unique("group"), await layer.new_channel()
    await layer.group_add(group, channel)
    await layer.group_send(group, {"type": "t", "text": "one"})
    await layer.group_send_many([(group, {"type": "t", "text": "two"})])
    assert await received(layer, channel, 2) == ["one", "two"]
