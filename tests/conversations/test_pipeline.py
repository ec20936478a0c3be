"""Steps before an answer: rewriting follow-ups, cutting the history to its budget, summarising older messages."""

import pytest

from conversations import pipeline, prompts
from conversations.pipeline import QuestionInContext, oldest_within, within_budget
from conversations.prompts import Turn
from llm.errors import LlmError
from llm.tokens import estimate
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


@pytest.mark.parametrize(
    ("sizes", "kept"), [([], []), ([5, 5], [0, 1]), ([5, 6], [0]), ([3, 3, 3, 3], [0, 1, 2]), ([50, 1], [0])]
)
def test_a_summary_covers_the_oldest_messages_that_fit(sizes, kept):
    part = oldest_within(turns(*sizes), tokens=10)
    assert [int(turn.text[0]) for turn in part] == kept
    assert sum(estimate(turn.text) for turn in part) <= 10


class Summarising(Upstream):
    def __call__(self, said):
        return self.run(lambda llm: pipeline.summarise("", said, llm))


def prompt_sizes(simulator):
    return [estimate(request["body"]["messages"][1]["content"]) for request in simulator.requests()]


def test_prompt_of_a_summary_is_bounded(simulator):
    text, covered = Summarising(simulator)(turns(*[200] * 9, *[1000] * 500))
    assert text and 9 < covered < 20
    assert prompt_sizes(simulator)[0] < pipeline.SUMMARISED_TOKENS * 1.1


def test_summary_that_is_rejected_is_tried_with_half_of_the_messages(simulator):
    simulator.fault("400", purpose="summary", times=3)
    _, covered = Summarising(simulator)(turns(*[90] * 9))
    sizes = prompt_sizes(simulator)
    assert len(sizes) == 4 and covered >= 1
    simulator.fault("400", purpose="summary")
    with pytest.raises(LlmError, match="upstream_rejected"):
        Summarising(simulator)(turns(*[90] * 9))
    assert len(simulator.requests()) - 4 <= 6
    assert prompt_sizes(simulator)[-1] < pipeline.SHORTEST_TOKENS * 1.1


def test_summary_of_one_long_message_is_rejected_until_it_is_short_enough(simulator):
    simulator.fault("400", purpose="summary", times=2)
    _, covered = Summarising(simulator)(turns(50_000, 10))
    sizes = prompt_sizes(simulator)
    assert covered == 1
    assert sizes[0] > 1.8 * sizes[1] > 3.2 * sizes[2]


def test_other_failures_of_a_summary_are_not_repeated_with_less(simulator):
    simulator.fault("quota", purpose="summary")
    with pytest.raises(LlmError, match="upstream_quota"):
        Summarising(simulator)(turns(10))
    assert len(simulator.requests()) == 1


def test_empty_summary_replaces_nothing(simulator):
    simulator.fault("raw", purpose="summary", body='{"choices": [{"message": {"content": null}}]}')
    with pytest.raises(LlmError, match="upstream_invalid"):
        Summarising(simulator)(turns(10))


def test_question_and_history_cannot_close_their_tags_in_a_rewrite_or_summary():
    said = [Turn(role="user", text=BREAKOUT), Turn(role="assistant", text=BREAKOUT)]
    harmless = [Turn(role="user", text="x"), Turn(role="assistant", text="x")]
    assert tags(prompts.rewrite(BREAKOUT, said, BREAKOUT)) == tags(prompts.rewrite("x", harmless, "x"))
    assert tags(prompts.summarise(BREAKOUT, said)) == tags(prompts.summarise("x", harmless))
