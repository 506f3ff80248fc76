"""`/connectors/{name}/signals`, `snapshots`, `tables` and `notifications`: for operators, in place of MBeans."""

from __future__ import annotations

import uuid
from dataclasses import asdict, replace
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cdc.core.control import Notification, SnapshotStatus, parse_signal

from .access import is_local
from .body import json_body, object_of
from .resource import Route, Service, in_thread

_KEYS: Final = frozenset(("last_processed_key", "maximum_key"))
_MEMBERS: Final = frozenset(("id", "type", "data"))


async def signal(service: Service, request: Request) -> Response:
    """Give a signal to a running connector: `type`, and perhaps `id` and `data`, as in Debezium's signal table."""
    parts = object_of(await json_body(request), "The body")
    unknown = sorted(parts.keys() - _MEMBERS)
    if unknown:
        raise HTTPException(400, f"The body has unknown members: {', '.join(unknown)}.")
    try:
        found = parse_signal({**parts, "id": parts.get("id") or str(uuid.uuid4())}, "rest")
    except ValueError as exc:
        text = str(exc)
        raise HTTPException(400, f"{text[:1].upper()}{text[1:]}.") from exc
    await in_thread(service.worker.signal, request.path_params["name"], found)
    return JSONResponse({"id": found.id}, 202)


async def snapshots(service: Service, request: Request) -> Response:
    """The snapshots of a connector that run or wait, and the last one that has ended, table by table."""
    found = await in_thread(service.worker.snapshots, request.path_params["name"])
    shows = _shows_rows(service, request)
    return JSONResponse({"snapshots": [_snapshot(each, shows) for each in found]})


async def tables(service: Service, request: Request) -> Response:
    """The tables that a connector captures, and the others of its server, which is asked."""
    found = await in_thread(service.worker.tables, request.path_params["name"])
    return JSONResponse({"captured": list(map(str, found.captured)), "others": list(map(str, found.others)),
                         "estimated_rows": {str(id): rows for id, rows in found.rows.items()}})


async def notifications(service: Service, request: Request) -> Response:
    """The newest notifications of a connector, the oldest of them first."""
    found = await in_thread(service.worker.notifications, request.path_params["name"])
    shows = _shows_rows(service, request)
    return JSONResponse({"notifications": [_notification(each, shows) for each in found]})


_PATH: Final = "/connectors/{name}"

ROUTES = (
    Route("POST", f"{_PATH}/signals", signal, {202: "SignalTaken"}, "Signal"),
    Route("GET", f"{_PATH}/snapshots", snapshots, {200: "Snapshots"}),
    Route("GET", f"{_PATH}/tables", tables, {200: "Tables"}),
    Route("GET", f"{_PATH}/notifications", notifications, {200: "Notifications"}),
)


def _shows_rows(service: Service, request: Request) -> bool:
    """Whether the client may see values of rows, as for `/tail`: keys are some."""
    return bool(service.tail_from_anywhere or request.scope["known"] or is_local(request.scope))


def _snapshot(found: SnapshotStatus, shows: bool) -> dict[str, Any]:
    if not shows:
        found = replace(found, tables=tuple(
            replace(each, current_key=None, maximum_key=None) for each in found.tables))
    return asdict(found)


def _notification(told: Notification, shows: bool) -> dict[str, Any]:
    data = {key: text for key, text in told.additional_data.items() if shows or key not in _KEYS}
    return {"id": told.id, "aggregate_type": told.aggregate_type, "type": told.type, "additional_data": data,
            "timestamp": told.timestamp_ms}
