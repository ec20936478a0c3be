from django.urls import path

from assistant import pages
from assistant.api import GuidanceView, QueryView

app_name = "assistant"
urlpatterns = [
    path("courses/<slug:slug>/assistant/", pages.chat, name="chat"),
    path("courses/<slug:slug>/assistant/guidance/", pages.guidance, name="guidance-page"),
    path("api/assistant/query", QueryView.as_view(), name="query"),
    path("api/assistant/courses/<str:course_id>/guidance", GuidanceView.as_view(), name="guidance"),
]
