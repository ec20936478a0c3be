"""The assistant's pipeline, against the simulator over HTTP and without the engine."""

import asyncio
import re

import pytest

from assistant import pipeline, prompts
from assistant.prompts import Setting
from conversations.pipeline import HISTORY_TOKENS, QuestionInContext
from conversations.prompts import Turn
from courses.grounding import PromptPassage
from llm.errors import LlmError
from llm.tokens import estimate
from tests.pipelines import BREAKOUT, RecordingOutput, Upstream, tags

PASSAGES = [
    PromptPassage(
        lesson_id=7, lesson_title="NULL", heading="COALESCE", text="COALESCE returns its first value that is not NULL."
    ),
    PromptPassage(
        lesson_id=8, lesson_title="Joins", heading="LEFT JOIN", text="A LEFT JOIN keeps every row of the left table."
    ),
]
HISTORY = [
    Turn(role="user", text="What does COALESCE return?"),
    Turn(role="assistant", text="Its first value that is not NULL [1]."),
]


class Pipeline(Upstream):
    """Answers questions from PASSAGES; records the searches and the text shown."""

    def __init__(self, simulator):
        super().__init__(simulator)
        self.output, self.searched = RecordingOutput(), []

    def answer(self, text, passages=PASSAGES, **history):
        async def search(words, vector):
            self.searched.append((words, len(vector)))
            return passages

        question = QuestionInContext(text=text, **history)
        return self.run(lambda llm: pipeline.answer(question, Setting(course="SQL"), llm, search, self.output))


@pytest.fixture
def ask(simulator):
    return Pipeline(simulator)


def test_question_is_answered_from_search_results(ask, simulator):
    answer = ask.answer("What does COALESCE return?")
    assert ask.searched == [("What does COALESCE return?", 1536)]
    assert ask.output.steps == ["searching", "answering"]
    assert [citation.lessonId for citation in answer.citations] == ["7"]
    assert [call.purpose for call in ask.calls] == ["embedding", "answer"]


def test_follow_up_is_rewritten_for_the_search_and_answered_as_asked(ask, simulator):
    ask.answer("And when all of them are missing?", turns=HISTORY)
    [(words, _)] = ask.searched
    assert "COALESCE" in words and words != "And when all of them are missing?"
    assert ask.output.steps == ["rewriting", "searching", "answering"]
    [request] = [r for r in simulator.requests() if r["purpose"] == "answer"]
    assert [message["role"] for message in request["body"]["messages"]] == ["system", "user", "assistant", "user"]
    assert "And when all of them are missing?" in request["body"]["messages"][-1]["content"]
    rewritten = next(r for r in simulator.requests() if r["purpose"] == "rewrite")
    assert request["received_at"] > rewritten["finished_at"]


def test_summary_reaches_the_answer(ask, simulator):
    ask.answer("And then?", summary="The learner asked about COALESCE.")
    [request] = [r for r in simulator.requests() if r["purpose"] == "answer"]
    assert "The learner asked about COALESCE." in request["body"]["messages"][0]["content"]


def test_answer_is_streamed_and_its_citations_are_checked_at_the_end(ask):
    answer = ask.answer("What does COALESCE return?")
    assert ask.output.text == answer.answer
    assert [citation.n for citation in answer.citations] == sorted(
        {int(n) for n in re.findall(r"\[(\d)\]", answer.answer)}
    )


def test_answer_without_passages_says_so_and_cites_nothing(ask):
    answer = ask.answer("Who won the match?", passages=[])
    assert answer.citations == []
    assert "not in the course material" in answer.answer


def test_upstream_failure_is_not_swallowed(ask, simulator):
    simulator.fault("quota")
    with pytest.raises(LlmError, match="upstream_quota"):
        ask.answer("What does COALESCE return?")
    assert ask.calls[-1].outcome == "failed"


def test_prompt_holds_no_more_history_than_the_budget(ask, simulator):
    long = [Turn(role=("user", "assistant")[n % 2], text=f"{n} " + "word " * 600) for n in range(16)]
    ask.answer("And then?", turns=long)
    for request in simulator.requests():
        if request["purpose"] in ("answer", "rewrite"):
            assert estimate(str(request["body"]["messages"])) < HISTORY_TOKENS + 1000


def test_lesson_cannot_close_the_passages():
    def prompt(text):
        passage = PromptPassage(lesson_id=1, lesson_title=text, heading=text, text=text)
        setting = Setting(course=text, lesson=text, tone=text)
        return prompts.answer(setting, [passage], text, [], text)

    harmless = [[tag.partition(" ")[0].rstrip(">") for tag in found] for found in tags(prompt("harmless"))]
    assert [[tag.partition(" ")[0].rstrip(">") for tag in found] for found in tags(prompt(BREAKOUT))] == harmless


def test_question_reaches_the_upstream_inside_its_tag(ask, simulator):
    question = "Is 1 < 2 & </question> the end?"
    ask.answer(question)
    [request] = [r for r in simulator.requests() if r["purpose"] == "answer"]
    assert (
        request["body"]["messages"][-1]["content"]
        == "<question>Is 1 &lt; 2 &amp; &lt;/question&gt; the end?</question>"
    )


def test_course_title_in_braces_is_not_a_placeholder():
    assert "{question}" in prompts.answer(Setting(course="{question} {0}"), [], "", [], "Why?")[0]["content"]


def test_answer_and_topics_cannot_close_their_tags():
    assert tags(prompts.suggest("x", [BREAKOUT], BREAKOUT, BREAKOUT)) == tags(prompts.suggest("x", ["x"], "x", "x"))


def test_suggestions_are_few_short_and_distinct(ask, monkeypatch):
    class Talkative:
        async def parse(self, purpose, messages, schema, max_tokens):
            return schema(questions=["Why?", "  What  is a\nkey? ", "What is a key?", "", "x" * 200, "A?", "B?", "C?"])

    suggested = asyncio.run(pipeline.suggest("SQL", ["Keys"], "Why?", "Because.", Talkative()))
    assert suggested == ["What is a key?", "A?", "B?"]


def test_suggestions_come_from_the_topics(ask, simulator):
    topics = ["Joins > LEFT JOIN", "Joins > CROSS JOIN"]
    suggested = ask.run(lambda llm: pipeline.suggest("SQL", topics, "What is NULL?", "A join keeps rows.", llm))
    assert suggested and all("JOIN" in question for question in suggested)
    [request] = simulator.requests()
    assert request["body"]["response_format"]["json_schema"]["strict"] is True
