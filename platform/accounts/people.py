"""The person behind a request or a socket: a user who signed in, or an anonymous visitor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core import signing
from django.db.models import Q
from django.http import HttpRequest

VISITOR_COOKIE = "visitor"


@dataclass(frozen=True)
class Person:
    """A user or a visitor. With neither set it is the system itself, which nobody can sign in as."""

    user_id: int | None = None
    visitor: str = ""
    is_staff: bool = False

    @property
    def group(self) -> str:
        """The Channels group that carries this person's events. Derived from the identity only, never from input."""
        if self.user_id is not None:
            return f"person.user.{self.user_id}"
        return f"person.visitor.{self.visitor}" if self.visitor else "person.system"


SYSTEM = Person()


def owned_by(person: Person) -> Q:
    """Return the condition for rows with `owner` and `visitor` columns that belong to this person."""
    if person.user_id is not None:
        return Q(owner_id=person.user_id)
    return Q(visitor=person.visitor) & ~Q(visitor="")


def from_user(user: Any) -> Person | None:
    """Return the person for a Django user; None for anonymous and deactivated users."""
    if user is None or not user.is_authenticated or not user.is_active:
        return None
    return Person(user_id=user.pk, is_staff=user.is_staff)


def from_visitor_cookie(cookies: dict[str, str]) -> Person | None:
    """Return the visitor that the signed cookie names; None if the cookie is missing or its signature is wrong."""
    try:
        return Person(visitor=signing.Signer(salt=VISITOR_COOKIE).unsign(cookies[VISITOR_COOKIE]))
    except (KeyError, signing.BadSignature):
        return None


def from_request(request: HttpRequest) -> Person | None:
    """Return the person of an HTTP request: the signed-in user, else the visitor of the cookie."""
    return from_user(getattr(request, "user", None)) or from_visitor_cookie(request.COOKIES)
