"""Tokens for API clients, and tickets for their WebSockets."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth import authenticate, user_logged_in
from django.contrib.auth.models import User
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import issue_ticket, issue_token
from accounts.tokens import ApiTokenAuthentication, token_of
from config.errors import Problem
from config.openapi import ErrorSerializer


class CredentialsSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=128, trim_whitespace=False)


class TokenSerializer(serializers.Serializer[Any]):
    token = serializers.CharField(help_text="Send it as `Authorization: Token <token>`.")
    expiresAt = serializers.DateTimeField(help_text="Sign in again before then.")


class TicketSerializer(serializers.Serializer[Any]):
    ticket = serializers.CharField(help_text="For `/ws/jobs/?ticket=`, once, within 60 seconds.")


SIGN_IN_ERRORS = {
    429: OpenApiResponse(ErrorSerializer, "Too many failed sign-ins; Retry-After says when to try again."),
    503: OpenApiResponse(ErrorSerializer, "Too many people are signing in; Retry-After says when to try again."),
}


class TokenView(APIView):
    """Exchange a username and password for an API token, and revoke it."""

    authentication_classes = [ApiTokenAuthentication]
    permission_classes: list[Any] = []

    def perform_authentication(self, request: Request) -> None:
        """Leave it to DELETE: signing in must work with an ended token in the header."""

    @extend_schema(request=CredentialsSerializer, responses={200: TokenSerializer, **SIGN_IN_ERRORS}, auth=[])
    def post(self, request: Request) -> Response:
        """Issue a new token. A person may have several; the oldest is revoked when there are too many."""
        credentials = CredentialsSerializer(data=request.data)
        credentials.is_valid(raise_exception=True)
        user = authenticate(request._request, **credentials.validated_data)
        if user is None:
            raise Problem(401, "bad_credentials", "The username or the password is wrong.")
        user_logged_in.send(type(user), request=request._request, user=user)  # resets the count of wrong passwords
        token, row = issue_token(user)
        return Response(TokenSerializer({"token": token, "expiresAt": row.expires_at}).data)

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request) -> Response:
        """Revoke the token that this request is made with."""
        token = token_of(request)
        if token is None:
            self.permission_denied(request)
        token.delete()
        return Response(status=204)


class WsTicketView(APIView):
    """Issue a ticket that opens one WebSocket, for clients that sign in with a token."""

    @extend_schema(request=None, responses={200: TicketSerializer})
    def post(self, request: Request) -> Response:
        return Response({"ticket": issue_ticket(cast(User, request.user), token_of(request))})
