"""The tables behind the pipeline: what it looks at, and where its classification goes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.utils import timezone

from config.sql import first_row
from jobs.models import AiJob
from personas import versions
from personas.models import Persona, Profile
from personas.pipeline import UNKNOWN, Classification
from personas.prompts import Offer, Reply


@dataclass(frozen=True)
class Material:
    """What a classification is made of, as it was at one moment."""

    personas: list[Offer]
    replies: list[Reply]

    @property
    def versions(self) -> versions.Versions:
        return versions.of(self.personas)


def material_of(job: AiJob) -> Material | None:
    """What this job is to look at; None when the learner or staff have changed or deleted the profile since."""
    profile = _meant(job).first()
    if profile is None:
        return None
    replies = [Reply(key=a["key"], question=a["question"], text=a["answer"]) for a in profile.answers]
    return Material(versions.offers(), replies)


def as_result(classified: Classification, material: Material) -> dict[str, Any]:
    """The job's result: on its way to `save`, which keeps of it what others may see."""
    return {**classified.model_dump(), "versions": asdict(material.versions)}


def save(job: AiJob, result: dict[str, Any]) -> None:
    """Write the classification down, unless a person has changed or deleted the profile meanwhile.

    The learner's words go into the profile only: who deletes it has deleted them. Of the job's result, and so of the
    event that tells it, the persona and the confidence remain.
    """
    stamps = result["versions"]
    persona = Persona.objects.filter(key=result["persona"]).first()
    is_written = _meant(job).update(
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
    told = {"personaId": persona.key if persona else UNKNOWN, "confidence": result["confidence"]}
    job.result = told if is_written else {}
    job.save(update_fields=["result"])


# By hand, because every answer of the assistant begins with it (docs/decisions/0020).
_TONE = """
SELECT persona.tone, persona.pace
FROM personas_profile profile JOIN personas_persona persona ON persona.id = profile.persona_id
WHERE profile.user_id = %s AND persona.is_active
"""


def tone_of(user_id: int) -> str:
    """How this learner likes to be talked to, for a prompt; "" when no persona is known."""
    row = first_row(_TONE, [user_id])
    if row is None:
        return ""
    tone, pace = row
    return f"Tone that suits this learner: {_phrase(tone)}. Pace that suits them: {_phrase(pace)}."


def _phrase(text: str) -> str:
    return text.strip().rstrip(".")


def _meant(job: AiJob) -> Any:
    return Profile.objects.filter(pk=job.payload["profileId"], revision=job.payload["revision"])
