"""The demo's other learners and their past questions, which tutors can review. Makes no upstream calls."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from conversations.models import Conversation, Message
from courses.models import Course, Enrollment, Passage
from jobs.models import AiJob

DEMO = Path(__file__).parent / "questions.toml"
NOT_COVERED = "This is not in the course material."


@transaction.atomic
def load() -> None:
    """Create the learners and their questions, unless any of the learners exists."""
    demo = tomllib.loads(DEMO.read_text())
    if User.objects.filter(username__in=demo["learners"]).exists():
        return
    learners = [_learner(name) for name in demo["learners"]]
    for question in demo["questions"]:
        _ask(learners[question["by"]], question)


def _learner(username: str) -> User:
    first, last = username.split(".")
    user = User.objects.create(username=username, first_name=first.title(), last_name=last.title())
    user.set_unusable_password()
    user.save()
    Enrollment.objects.bulk_create(Enrollment(user=user, course=course) for course in Course.objects.all())
    return user


def _ask(learner: User, question: dict[str, Any]) -> None:
    course, text = Course.objects.get(slug=question["course"]), question["text"]
    at = timezone.now() - timedelta(days=question["days"], hours=question["by"])
    conversation = Conversation.objects.create(surface="assistant", owner=learner, course=course, title=text[:80])
    job = AiJob.objects.create(
        kind="assistant.answer",
        queue="interactive",
        owner=learner,
        subject=conversation.subject,
        status=AiJob.Status.COMPLETED,
        attempt=1,
        started_at=at,
        finished_at=at,
    )
    answer, citations = _answer(course, question.get("section", ""))
    rating = {key: question[key] for key in ("rating", "reason") if key in question}
    conversation.messages.create(role=Message.Role.USER, text=text, job=job)
    conversation.messages.create(role=Message.Role.ASSISTANT, text=answer, citations=citations, job=job, **rating)
    conversation.messages.update(created_at=at)
    Conversation.objects.filter(pk=conversation.pk).update(created_at=at, updated_at=at)
    AiJob.objects.filter(pk=job.pk).update(created_at=at)


def _answer(course: Course, section: str) -> tuple[str, list[dict[str, Any]]]:
    if not section:
        return NOT_COVERED, []
    passage = Passage.objects.filter(course=course, heading__endswith=section).select_related("lesson").earliest("pk")
    first = passage.text.strip().split("\n\n")[0]
    cited = {"n": 1, "lessonId": str(passage.lesson_id), "title": passage.lesson.title, "heading": passage.heading}
    return f"{first} [1]", [cited]
