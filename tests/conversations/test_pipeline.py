"""Steps before an answer: rewriting follow-ups, cutting the history to its budget, summarising older messages."""

import pytest

from conversations import pipeline, prompts
from conversations.pipeline import QuestionInContext, within_budget
from conversations.prompts import Turn
from llm.errors import LlmError
from tests.pipelines import BREAKOUT, RecordingOutput, Upstream, tags

HISTORY = [
    Turn(role="user", text="What does COALESCE return?"),
    Turn(role="assistant", text="Its first value that is not NULL [1]."),
]


class Understanding(Upstream):
    def __init__(self, simulator):
        super().__init__(simulator)
        self.output = RecordingOutput()

    def __call__(self, text, **history):
        question = QuestionInContext(text=text, **history)
        return self.run(lambda llm: pipeline.understand(question, question.turns, llm, self.output))


@pytest.fixture
def understand(simulator):
    return Understanding(simulator)


def purposes(simulator):
    return [request["purpose"] for request in simulator.requests()]


def test_first_question_is_not_rewritten(understand, simulator):
    standalone, vector = understand("What does COALESCE return?")
    assert purposes(simulator) == ["embedding"]
    assert (standalone, len(vector)) == ("What does COALESCE return?", 1536)
    assert understand.output.steps == []


def test_follow_up_is_rewritten_with_the_history(understand, simulator):
    standalone, _ = understand("And when all of them are missing?", turns=HISTORY)
    assert sorted(purposes(simulator)) == ["embedding", "rewrite"]
    assert "COALESCE" in standalone and standalone != "And when all of them are missing?"
    assert understand.output.steps == ["rewriting"]


def test_follow_up_is_rewritten_with_a_summary_alone(understand, simulator):
    understand("And then?", summary="The learner asked about COALESCE.")
    assert "rewrite" in purposes(simulator)


def test_rewrite_and_embedding_run_concurrently(understand, simulator):
    simulator.set(rewrite_latency=0.3, embedding_latency=0.3)
    understand("And then?", turns=HISTORY)
    requests = {request["purpose"]: request for request in simulator.requests()}
    rewrite, embedding = requests["rewrite"], requests["embedding"]
    assert rewrite["received_at"] < embedding["finished_at"] and embedding["received_at"] < rewrite["finished_at"]
    assert embedding["body"]["input"] == ["And then?"], "the question as it was asked: there is no other yet"


def test_failed_rewrite_does_not_leave_the_embedding_running(understand, simulator):
    simulator.set(embedding_latency=20)
    simulator.fault("quota", purpose="rewrite")
    with pytest.raises(LlmError, match="upstream_quota"):
        understand("And then?", turns=HISTORY)
    assert {call.purpose: call.outcome for call in understand.calls} == {"rewrite": "failed", "embedding": "cancelled"}


def turns(*sizes):
    return [Turn(role="user", text=f"{n}".ljust(size * 4, "x")) for n, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [([], []), ([10], [0]), ([11], []), ([5, 5], [0, 1]), ([6, 5], [1]), ([1, 20, 1], [2]), ([3, 3, 3, 3], [1, 2, 3])],
)
def test_history_is_the_newest_messages_within_the_budget(sizes, kept):
    assert [int(turn.text[0]) for turn in within_budget(turns(*sizes), tokens=10)] == kept


def test_question_and_history_cannot_close_their_tags_in_a_rewrite_or_summary():
    said = [Turn(role="user", text=BREAKOUT), Turn(role="assistant", text=BREAKOUT)]
    harmless = [Turn(role="user", text="x"), Turn(role="assistant", text="x")]
    assert tags(prompts.rewrite(BREAKOUT, said, BREAKOUT)) == tags(prompts.rewrite("x", harmless, "x"))
    assert tags(prompts.summarise(BREAKOUT, said)) == tags(prompts.summarise("x", harmless))
