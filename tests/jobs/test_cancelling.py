"""Cancelling a running job closes its upstream call within a second: over HTTP, the socket and the admin."""

import time

import pytest

from jobs.models import AiCall, AiJob
from tests.support import Platform, ask, eventually

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
