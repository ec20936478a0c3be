"""The tone that a person prefers. Surfaces read it here; apps that know tones register a function."""

from __future__ import annotations

from collections.abc import Callable

_known_by: list[Callable[[int], str]] = []


def register(find: Callable[[int], str]) -> None:
    """Register a function that returns a user's tone as a sentence or two for a prompt, "" for none.

    Call this from AppConfig.ready(). The function may use the database.
    """
    if find not in _known_by:
        _known_by.append(find)


def tone_of(user_id: int) -> str:
    """Return the user's tone for a prompt; "" if none is known. Uses the database."""
    return next((tone for find in _known_by if (tone := find(user_id))), "")
