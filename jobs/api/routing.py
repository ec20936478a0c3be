"""The WebSocket routes, and what sockets and event streams of one web process share."""

from django.urls import path, re_path

from jobs.api.viewers import Viewers
from jobs.api.websocket import JobsConsumer, UnknownPath
from jobs.backends.connections import Resources

viewers = Viewers(Resources())  # the views' event streams use it, too; opens nothing until a socket or a stream does
websocket_urlpatterns = [
    path("ws/jobs/", JobsConsumer.as_asgi(viewers=viewers)),
    re_path("", UnknownPath.as_asgi()),
]
