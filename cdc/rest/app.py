"""The HTTP side of a worker: paths, JSON shapes, errors. It asks a `WorkerView` and knows nothing else.

Shapes are those of Kafka Connect's REST API (KIP-26, KIP-1017 for `/health`), read-only so far. Beside them:
`/metrics` for Prometheus, `/healthz` and `/readyz` for probes, `/tail` to look on. Passwords are hidden in every
answer, which Kafka Connect does not do; references such as `${env:…}` stay as submitted.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from .. import about, log, metrics
from ..core.errors import CdcError, ConfigError, StateError
from ..core.plain import event_of
from ..core.secrets import mask, scrub
from ..metrics import TaskMetrics, WorkerMetrics
from ..runtime.tap import EventTap, Item

logger = log.get_logger(__name__)

HEALTH_STATUS = {"healthy": 200, "starting": 503, "unhealthy": 500}
_REASONS = {404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable"}
_LOCAL_CLIENTS = ("127.", "::1", "::ffff:127.")
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_TAIL_POLL_SECONDS = 0.1
_TAIL_COMMENT_SECONDS = 15.0

Handler = Callable[[Request], Awaitable[Response]]


class WorkerView(Protocol):
    """What the HTTP side may ask of a worker. Every call answers from memory, at once, in any thread."""

    @property
    def tap(self) -> EventTap: ...

    def kafka_cluster_id(self) -> str:
        """Empty when there is no Kafka, or it was not yet asked."""
        ...

    def health(self) -> tuple[str, str]:
        """One of HEALTH_STATUS, and a sentence that says why."""
        ...

    def connectors(self) -> Sequence[str]:
        """Names, in the order they were configured."""
        ...

    def config(self, name: str) -> Mapping[str, str | None] | None:
        """The configuration as submitted, `name` included; None when there is no such connector."""
        ...

    def status(self, name: str) -> Mapping[str, Any] | None:
        """`{"name", "connector": {"state", "worker_id", "version"}, "tasks": [{"id", "state", …}], "type"}`.

        States are Kafka Connect's: RUNNING, FAILED (with a `trace`), PAUSED, STOPPED, UNASSIGNED, RESTARTING.
        """
        ...

    def tasks(self) -> Sequence[TaskMetrics]:
        """The metrics of all tasks of this worker."""
        ...


class App:
    """The ASGI application. `closing` ends the answers that would otherwise never end."""

    def __init__(self, worker: WorkerView, *, tail_from_anywhere: bool = False) -> None:
        self.worker = worker
        self.closing = False
        self._metrics = WorkerMetrics(worker.tasks)
        self._tail_from_anywhere = tail_from_anywhere
        self._app = Starlette(
            routes=[Route(path, _Resource(handlers, is_json=path not in _NOT_JSON))
                    for path, handlers in self._paths().items()],
            exception_handlers={HTTPException: _http_error},
        )
        self._app.router.redirect_slashes = False

    def _paths(self) -> dict[str, dict[str, Handler]]:
        return {
            "/": {"GET": self.root},
            "/metrics": {"GET": self.metrics},
            "/healthz": {"GET": self.healthz},
            "/readyz": {"GET": self.readyz},
            "/health": {"GET": self.health},
            "/tail": {"GET": self.tail},
            "/connectors": {"GET": self.connectors},
            "/connectors/{name}": {"GET": self.connector},
            "/connectors/{name}/config": {"GET": self.config},
            "/connectors/{name}/status": {"GET": self.status},
            "/connectors/{name}/tasks": {"GET": self.tasks},
            "/connectors/{name}/tasks/{task:int}/status": {"GET": self.task_status},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if b"%2f" in scope.get("raw_path", b"").lower():
                await _error(400, "A name in a path cannot contain a slash.")(scope, receive, send)
                return
            scope["path"] = scope["path"].rstrip("/") or "/"
        await self._app(scope, receive, send)

    async def root(self, _request: Request) -> Response:
        return JSONResponse({
            "version": about.KAFKA_CONNECT_VERSION,
            "commit": f"cdc-{about.VERSION}",
            "kafka_cluster_id": self.worker.kafka_cluster_id(),
        })

    async def metrics(self, _request: Request) -> Response:
        return Response(self._metrics.render(), headers={"Content-Type": metrics.CONTENT_TYPE})

    async def healthz(self, _request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def health(self, _request: Request) -> Response:
        status, message = self.worker.health()
        return JSONResponse({"status": status, "message": scrub(message)}, HEALTH_STATUS[status])

    async def readyz(self, _request: Request) -> Response:
        reasons = self._unready()
        if reasons:
            return JSONResponse({"status": "not ready", "reasons": reasons}, 503)
        return JSONResponse({"status": "ready"})

    def _unready(self) -> list[dict[str, Any]]:
        status, message = self.worker.health()
        reasons: list[dict[str, Any]] = [] if status == "healthy" else [{"state": status, "reason": scrub(message)}]
        tasks = self.worker.tasks()
        reasons += [{"connector": task.connector, "task": task.task, "state": task.state, "reason": scrub(task.reason)}
                    for task in tasks if not task.ready]
        running = {task.connector for task in tasks}
        return reasons + [{"connector": name, "state": "unassigned", "reason": "No task has been started."}
                          for name in self.worker.connectors() if name not in running and not self._resting(name)]

    def _resting(self, name: str) -> bool:
        status = self.worker.status(name)
        return status is not None and status["connector"]["state"] in ("PAUSED", "STOPPED")

    async def connectors(self, request: Request) -> Response:
        names = list(self.worker.connectors())
        expand = request.query_params.getlist("expand")
        if not expand:
            return JSONResponse(names)
        return JSONResponse({name: found for name in names if (found := self._expanded(name, expand)) is not None})

    def _expanded(self, name: str, expand: Sequence[str]) -> dict[str, Any] | None:
        status, config = self.worker.status(name), self.worker.config(name)
        if status is None or config is None:
            return None
        members = {"status": _without_secrets(status), "info": _info(name, config, status)}
        return {member: members[member] for member in expand if member in members}

    async def connector(self, request: Request) -> Response:
        name = request.path_params["name"]
        return JSONResponse(_info(name, self._config(name), self.worker.status(name)))

    async def config(self, request: Request) -> Response:
        return JSONResponse(mask(self._config(request.path_params["name"])))

    async def status(self, request: Request) -> Response:
        return JSONResponse(self._status(request.path_params["name"]))

    async def tasks(self, request: Request) -> Response:
        name = request.path_params["name"]
        config = mask(self._config(name))
        status = self.worker.status(name) or {"tasks": []}
        return JSONResponse([{"id": {"connector": name, "task": task["id"]}, "config": config}
                             for task in status["tasks"]])

    async def task_status(self, request: Request) -> Response:
        name, number = request.path_params["name"], request.path_params["task"]
        status = self.worker.status(name) or {"tasks": []}
        for task in status["tasks"]:
            if task["id"] == number:
                return JSONResponse(_without_secrets(task))
        raise HTTPException(404, f"No status found for task {name}-{number}")

    def _config(self, name: str) -> Mapping[str, str | None]:
        config = self.worker.config(name)
        if config is None:
            raise HTTPException(404, f"Connector {name} not found")
        return config

    def _status(self, name: str) -> Any:
        status = self.worker.status(name)
        if status is None:
            raise HTTPException(404, f"No status found for connector {name}")
        return _without_secrets(status)

    async def tail(self, request: Request) -> Response:
        """Server-sent events: `change` with a `{"topic", "key", "value"}`, `dropped` with a `{"count"}`.

        They are the rows themselves, so only this machine may look unless the worker says otherwise.
        """
        if not self._tail_from_anywhere and not _is_local(request):
            raise HTTPException(403, "Events are shown to clients on this machine only.")
        readable = request.query_params.get("readable", "").lower() == "true"
        events = self._events(readable)
        first = await anext(events)
        return StreamingResponse(_chain(first, events), media_type="text/event-stream",
                                 headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})

    async def _events(self, readable: bool) -> AsyncIterator[str]:
        with self.worker.tap.listen() as listener:
            yield ": listening\n\n"
            quiet = 0.0
            while not self.closing:
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


class _Resource:
    """One path. Picks the method, answers OPTIONS and 405, and turns what is raised into an error body."""

    def __init__(self, handlers: Mapping[str, Handler], *, is_json: bool) -> None:
        self._handlers = handlers
        self._is_json = is_json
        self._allow = ", ".join((*(["HEAD"] if "GET" in handlers else []), *handlers, "OPTIONS"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except HTTPException as exc:
            response = _http_error(request, exc)
        except CdcError as exc:
            response = _error(_status_of(exc), scrub(str(exc)))
        except Exception as exc:
            logger.error("rest_failed", method=request.method, path=request.url.path, exc_info=exc)
            response = _error(500, f"{type(exc).__name__}: the log has the details.")
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return PlainTextResponse(self._allow, headers={"Allow": self._allow})
        handler = self._handlers.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            raise HTTPException(405, headers={"Allow": self._allow})
        if self._is_json and not _accepts_json(request.headers.get("accept", "")):
            raise HTTPException(406)
        return await handler(request)


_NOT_JSON = frozenset({"/metrics", "/tail", "/healthz", "/readyz"})


def _accepts_json(accept: str) -> bool:
    kinds = [kind.partition(";")[0].strip().lower() for kind in accept.split(",") if kind.strip()]
    return not kinds or any(kind in ("*/*", "application/*", "application/json") for kind in kinds)


def _info(name: str, config: Mapping[str, str | None], status: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "name": name,
        "config": mask(config),
        "tasks": [{"connector": name, "task": task["id"]} for task in (status or {}).get("tasks", ())],
        "type": (status or {}).get("type", "unknown"),
    }


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {key: _without_secrets(inner) for key, inner in value.items()}
    return [_without_secrets(inner) for inner in value] if isinstance(value, list | tuple) else value


def _status_of(exc: CdcError) -> int:
    if isinstance(exc, StateError):
        return exc.status
    return 400 if isinstance(exc, ConfigError) else 500


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error_code": status, "message": message}, status, headers=headers)


def _http_error(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    standard = exc.status_code in _REASONS and exc.detail.lower() == _REASONS[exc.status_code].lower()
    message = f"HTTP {exc.status_code} {_REASONS[exc.status_code]}" if standard else exc.detail
    return _error(exc.status_code, message, exc.headers)


def _is_local(request: Request) -> bool:
    """From this machine, and not through a browser that was told a foreign name points here (DNS rebinding)."""
    host = re.sub(r":\d*$", "", request.headers.get("host", ""))
    client = request.client.host if request.client else ""
    return client.startswith(_LOCAL_CLIENTS) and host.lower() in _LOCAL_HOSTS


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


def create_app(worker: WorkerView, *, tail_from_anywhere: bool = False) -> ASGIApp:
    return App(worker, tail_from_anywhere=tail_from_anywhere)
