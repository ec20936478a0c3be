"""Staff read conversations only with a separate permission, and each access is logged."""

import pytest
from django.contrib.auth.models import Permission, User

from conversations.models import Conversation
from jobs.models import Reading
from tests.support import database, error_of, password_hash, unique

QUESTION = "What does COALESCE return?"
LIST = "/admin/conversations/conversation/"


@pytest.fixture
def staff_with(platform):
    def make(*codenames):
        user = User.objects.create(username=unique("test-staff"), password=password_hash(), is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        return user

    return make


def noted(user):
    return list(Reading.objects.filter(reader=user).values_list("reader_name", "what"))


def test_staff_with_permission_open_a_conversation_and_it_is_logged(platform, desk, staff_with):
    answer = desk.answer(QUESTION)
    reader = staff_with("read_text")
    with platform.browser_session(reader) as browser:
        listed = browser.get(LIST)
        assert answer["conversationId"][:8] in listed.text and QUESTION not in listed.text
        assert noted(reader) == []
        assert QUESTION in browser.get(f"{LIST}{answer['conversationId']}/change/").text
        assert browser.get(f"{LIST}{answer['conversationId']}/delete/").status_code == 403
    assert noted(reader) == [(reader.username, f"conversation:{answer['conversationId']}")]
    reader.delete()
    assert Reading.objects.filter(reader=None, what=f"conversation:{answer['conversationId']}").exists()


def test_other_staff_cannot_open_conversations(platform, desk, staff_with):
    answer = desk.answer(QUESTION)
    looker = staff_with("view_aijob", "view_conversation", "change_conversation", "view_message")
    with platform.browser_session(looker) as browser:
        for path in (LIST, f"{LIST}{answer['conversationId']}/change/"):
            assert browser.get(path).status_code == 403
    assert noted(looker) == []


def test_staff_see_a_job_but_not_its_text_without_the_permission(platform, desk, staff_with):
    answer = desk.answer(QUESTION)
    looker, reader = staff_with("view_aijob"), staff_with("read_text")
    with platform.client(looker) as client:
        row = client.get(answer["links"]["self"]).json()
        assert row["status"] == "completed" and not {"answer", "citations"} & set(row)
        error_of(client.get(answer["links"]["events"]), 403)
    with platform.client(reader) as client:
        assert client.get(answer["links"]["self"]).json()["answer"] == answer["answer"]
        assert "job.completed" in client.get(answer["links"]["events"]).text
    assert noted(looker) == []
    assert noted(reader) == [(reader.username, f"job:{answer['jobId']}")] * 2


async def test_staff_resume_a_job_over_the_socket_with_the_permission_only(platform, learner, sql_course, staff_with):
    from jobs.models import AiJob

    make = AiJob.objects.create
    job = await database.call(make, kind="assistant.answer", queue="interactive", owner=learner, status="completed")
    users = [await database.call(staff_with, *names) for names in ((), ("read_text",))]
    answers = []
    for user in users:
        async with platform.socket(user) as socket:
            await socket.send({"type": "resume", "jobId": str(job.pk)})
            answers.append((await socket.next())["type"])
    assert answers == ["error", "job.completed"]


def test_reading_ones_own_job_is_not_logged(desk):
    desk.answer(QUESTION)
    assert not Reading.objects.exists()


def test_rating_is_shown_with_the_job(platform, desk, staff_with):
    answer = desk.answer(QUESTION)
    path = f"/api/conversations/{answer['conversationId']}/messages/{answer['messageId']}/rating"
    desk.api.put(path, json={"rating": "down", "reason": "Too dry, that."})
    with platform.browser_session(staff_with("view_aijob")) as browser:
        page = browser.get(f"/admin/jobs/aijob/{answer['jobId']}/change/").text
    assert "Too dry, that." in page
    assert QUESTION not in page and answer["answer"][:30] not in page
    assert Conversation.objects.count() == 1
