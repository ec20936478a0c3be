"""A view as the replaced system had them: it waits for OpenAI inside the request. Served by the benchmark only."""

from __future__ import annotations

import functools
from typing import Any

from django.conf import settings
from django.urls import path
from openai import OpenAI
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from assistant import prompts
from config.urls import urlpatterns as ours
from courses import search
from courses.grounding import found
from courses.models import Course


@functools.cache
def _openai() -> OpenAI:
    return OpenAI(api_key=settings.OPENAI_API_KEY, base_url=settings.OPENAI_BASE_URL)


class BlockingView(APIView):
    """Embeds the question, searches, and answers, all before the response."""

    def post(self, request: Request) -> Response:
        """The whole answer."""
        body: Any = request.data
        course, question = Course.objects.get(slug=body["courseId"]), body["question"]
        embedding = _openai().embeddings.create(model=settings.LLM_EMBEDDING_MODEL, input=[question])
        passages = found(search.hybrid(course.pk, question, embedding.data[0].embedding))
        messages: Any = prompts.answer(prompts.Setting(course=course.title), passages, "", [], question)
        answer = _openai().chat.completions.create(model=settings.LLM_CHAT_MODEL, messages=messages)
        return Response({"answer": answer.choices[0].message.content})


urlpatterns = [*ours, path("api/blocking/query", BlockingView.as_view())]
