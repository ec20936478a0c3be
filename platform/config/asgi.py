"""The ASGI application that Daphne serves: HTTP through Django, WebSockets through Channels."""

from collections.abc import Mapping
from typing import IO, Any

import django
from asgiref.sync import sync_to_async
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import get_resolver

django.setup(set_prefix=False)  # the imports below need the apps

from config import errors, outages  # noqa: E402
from config.http import malformed  # noqa: E402
from config.http.access import Access  # noqa: E402
from config.http.proxies import Proxies  # noqa: E402
from config.startup import settle  # noqa: E402
from jobs.api.routing import websocket_urlpatterns  # noqa: E402


class Http(ASGIHandler):
    """Django's handler, but with all middleware and the view on one thread, as under WSGI.

    Our views are synchronous. Django's own handler switches between event loop and thread for each middleware, about
    twenty times per request. That is most of the time of a small request, and much more when the process is busy.
    """

    def create_request(
        self, scope: Mapping[str, Any], body_file: IO[bytes]
    ) -> tuple[ASGIRequest, None] | tuple[None, HttpResponseBase]:
        """Return the request, or None and the answer to one that cannot be read."""
        problem = malformed.problem_of(scope)
        if not problem:
            try:
                request, _ = super().create_request(scope, body_file)
                problem = malformed.problem_of_charset(request) if request else errors.INVALID
            except ValueError:  # a Content-Type that Django cannot parse
                problem = errors.INVALID
        if problem:
            return None, errors.malformed(scope["path"], problem)
        assert request
        return request, None

    def load_middleware(self, is_async: bool = False) -> None:
        """Always build the synchronous middleware chain."""
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Run the whole request on its thread."""
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)


application = Proxies(Access(ProtocolTypeRouter({"http": Http(), "websocket": URLRouter(websocket_urlpatterns)})))
get_resolver().url_patterns  # noqa: B018  # import all views now rather than during the first request
settle()
outages.log_unreachable()
