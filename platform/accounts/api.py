"""Tokens for API clients, and tickets for their WebSockets."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth import authenticate, user_logged_in
from django.contrib.auth.models import User
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.authtoken.models import Token
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import issue_ticket
from config.errors import Problem


class CredentialsSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=128, trim_whitespace=False)


class TokenSerializer(serializers.Serializer[Any]):
    token = serializers.CharField(help_text="Send it as `Authorization: Token <token>`.")


class TicketSerializer(serializers.Serializer[Any]):
    ticket = serializers.CharField(help_text="For `/ws/jobs/?ticket=`, once, within 60 seconds.")


class TokenView(APIView):
    """Exchange a username and password for an API token."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []

    @extend_schema(request=CredentialsSerializer, responses={200: TokenSerializer}, auth=[])
    def post(self, request: Request) -> Response:
        credentials = CredentialsSerializer(data=request.data)
        credentials.is_valid(raise_exception=True)
        user = authenticate(request._request, **credentials.validated_data)
        if user is None:
            raise Problem(401, "bad_credentials", "The username or the password is wrong.")
        user_logged_in.send(type(user), request=request._request, user=user)  # resets the count of wrong passwords
        token, _ = Token.objects.get_or_create(user=user)
        return Response({"token": token.key})


class WsTicketView(APIView):
    """Issue a ticket that opens one WebSocket, for clients that sign in with a token."""

    @extend_schema(request=None, responses={200: TicketSerializer})
    def post(self, request: Request) -> Response:
        return Response({"ticket": issue_ticket(cast(User, request.user))})
