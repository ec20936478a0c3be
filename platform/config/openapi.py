"""The OpenAPI schema. Adds the error responses that all operations share."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers


class ErrorDetailSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()
    details = serializers.JSONField(required=False)
    retryAfter = serializers.IntegerField(required=False, help_text="Seconds; the Retry-After header says the same.")


class ErrorSerializer(serializers.Serializer[Any]):
    error = ErrorDetailSerializer()


class JobErrorSerializer(serializers.Serializer[Any]):
    """Why a job failed."""

    code = serializers.CharField()
    message = serializers.CharField()


ERRORS = {
    400: "The request is not valid.",
    401: "Not signed in.",
    403: "Not allowed.",
    404: "Not found, or it belongs to somebody else.",
}


class Schema(AutoSchema):
    """Generates the schema of a view, with the API's error format."""

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """Return the operation with its own responses and the common errors."""
        operation = super().get_operation(*args, **kwargs)
        if operation:
            errors = {str(code): self._error(code, text) for code, text in ERRORS.items()}
            operation["responses"] = dict(sorted((errors | operation["responses"]).items()))
        return operation

    def _error(self, code: int, text: str) -> Any:
        return self._get_response_for_code(OpenApiResponse(ErrorSerializer, text), str(code), ["application/json"])
