"""How the tutor copilot's prompts are answered: what the tutor wants, quiz questions, replies, what learners ask."""

import html
import re
from typing import Any

from .passages import Passage, Unit
from .text import english_list, stems

_LESSONS = re.compile(r"<lessons>\n(.*?)\n</lessons>", re.DOTALL)
_WISH = re.compile(r"<wish>(.*?)</wish>", re.DOTALL)
_BEFORE = re.compile(r"<before>\n(.*?)\n</before>", re.DOTALL)
_TOTAL = re.compile(r"In the last \d+ days: ([^<\n]*)\.")
_THEME = re.compile(r'<theme lesson="([^"]*)" heading="([^"]*)">([^<]*), (\d+) not answered well</theme>')
_OPEN = re.compile(r'<open trouble="not covered">(.*?)</open>', re.DOTALL)
_INTENTS = (
    ("quiz", re.compile(r"\b(?:quiz|test questions?|multiple.choice|exam)", re.IGNORECASE)),
    (
        "struggles",
        re.compile(r"\b(?:struggl|learners? (?:ask|find|have)|students? (?:ask|find)|unclear)", re.IGNORECASE),
    ),
    ("reply", re.compile(r"\b(?:reply|respond|answer (?:this|the|to) (?:learner|student)|draft)", re.IGNORECASE)),
)
_COUNT = re.compile(r"\b(\d|one|two|three|four|five|six|seven|eight)\b", re.IGNORECASE)
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight")
_KEY = re.compile(r"(?<![`\w])(?:`[^`\n]{2,40}`|\*\*[^*\n]{2,40}\*\*)")
_REQUEST = re.compile(r"^[^:?]*\b(?:reply|respond|answer)\b[^:?]*:\s*", re.IGNORECASE)
DRAFTING = "You draft a reply for a tutor"
QUIZ, DECISION = "Quiz", "Decision"
MOST_THEMES = 4


def structured(schema: dict[str, Any] | None, system: str, question: str, passages: list[Passage]) -> Any:
    """The object that one of the copilot's prompts asks for; None for the prompts of others."""
    name = (schema or {}).get("title")
    if name == DECISION:
        return _decide(system, question)
    return {"questions": _quiz(system, passages)} if name == QUIZ else None


def learners_words(system: str, question: str) -> str:
    """The learner's question without the tutor's words around it, such as "Draft a reply to: ..."."""
    return _REQUEST.sub("", question) if DRAFTING in system else question


def reply(system: str, answer: str) -> str:
    """A grounded answer as the reply that a tutor may send; "" where the prompt asks for none."""
    if DRAFTING not in system:
        return ""
    ending = "Try it on one small example of your own, and tell me what you see."
    opening = "Let me put it differently." if _BEFORE.search(system) else "Good question!"
    return f"{opening}\n\n{answer}\n\n{ending}"


def struggles(system: str) -> str:
    """What the figures about learners say; "" where the prompt asks for no such account."""
    if "what its learners struggle with" not in system:
        return ""
    total, themes = _TOTAL.search(system), _THEME.findall(system)
    if not total or not themes:
        return "Learners have asked too little lately to say what they struggle with."
    lines = [
        f"- **{html.unescape(heading).split(' > ')[-1] or html.unescape(lesson)}** (*{html.unescape(lesson)}*): {count}"
        + (f", {troubled} of them not answered well" if troubled != "0" else "")
        for lesson, heading, count, troubled in themes[:MOST_THEMES]
    ]
    parts = [f"Most questions are about *{html.unescape(themes[0][0])}*: in all, {total[1]}.", "\n".join(lines)]
    if missing := [html.unescape(text) for text in _OPEN.findall(system)][:2]:
        parts.append(f"Asked for, but not in the course: {english_list([f'“{text}”' for text in missing])}.")
    parts.append(f"I would add an example to *{html.unescape(themes[0][0])}* and answer the open questions.")
    return "\n\n".join(parts)


def _decide(system: str, question: str) -> dict[str, Any]:
    intent = next((name for name, pattern in _INTENTS if pattern.search(question)), "answer")
    listed = _LESSONS.search(system)
    titles = [html.unescape(line.partition(". ")[2]) for line in listed[1].split("\n")] if listed else []
    asked = set(stems(question))
    shared = [len(asked & set(stems(title))) for title in titles]
    lesson = shared.index(max(shared)) + 1 if intent == "quiz" and any(shared) else 0
    return {"intent": intent, "lesson": lesson}


def _quiz(system: str, passages: list[Passage]) -> list[dict[str, Any]]:
    """Questions with a gap: a sentence of a passage without its key word, which the other options are taken for."""
    before = html.unescape(found[1]) if (found := _BEFORE.search(system)) else ""
    gaps = [gap for passage in passages for unit in passage.units() if (gap := _gap(passage, unit))]
    keys = list(dict.fromkeys(key for _, _, key in gaps))
    fresh = [gap for gap in gaps if gap[1].replace(gap[2], "____", 1) not in before]
    return [_question(passage, sentence, key, keys) for passage, sentence, key in _spread(fresh)[: _count(system)]]


def _gap(passage: Passage, unit: Unit) -> tuple[Passage, str, str] | None:
    key = _KEY.search(unit.text)
    is_whole = unit.kind == "sentence" and 40 <= len(unit.text) <= 220 and unit.text in passage.text
    return (passage, unit.text, key[0]) if is_whole and key else None


def _spread(gaps: list[tuple[Passage, str, str]]) -> list[tuple[Passage, str, str]]:
    """One of each passage before the second of any."""
    seen: dict[int, int] = {}
    ranked = []
    for gap in gaps:
        seen[gap[0].n] = seen.get(gap[0].n, 0) + 1
        ranked.append((seen[gap[0].n], gap))
    return [gap for _, gap in sorted(ranked, key=lambda pair: pair[0])]


def _question(passage: Passage, sentence: str, key: str, keys: list[str]) -> dict[str, Any]:
    at = keys.index(key)
    others = [other for other in (keys[at + 1 :] + keys[:at]) if other not in sentence][:3] or ["none of these"]
    right = len(sentence) % (len(others) + 1)
    return {
        "question": f"What belongs in the gap? {sentence.replace(key, '____', 1)}",
        "options": [*others[:right], key, *others[right:]],
        "right": right,
        "explanation": f"The section “{passage.heading.split(' > ')[-1] or passage.lesson}” says so.",
        "passage": passage.n,
        "quote": sentence,
    }


def _count(system: str) -> int:
    if "exactly one question" in system:
        return 1
    wish = _WISH.search(system)
    said = _COUNT.search(wish[1]) if wish else None
    if not said:
        return 4
    return int(said[1]) if said[1].isdigit() else _NUMBERS.index(said[1].lower())
