"""What /readyz checks of the engine."""

import time

import pytest
from redis import RedisError

from jobs.monitoring import checks


def test_readiness_waits_once_for_a_hanging_redis(hanging_redis):
    with hanging_redis():
        with pytest.raises(RedisError):
            checks.redis_answers()
        began = time.monotonic()
        for check in (checks.redis_answers, checks.has_workers) * 5:
            with pytest.raises(RedisError):
                check()
        assert time.monotonic() - began < 0.2
