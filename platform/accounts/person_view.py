"""The base class of API views that both users and visitors may call."""

from __future__ import annotations

from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts import people
from accounts.people import Person


class PersonView(APIView):
    """Admits visitors too; each view restricts its queries to what the person owns."""

    permission_classes = [AllowAny]

    def person(self, request: Request) -> Person:
        """Return the caller. Answers 401 if there is neither a user nor a visitor."""
        person = people.from_request(request)
        if person is None:
            self.permission_denied(request)
        return person
