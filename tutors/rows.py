"""Database access of the copilot's jobs: loads tasks, drafts and sources, saves drafts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import F
from django.utils import timezone
from pydantic import TypeAdapter

from conversations.models import Conversation
from conversations.pipeline import QuestionInContext
from conversations.rows import question_of
from courses import search
from courses.grounding import PromptPassage, found
from courses.models import Course
from jobs.kinds import Refusal, Run
from jobs.models import AiJob
from tutors import insights
from tutors.content import Content, QuizQuestion, Reply
from tutors.digest import Insights
from tutors.models import Draft
from tutors.pipeline import LessonTitle, Task

MAX_LESSON_CHARS = 16_000  # about 4,000 tokens: a complete long lesson
CONTENT: TypeAdapter[Reply | QuizQuestion] = TypeAdapter(Content)


@dataclass(frozen=True)
class Redraft:
    """A draft to rewrite, with the other questions of its quiz."""

    course: Course
    content: Reply | QuizQuestion
    others: list[QuizQuestion]
    instruction: str


class CourseSources:
    """Gives the pipeline access to one course (pipeline.Sources)."""

    def __init__(self, run: Run, course: Course) -> None:
        self._run = run
        self._course = course

    async def search(self, words: str, vector: list[float]) -> list[PromptPassage]:
        """Search the course's passages."""
        return found(await self._run.db(search.hybrid, self._course.pk, words, vector))

    async def lesson(self, lesson_id: int) -> list[PromptPassage]:
        """Return a lesson's passages in order, as many as fit into MAX_LESSON_CHARS."""
        passages = await self._run.db(search.of_lesson, lesson_id)
        return found(search.fitting_in(passages, MAX_LESSON_CHARS))

    async def insights(self) -> Insights:
        """Return the course's insights."""
        return await self._run.db(insights.of_course, self._course)


def task_of(job: AiJob) -> tuple[Course, Task]:
    """Return the tutor's task. Raises Refusal if the tutor no longer teaches the course, or the question is gone."""
    course = _taught_course(
        job, Conversation.objects.values_list("course_id", flat=True).get(pk=job.payload["conversationId"])
    )
    _, question = question_of(job)
    lessons = [LessonTitle(lesson_id=pk, title=title) for pk, title in course.lessons.values_list("pk", "title")]
    wanted = job.payload.get("lessonId")
    task = Task(
        question=question,
        course=course.title,
        lessons=lessons,
        intent=job.payload.get("intent"),
        lesson=next((lesson for lesson in lessons if lesson.lesson_id == wanted), None),
        asked=_asked(course, job),
    )
    return course, task


def add_drafts(job: AiJob, result: dict[str, Any]) -> None:
    """Save the drafts of this job's result."""
    course_id, now = job.payload["courseId"], timezone.now()
    Draft.objects.bulk_create(
        Draft(
            course_id=course_id,
            kind=content["kind"],
            content=content,
            question_id=job.payload.get("questionId"),
            job=job,
            position=position,
            created_at=now,
        )
        for position, content in enumerate(result.get("drafts", []))
    )


def redraft_of(job: AiJob) -> Redraft:
    """Return the draft to rewrite. Raises Refusal if it is gone or the tutor no longer teaches the course."""
    draft = Draft.objects.filter(pk=job.payload["draftId"]).first()
    if draft is None:
        raise Refusal("gone", "This draft no longer exists.")
    course = _taught_course(job, draft.course_id)
    same_quiz = Draft.objects.filter(course=course, kind=Draft.Kind.QUIZ_QUESTION, job=draft.job).exclude(job=None)
    others = [QuizQuestion.model_validate(other.content) for other in same_quiz.exclude(pk=draft.pk)]
    return Redraft(course, CONTENT.validate_python(draft.content), others, draft.instruction)


def save_redraft(job: AiJob, result: dict[str, Any]) -> None:
    """Save the new content, unless the draft was edited or decided since the job was submitted."""
    Draft.objects.filter(pk=job.payload["draftId"], version=job.payload["version"], state=Draft.State.DRAFT).update(
        content=result["content"],
        version=F("version") + 1,
        is_edited=False,
        written_by_id=job.pk,
        updated_at=timezone.now(),
    )


def _taught_course(job: AiJob, course_id: int | None) -> Course:
    course = Course.objects.filter(pk=course_id or 0, tutors=job.owner_id).first()
    if course is None:
        raise Refusal("not_a_tutor", "You no longer teach this course.")
    return course


def _asked(course: Course, job: AiJob) -> QuestionInContext | None:
    question_id = job.payload.get("questionId")
    if question_id is None:
        return None
    found = insights.asked_without_names(course, question_id)
    if found is None:
        raise Refusal("gone", "This question no longer exists.")
    text, turns = found
    return QuestionInContext(text=text, turns=turns)
