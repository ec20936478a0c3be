"""How a person likes to be talked to. Surfaces ask here; whoever knows registers how to find out."""

from __future__ import annotations

from collections.abc import Callable

_known_by: list[Callable[[int], str]] = []


def register(find: Callable[[int], str]) -> None:
    """Make a source of tones known: a user's id to a sentence or two for a prompt, "" if it has none for them.

    Called from AppConfig.ready(). It may use the database.
    """
    if find not in _known_by:
        _known_by.append(find)


def tone_of(user_id: int) -> str:
    """How to talk to this user, for a prompt; "" when nothing is known. Uses the database."""
    return next((tone for find in _known_by if (tone := find(user_id))), "")
