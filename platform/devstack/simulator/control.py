"""The control API: inspect and change the running simulator; for local callers only."""

import ipaddress
import json
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from .journal import LOGGED
from .state import SIMULATOR, Simulator


def add_control_routes(app: web.Application) -> None:
    """Serve the control API under /control, beside the OpenAI API."""
    app.router.add_get("/control", _show)
    app.router.add_patch("/control", _change)
    app.router.add_post("/control/faults", _add_fault)
    app.router.add_delete("/control/faults", _clear_faults)
    app.router.add_post("/control/reset", _reset)
    app.router.add_get("/control/requests", _requests)


@web.middleware
async def local_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse the control API, which needs no key, to other machines; answer ValueError with 400."""
    if not request.path.startswith("/control"):
        return await handler(request)
    if not ipaddress.ip_address(request.remote or "0.0.0.0").is_loopback:
        return _refusal(403, "the control API is for local callers only")
    try:
        return await handler(request)
    except ValueError as error:
        return _refusal(400, str(error))


async def _show(request: web.Request) -> web.Response:
    return _state(request.app[SIMULATOR])


async def _change(request: web.Request) -> web.Response:
    body = await _object(request)
    if set(body) != {"settings"}:
        raise ValueError('expected {"settings": {...}}')
    request.app[SIMULATOR].change(body["settings"])
    return _state(request.app[SIMULATOR])


async def _add_fault(request: web.Request) -> web.Response:
    request.app[SIMULATOR].faults.add(await _object(request))
    return _state(request.app[SIMULATOR])


async def _clear_faults(request: web.Request) -> web.Response:
    request.app[SIMULATOR].faults.clear()
    return _state(request.app[SIMULATOR])


async def _reset(request: web.Request) -> web.Response:
    request.app[SIMULATOR].reset()
    return _state(request.app[SIMULATOR])


async def _requests(request: web.Request) -> web.Response:
    """The last requests, oldest first; `bodies=false` leaves the bodies out, for timings only."""
    last = int(request.query.get("last", "50"))
    if not 1 <= last <= LOGGED:
        raise ValueError(f"last must be from 1 to {LOGGED}")
    bodies = request.query.get("bodies", "true") != "false"
    log = list(request.app[SIMULATOR].journal.log)[-last:]
    return web.json_response({"requests": [record.as_json(bodies) for record in log]})


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status)


def _state(simulator: Simulator) -> web.Response:
    return web.json_response(
        {
            "settings": simulator.settings.as_json(),
            "faults": simulator.faults.as_json(),
            "counters": simulator.journal.counters(),
        }
    )


async def _object(request: web.Request) -> dict[str, Any]:
    body = json.loads(await request.read() or b"{}")
    if not isinstance(body, dict):
        raise ValueError("expected a JSON object")
    return body
