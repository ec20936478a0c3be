"""Prompts may be reworded: the simulator reads only their tags and schema names."""

import re

import pytest

from assistant import prompts as assistant
from assistant.pipeline import Suggestions
from assistant.prompts import Setting
from conversations import prompts as conversations
from conversations.pipeline import QuestionInContext
from conversations.prompts import Turn
from courses.grounding import PromptPassage
from landing import prompts as landing
from landing.facts import Fact, Facts
from personas import prompts as personas
from personas.pipeline import schema_of
from tests.pipelines import Upstream
from tutors import prompts as tutors
from tutors.content import Quiz
from tutors.digest import Insights, Theme
from tutors.pipeline import Decision

COALESCE = "`COALESCE` returns its first value that is not NULL. `NULLIF` returns NULL when both values are equal."
PASSAGES = [
    PromptPassage(lesson_id=7, lesson_title="NULL", heading="COALESCE", text=COALESCE),
    PromptPassage(
        lesson_id=8, lesson_title="Joins", heading="LEFT JOIN", text="A LEFT JOIN keeps all rows of the left table."
    ),
]
TURNS = [Turn(role="user", text="What does COALESCE return?"), Turn(role="assistant", text="A value [1].")]
ASKED, TASK, LESSON = (
    "What does COALESCE return?",
    "Solve my exercise: what value does COALESCE return for NULL?",
    "Summarise this lesson.",
)
THEME = Theme(lesson_id=7, title="NULL", heading="COALESCE", questions=6, troubled=2, learners=None)
INSIGHTS = Insights(days=30, questions=9, learners=4, themes=[THEME], open=[])
FACTS = Facts(entries=[Fact(title="Tea", text="The price of the tea course is {{price:tea}}.", url="/#tea")], values={})
PERSONAS = [
    personas.PersonaOption(key="maker", name="Maker", description="Learns from examples and practice."),
    personas.PersonaOption(key="thinker", name="Thinker", description="Wants theory and proof."),
]
ANSWERS = [personas.GivenAnswer(key="way", question="How do you learn?", text="I need examples and practice.")]


def asked(question, passages=PASSAGES, turns=(), **setting):
    return assistant.answer(Setting(course="SQL", **setting), passages, "", turns, question)


# Messages, response schema, purpose in the simulator's journal, text in the answer.
CALLS = {
    "answer": (asked(ASKED), None, "answer", "first value that is not NULL \\[1\\]"),
    "follow-up": (asked("Why is that?", turns=TURNS), None, "answer", "COALESCE.*\\[1\\]"),
    "refusal": (asked("Who won the match?"), None, "answer", "not in the course material.*Joins"),
    "nothing found": (asked(ASKED, passages=[]), None, "answer", "not in the course material"),
    "hints": (asked(TASK, guidance="hints-only"), None, "answer", "What have you tried"),
    "solution": (asked(TASK, guidance="answers"), None, "answer", "first value that is not NULL \\[1\\]"),
    "lesson": (asked(LESSON, lesson="NULL"), None, "answer", "lesson \\*NULL\\* in short"),
    "rewrite": (conversations.rewrite("", TURNS, "And then?"), None, "rewrite", "^And then\\? \\(about: .*COALESCE"),
    "summary": (conversations.summarise("", TURNS), None, "summary", "conversation is about .*COALESCE"),
    "suggestions": (
        assistant.suggest("SQL", ["NULL > COALESCE", "Joins > LEFT JOIN"], "What is NULL?", "See LEFT JOIN."),
        Suggestions,
        "structured",
        "LEFT JOIN.*COALESCE",
    ),
    "copilot": (
        tutors.answer("SQL", PASSAGES, INSIGHTS, QuestionInContext(text=ASKED)),
        None,
        "answer",
        "NULL \\[1\\]",
    ),
    "decision": (
        tutors.decide("SQL", ["NULL", "Joins"], "A quiz on joins"),
        Decision,
        "structured",
        "intent='quiz' lesson=2",
    ),
    "reply": (
        tutors.reply("SQL", PASSAGES, QuestionInContext(text=ASKED), ""),
        None,
        "answer",
        "^Good question.*\\[1\\]",
    ),
    "another reply": (
        tutors.reply("SQL", PASSAGES, QuestionInContext(text=ASKED), "Shorter", before="Old."),
        None,
        "answer",
        "^Let me put it differently.*\\[1\\]",
    ),
    "quiz": (
        tutors.quiz("SQL", PASSAGES, count="four", instruction="Two questions", taken=[]),
        Quiz,
        "structured",
        "____ returns.*____ returns",
    ),
    "struggles": (
        tutors.struggles("SQL", INSIGHTS, QuestionInContext(text="Who struggles?")),
        None,
        "answer",
        "6 questions",
    ),
    "site": (landing.answer(FACTS, [], "What does the tea course cost?"), None, "answer", "price:tea.*\\(/#tea\\)"),
    "hand-over": (landing.answer(FACTS, [], "Who won the match?"), None, "answer", "{{contact}}"),
    "verdict": (
        personas.classify(PERSONAS, ANSWERS),
        schema_of(("maker", "thinker"), ("way",)),
        "structured",
        "persona='maker'",
    ),
}
RULES = ("task", "guidance")  # tags around rules; all others enclose data


def reworded(messages):
    """The same tags and data, with every word of the rules replaced."""
    return [{**message, "content": _reworded(message["content"])} for message in messages]


def _reworded(text):
    depth, parts = 0, re.split(r"(</?[a-z]+[^<>]*>)", text)
    for at, part in enumerate(parts):
        if at % 2 and part.strip("</>").split()[0] not in RULES:
            depth += -1 if part.startswith("</") else 1
        elif not at % 2 and depth == 0:
            parts[at] = re.sub(r"\w+", "klaatu", part)
    return "".join(parts)


@pytest.mark.parametrize("name", CALLS)
def test_answer_is_the_same_when_all_words_of_the_rules_change(simulator, name):
    messages, schema, purpose, kind = CALLS[name]
    upstream, other = Upstream(simulator), reworded(messages)

    def answer(messages):
        if schema is None:
            return upstream.run(lambda llm: llm.text("test", messages))
        return str(upstream.run(lambda llm: llm.parse("test", messages, schema)))

    assert any("klaatu" in message["content"] for message in other)
    assert re.search(kind, answer(messages), re.DOTALL)
    assert answer(other) == answer(messages)
    assert {request["purpose"] for request in simulator.requests()} == {purpose}
