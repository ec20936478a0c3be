"""Password hashing that leaves the process able to serve: few hashes at once, and no database connection meanwhile.

A hash takes a third of a second of CPU time on purpose. Django hashes wherever a password is checked or set, also for
names that nobody has, and all of it goes through the `encode` of the hashers below (settings.PASSWORD_HASHERS).
"""

from __future__ import annotations

import threading
from typing import Any

from django.contrib.auth import hashers
from django.db import connections

from config.errors import Problem

HASHES_AT_ONCE = 2  # in a process
WAIT_SECONDS = 2.0
RETRY_SECONDS = 5

_slots = threading.BoundedSemaphore(HASHES_AT_ONCE)


class Busy(Problem):
    """Too many passwords are being checked at this moment: 503."""

    def __init__(self) -> None:
        message = "Too many people are signing in at this moment. Please try again in a few seconds."
        super().__init__(503, "sign_in_busy", message, retry_after=RETRY_SECONDS)


class _Bounded(hashers.BasePasswordHasher):
    def encode(self, *args: Any, **options: Any) -> str:
        """Hash a password. Waits for one of HASHES_AT_ONCE slots, at most WAIT_SECONDS; then raises Busy."""
        for connection in connections.all(initialized_only=True):
            if not connection.in_atomic_block:
                connection.close()  # returns it to the pool; the next query takes one again
        if not _slots.acquire(timeout=WAIT_SECONDS):
            raise Busy()
        try:
            return super().encode(*args, **options)
        finally:
            _slots.release()


class PBKDF2(_Bounded, hashers.PBKDF2PasswordHasher):
    """Django's default."""


class PBKDF2SHA1(_Bounded, hashers.PBKDF2SHA1PasswordHasher):
    """For passwords that another Django site has hashed."""


class Scrypt(_Bounded, hashers.ScryptPasswordHasher):
    """For passwords that another Django site has hashed."""
