"""The aiohttp application: routes, authentication, response headers, and a record of every API request."""

import asyncio
import hmac
import time

from aiohttp import web
from aiohttp.typedefs import Handler

from .chat import chat_completions
from .config import Config
from .control import add_control_routes, local_only
from .embeddings import embeddings
from .errors import ApiError, bad_request, invalid_api_key, missing_api_key
from .journal import RequestRecord
from .models import get_model, list_models
from .state import RECORD, SIMULATOR, RawReply, Simulator

LARGEST_BODY = 64 * 1024 * 1024
ENDPOINTS = {"/v1/chat/completions": "chat", "/v1/embeddings": "embeddings"}


def create_app(config: Config) -> web.Application:
    """Create the application; run it with `handler_cancellation=True`, as `start` does.

    Without that option a disconnected client is noticed late or, while a request hangs, never.
    """
    app = web.Application(middlewares=[local_only, _api], client_max_size=LARGEST_BODY)
    app[SIMULATOR] = Simulator(config)
    app.router.add_post("/v1/chat/completions", chat_completions)
    app.router.add_post("/v1/embeddings", embeddings)
    app.router.add_get("/v1/models", list_models)
    app.router.add_get("/v1/models/{id:.+}", get_model)
    add_control_routes(app)
    app.on_response_prepare.append(_add_headers)
    return app


async def start(config: Config, host: str, port: int) -> tuple[web.AppRunner, str]:
    """Serve in the running event loop; returns the runner (call `cleanup()` on it) and the base URL."""
    runner = web.AppRunner(create_app(config), handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=1024).start()
    bound = runner.addresses[0][1]
    return runner, f"http://{f'[{host}]' if ':' in host else host}:{bound}/v1"


@web.middleware
async def _api(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Open the record of an API request and close it with the outcome."""
    if not request.path.startswith("/v1"):
        return await handler(request)
    simulator = request.app[SIMULATOR]
    record = simulator.journal.open(request, ENDPOINTS.get(request.path, "other"))
    request[RECORD] = record
    if simulator.settings.down:
        return _hang_up(request, record)
    try:
        return await _answer(request, record, handler)
    except (asyncio.CancelledError, ConnectionError) as gone:
        record.finish("aborted", record.status)
        if isinstance(gone, asyncio.CancelledError):
            raise
        return web.Response()
    except Exception:
        record.finish("failed", 500)
        raise


async def _answer(request: web.Request, record: RequestRecord, handler: Handler) -> web.StreamResponse:
    try:
        record.raw = await request.read()
        _authenticate(request)
        response = await handler(request)
        record.finish("completed", response.status)
        return response
    except RawReply as reply:
        record.finish("failed", reply.status)
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)
    except ApiError as error:
        return _error_response(error, record)
    except web.HTTPException as error:
        if error.status == 404:
            message = f"Invalid URL ({request.method} {request.path})"
        else:
            message = f"{error.reason} ({request.method} {request.path})"
        return _error_response(ApiError(error.status, message), record)
    except RecursionError:
        return _error_response(bad_request("The request is nested too deeply."), record)


def _error_response(error: ApiError, record: RequestRecord) -> web.Response:
    record.finish("failed", error.status)
    return web.json_response(error.body(), status=error.status, headers=error.headers)


def _hang_up(request: web.Request, record: RequestRecord) -> web.Response:
    """Close the connection without an answer; aiohttp discards the response returned."""
    record.fault = "down"
    record.finish("failed", None)
    if request.transport is not None:
        request.transport.close()
    return web.Response()


def _authenticate(request: web.Request) -> None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise missing_api_key()
    expected = request.app[SIMULATOR].config.api_key
    if not hmac.compare_digest(key.strip().encode("utf-8", "surrogateescape"), expected.encode()):
        raise invalid_api_key(key.strip())


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that OpenAI sends with every response, including errors."""
    record = request.get(RECORD)
    if record is None:
        return
    response.headers.setdefault("x-request-id", record.id)
    response.headers["openai-processing-ms"] = str(round((time.time() - record.received_at) * 1000))
    response.headers.update(request.app[SIMULATOR].limits.headers(record.model))
