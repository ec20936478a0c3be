"""The landing assistant over HTTP, for people who have not signed in."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import networks, visitors
from accounts.people import Person
from config.errors import Problem
from config.http.parsers import BoundedJSONParser
from config.openapi import ErrorSerializer
from conversations.serializers import AskedSerializer
from jobs.accept import IDEMPOTENCY_KEY, accept, responses
from jobs.limits import LimitReached
from landing import actions
from landing.kinds import ANSWER

MAX_QUESTION_CHARS = 500
MAX_MESSAGE_CHARS = 2000
CONTACT_ERRORS = {
    413: OpenApiResponse(ErrorSerializer, "The body is too large."),
    429: OpenApiResponse(ErrorSerializer, "Too many messages; Retry-After says when to try again."),
}


class SmallJSONParser(BoundedJSONParser):
    max_bytes = 8 * 1024  # enough for a question


class ContactJSONParser(BoundedJSONParser):
    max_bytes = 32 * 1024


class VisitorQuestionSerializer(serializers.Serializer[Any]):
    question = serializers.CharField(max_length=MAX_QUESTION_CHARS)
    conversationId = serializers.UUIDField(required=False, allow_null=True, help_text="To ask a follow-up.")


class ContactSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100, required=False, allow_blank=True, default="")
    email = serializers.EmailField(help_text="Staff answer to this address.")
    message = serializers.CharField(max_length=MAX_MESSAGE_CHARS)
    conversationId = serializers.UUIDField(
        required=False, allow_null=True, help_text="The conversation to hand over with the message."
    )


class ReceivedSerializer(serializers.Serializer[Any]):
    message = serializers.CharField(help_text="Tells the visitor what happens next.")


class _VisitorView(APIView):
    permission_classes = [AllowAny]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse requests from other sites, and identify the person; without a cookie it is a new visitor."""
        super().initial(request, *args, **kwargs)
        if not visitors.comes_from_us(request):
            raise Problem(403, "foreign_origin", "Only pages of this site can send questions.")
        self.person, self.new_cookie = visitors.admit(request)
        self.network = networks.network_of(request)

    def remember(self, response: Response) -> Response:
        """Set the cookie if the visitor is new."""
        if self.new_cookie:
            visitors.set_cookie(response, self.new_cookie)
        return response

    person: Person
    new_cookie: str


class QueryView(_VisitorView):
    parser_classes = [SmallJSONParser]

    @extend_schema(
        request=VisitorQuestionSerializer,
        responses=responses(AskedSerializer),
        parameters=[IDEMPOTENCY_KEY],
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """Ask about the school's courses without signing in.

        The first response sets the cookie `visitor`. The conversation and its jobs belong to that visitor.
        """
        query = VisitorQuestionSerializer(data=request.data)
        query.is_valid(raise_exception=True)
        body = query.validated_data
        accepted = accept(
            request,
            body,
            ANSWER,
            lambda submission: actions.ask(submission, self.network, body["question"], body.get("conversationId")),
        )
        return self.remember(accepted)


class ContactView(_VisitorView):
    parser_classes = [ContactJSONParser]

    @extend_schema(request=ContactSerializer, responses={201: ReceivedSerializer, **CONTACT_ERRORS}, auth=[])
    def post(self, request: Request) -> Response:
        """Send a message to staff, together with the conversation."""
        form = ContactSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        body = form.validated_data
        conversation_id = body.pop("conversationId", None)
        try:
            sent = actions.write_to_us(self.person, self.network, conversation_id, **body)
        except LimitReached as limit:
            raise Problem(429, limit.code, str(limit), retry_after=limit.retry_after) from None
        answer = f"Thank you. Your message has reached us. A person reads it and answers by e-mail to {sent.email}."
        return self.remember(Response({"message": answer}, status=201))
