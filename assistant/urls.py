from django.urls import path

from assistant import pages
from assistant.api import QueryView

app_name = "assistant"
urlpatterns = [
    path("courses/<slug:slug>/assistant/", pages.chat, name="chat"),
    path("api/assistant/query", QueryView.as_view(), name="query"),
]
