"""Database access of the jobs: loads what a classification needs, saves its result."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.utils import timezone

from config.sql import first_row
from jobs.models import AiJob
from personas import versions
from personas.models import Persona, Profile
from personas.pipeline import UNKNOWN, Classification, Versions
from personas.prompts import GivenAnswer, PersonaOption


@dataclass(frozen=True)
class Classifiable:
    """The inputs of a classification: a profile's answers and the personas to choose from."""

    personas: list[PersonaOption]
    answers: list[GivenAnswer]

    @property
    def versions(self) -> Versions:
        return versions.of(self.personas)


def classifiable(job: AiJob) -> Classifiable | None:
    """Return what this job classifies; None if the profile was changed or deleted since it was submitted."""
    profile = _profile_of(job).first()
    if profile is None:
        return None
    answers = [GivenAnswer(key=a["key"], question=a["question"], text=a["answer"]) for a in profile.answers]
    return Classifiable(versions.options(), answers)


def as_result(classified: Classification, of: Classifiable) -> dict[str, Any]:
    """Return the job's result for `save`, which reduces it to what staff and events may show."""
    return {**classified.model_dump(), "versions": asdict(of.versions)}


def save(job: AiJob, result: dict[str, Any]) -> dict[str, Any]:
    """Save the classification, unless the profile was changed or deleted since the job was submitted.

    Returns persona and confidence, for the job's row and its final event. The learner's quotes are stored only in the
    profile, so that deleting it deletes them.
    """
    stamps = result["versions"]
    persona = Persona.objects.filter(key=result["persona"]).first()
    is_written = _profile_of(job).update(
        persona=persona,
        confidence=result["confidence"],
        reasons=result["reasons"],
        source=Profile.Source.MODEL,
        personas_version=stamps["personas"],
        prompt_version=stamps["prompt"],
        model=stamps["model"],
        classified_at=timezone.now(),
        updated_at=timezone.now(),
    )
    if not is_written:
        return {}
    return {"personaId": persona.key if persona else UNKNOWN, "confidence": result["confidence"]}


# Hand-written, because every answer of the assistant runs it (docs/decisions/0020).
_TONE = """
SELECT persona.tone, persona.pace
FROM personas_profile profile JOIN personas_persona persona ON persona.id = profile.persona_id
WHERE profile.user_id = %s AND persona.is_active
"""


def tone_of(user_id: int) -> str:
    """Return the tone and pace of this learner's persona, for a prompt; "" without a persona."""
    row = first_row(_TONE, [user_id])
    if row is None:
        return ""
    tone, pace = row
    return f"Tone that suits this learner: {_phrase(tone)}. Pace that suits them: {_phrase(pace)}."


def _phrase(text: str) -> str:
    return text.strip().rstrip(".")


def _profile_of(job: AiJob) -> Any:
    return Profile.objects.filter(pk=job.payload["profileId"], revision=job.payload["revision"])
