"""What Daphne serves: HTTP by Django, WebSockets by Channels."""

import django
from asgiref.sync import sync_to_async
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import get_resolver

django.setup(set_prefix=False)  # loads the apps; the imports below need them

from config.access import Access  # noqa: E402
from config.startup import settle  # noqa: E402
from jobs.api.routing import websocket_urlpatterns  # noqa: E402


class Http(ASGIHandler):
    """Django's handler, with all middleware and the view on one thread, as under WSGI.

    Our views are synchronous. Django's own way through asynchronous middleware goes to the thread and back for each of
    them, some twenty times a request: most of a small request's time, and much more when the process is busy.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        """Build the synchronous chain, whatever is asked for."""
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a request on its thread."""
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)


application = Access(ProtocolTypeRouter({"http": Http(), "websocket": URLRouter(websocket_urlpatterns)}))
get_resolver().url_patterns  # noqa: B018  # loads every view now instead of with the first request
settle()
