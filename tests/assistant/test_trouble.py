"""With an upstream that refuses the key or is down, the question is kept and the error readable and free of secrets."""

from django.forms.models import model_to_dict

from jobs.models import AiCall, AiJob
from tests.support import Platform, ask, wait_for

WRONG_KEY = "sk-wrong-0123456789abcdef"


def test_wrong_api_key_fails_the_job_with_a_readable_reason_and_no_secret(platform: Platform, api, sql_course):
    with platform.worker(OPENAI_API_KEY=WRONG_KEY):
        links = ask(api, sql_course)["links"]
        wait_for(lambda: "finishedAt" in api.get(links["self"]).json())
    row = api.get(links["self"]).json()
    assert (row["status"], row["error"]["code"], row["retryable"]) == ("failed", "upstream_auth", False)
    assert "not set up correctly" in row["error"]["message"]
    kept = [model_to_dict(row) for model in (AiJob, AiCall) for row in model.objects.all()]
    assert len(kept) == 2 and WRONG_KEY[3:] not in str(kept) and WRONG_KEY[-4:] not in str(kept)


def test_upstream_that_is_down_keeps_the_question_and_answers_when_it_returns(
    platform: Platform, worker, api, sql_course, simulator
):
    simulator.set(down=True)
    job = ask(api, sql_course)
    waiting = wait_for(lambda: (row := api.get(job["links"]["self"]).json()).get("retryAt") and row)
    assert (waiting["status"], waiting["error"]["code"]) == ("pending", "upstream_unavailable")
    conversation = api.get(f"/api/conversations/{job['conversationId']}").json()
    assert conversation["activeJobId"] == job["jobId"]
    assert [message["text"] for message in conversation["messages"]] == ["What does COALESCE return?"]
    simulator.set(down=False)
    wait_for(lambda: api.get(job["links"]["self"]).json()["status"] == "completed")
    conversation = api.get(f"/api/conversations/{job['conversationId']}").json()
    assert [message["role"] for message in conversation["messages"]] == ["user", "assistant"]
    assert conversation["activeJobId"] is None
