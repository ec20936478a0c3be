"""Actions on profiles: learners answer, correct and delete; staff override and reclassify."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from accounts.people import SYSTEM
from jobs import actions as job_actions
from jobs.models import AiJob
from jobs.submission import Submission, submit
from personas.kinds import BATCH, PROFILE, RENEWAL
from personas.models import Persona, Profile, Questionnaire, subject_of


def answer(submission: Submission, questionnaire: Questionnaire, answers: list[dict[str, str]]) -> AiJob:
    """Store the answers and submit the job that classifies them. Runs in the caller's transaction.

    The previous persona stays until the job ends. Raises SubjectBusy while an earlier job of this learner is active.
    """
    user_id = submission.person.user_id
    assert user_id is not None, "only people who signed in have a profile"
    given = {"questionnaire": questionnaire, "answers": answers}
    profile, is_new = Profile.objects.get_or_create(user_id=user_id, defaults=given)
    if not is_new:
        # An empty version marks the profile as stale, so that a batch finds it if this job fails.
        _change(Profile.objects.filter(pk=profile.pk), **given, personas_version="")
        profile.refresh_from_db()
    return submit(submission, PROFILE, profile.payload, subject=profile.subject)


def decide(profile: Profile, persona: Persona | None, source: Profile.Source) -> None:
    """Store a person's decision; None means that no persona fits. A running classification is then discarded."""
    _change(
        Profile.objects.filter(pk=profile.pk),
        persona=persona,
        confidence=None,
        reasons=[],
        source=source,
        classified_at=timezone.now(),
    )
    profile.refresh_from_db()


def delete(user_id: int) -> bool:
    """Delete the learner's profile and cancel its active jobs. Returns False if there is no profile."""
    deleted, _ = Profile.objects.filter(user_id=user_id).delete()
    for job in AiJob.objects.active().filter(kind__in=[PROFILE.name, RENEWAL.name], subject=subject_of(user_id)):
        job_actions.cancel(job)
    return bool(deleted)


def renew_all() -> AiJob:
    """Submit the batch that renews all stale profiles. Raises SubjectBusy while another batch is active."""
    with transaction.atomic():
        return submit(Submission(SYSTEM), BATCH, {}, subject="everybody")


def drop_decision(profiles: QuerySet[Profile]) -> None:
    """Discard people's decisions about these profiles, so that the model may classify them again."""
    _change(profiles, source=Profile.Source.MODEL)


def _change(profiles: QuerySet[Profile], **changes: object) -> None:
    profiles.update(revision=F("revision") + 1, updated_at=timezone.now(), **changes)
