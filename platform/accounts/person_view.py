"""The base class of API views that both users and visitors may call."""

from __future__ import annotations

from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts import people
from accounts.models import user_of_token
from accounts.people import Person
from accounts.tokens import token_of


class PersonView(APIView):
    """Admits visitors too; each view restricts its queries to what the person owns."""

    permission_classes = [AllowAny]

    def person(self, request: Request) -> Person:
        """Return the caller. Answers 401 if there is neither a user nor a visitor."""
        person = people.from_request(request)
        if person is None:
            self.permission_denied(request)
        return person


def may_stay(request: Request, person: Person) -> bool:
    """Return whether a response that is still being sent, such as an event stream, may go on to this person.

    The counterpart of `sockets.may_stay` for HTTP: reads token, session and user again.
    """
    if token := token_of(request):
        return people.from_user(user_of_token(token.pk)) == person
    return people.from_cookies(request.COOKIES) == person
