"""Composes structured outputs: our own schemas are filled from the prompt's tags, others generically."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from . import grounded, plain
from .excerpts import Source, cut, kind_of
from .prompt import Prompt
from .schema import instance
from .text import stems

# The intents of the copilot, and the words by which tutors express them.
_INTENTS = (
    ("quiz", r"quiz|test questions?|multiple.choice|exam"),
    ("struggles", r"struggl|learners? (?:ask|find|have)|students? (?:ask|find)|unclear"),
    ("reply", r"reply|respond|answer (?:this|the|to) (?:learner|student)|draft"),
)
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight")
_COUNT = re.compile(rf"\b(\d|{'|'.join(_NUMBERS)})\b", re.IGNORECASE)
_KEY = re.compile(r"(?<![`\w])(?:`[^`\n]{2,40}`|\*\*[^*\n]{2,40}\*\*)")
_CLAUSE_END = re.compile(r"[.!?;,\n]+\s*")
SURE = 3  # this many shared words give the highest confidence
MOST_REASONS, LONGEST_QUOTE = 3, 12


def compose(name: str, schema: dict[str, Any] | None, prompt: Prompt) -> str:
    """The object as JSON; without a schema, one with an `answer`. Raises ApiError for an unsupported schema."""
    tag, fill = _OWN.get(name, ("", None))
    if fill and prompt.has(tag):
        return json.dumps(fill(prompt), ensure_ascii=False)
    prose = grounded.compose(prompt) if prompt.has("passage") else ""
    made = {"answer": prose or plain.compose(prompt)} if schema is None else instance(schema, prompt.question, prose)
    return json.dumps(made, ensure_ascii=False)


def _suggestions(prompt: Prompt) -> dict[str, Any]:
    """Questions about topics close to the answer."""
    near, asked = set(stems(prompt.text("answer"))), set(stems(prompt.text("question")))
    names = [line.removeprefix("- ").split(" > ")[-1] for line in prompt.text("topics").splitlines()]
    fresh = [name for name in dict.fromkeys(names) if name and not set(stems(name)) <= asked]
    fresh.sort(key=lambda name: -len(near & set(stems(name))))
    forms = ("Tell me more about “{}”.", "Can you show me an example for “{}”?", "Why does “{}” matter?")
    return {"questions": [form.format(name) for form, name in zip(forms, fresh, strict=False)]}


def _decision(prompt: Prompt) -> dict[str, Any]:
    """The intent of the tutor's words, and the number of the lesson for a quiz."""
    question = prompt.question
    intent = next((one for one, words in _INTENTS if re.search(rf"\b(?:{words})", question, re.IGNORECASE)), "answer")
    titles = [line.partition(". ")[2] for line in prompt.text("lessons").splitlines()]
    shared = [len(set(stems(question)) & set(stems(title))) for title in titles]
    return {"intent": intent, "lesson": shared.index(max(shared)) + 1 if intent == "quiz" and any(shared) else 0}


def _quiz(prompt: Prompt) -> dict[str, Any]:
    """Gap questions: sentences without their key word; each passage gives one before any gives a second."""
    gaps = []
    for passage in grounded.passages_of(prompt):
        # The quote has to be a sentence of suitable length that occurs verbatim in the passage.
        proofs = [unit for unit in cut(passage.text) if 40 <= len(unit) <= 220 and unit in passage.text]
        keyed = [(unit, key[0]) for unit in proofs if kind_of(unit) == "sentence" and (key := _KEY.search(unit))]
        gaps += [(place, passage, unit, key) for place, (unit, key) in enumerate(keyed)]
    gaps.sort(key=lambda gap: gap[0])
    keys = list(dict.fromkeys(key for *_, key in gaps))
    questions = [_gap(passage, sentence, key, keys) for _, passage, sentence, key in gaps]
    said = _COUNT.search(prompt.text("wish"))
    count = 4 if not said else int(said[1]) if said[1].isdigit() else _NUMBERS.index(said[1].lower())
    fresh = [question for question in questions if question["question"] not in prompt.text("before")]
    return {"questions": fresh[:count]}


def _gap(passage: Source, sentence: str, key: str, keys: list[str]) -> dict[str, Any]:
    at = keys.index(key)
    others = [other for other in (keys[at + 1 :] + keys[:at]) if other not in sentence][:3] or ["none of these"]
    right = len(sentence) % (len(others) + 1)
    return {
        "question": f"What belongs in the gap? {sentence.replace(key, '____', 1)}",
        "options": [*others[:right], key, *others[right:]],
        "right": right,
        "explanation": f"The section “{passage.titles[-1]}” says so.",
        "passage": passage.n,
        "quote": sentence,
    }


def _verdict(prompt: Prompt) -> dict[str, Any]:
    """The persona whose description shares most words with the answers; unknown without any or in a tie."""
    said = {one["key"]: one.text for one in prompt.all("answer")}
    words = set(stems("\n".join(said.values())))
    shared = {one["key"]: words & set(stems(f"{one['name']} {one.text}")) for one in prompt.all("persona")}
    best, second, *_ = [*sorted(shared, key=lambda key: -len(shared[key])), "", ""]
    most, next_most = len(shared.get(best, ())), len(shared.get(second, ()))
    if not most or most == next_most:
        return {"persona": "unknown", "confidence": 0.3, "reasons": []}
    confidence = round(min(0.95, 0.45 + 0.3 * min(most, SURE) / SURE + 0.3 * (most - next_most) / most), 2)
    return {"persona": best, "confidence": confidence, "reasons": list(_reasons(said, shared[best]))[:MOST_REASONS]}


def _reasons(said: dict[str, str], shared: set[str]) -> Iterable[dict[str, str]]:
    for key, text in said.items():
        clause = max(_CLAUSE_END.split(text), key=lambda one: len(shared & set(stems(one))))
        if shared & set(stems(clause)):
            quote = " ".join(clause.split()[:LONGEST_QUOTE])
            yield {"question": key, "quote": quote, "meaning": f"You speak of what suits you: {quote}."}


# By schema name, if the prompt has the tag that the object is filled from: a foreign schema may have the same name.
_OWN: dict[str, tuple[str, Callable[[Prompt], dict[str, Any]]]] = {
    "Suggestions": ("topics", _suggestions),
    "Decision": ("lessons", _decision),
    "Quiz": ("passages", _quiz),
    "Verdict": ("personas", _verdict),
}
