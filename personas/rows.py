"""The tables behind the jobs: what a classification needs, and where it goes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.utils import timezone

from jobs.models import AiJob
from personas import versions
from personas.models import Persona, Profile
from personas.pipeline import UNKNOWN, Classification
from personas.prompts import GivenAnswer, PersonaOption


@dataclass(frozen=True)
class Classifiable:
    """A profile's answers and the personas to choose from, as they were at one moment."""

    personas: list[PersonaOption]
    answers: list[GivenAnswer]

    @property
    def versions(self) -> versions.Versions:
        return versions.of(self.personas)


def classifiable(job: AiJob) -> Classifiable | None:
    """What this job is to classify; None when the learner or staff have changed or deleted the profile since."""
    profile = _meant(job).first()
    if profile is None:
        return None
    answers = [GivenAnswer(key=a["key"], question=a["question"], text=a["answer"]) for a in profile.answers]
    return Classifiable(versions.options(), answers)


def as_result(classified: Classification, of: Classifiable) -> dict[str, Any]:
    """The job's result, for `save`, which keeps of it what others may see."""
    return {**classified.model_dump(), "versions": asdict(of.versions)}


def save(job: AiJob, result: dict[str, Any]) -> dict[str, Any]:
    """Write the classification down, unless a person has changed or deleted the profile meanwhile.

    The learner's words go into the profile only, so that deleting it deletes them. The job's row and its final event
    keep the persona and the confidence.
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
    if not is_written:
        return {}
    return {"personaId": persona.key if persona else UNKNOWN, "confidence": result["confidence"]}


def tone_of(user_id: int) -> str:
    """How this learner likes to be talked to, for a prompt; "" when no persona is known."""
    personas = Profile.objects.filter(user=user_id, persona__is_active=True)
    found = personas.values_list("persona__tone", "persona__pace").first()
    if found is None:
        return ""
    tone, pace = found
    return f"Tone that suits this learner: {_phrase(tone)}. Pace that suits them: {_phrase(pace)}."


def _phrase(text: str) -> str:
    return text.strip().rstrip(".")


def _meant(job: AiJob) -> Any:
    return Profile.objects.filter(pk=job.payload["profileId"], revision=job.payload["revision"])
