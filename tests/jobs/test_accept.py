"""accept() answers 202 for the kind that it is given."""

import pytest
from django.contrib.auth.models import User
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from jobs import kinds
from jobs.accept import accept
from jobs.kinds import JobKind
from jobs.models import AiJob
from jobs.submission import submit
from tests.jobs.conftest import KIND


async def nothing(run):
    return {}


OTHER = JobKind("test.other", nothing, priority=2, told=("id",))


def request_of(learner: User) -> Request:
    request = Request(APIRequestFactory().post("/api/things"))
    request.user = learner
    return request


def test_kind_defines_the_queue_and_the_public_payload_fields(learner):
    kinds.register(OTHER)
    answer = accept(request_of(learner), {}, OTHER, lambda submission: submit(submission, OTHER, {"id": 7, "more": 8}))
    job = AiJob.objects.get()
    assert (answer.status_code, set(answer.data), answer.data["id"]) == (202, {"jobId", "status", "links", "id"}, 7)
    assert (job.kind, job.queue) == ("test.other", "background")


def test_submitting_another_kind_than_accepted_creates_nothing(engine, learner):
    with pytest.raises(ValueError, match=r"test\.other"):
        accept(request_of(learner), {}, OTHER, lambda submission: submit(submission, kinds.get(KIND), {}))
    assert not AiJob.objects.exists()
