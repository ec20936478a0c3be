"""Who may see and change jobs, and read what a person and the AI said: the person, and staff with a permission.

The permissions are those of the admin (config/staff.py). Reading is noted.
"""

from __future__ import annotations

import logging
from typing import Any

from accounts.people import Person
from config import staff
from jobs.models import CHANGING_JOBS, READING_TEXT, SEEING_JOBS, AiJob, Reading

logger = logging.getLogger(__name__)


def may_read(user: Any) -> bool:
    """Whether this user may read other people's questions and answers."""
    return staff.may(user, READING_TEXT)


def may_see_jobs(user: Any) -> bool:
    """Whether this user may see everybody's jobs in the admin, without their text."""
    return staff.may(user, *SEEING_JOBS)


def may_change_jobs(user: Any) -> bool:
    """Whether this user may act on other people's jobs: cancel, retry, hold breakers, empty queues."""
    return staff.may(user, CHANGING_JOBS)


class NotAllowed(Exception):
    """Acting on this job takes a permission that the person does not have."""


def acting(person: Person, job: AiJob, via: str) -> staff.Acting | None:
    """Who acts, if it is staff on somebody else's job; None for the job's own person. Raises NotAllowed.

    Asks for the permissions of now: a socket may have been open for long.
    """
    if job.belongs_to(person):
        return None
    user = staff.member(person.user_id)
    if user is None or not may_change_jobs(user):
        raise NotAllowed
    return staff.Acting(user, via)


def note(user: Any, what: str) -> None:
    """Record that this user opened somebody else's text, such as "conversation:<id>"."""
    Reading.objects.create(reader_id=user.pk, reader_name=user.get_username(), what=what)
    logger.info("user %s opened %s", user.pk, what)


def open_job(person: Person, job: AiJob) -> bool:
    """Whether this person, who may see the job, may read its text too. When staff do, that is noted."""
    if job.belongs_to(person):
        return True
    user = staff.member(person.user_id)
    if user is None or not may_read(user):
        return False
    note(user, f"job:{job.pk}")
    return True
