"""The platform with the surface of docs/adding-a-surface.md: its own Daphne and worker on the test stack."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from devstack.servers.stack import Stack
from tests import support
from tests.support import Platform

SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.surfaces.settings"}


class ExtendedPlatform(Platform):
    """Every process has the settings that install the surface."""

    def process(self, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
        return support.manage(*arguments, **env, **SETTINGS)


@pytest.fixture
def platform(_database, shared_stack: Stack) -> Iterator[Platform]:
    """In place of the shared one. The surface's table goes before the rows that it refers to."""
    extended = ExtendedPlatform(shared_stack)
    assert extended.process("migrate", "flashcards").wait() == 0
    try:
        with extended:
            yield extended
    finally:
        assert extended.process("migrate", "flashcards", "zero").wait() == 0
