"""What Daphne serves: HTTP by Django, WebSockets by Channels."""

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

http = get_asgi_application()  # loads the apps; the imports below need them

from config.access import Access  # noqa: E402
from jobs.routing import websocket_urlpatterns  # noqa: E402

application = Access(ProtocolTypeRouter({"http": http, "websocket": URLRouter(websocket_urlpatterns)}))
