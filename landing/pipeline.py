"""From a visitor's question to an answer. Plain asyncio: no database, no Django; what it needs is passed in.

One upstream call for each answer: the facts of a site are few enough to be chosen by their words.
"""

from __future__ import annotations

from conversations.pipeline import Answer, Output, QuestionInContext, within_budget
from conversations.prompts import Turn
from landing import prompts
from landing.facts import Facts
from landing.quotes import CONTACT, Quoting, mask
from llm import leaks
from llm.client import Llm

ANSWER_TOKENS = 400
HISTORY_TOKENS = 400


async def answer(question: QuestionInContext, facts: Facts, llm: Llm, output: Output) -> Answer:
    """Answer from these facts, streaming to the output. Raises LlmError."""
    output.progress("answering")
    turns = within_budget([_without_figures(turn) for turn in question.turns], HISTORY_TOKENS)
    quoting = Quoting(facts.values, facts.stated)
    shown = []
    pieces = llm.stream("answer", prompts.answer(facts, turns, question.text), ANSWER_TOKENS)
    async for piece in leaks.stopped(prompts.ANSWER, pieces, prompts.INSTEAD_OF_RULES):
        if text := quoting.feed(piece):
            shown.append(text)
            output.show(text)
    if text := quoting.end():
        shown.append(text)
        output.show(text)
    return Answer(answer="".join(shown))


def words_of(question: QuestionInContext) -> str:
    """What to look for: the question, with the one before it, which a follow-up leans on."""
    asked = [turn.text for turn in question.turns if turn.role == "user"]
    return " ".join([question.text, *asked[-1:]])


def in_the_meantime() -> str:
    """What to show while the upstream is away."""
    return (
        "**The assistant is not available right now.** Your question is kept and will be answered here. Until then, "
        f"the [course list](/#courses) tells prices and dates, or {CONTACT}."
    )


def _without_figures(turn: Turn) -> Turn:
    return turn if turn.role == "user" else Turn(role=turn.role, text=mask(turn.text))
