"""Answers about a site, out of the facts in the prompt; where none fits, the visitor is handed over."""

import html
import re
from typing import Any

from .answers import REFUSAL, compose_answer
from .conversation import question_and_context, system_text
from .passages import Passage

_FACT = re.compile(r'<fact title="([^"]*)" url="([^"]*)">((?:(?!<fact\b).)*?)</fact>', re.DOTALL)
_CITED = re.compile(r"\s?\[(\d+)\]")
_PERSON = re.compile(r"\b(human|person|somebody|someone|contact|call me|talk to|speak to)\b", re.IGNORECASE)
# What visitors ask for, in the words that facts have for it.
_SYNONYMS = (
    (r"how much|costs?|expensive|fees?", "price"),
    (r"when|begins?|dates?", "starts"),
    (r"places?|spots?|full|sold out|left", "free seats"),
    (r"(?:what|which) courses", "school offers courses"),
    (r"money back", "refund"),
)


def is_about_site(messages: list[dict[str, Any]]) -> bool:
    """Whether the prompt brings the facts of a site."""
    return "<facts>" in system_text(messages)


def site_answer(messages: list[dict[str, Any]]) -> str:
    """A short answer from the facts, with a link to where they stand."""
    question, context = question_and_context(messages)
    facts = [tuple(html.unescape(part) for part in found) for found in _FACT.findall(system_text(messages))]
    passages = [Passage(n, title, "", text.strip()) for n, (title, _, text) in enumerate(facts, start=1)]
    if _PERSON.search(question):
        return "Gladly. A person of the school answers you by e-mail: {{contact}}."
    answer = compose_answer(_in_their_words(question), passages)
    if answer.startswith(REFUSAL) and context:  # a follow-up that leans on what was said before
        answer = compose_answer(_in_their_words(question), passages, _in_their_words(context))
    if answer.startswith(REFUSAL):
        return f'The site does not say anything about "{question}", and I do not want to guess: {{{{contact}}}}.'
    cited = dict.fromkeys(facts[int(n) - 1][:2] for n in _CITED.findall(answer))
    links = ", ".join(f"[{title}]({url})" for title, url in list(cited)[:2])
    return f"{_CITED.sub('', answer)}\n\nMore: {links}"


def _in_their_words(text: str) -> str:
    for asked, said in _SYNONYMS:
        text = re.sub(rf"\b(?:{asked})\b", said, text, flags=re.IGNORECASE)
    return text
