"""The demo's questionnaire and personas, loaded unless content staff have written their own."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

DEMO = Path(__file__).parent / "personas.toml"


def load() -> None:
    """Publish the demo questionnaire and create the demo personas, each unless others exist."""
    from personas.models import Persona, Questionnaire

    demo = tomllib.loads(DEMO.read_text())
    if not Persona.objects.exists():
        Persona.objects.bulk_create(Persona(**persona) for persona in demo["personas"])
    if not Questionnaire.objects.exists():
        _publish(demo["questionnaire"])


def _publish(demo: dict[str, Any]) -> None:
    from personas import questionnaires
    from personas.models import Questionnaire

    draft = Questionnaire.objects.create(title=demo["title"], intro=demo["intro"])
    for position, question in enumerate(demo["questions"]):
        draft.questions.create(position=position, **question | {"options": "\n".join(question.get("options", []))})
    questionnaires.publish(draft)
