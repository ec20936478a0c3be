"""From a visitor's question to an answer. Plain asyncio, no database and no Django: inputs are passed in.

Each answer makes one upstream call: a site has so few facts that full-text search selects them without embeddings.
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
    """Answer from these facts, and stream the text to the output. Raises LlmError."""
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
    """Return the words to search for: the question, and the previous one, which a follow-up may refer to."""
    asked = [turn.text for turn in question.turns if turn.role == "user"]
    return " ".join([question.text, *asked[-1:]])


def in_the_meantime() -> str:
    """Return the text to show while the upstream is down."""
    return (
        "**The assistant is not available right now.** Your question is kept and will be answered here. Until then, "
        f"the [course list](/#courses) tells prices and dates, or {CONTACT}."
    )


def _without_figures(turn: Turn) -> Turn:
    return turn if turn.role == "user" else Turn(role=turn.role, text=mask(turn.text))
