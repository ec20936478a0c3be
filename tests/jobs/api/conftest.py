"""What tests of the API, the socket and the event streams share."""

import pytest


@pytest.fixture
def slow_answer(simulator):
    """Slow the simulator down so that an answer is streamed for about a second."""
    simulator.set(token_interval=0.03, answer_tokens=40)
