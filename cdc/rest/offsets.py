"""`/connectors/{name}/offsets`: read, alter and reset them. KIP-875."""

from __future__ import annotations

from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .api import NewOffset
from .body import json_body, object_of
from .resource import Route, Service, in_thread

_PATH: Final = "/connectors/{name}/offsets"
_MOST: Final = 1000


async def offsets(service: Service, request: Request) -> Response:
    """The stored offsets of a connector."""
    found = await in_thread(service.worker.offsets, request.path_params["name"])
    return JSONResponse({"offsets": found})


async def alter(service: Service, request: Request) -> Response:
    """Store offsets of a stopped connector; null deletes one. Partitions that are not named keep theirs."""
    name = request.path_params["name"]
    found = object_of(await json_body(request), "The body").get("offsets")
    if not isinstance(found, list) or not found:
        raise HTTPException(400, "Partitions / offsets need to be provided for an alter offsets request")
    if len(found) > _MOST:
        raise HTTPException(400, f"At most {_MOST} offsets can be altered at once.")
    await in_thread(service.worker.alter_offsets, name, [_one(each) for each in found])
    return JSONResponse({"message": "The offsets for this connector have been altered successfully"})


async def reset(service: Service, request: Request) -> Response:
    """Delete all offsets of a stopped connector. Its next start is as the first one."""
    await in_thread(service.worker.reset_offsets, request.path_params["name"])
    return JSONResponse({"message": "The offsets for this connector have been reset successfully"})


ROUTES = (
    Route("GET", _PATH, offsets, {200: "Offsets"}),
    Route("PATCH", _PATH, alter, {200: "Message"}, "Offsets"),
    Route("DELETE", _PATH, reset, {200: "Message"}),
)


def _one(found: Any) -> NewOffset:
    each = object_of(found, "Each of offsets")
    partition = object_of(each.get("partition"), "partition")
    offset = each.get("offset")
    for part in (partition, object_of(offset, "offset") if offset is not None else {}):
        if any(isinstance(value, dict | list) for value in part.values()):
            raise HTTPException(400, "The values of a partition and of an offset must not be nested.")
    return partition, offset
