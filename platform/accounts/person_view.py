"""The base of views that people and visitors share."""

from __future__ import annotations

from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts import people
from accounts.people import Person


class PersonView(APIView):
    """Lets visitors in too: whose things they may see decides in the query."""

    permission_classes = [AllowAny]

    def person(self, request: Request) -> Person:
        """Who calls. 401 for nobody."""
        person = people.from_request(request)
        if person is None:
            self.permission_denied(request)
        return person
