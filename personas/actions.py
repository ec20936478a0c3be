"""What people do with a profile: learners answer, correct and delete; staff override, and have it looked at again."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from accounts.people import SYSTEM
from jobs import actions as job_actions
from jobs import submission
from jobs.models import AiJob
from jobs.submission import SubjectBusy
from personas.models import Persona, Profile, Questionnaire, subject_of

PROFILE = "personas.profile"  # a learner has answered
RENEWAL = "personas.renewal"  # staff want another look at the same answers
BATCH = "personas.batch"  # the renewals of everybody


def answer(wish: submission.Request, questionnaire: Questionnaire, answers: list[dict[str, str]]) -> AiJob:
    """Write the answers down and submit the job that classifies them. Runs in the caller's transaction.

    What was known before stays until the job ends. Raises SubjectBusy while an earlier job of this learner is active.
    """
    user_id = wish.person.user_id
    assert user_id is not None, "only people who signed in have a profile"
    given = {"questionnaire": questionnaire, "answers": answers}
    profile, is_new = Profile.objects.get_or_create(user_id=user_id, defaults=given)
    if not is_new:
        # Until these answers have been looked at, it is of no version: should the job fail, a batch finds it.
        _change(Profile.objects.filter(pk=profile.pk), **given, personas_version="")
        profile.refresh_from_db()
    return submission.submit(wish, PROFILE, _payload(profile), subject=profile.subject)


def decide(profile: Profile, persona: Persona | None, source: Profile.Source) -> None:
    """A person says what is right, or that nothing is known. A classification under way no longer counts."""
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
    """Delete the learner's profile with all their words, and stop what is working on it. False if there is none."""
    deleted, _ = Profile.objects.filter(user_id=user_id).delete()
    for job in AiJob.objects.active().filter(kind__in=[PROFILE, RENEWAL], subject=subject_of(user_id)):
        async_to_sync(job_actions.cancel)(job)
    return bool(deleted)


def renew(profiles: Iterable[Profile]) -> int:
    """Have these looked at again, by jobs of the system; how many were submitted.

    The system's, not the learners': what staff ask for does not use up a learner's budget or active jobs, shows up on
    no learner's page, and in the governor's eyes the whole batch is one person.
    """
    submitted = 0
    with transaction.atomic():
        for profile in profiles:
            with suppress(SubjectBusy):  # it is being looked at already
                submission.submit(submission.Request(SYSTEM), RENEWAL, _payload(profile), subject=profile.subject)
                submitted += 1
    return submitted


def renew_all() -> AiJob:
    """Have everybody of an old version looked at again, little by little. Raises SubjectBusy while that goes on."""
    with transaction.atomic():
        return submission.submit(submission.Request(SYSTEM), BATCH, {}, subject="everybody")


def drop_decision(profiles: QuerySet[Profile]) -> None:
    """Forget what people decided about these: the model may look at them again."""
    _change(profiles, source=Profile.Source.MODEL)


def _payload(profile: Profile) -> dict[str, int]:
    return {"profileId": profile.pk, "revision": profile.revision}


def _change(profiles: QuerySet[Profile], **changes: object) -> None:
    profiles.update(revision=F("revision") + 1, updated_at=timezone.now(), **changes)
