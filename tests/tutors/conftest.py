"""A course with tutors and learners' questions, and the copilot's jobs run in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User

from conversations.models import Conversation, Message
from courses.models import Course, Enrollment
from jobs.models import AiJob
from tests.support import Json, password_hash, perform, unique
from tutors.models import Draft


class Copilot:
    """A tutor's use of the copilot: posts, runs the job in this process, reads the row."""

    def __init__(self, client, course: Course) -> None:
        self.client, self.course = client, course
        self.path = f"/api/tutors/courses/{course.slug}"

    def post(self, question: str, **more) -> Json:
        response = self.client.post(f"{self.path}/copilot", json={"question": question, **more})
        assert response.status_code == 202, response.text
        return response.json()

    def ask(self, question: str, **more) -> Json:
        """The 202 body, updated with the completed job."""
        accepted = self.post(question, **more)
        self.run(accepted["jobId"])
        return accepted | self.client.get(accepted["links"]["self"]).json()

    def run(self, job_id) -> AiJob:
        perform(job_id)
        return AiJob.objects.get(pk=job_id)

    def drafts(self, **params) -> list[Json]:
        return self.client.get(f"{self.path}/drafts", params=params).json()["results"]

    def change(self, draft: Json, method: str, action: str = "", **body):
        path = "/".join(filter(None, [self.path, "drafts", draft["draftId"], action]))
        return self.client.request(method, path, json=body)


@pytest.fixture
def tutor(sql_course: Course) -> User:
    user = User.objects.create(username=unique("test-tutor"), password=password_hash())
    sql_course.tutors.add(user)
    return user


@pytest.fixture
def copilot(platform, tutor: User, sql_course: Course) -> Iterator[Copilot]:
    with platform.client(tutor) as client:
        yield Copilot(client, sql_course)
    Draft.objects.all().delete()


class Learners:
    """Learners of the course, and their questions with answers and ratings."""

    def __init__(self, course: Course) -> None:
        self.course = course
        names = (("Amira", "Haddad"), ("Jonas", "Weber"), ("Mei", "Tanaka"))
        self.users = [
            User.objects.create(username=unique(f"test-{first.lower()}"), first_name=first, last_name=last)
            for first, last in names
        ]
        Enrollment.objects.bulk_create(Enrollment(user=user, course=course) for user in self.users)

    def ask(self, text: str, by: int = 0, about: str = "", rating: str = "", status: str = "completed") -> Message:
        """Add a question; `about` is the heading that its answer cites, if any."""
        owner = self.users[by]
        conversation = Conversation.objects.create(
            surface="assistant", owner=owner, course=self.course, title=text[:80]
        )
        job = AiJob.objects.create(kind="assistant.answer", queue="interactive", owner=owner, status=status)
        question = conversation.messages.create(role="user", text=text, job=job)
        if status == "completed":
            cited = [self._citation(about)] if about else []
            conversation.messages.create(role="assistant", text="So.", citations=cited, rating=rating, job=job)
        return question

    def _citation(self, heading: str) -> Json:
        passage = self.course.passages.filter(heading=heading).select_related("lesson").earliest("pk")
        return {"n": 1, "lessonId": str(passage.lesson_id), "title": passage.lesson.title, "heading": passage.heading}


@pytest.fixture
def learners(sql_course: Course) -> Learners:
    return Learners(sql_course)
