"""Who may read what a person and the AI said: the person, and staff with a permission, whose reading is noted."""

from __future__ import annotations

import logging
from typing import Any

from django.contrib.auth.models import User

from accounts.people import Person
from jobs.models import AiJob, Reading

PERMISSION = "jobs.read_text"

logger = logging.getLogger(__name__)


def may_read(user: Any) -> bool:
    """Whether this user may read other people's questions and answers."""
    return user.is_active and user.is_staff and user.has_perm(PERMISSION)


def note(user: Any, what: str) -> None:
    """Record that this user opened somebody else's text, such as "conversation:<id>"."""
    Reading.objects.create(reader_id=user.pk, reader_name=user.get_username(), what=what)
    logger.info("user %s opened %s", user.pk, what)


def open_job(person: Person, job: AiJob) -> bool:
    """Whether this person, who may see the job, may read its text too. When staff do, that is noted."""
    if job.belongs_to(person):
        return True
    user = User.objects.filter(pk=person.user_id).first() if person.user_id is not None else None
    if user is None or not may_read(user):
        return False
    note(user, f"job:{job.pk}")
    return True
