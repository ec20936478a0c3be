"""Cancelling a running job closes its upstream call within a second: over HTTP, the socket and the admin."""

import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from accounts import people
from jobs import actions, kinds
from jobs.models import AiCall, AiJob
from jobs.submission import Submission, submit, submit_once
from tests.support import Platform, ask, database, events_of, eventually

pytestmark = pytest.mark.usefixtures("worker")


async def by_api(platform: Platform, job, learner, staff):
    with platform.client(learner) as client:
        assert client.post(job["links"]["cancel"]).status_code == 202


async def by_api_of_staff(platform: Platform, job, learner, staff):
    with platform.client(staff) as client:
        assert client.post(job["links"]["cancel"]).status_code == 202


async def by_socket(platform: Platform, job, learner, staff):
    async with platform.socket(learner) as socket:
        await socket.send({"type": "cancel", "jobId": job["jobId"]})
        await socket.until("job.cancelled")


async def by_admin(platform: Platform, job, learner, staff):
    form = {"action": "cancel_jobs", "_selected_action": [job["jobId"]]}
    with platform.browser_session(staff) as browser:
        page = browser.post("/admin/jobs/aijob/", data=form, follow_redirects=True)
    assert "1 job(s) cancelled." in page.text


every_way = pytest.mark.parametrize("cancel", [by_api, by_api_of_staff, by_socket, by_admin])


def answers(simulator):
    return [request for request in simulator.requests() if request["purpose"] == "answer"]


async def cancelled(cancel, platform, job, learner, staff, simulator):
    """Cancel the job and return its row; asserts that the upstream's connection is closed within a second."""
    began = time.time()
    await cancel(platform, job, learner, staff)
    await eventually(lambda: AiJob.objects.get(pk=job["jobId"]).status == "cancelled")
    assert simulator.counters["aborted"] == 1
    assert 0 < simulator.counters["last_aborted_at"] - began < 1
    assert [request["outcome"] for request in answers(simulator)] == ["aborted"]
    return AiJob.objects.get(pk=job["jobId"])


async def test_jobs_of_a_deactivated_person_are_cancelled(platform: Platform, api, learner, sql_course, simulator):
    """The one that runs and the one that waits; the partial answer is kept, for the case that they come back."""
    simulator.set(token_interval=0.05, answer_tokens=400)
    job = ask(api, sql_course)
    await eventually(lambda: any(request["first_token_at"] for request in answers(simulator)))
    person = people.from_user(learner)
    waiting = await database.call(submit_later, person)
    await database.call(User.objects.filter(pk=learner.pk).update, is_active=False)
    rows = AiJob.objects.filter(pk__in=[job["jobId"], waiting.pk])
    await eventually(lambda: {row.status for row in rows.all()} == {"cancelled"})
    assert AiJob.objects.get(pk=job["jobId"]).result["answer"]
    assert AiJob.objects.get(pk=waiting.pk).attempt == 0
    await database.call(User.objects.filter(pk=learner.pk).update, is_active=True)
    told = api.get(job["links"]["self"]).json()
    assert told["status"] == "cancelled" and told["answer"]


def test_only_jobs_of_deactivated_people_are_cancelled(learner, stranger):
    theirs, ours = [submit_later(people.from_user(user)) for user in (learner, stranger)]
    nobodys = submit_later(people.SYSTEM)
    User.objects.filter(pk=learner.pk).update(is_active=False)
    actions.cancel_of_deactivated()
    rows = AiJob.objects.in_bulk([theirs.pk, ours.pk, nobodys.pk])
    assert [rows[job.pk].status for job in (theirs, ours, nobodys)] == ["cancelled", "pending", "pending"]
    assert events_of(theirs.pk)[-1]["type"] == "job.cancelled"


def submit_later(person):
    """A job that is due in an hour."""
    submission = Submission(person)
    job = submit_once(submission, lambda: submit(submission, kinds.get("assistant.embedding"), {}))
    AiJob.objects.filter(pk=job.pk).update(run_after=timezone.now() + timedelta(hours=1), enqueued_at=None)
    return job


@every_way
async def test_answer_being_streamed_is_stopped(platform: Platform, api, learner, staff, sql_course, simulator, cancel):
    simulator.set(token_interval=0.05, answer_tokens=400)
    job = ask(api, sql_course)
    await eventually(lambda: any(request["first_token_at"] for request in answers(simulator)))
    row = await cancelled(cancel, platform, job, learner, staff, simulator)
    [call] = AiCall.objects.filter(job=row, purpose="answer")
    assert (call.outcome, call.estimated) == ("cancelled", True)
    assert call.cost > 0


@every_way
async def test_answer_waiting_for_its_first_token_is_stopped(
    platform: Platform, api, learner, staff, sql_course, simulator, cancel
):
    simulator.set(first_token=30)
    job = ask(api, sql_course)
    await eventually(lambda: answers(simulator))
    row = await cancelled(cancel, platform, job, learner, staff, simulator)
    [call] = AiCall.objects.filter(job=row, purpose="answer")
    assert (row.result, call.outcome, call.output_tokens) == (None, "cancelled", 0)
    assert call.estimated and call.input_tokens > 0 and call.cost > 0  # the prompt was sent and is billed
