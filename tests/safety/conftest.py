"""Courses with canary words, and access to everything sent upstream."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest
from django.contrib.auth.models import User

from courses.models import Course, Enrollment, Lesson
from jobs.models import AiJob
from tests.support import Json, Platform, Simulator, perform, run_pending, unique


@dataclass
class Secret:
    """A course, and a canary word that occurs everywhere in it and nowhere else."""

    course: Course
    lesson: Lesson
    canary: str


@pytest.fixture
def secret(_database) -> Iterator[Secret]:
    """A course in which the learner is not enrolled. Its subject, the quernstone, can be asked for."""
    canary = f"canary{uuid.uuid4().hex[:12]}"
    course = Course.objects.create(slug=unique("test-secret"), title=f"Quernstones {canary}", summary=canary)
    title, text = f"The quernstone {canary}", f"A quernstone is dressed every week. {canary} is the dressing of it."
    lesson = course.lessons.create(slug="quernstone", position=1, title=title, body=text)
    course.passages.create(lesson=lesson, position=1, heading=f"Dressing {canary}", text=text)
    run_pending("assistant.embedding", {"courseId": course.pk}).delete()
    yield Secret(course, lesson, canary)
    course.delete()


class Asking:
    """A learner's questions: asked over HTTP, answered in this process, prompts recorded by the simulator."""

    def __init__(self, client: httpx2.Client, simulator: Simulator) -> None:
        self.client = client
        self._simulator = simulator

    def post(self, course: str, question: str, /, **more: object) -> httpx2.Response:
        """Ask; if the question is accepted, run its job before returning."""
        self._simulator.reset()
        body = {"courseId": course, "question": question} | more
        response = self.client.post("/api/assistant/query", json=body)
        if response.status_code == 202:
            self.work(response.json()["jobId"])
        return response

    def ask(self, course: str, question: str, /, **more: object) -> AiJob:
        """Ask; asserts that the question is accepted and its job completed."""
        response = self.post(course, question, **more)
        assert response.status_code == 202, response.text
        job = AiJob.objects.get(pk=response.json()["jobId"])
        assert job.status == "completed", job.error_code
        return job

    def work(self, job_id: str) -> None:
        """Run the job, as a worker does."""
        perform(job_id)

    @property
    def sent(self) -> str:
        """All bodies sent upstream since the last question was asked, as JSON."""
        return json.dumps([request["body"] for request in self._simulator.requests()], ensure_ascii=False)

    @property
    def prompts(self) -> list[list[Json]]:
        """The messages of each chat call."""
        bodies = [request["body"] for request in self._simulator.requests()]
        return [body["messages"] for body in bodies if "messages" in body]


@pytest.fixture
def asking(api: httpx2.Client, simulator: Simulator) -> Asking:
    """The learner of the SQL course."""
    return Asking(api, simulator)


@pytest.fixture
def insider(platform: Platform, simulator: Simulator, learner: User, secret: Secret) -> Asking:
    """The same learner, enrolled in the secret course as well."""
    Enrollment.objects.create(course=secret.course, user=learner)
    return Asking(platform.client(learner), simulator)
