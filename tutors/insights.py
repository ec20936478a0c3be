"""Computes what learners of a course asked the assistant recently: counts, themes, open questions, no names."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils import timezone

from conversations.models import Message
from conversations.prompts import Turn
from courses.models import Course, Enrollment
from jobs.models import AiJob
from tutors.anonymity import MIN_LEARNERS, anonymous, at_least, names_of
from tutors.digest import Insights, OpenQuestion, Theme, Trouble
from tutors.models import Draft

SURFACE = "assistant"  # where learners ask
INSIGHT_DAYS = 30
MAX_QUESTIONS = 500  # the newest ones
MAX_THEMES = 10
MAX_OPEN_QUESTIONS = 20
MESSAGES_BEFORE = 4  # context of a question, for the reply prompt


@dataclass(frozen=True)
class Asked:
    """A learner's question with its answer. It identifies the learner, so it must not leave this module."""

    question: Message
    answer: Message | None
    trouble: Trouble | None
    is_settled: bool  # by an accepted reply


def of_course(course: Course) -> Insights:
    """Return the insights of this course for the last INSIGHT_DAYS."""
    asked = _asked_in(course)
    texts = _Texts(course)
    open_questions = [one for one in asked if one.trouble and not one.is_settled]
    shown = [shown for one in open_questions if (shown := _shown(one, texts))]
    return Insights(
        days=INSIGHT_DAYS,
        questions=len(asked),
        learners=at_least(len({one.question.conversation.owner_id for one in asked})),
        troubles=dict(Counter(one.trouble for one in asked if one.trouble)),
        themes=_themes(asked),
        open=shown[:MAX_OPEN_QUESTIONS],
        withheld=len(open_questions) - len(shown),
    )


def asked_without_names(course: Course, question_id: int) -> tuple[str, list[Turn]] | None:
    """Return a learner's anonymised question and the messages before it; None if tutors may not see it."""
    question = questions_in(course).filter(pk=question_id).first()
    if question is None:
        return None
    texts = _Texts(course)
    if (text := texts.anonymous(question.text)) is None:
        return None
    before = question.conversation.messages.filter(pk__lt=question.pk).order_by("-pk")[:MESSAGES_BEFORE]
    turns = [Turn(role=m.role, text=t) for m in reversed(before) if (t := texts.anonymous(m.text)) is not None]
    return text, turns


def questions_in(course: Course) -> QuerySet[Message]:
    """Return the questions of learners about this course, without those of its tutors."""
    asked = Message.objects.filter(
        role=Message.Role.USER,
        conversation__surface=SURFACE,
        conversation__course=course,
        conversation__owner__isnull=False,
    )
    return asked.exclude(conversation__owner__in=course.tutors.all()).select_related("conversation")


class _Texts:
    """Anonymises texts of a course's learners."""

    def __init__(self, course: Course) -> None:
        enrolled = User.objects.filter(pk__in=Enrollment.objects.filter(course=course).values("user"))
        people = list(enrolled.values_list("username", "first_name", "last_name"))
        self._are_enough = len(people) >= MIN_LEARNERS
        self._names = names_of(people)

    def anonymous(self, text: str) -> str | None:
        return anonymous(text, self._names) if self._are_enough else None


def _asked_in(course: Course) -> list[Asked]:
    since = timezone.now() - timedelta(days=INSIGHT_DAYS)
    recent = questions_in(course).filter(created_at__gte=since)
    questions = list(recent.select_related("job").order_by("-created_at", "-pk")[:MAX_QUESTIONS])
    jobs = [question.job_id for question in questions if question.job_id]
    answers = {a.job_id: a for a in Message.objects.filter(job__in=jobs, role=Message.Role.ASSISTANT)}
    replied = Draft.objects.filter(question__in=questions, state=Draft.State.ACCEPTED)
    settled = set(replied.values_list("question_id", flat=True))
    return [
        Asked(question, answer := answers.get(question.job_id), _trouble(question.job, answer), question.pk in settled)
        for question in questions
    ]


def _trouble(job: AiJob | None, answer: Message | None) -> Trouble | None:
    if job is None or not job.is_final:
        return None  # deleted by retention after it ended, or still active
    if answer is None or job.status != AiJob.Status.COMPLETED:
        return "unanswered" if job.status == AiJob.Status.FAILED else None  # cancelled: no answer was wanted
    if answer.rating == Message.Rating.DOWN:
        return "disliked"
    return None if answer.citations else "not_covered"


def _shown(asked: Asked, texts: _Texts) -> OpenQuestion | None:
    text = texts.anonymous(asked.question.text)
    if text is None or asked.trouble is None:
        return None
    return OpenQuestion(
        question_id=asked.question.pk, text=text, trouble=asked.trouble, asked_on=asked.question.created_at.date()
    )


def _themes(asked: Iterable[Asked]) -> list[Theme]:
    """Group questions by the first section that their answer cites; return the largest groups first."""
    sections: defaultdict[tuple[int, str, str], list[Asked]] = defaultdict(list)
    for one in asked:
        if one.answer and one.answer.citations:
            first = one.answer.citations[0]
            sections[int(first["lessonId"]), first["title"], first["heading"]].append(one)
    themes = [_theme(*section, about) for section, about in sections.items()]
    return sorted(themes, key=lambda theme: (-theme.questions, -theme.troubled, theme.title))[:MAX_THEMES]


def _theme(lesson_id: int, title: str, heading: str, about: list[Asked]) -> Theme:
    return Theme(
        lesson_id=lesson_id,
        title=title,
        heading=heading,
        questions=len(about),
        troubled=sum(one.trouble is not None for one in about),
        learners=at_least(len({one.question.conversation.owner_id for one in about})),
    )
