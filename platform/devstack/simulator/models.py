"""GET /v1/models and /v1/models/{id}."""

from typing import Any

from aiohttp import web

from .errors import model_not_found

MODELS = (
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4o",
    "gpt-4o-mini",
    "text-embedding-3-large",
    "text-embedding-3-small",
)


async def list_models(request: web.Request) -> web.Response:
    """List the models of MODELS; other names work as well."""
    return web.json_response({"object": "list", "data": [_model(name) for name in MODELS]})


async def get_model(request: web.Request) -> web.Response:
    """Every name is a model, except those that start with "missing-"."""
    name = request.match_info["id"]
    if name.startswith("missing-"):
        raise model_not_found(name)
    return web.json_response(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "simulator"}
