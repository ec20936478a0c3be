"""The one rule for what staff do with things that are not their own: it takes the permission that the admin asks for.

It holds for the API, the socket, the pages and the admin alike. What was done is recorded as a row of the admin's
history (LogEntry), which the admin writes by itself only for its own forms.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

logger = logging.getLogger(__name__)


def may(user: Any, *permissions: str) -> bool:
    """Return whether this user is active staff with one of these permissions. Superusers have all of them."""
    return bool(user.is_active and user.is_staff and any(map(user.has_perm, permissions)))


def may_view(user: Any, model: str) -> bool:
    """Return whether this user may view the rows of a model ("app.name") in the admin. Changing includes viewing."""
    app, _, name = model.partition(".")
    return may(user, f"{app}.view_{name}", f"{app}.change_{name}")


def member(user_id: int | None) -> User | None:
    """Return the active member of staff with this id, whose permissions are those of now; None for anybody else."""
    return User.objects.filter(pk=user_id, is_active=True, is_staff=True).first() if user_id is not None else None


@dataclass(frozen=True)
class Acting:
    """A member of staff who acts on something that is not their own, and how: by "API", "socket", "page" or "admin"."""

    user: Any
    via: str

    def record(self, what: Model | str, done: str) -> None:
        """Record what was done to a row, or to something with a name that has no row."""
        row: dict[str, Any] = {}
        if isinstance(what, Model):
            row = {"content_type": ContentType.objects.get_for_model(what), "object_id": str(what.pk)}
        message = f"{done} (by way of the {self.via})."
        LogEntry.objects.create(
            user_id=self.user.pk, object_repr=str(what)[:200], action_flag=CHANGE, change_message=message, **row
        )
        logger.info("user %s, %s: %s", self.user.pk, what, message)
