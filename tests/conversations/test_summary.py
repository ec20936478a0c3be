"""Summaries of long conversations are made in parts, each of which fits, until few messages are left."""

from accounts.people import SYSTEM
from conversations import pipeline
from conversations.kinds import MAX_UNSUMMARISED_MESSAGES, SUMMARY
from conversations.models import Conversation, Message
from jobs.models import AiJob
from jobs.submission import Submission, submit, submit_once
from llm.tokens import estimate
from tests.support import perform


def long_conversation(learner, course, count, text):
    conversation = Conversation.objects.create(owner=learner, surface="assistant", course=course)
    roles = [Message.Role.USER, Message.Role.ASSISTANT] * (count // 2)
    Message.objects.bulk_create(Message(conversation=conversation, role=role, text=text) for role in roles)
    return conversation


def submit_summary(conversation):
    payload = {"conversationId": str(conversation.pk), "upto": conversation.messages.latest("pk").pk}
    submission = Submission(SYSTEM)
    subject = f"conversation:{conversation.pk}"
    return submit_once(submission, lambda: submit(submission, SUMMARY, payload, subject=subject))


def run_all():
    """Run summary jobs, each of which may submit the next; return how many."""
    count = 0
    while job := AiJob.objects.filter(kind=SUMMARY.name, status="pending").first():
        perform(job.pk)
        count += 1
        assert count < 50
    return count


def test_long_conversation_is_summarised_in_parts(learner, sql_course, simulator):
    conversation = long_conversation(learner, sql_course, 100, "word " * 500)  # about 62,500 tokens
    submit_summary(conversation)
    assert run_all() > 5
    conversation.refresh_from_db()
    assert conversation.summary
    left = conversation.messages.filter(pk__gt=conversation.summarised_upto).count()
    assert left < MAX_UNSUMMARISED_MESSAGES
    assert not AiJob.objects.filter(kind=SUMMARY.name).exclude(status="completed").exists()
    sizes = [estimate(request["body"]["messages"][1]["content"]) for request in simulator.requests()]
    assert max(sizes) < 1.1 * pipeline.SUMMARISED_TOKENS + pipeline.LONGEST_SUMMARY_TOKENS


def test_conversation_of_few_messages_is_summarised_at_once(learner, sql_course, simulator):
    conversation = long_conversation(learner, sql_course, MAX_UNSUMMARISED_MESSAGES, "What is NULL?")
    submit_summary(conversation)
    assert run_all() == len(simulator.requests()) == 1
    conversation.refresh_from_db()
    assert conversation.summarised_upto == conversation.messages.latest("pk").pk
