"""Authenticates API calls by token: `Authorization: Token <token>`."""

from __future__ import annotations

from django.contrib.auth.models import User
from rest_framework import authentication, exceptions
from rest_framework.request import Request

from accounts.models import ApiToken, find_token


class ApiTokenAuthentication(authentication.TokenAuthentication):
    """DRF's token authentication with our tokens, which are hashed and end (docs/decisions/0030)."""

    def authenticate_credentials(self, key: str) -> tuple[User, ApiToken]:
        """Return the user and the token's row. Raises AuthenticationFailed (401) for a token that is not valid."""
        found = find_token(key)
        if found is None:
            raise exceptions.AuthenticationFailed("The token is unknown or has ended. Please sign in again.")
        return found.user, found


def token_of(request: Request) -> ApiToken | None:
    """Return the token that authenticated this request; None for sessions and visitors."""
    return request.auth if isinstance(request.auth, ApiToken) else None
