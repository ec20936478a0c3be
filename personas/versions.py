"""What a classification rests on besides the answers, each with a version that cannot be forgotten: a digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from personas import pipeline
from personas.models import Persona
from personas.prompts import PersonaOption


@dataclass(frozen=True)
class Versions:
    """Of the personas as they are described to the model, of the prompt with its threshold, and the model's name."""

    personas: str
    prompt: str
    model: str


def current() -> Versions:
    """The versions that a classification of this moment has."""
    return of(options())


def of(personas: Iterable[PersonaOption]) -> Versions:
    """The versions of a classification into these personas."""
    described = [[option.key, option.name, option.description] for option in personas]
    return Versions(
        personas=_digest(described),
        prompt=_digest(pipeline.VERSIONED),
        model=settings.LLM_FAST_MODEL,
    )


def options() -> list[PersonaOption]:
    """The personas that learners are sorted into. Tone and pace are no part of it: changing them needs no new look."""
    active = Persona.objects.filter(is_active=True).order_by("key")
    return [PersonaOption(key=persona.key, name=persona.name, description=persona.description) for persona in active]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]
