"""During a longer outage of the upstream calls stop, no job fails, and learners are shown passages."""

import json

from jobs.models import AiCall, AiJob
from llm.breaker import THRESHOLD
from tests.support import ask, eventually, wait_for


def break_the_circuit(simulator, api, sql_course):
    simulator.set(down=True)
    jobs = [ask(api, sql_course)["jobId"] for _ in range(THRESHOLD)]
    wait_for(lambda: AiJob.objects.filter(pk__in=jobs, error_code="upstream_paused").exists(), 20)
    return jobs


async def test_waiting_learner_is_offered_passages_and_then_the_answer(
    platform, worker, api, learner, sql_course, simulator
):
    break_the_circuit(simulator, api, sql_course)
    async with platform.socket(learner) as socket:
        body = {"courseId": sql_course.slug, "question": "What does COALESCE return?"}
        job = api.post("/api/assistant/query", json=body).json()["jobId"]
        events = [event for event in await socket.until("job.retrying") if event["jobId"] == job]
        while not any(event["type"] == "job.retrying" for event in events):
            events += [event for event in await socket.until("job.retrying") if event["jobId"] == job]
        text = "".join(event.get("text", "") for event in events)
        assert "not answering right now" in text
        assert "/lessons/" in text
        simulator.set(down=False)
        await eventually(lambda: AiJob.objects.get(pk=job).status == "completed", 30)
    row = AiJob.objects.get(pk=job)
    assert row.failures == 0
    assert "not answering" not in json.dumps(row.result)


def test_open_breaker_causes_no_calls_and_uses_up_no_tries(platform, worker, api, sql_course, simulator):
    jobs = break_the_circuit(simulator, api, sql_course)
    calls = AiCall.objects.count()
    for _ in range(10):
        jobs.append(ask(api, sql_course)["jobId"])
    wait_for(lambda: AiJob.objects.filter(pk__in=jobs[-10:], error_code="upstream_paused").count() == 10, 20)
    assert AiCall.objects.count() <= calls + 6  # one or two probes, each with its retries
    assert set(AiJob.objects.filter(pk__in=jobs[-10:]).values_list("failures", flat=True)) == {0}
    simulator.set(down=False)
    wait_for(lambda: not AiJob.objects.filter(pk__in=jobs).exclude(status="completed").exists(), 45)
