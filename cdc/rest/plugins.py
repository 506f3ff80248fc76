"""`/connector-plugins`: what can be configured, and whether a configuration is right."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .body import flag, flat_config, json_body
from .resource import Route, Service, in_thread, without_secrets

_PATH = "/connector-plugins"


async def plugins(service: Service, request: Request) -> Response:
    """The plugins; with `connectorsOnly=false` also transforms, predicates and converters."""
    return JSONResponse(service.plugins.plugins(flag(request, "connectorsOnly", default=True)))


async def plugin_config(service: Service, request: Request) -> Response:
    """The keys of a plugin."""
    return JSONResponse(await in_thread(service.plugins.plugin_config, request.path_params["plugin"],
                                        request.query_params.get("version", "")))


async def validate(service: Service, request: Request) -> Response:
    """Check a configuration; nothing is connected or stored."""
    config = flat_config(await json_body(request), nulls=True)
    report = await in_thread(service.plugins.validate, request.path_params["plugin"], config)
    return JSONResponse(without_secrets(report))


ROUTES = (
    Route("GET", _PATH, plugins, {200: "Plugins"}, query=("connectorsOnly",)),
    Route("GET", f"{_PATH}/{{plugin}}/config", plugin_config, {200: "ConfigKeys"}, query=("version",)),
    Route("PUT", f"{_PATH}/{{plugin}}/config/validate", validate, {200: "ConfigInfos"}, "ConfigPatch"),
)
