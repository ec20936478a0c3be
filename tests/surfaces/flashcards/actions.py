"""Actions of learners: ask for cards."""

from __future__ import annotations

from courses.models import Lesson
from flashcards.kinds import CARDS
from jobs.models import AiJob
from jobs.submission import Submission, submit


def ask_for_cards(submission: Submission, lesson: Lesson, count: int) -> AiJob:
    """Submit the job that writes the cards. Runs in the caller's transaction.

    Raises SubjectBusy while an earlier job of this learner on this lesson is active.
    """
    subject = f"flashcards:{submission.person.user_id}:{lesson.pk}"
    return submit(submission, CARDS, {"lessonId": lesson.pk, "count": count}, subject=subject)
