"""Pagination of lists: {results: [...], next}."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.response import Response
from rest_framework.views import APIView

M = TypeVar("M", bound=Model)
PAGE = [OpenApiParameter("limit", int), OpenApiParameter("offset", int)]


class Pages(LimitOffsetPagination):
    """`?limit=` and `?offset=`; `next` is the URL of the next page, or null."""

    default_limit = 50
    max_limit = 200

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"results": data, "next": self.get_next_link()})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        next_link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["results", "next"],
            "properties": {"results": schema, "next": next_link},
        }


def page_of(rows: QuerySet[M], view: APIView, as_wire: Callable[[M], Any]) -> Response:
    """Return the page of these rows that the request selects."""
    pages = Pages()
    page = pages.paginate_queryset(rows, view.request, view)
    return pages.get_paginated_response([as_wire(row) for row in page or []])
