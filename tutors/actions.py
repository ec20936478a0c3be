"""Actions of tutors: ask the copilot; edit, regenerate, accept or discard its drafts."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from config.errors import Problem
from conversations.actions import ask
from courses.models import Course
from jobs.models import AiJob
from jobs.submission import Submission, submit
from tutors.content import QuizEdit, QuizQuestion, Reply, ReplyEdit
from tutors.kinds import COPILOT, REDRAFT
from tutors.models import Draft


def ask_copilot(
    submission: Submission,
    course: Course,
    question: str,
    conversation_id: UUID | None,
    *,
    intent: str | None,
    lesson_id: int | None,
    question_id: int | None,
) -> AiJob:
    """Store the tutor's message and submit its job. Runs in the caller's transaction."""
    details = {"intent": intent, "lessonId": lesson_id, "questionId": question_id}
    known = {key: value for key, value in details.items() if value is not None}
    more = {"courseId": course.pk, **known}
    return ask(submission, COPILOT, question, conversation_id, course=course, more=more)


def edit(draft: Draft, version: int, changed: ReplyEdit | QuizEdit) -> Draft:
    """Change the content of this version of a draft. Raises Problem 409 if the draft has another version by now."""
    return _change(draft, version, content=_edited(draft, changed), version=F("version") + 1, is_edited=True)


def accept(draft: Draft, version: int) -> Draft:
    """Accept this version of the draft. Raises Problem 409 if it has changed or was already decided."""
    return _change(draft, version, state=Draft.State.ACCEPTED)


def discard(draft: Draft) -> Draft:
    """Discard the draft. Raises Problem 409 if it was already decided."""
    return _change(draft, None, state=Draft.State.DISCARDED)


def regenerate(submission: Submission, draft: Draft, instruction: str) -> AiJob:
    """Submit the job that rewrites this draft. Runs in the caller's transaction.

    Raises SubjectBusy while another rewrite is active, Problem 409 if the draft was already decided.
    """
    locked = Draft.objects.select_for_update().get(pk=draft.pk)
    if locked.state != Draft.State.DRAFT:
        raise _decided_already()
    # The version fences the job: it does not overwrite later edits.
    job = submit(submission, REDRAFT, {"draftId": draft.pk, "version": locked.version}, subject=draft.subject)
    Draft.objects.filter(pk=draft.pk).update(instruction=instruction)
    return job


@transaction.atomic
def _change(draft: Draft, seen: int | None, **changes: object) -> Draft:
    locked = Draft.objects.select_for_update().get(pk=draft.pk)
    if locked.state != Draft.State.DRAFT:
        raise _decided_already()
    if seen is not None and locked.version != seen:
        raise Problem(
            409,
            "changed",
            "This draft has changed in the meantime. Please look at it again.",
            {"version": locked.version},
        )
    Draft.objects.filter(pk=draft.pk).update(**changes, updated_at=timezone.now())
    return Draft.objects.get(pk=draft.pk)


def _edited(draft: Draft, changed: ReplyEdit | QuizEdit) -> dict[str, object]:
    if isinstance(changed, QuizEdit):
        before = QuizQuestion.model_validate(draft.content)
        return before.model_copy(update=changed.model_dump()).model_dump()
    reply = Reply.model_validate(draft.content)
    cited = [citation for citation in reply.citations if f"[{citation.n}]" in changed.text]
    return reply.model_copy(update={"text": changed.text, "citations": cited}).model_dump()


def _decided_already() -> Problem:
    return Problem(409, "decided", "This draft has already been accepted or discarded.")
