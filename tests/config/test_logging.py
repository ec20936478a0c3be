"""Log lines are JSON objects with request and job ids and without people's texts."""

import json
import logging
import os
import uuid
from pathlib import Path

import pytest
import websockets
from django.db import connection
from pydantic import BaseModel

from accounts.models import issue_ticket
from config.logs import as_json, as_text
from jobs.models import AiJob
from tests.config.test_settings import PRODUCTION, python
from tests.support import Platform, ask, database, eventually, wait_for

CANARY = "xylophagous"


class Logs:
    """The log output of web server and workers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def text(self) -> str:
        return "".join(file.read_text() for file in sorted(self._folder.glob("*.log")))

    def lines(self, name: str = "*", **fields) -> list[dict]:
        """The lines of this process with these field values."""
        text = "".join(file.read_text() for file in self._folder.glob(f"{name}.log"))
        parsed = [json.loads(line) for line in text.splitlines()]
        return [line for line in parsed if fields.items() <= line.items()]


@pytest.fixture(scope="module")
def logs(tmp_path_factory) -> Logs:
    folder = tmp_path_factory.mktemp("logs")
    return Logs(folder / "logs")


@pytest.fixture(scope="module")
def loud(platform: Platform, logs: Logs):
    """A separate platform with a worker that logs JSON, as in production."""
    logs._folder.mkdir()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DEV_DATA", str(logs._folder.parent))
        environment.setenv("LOG_FORMAT", "json")
        with Platform(platform.stack) as running, running.worker():
            yield running


@pytest.fixture
def client(loud: Platform, learner):
    with loud.client(learner) as client:
        yield client


def ended(job_id: str) -> AiJob | None:
    return AiJob.objects.exclude(status__in=AiJob.ACTIVE).filter(pk=job_id).first()


def test_one_request_id_connects_post_run_and_push(logs, client, sql_course):
    given = f"exam-{uuid.uuid4().hex}"
    client.headers["X-Request-ID"] = given
    job_id = ask(client, sql_course)["jobId"]
    job = wait_for(lambda: ended(job_id))
    lines = lambda: logs.lines("rqworker", request_id=given)  # noqa: E731
    pushed = wait_for(lambda: [line for line in lines() if "pushed" in line["message"]])
    assert job.request_id == given
    [access] = logs.lines("daphne", request_id=given)
    assert (access["method"], access["path"], access["status"]) == ("POST", "/api/assistant/query", 202)
    assert access["duration_ms"] >= 0 and access["client"] == "127.0.0.1"
    assert access["job_id"] == job_id
    assert pushed[0]["job_id"] == job_id
    for line in logs.lines("rqworker", request_id=given):
        assert (line["job_id"], line["kind"], line["attempt"]) == (job_id, "assistant.answer", 1)
        assert {"timestamp", "level", "logger", "message"} <= set(line)
    assert [line for line in logs.lines("rqworker", request_id=given) if "completed after attempt 1" in line["message"]]


def test_every_attempt_logs_its_number_and_reason(logs, client, sql_course, simulator):
    simulator.fault("500", times=3)
    job_id = ask(client, sql_course)["jobId"]
    job = wait_for(lambda: ended(job_id), 30)
    request_id = job.request_id
    lines = wait_for(lambda: logs.lines("rqworker", request_id=request_id, attempt=2))
    assert lines and job.attempt == 2
    [deferred] = [line for line in logs.lines("rqworker", job_id=job_id, attempt=1) if line["level"] == "warning"]
    assert "upstream_unavailable" in deferred["message"]


def test_concurrent_answers_log_under_their_own_ids(logs, client, sql_course):
    jobs = [ask(client, sql_course)["jobId"] for _ in range(8)]
    rows = [wait_for(lambda job=job: ended(job)) for job in jobs]
    assert len({row.request_id for row in rows}) == 8
    for row in rows:
        lines = wait_for(lambda row=row: logs.lines("rqworker", job_id=str(row.pk)))
        assert {line["request_id"] for line in lines} == {row.request_id}
        assert all(str(row.pk) in line["message"] for line in lines if line["message"].startswith("job "))


@pytest.mark.parametrize("given", ["", "a b", "a\tb", "x" * 65, 'a"b', "\u00e9", "a;b", "../a"])
def test_malformed_request_id_is_replaced(client, given):
    response = client.get("/api/courses", headers={b"X-Request-ID": given.encode()})
    assert uuid.UUID(response.headers["X-Request-ID"])


def test_every_response_has_a_request_id(client, loud):
    assert client.get("/api/courses", headers={"X-Request-ID": "a.b-c_1"}).headers["X-Request-ID"] == "a.b-c_1"
    for path in ("/healthz", "/metrics", "/nowhere", "/api/jobs/nonsense", "/static/site/site.css"):
        assert uuid.UUID(client.get(path).headers["X-Request-ID"])
    assert client.get("/").headers["X-Request-ID"] != client.get("/").headers["X-Request-ID"]


def test_failed_request_is_logged_with_its_id(logs, client):
    request_id = client.get("/api/jobs/nonsense").headers["X-Request-ID"]
    lines = wait_for(lambda: logs.lines("daphne", request_id=request_id, path="/api/jobs/nonsense"))
    assert lines[0]["status"] == 404
    assert {line["logger"] for line in logs.lines("daphne", request_id=request_id)} == {"access", "django.request"}


async def test_tickets_and_query_strings_are_not_logged(logs, loud, learner):
    ticket = await database.call(issue_ticket, learner)
    before = len(logs.lines("daphne", path="/ws/jobs/"))
    async with loud.handshake(f"?ticket={ticket}"):
        pass
    with pytest.raises(websockets.InvalidStatus):
        async with loud.handshake(f"?ticket={ticket}"):
            pass
    lines = await eventually(lambda: (found := logs.lines("daphne", path="/ws/jobs/"))[before + 1 :] and found[before:])
    assert [line["status"] for line in lines] == [101, 403]
    assert ticket not in logs.text


def test_health_checks_and_scrapes_are_not_logged(logs, client):
    for path in ("/healthz", "/readyz", "/metrics"):
        client.get(path)
    request_id = client.get("/api/courses").headers["X-Request-ID"]
    wait_for(lambda: logs.lines("daphne", request_id=request_id))
    assert not [line for line in logs.lines("daphne") if line.get("path") in ("/healthz", "/readyz", "/metrics")]


def test_questions_answers_and_secrets_are_not_logged(logs, client, sql_course, simulator):
    question = f"What does {CANARY} mean?"
    first = ask(client, sql_course, question)
    wait_for(lambda: ended(first["jobId"]))
    follow_up = {"conversationId": first["conversationId"]}
    for fault in ("400", "disconnect", "garbage"):
        simulator.fault(fault, times=1)
        job_id = ask(client, sql_course, question, **follow_up)["jobId"]
        wait_for(lambda job_id=job_id: ended(job_id), 30)
    client.post("/api/assistant/query", json={"courseId": CANARY, "question": question})
    client.post("/api/assistant/query", json={"courseId": sql_course.slug, "question": [question]})
    client.post("/api/assistant/query", content=f'{{"question": "{CANARY}')
    client.post("/api/auth/token", json={"username": "learner", "password": CANARY})
    token = client.headers["Authorization"].removeprefix("Token ")
    for needle in (CANARY, "COALESCE", token, os.environ["OPENAI_API_KEY"], os.environ["SECRET_KEY"]):
        assert needle not in logs.text
    assert AiJob.objects.filter(pk=first["jobId"]).exists() and logs.lines("rqworker", job_id=first["jobId"])


def test_every_line_is_json(logs, client):
    """Including those of RQ, Daphne and Django at start and shutdown."""
    assert len(logs.lines("daphne")) > 10 and len(logs.lines("rqworker")) > 10


CODE = """
import manage, django, logging
django.setup()
try:
    raise ValueError("no")
except ValueError:
    logging.getLogger("jobs").exception("it failed: %s", "why")
"""


class Strict(BaseModel):
    question: int


def refused_by_postgres():
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO conversations_message (role, text, citations, created_at) VALUES ('user', %s, '[]', now())",
            [f"What does\n{CANARY}\nmean?"],
        )


def refused_by_pydantic():
    Strict(question=f"What does\n{CANARY} mean, input_type={CANARY}?")


@pytest.mark.parametrize("fail", [refused_by_postgres, refused_by_pydantic])
@pytest.mark.parametrize("formatter", [as_json(), as_text()], ids=["json", "plain"])
def test_exceptions_are_logged_without_the_rejected_values(fail, formatter):
    question = CANARY  # nor the values of local variables
    with pytest.raises(Exception, match=question) as caught:
        fail()
    record = logging.LogRecord("jobs", logging.ERROR, "", 1, "it failed", (), caught._excinfo)
    line = formatter.format(record)
    assert CANARY not in line
    assert "Traceback" in line and "[left out]" in line and "it failed" in line


def test_production_logs_json_and_development_plain_text(tmp_path):
    line = json.loads(python(["-c", CODE], PRODUCTION, tmp_path).stderr)
    assert (line["level"], line["logger"], line["message"]) == ("error", "jobs", "it failed: why")
    assert "Traceback" in line["exception"]
    plain = python(["-c", CODE], PRODUCTION | {"DEV_STACK": "1"}, tmp_path).stderr
    assert "it failed: why" in plain.splitlines()[0] and not plain.startswith("{")
