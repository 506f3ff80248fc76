"""`/admin/loggers`: how much each part logs. KIP-495, KIP-976.

Part of the tree of loggers are the modules of this service (`cdc.sources.postgres.replication`); `root` is above all.
"""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cdc import levels

from .body import json_body, object_of
from .resource import Route, Service

_PATH = "/admin/loggers"
_LONGEST = 200


async def loggers(_service: Service, _request: Request) -> Response:
    """All loggers that have a level, and when it was last changed over REST (milliseconds since the epoch, or null)."""
    return JSONResponse({name: _shown(name) for name in levels.names()})


async def logger(_service: Service, request: Request) -> Response:
    """One logger."""
    name = request.path_params["logger"]
    if name not in levels.names():
        raise HTTPException(404, f"Logger {name} not found.")
    return JSONResponse(_shown(name))


async def set_level(_service: Service, request: Request) -> Response:
    """Set the level of a logger and of all below it: TRACE, DEBUG, INFO, WARN, ERROR, FATAL or OFF. It holds until the
    process ends."""
    name = request.path_params["logger"]
    level = object_of(await json_body(request), "The body").get("level")
    if not level:
        raise HTTPException(400, "Desired 'level' parameter was not specified in request.")
    if not levels.is_level(level):
        raise HTTPException(404, f"invalid log level '{str(level)[:_LONGEST]}'.")
    if len(name) > _LONGEST:
        raise HTTPException(400, "The name of the logger is too long.")
    changed = levels.set_level(name, level)
    if request.query_params.get("scope", "").lower() == "cluster":
        return Response(status_code=204)
    return JSONResponse(changed)


ROUTES = (
    Route("GET", _PATH, loggers, {200: "Loggers"}),
    Route("GET", f"{_PATH}/{{logger}}", logger, {200: "Logger"}),
    Route("PUT", f"{_PATH}/{{logger}}", set_level, {200: "Names", 204: ""}, "Level", ("scope",)),
)


def _shown(name: str) -> dict[str, object]:
    level, changed_ms = levels.get(name)
    return {"level": level, "last_modified": changed_ms}
