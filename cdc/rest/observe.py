"""Looking on: the root, health and readiness, metrics, and events as they pass.

Beside Kafka Connect's `/` and `/health` there are `/metrics` for Prometheus, `/healthz` and `/readyz` for probes, and
`/tail` for people.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from cdc import about
from cdc.config.secrets import scrub
from cdc.core.errors import CdcError
from cdc.metrics.prometheus import CONTENT_TYPE
from cdc.runtime.tap import Item
from cdc.show.plain import event_of

from .access import is_local
from .api import WorkerView
from .resource import Route, Service

DESCRIPTION: Final = Path(__file__).parent / "openapi.json"
HEALTH_STATUS = {"healthy": 200, "starting": 503, "unhealthy": 500}
_TAIL_POLL_SECONDS = 0.1
_TAIL_COMMENT_SECONDS = 15.0


async def root(service: Service, _request: Request) -> Response:
    """The version of Kafka Connect whose interface this is, and the id of the Kafka cluster."""
    return JSONResponse({
        "version": about.KAFKA_CONNECT_VERSION,
        "commit": f"cdc-{about.VERSION}",
        "kafka_cluster_id": service.worker.kafka_cluster_id(),
    })


async def metrics(service: Service, _request: Request) -> Response:
    """The numbers of the worker and its tasks, for Prometheus."""
    return Response(service.metrics.render(), headers={"Content-Type": CONTENT_TYPE})


async def described(_service: Service, _request: Request) -> Response:
    """This description of the interface (OpenAPI)."""
    return FileResponse(DESCRIPTION, media_type="application/json")


async def healthz(_service: Service, _request: Request) -> Response:
    """The process answers: that is all."""
    return JSONResponse({"status": "alive"})


async def health(service: Service, _request: Request) -> Response:
    """Whether the worker has started and answers (KIP-1017)."""
    status, message = service.worker.health()
    return JSONResponse({"status": status, "message": scrub(message)}, HEALTH_STATUS[status])


async def readyz(service: Service, request: Request) -> Response:
    """200 while every task works or was asked not to; else 503 with one reason for each that does not."""
    reasons = _unready(service.worker)
    if reasons:
        shown = reasons if request.scope["known"] or not service.asks or is_local(request.scope) else []
        return JSONResponse({"status": "not ready", "reasons": shown}, 503)
    return JSONResponse({"status": "ready"})


def _unready(worker: WorkerView) -> list[dict[str, Any]]:
    status, message = worker.health()
    reasons: list[dict[str, Any]] = [] if status == "healthy" else [{"state": status, "reason": scrub(message)}]
    tasks = worker.tasks()
    reasons += [{"connector": task.connector, "task": task.task, "state": task.state,
                 "reason": scrub(task.reason or task.commit_failure)}
                for task in tasks if not task.ready]
    running = {task.connector for task in tasks}
    return reasons + [{"connector": name, **why} for name in worker.connectors() if name not in running
                      for why in _without_task(worker.status(name))]


def _without_task(status: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Why a connector without a task is not ready: nothing, if that is as it was asked for."""
    connector = {} if status is None else status["connector"]
    if connector.get("state") in ("PAUSED", "STOPPED"):
        return []
    if connector.get("state") == "FAILED":
        return [{"state": "failed", "reason": scrub(str(connector.get("trace", "")))}]
    return [{"state": "unassigned", "reason": "No task has been started."}]


async def tail(service: Service, request: Request) -> Response:
    """Server-sent events: `change` with `{"topic", "key", "value"}`, `dropped` with `{"count"}`.

    They show rows, so only clients on this machine may look, unless the worker says otherwise.
    """
    if not (service.tail_from_anywhere or request.scope["known"] or is_local(request.scope)):
        raise HTTPException(403, "Events are shown to clients on this machine only.")
    readable = request.query_params.get("readable", "").lower() == "true"
    events = _events(service, readable)
    first = await anext(events)
    return StreamingResponse(_chain(first, events), media_type="text/event-stream",
                             headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})


ROUTES = (
    Route("GET", "/", root, {200: "Root"}),
    Route("GET", "/metrics", metrics, {200: "Metrics"}, is_json=False),
    Route("GET", "/healthz", healthz, {200: "Alive"}, is_json=False),
    Route("GET", "/readyz", readyz, {200: "Ready"}, is_json=False),
    Route("GET", "/health", health, {200: "Health"}),
    Route("GET", "/openapi.json", described, {200: "Description"}),
    Route("GET", "/tail", tail, {200: "Events"}, query=("readable",), is_json=False),
)


async def _events(service: Service, readable: bool) -> AsyncIterator[str]:
    with service.worker.tap.listen() as listener:
        yield ": listening\n\n"
        quiet = 0.0
        while not service.closing:
            items, dropped, times_ms = listener.take(100)
            if dropped:
                yield _sse("dropped", {"count": dropped})
            for item, at_ms in zip(items, times_ms, strict=True):
                yield _change(item, at_ms, readable)
            if items:
                quiet = 0.0
                await asyncio.sleep(0)
                continue
            await asyncio.sleep(_TAIL_POLL_SECONDS)
            quiet += _TAIL_POLL_SECONDS
            if quiet >= _TAIL_COMMENT_SECONDS:
                quiet = 0.0
                yield ": still here\n\n"


def _change(item: Item, at_ms: int, readable: bool) -> str:
    try:
        return _sse("change", event_of(item, at_ms, readable))
    except CdcError as exc:
        return _sse("unreadable", {"error": type(exc).__name__})


def _sse(event: str, data: Mapping[str, Any]) -> str:
    return f"event: {event}\ndata: {json.dumps(data, ensure_ascii=False, default=str)}\n\n"


async def _chain(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for text in rest:
        yield text
