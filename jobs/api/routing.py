from django.urls import path, re_path

from jobs.api.websocket import JobsConsumer, NothingHere

websocket_urlpatterns = [path("ws/jobs/", JobsConsumer.as_asgi()), re_path("", NothingHere.as_asgi())]
