"""Versions of a classification's inputs other than the answers: digests, so a change always changes the version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from django.conf import settings

from personas import pipeline
from personas.models import Persona, Profile
from personas.pipeline import Versions
from personas.prompts import PersonaOption

MODEL_LENGTH = Profile._meta.get_field("model").max_length


def current() -> Versions:
    """Return the versions of a classification made now."""
    return of(options())


def of(personas: Iterable[PersonaOption]) -> Versions:
    """Return the versions of a classification into these personas."""
    described = [[option.key, option.name, option.description] for option in personas]
    return Versions(
        personas=_digest(described),
        prompt=_digest(pipeline.VERSIONED),
        model=settings.LLM_FAST_MODEL[:MODEL_LENGTH],
    )


def options() -> list[PersonaOption]:
    """Return the active personas without tone and pace, so changing those does not make profiles stale."""
    active = Persona.objects.filter(is_active=True).order_by("key")
    return [PersonaOption(key=persona.key, name=persona.name, description=persona.description) for persona in active]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]
