"""A learner sorted into the personas of a prompt: by the words that the answers and a description share."""

import html
import json
import re
from typing import Any

from .conversation import system_text, text_of
from .text import stems

_PERSONA = re.compile(r'<persona key="([^"]+)" name="([^"]*)">(.*?)</persona>', re.DOTALL)
_ANSWER = re.compile(r'<answer key="([^"]+)" question="([^"]*)">(.*?)</answer>', re.DOTALL)
_CLAUSE_END = re.compile(r"[.!?;,\n]+\s*")
SURE = 3  # shared words that leave little doubt
UNKNOWN = "unknown"
MOST_REASONS = 3
LONGEST_QUOTE = 12  # words


def sort_learner(messages: list[dict[str, Any]]) -> str | None:
    """The verdict as JSON; None when the prompt is about something else."""
    personas = _PERSONA.findall(system_text(messages))
    answers = [answer for message in messages for answer in _ANSWER.findall(text_of(message))]
    if not personas or not answers:
        return None
    said = {key: html.unescape(text) for key, _, text in answers}
    shared = {key: _shared(f"{name} {description}", said) for key, name, description in personas}
    ranked = sorted(shared, key=lambda key: -len(shared[key]))
    best, second = len(shared[ranked[0]]), len(shared[ranked[1]]) if len(ranked) > 1 else 0
    verdict = {"persona": ranked[0], "confidence": _confidence(best, second)}
    if not best or best == second:
        verdict = {"persona": UNKNOWN, "confidence": 0.3}
    return json.dumps(verdict | {"reasons": _reasons(said, shared[ranked[0]])}, ensure_ascii=False)


def _confidence(best: int, second: int) -> float:
    """Surer with more shared words, and with a longer lead over the next persona."""
    lead = (best - second) / max(best, 1)
    return round(min(0.95, 0.45 + 0.3 * min(best, SURE) / SURE + 0.3 * lead), 2)


def _shared(description: str, said: dict[str, str]) -> set[str]:
    return set(stems(html.unescape(description))) & {word for text in said.values() for word in stems(text)}


def _reasons(said: dict[str, str], shared: set[str]) -> list[dict[str, str]]:
    reasons = []
    for key, text in said.items():
        clause = max(_CLAUSE_END.split(text), key=lambda one: len(shared & set(stems(one))))
        words = sorted(shared & set(stems(clause)))
        if words:
            quote = " ".join(clause.split()[:LONGEST_QUOTE])
            reasons.append({"question": key, "quote": quote, "meaning": f"You speak of what suits you: {quote}."})
    return reasons[:MOST_REASONS]
