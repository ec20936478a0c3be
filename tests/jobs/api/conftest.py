"""What tests of the API, the socket and the event streams share."""

from collections.abc import AsyncIterator

import pytest

from jobs.api.viewers import Viewers


@pytest.fixture
async def viewers(resources) -> AsyncIterator[Viewers]:
    """What sockets and event streams of the test's event loop share."""
    viewers = Viewers(resources)
    yield viewers
    await viewers.close()


@pytest.fixture
def slow_answer(simulator):
    """Slow the simulator down so that an answer is streamed for about a second."""
    simulator.set(token_interval=0.03, answer_tokens=40)
