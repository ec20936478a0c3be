"""The OpenAPI schema agrees with the API's contract."""

import io
import re

import pytest
import yaml
from django.core.management import call_command

ASKS = [
    "/api/assistant/query",
    "/api/landing-assistant/query",
    "/api/tutors/courses/{course_id}/copilot",
]
CREATES_A_JOB = [
    *ASKS,
    "/api/personas/profile",
    "/api/tutors/courses/{course_id}/drafts/{draft_id}/regenerate",
]


@pytest.fixture(scope="module")
def schema():
    output = io.StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=output)
    return yaml.safe_load(output.getvalue())


def responses(schema, path, method):
    return schema["paths"][path][method]["responses"]


def body_of(response):
    return response["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]


def test_schema_is_valid_and_without_warnings(schema):
    assert schema["openapi"].startswith("3.")


def test_schema_is_served(anonymous, schema):
    response = anonymous.get("/api/schema")
    assert response.status_code == 200
    assert set(yaml.safe_load(response.text)["paths"]) == set(schema["paths"])


def test_every_endpoint_of_the_contract_is_listed(schema):
    assert {re.sub(r"\{\w+\}", "{}", path) for path in schema["paths"]} >= {
        "/api/auth/token",
        "/api/ws-ticket",
        "/api/assistant/query",
        "/api/landing-assistant/query",
        "/api/landing-assistant/contact",
        "/api/tutors/courses/{}/copilot",
        "/api/conversations/{}",
        "/api/personas",
        "/api/personas/profile",
        "/api/personas/questionnaire",
        "/api/courses",
        "/api/courses/{}",
        "/api/lessons/{}",
        "/api/jobs/{}",
        "/api/jobs/{}/events",
        "/api/jobs/{}/cancel",
        "/api/jobs/{}/retry",
    }


@pytest.mark.parametrize("path", CREATES_A_JOB)
def test_endpoints_that_create_jobs_list_202_and_their_errors(schema, path):
    answers = responses(schema, path, "post")
    assert set(answers) >= {"202", "400", "401", "403", "404", "409", "413", "422", "429", "503"}
    assert "200" not in answers
    accepted = schema["components"]["schemas"][body_of(answers["202"])]
    asked = {"conversationId", "messageId"} if path in ASKS else set()
    assert set(accepted["properties"]) == set(accepted["required"]) == {"jobId", "status", "links"} | asked
    names = [parameter["name"] for parameter in schema["paths"][path]["post"]["parameters"]]
    assert "Idempotency-Key" in names


def test_every_error_has_the_contracts_shape(schema):
    for path, methods in schema["paths"].items():
        for method in methods:
            for status, response in responses(schema, path, method).items():
                if status >= "400" and path != "/api/schema":
                    assert body_of(response) == "Error", (path, method, status)


def test_cancel_lists_both_its_responses(schema):
    assert set(responses(schema, "/api/jobs/{job_id}/cancel", "post")) >= {"200", "202", "409"}


def test_events_are_described_as_an_event_stream(schema):
    [call] = schema["paths"]["/api/jobs/{job_id}/events"].values()
    assert "text/event-stream" in call["responses"]["200"]["content"]
    assert "Last-Event-ID" in [parameter["name"] for parameter in call["parameters"]]


def test_job_in_the_schema_has_the_fields_of_the_contract(schema):
    assert set(schema["components"]["schemas"]["Job"]["properties"]) == {
        "jobId", "kind", "status", "attempt", "createdAt", "startedAt", "finishedAt", "retryAt",
        "answer", "citations", "result", "error", "retryable",
    }  # fmt: skip


def test_lists_have_results_and_next(schema):
    page = schema["components"]["schemas"][body_of(responses(schema, "/api/courses", "get")["200"])]
    assert set(page["properties"]) == set(page["required"]) == {"results", "next"}


def test_docs_open_without_inline_scripts(anonymous):
    page = anonymous.get("/api/docs")
    assert page.status_code == 200
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page.text, re.DOTALL)
    assert scripts and all("src=" in attributes and not code.strip() for attributes, code in scripts)
    assert not re.search(r"\son\w+=", page.text)
    for source in re.findall(r'(?:src|href)="([^"#]+)"', page.text):
        assert source.startswith("/"), "from our own origin, as the Content-Security-Policy wants it"
        assert anonymous.get(source.replace("&amp;", "&")).status_code == 200, source
