"""One path of the interface: picks the method, and turns errors into Kafka Connect's error bodies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from cdc.config.secrets import scrub
from cdc.core.dataclass import dataclass
from cdc.core.errors import CdcError, ConfigError, StateError
from cdc.log import get_logger
from cdc.metrics.prometheus import WorkerMetrics

from .api import Api, PluginView

log = get_logger(__name__)
T = TypeVar("T")

_COMMANDS: Final = ThreadPoolExecutor(16, "rest-command")
_REASONS = {404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable", 415: "Unsupported Media Type"}


@dataclass
class Service:
    """What handlers work with."""

    worker: Api
    plugins: PluginView
    metrics: WorkerMetrics
    topics: bool = True
    """Tell which topics a connector has used."""
    topics_reset: bool = True
    asks: bool = False
    """Clients must say who they are."""
    tail_from_anywhere: bool = False
    """Let clients on other machines look at events."""
    closing: bool = False
    """The server stops: answers that have no end of their own end now."""


Handler = Callable[[Service, Request], Awaitable[Response]]


class Route(NamedTuple):
    """One line of a resource's table. What follows the handler describes it to clients.

    `answers`: the schema's name of each status that is no error, empty for an empty answer. `body`: the schema's name
    of the request's body. `query`: the query parameters.
    """

    method: str
    path: str
    handler: Handler
    answers: Mapping[int, str] = MappingProxyType({200: "Any"})
    body: str = ""
    query: tuple[str, ...] = ()
    is_json: bool = True
    """The answer is JSON, so a client that does not accept JSON gets 406."""


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """What *function* returns. It may wait, and other requests are answered meanwhile."""
    return await asyncio.get_running_loop().run_in_executor(_COMMANDS, function, *args)


class Resource:
    """The ASGI application of one path: its *handlers* by method, OPTIONS, and errors."""

    def __init__(self, service: Service, handlers: Mapping[str, Handler], *, is_json: bool) -> None:
        self._service = service
        self._handlers = handlers
        self._is_json = is_json
        self._allow = ", ".join((*(["HEAD"] if "GET" in handlers else []), *handlers, "OPTIONS"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except HTTPException as exc:
            response = http_error(request, exc)
        except CdcError as exc:
            response = error_body(_status_of(exc), scrub(str(exc)))
        except Exception as exc:
            log.error("rest_failed", method=request.method, path=request.url.path, exc_info=exc)
            response = error_body(500, f"{type(exc).__name__}: the log has the details.")
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(self._allow, headers={"Allow": self._allow, "Content-Type": "text/plain"})
        handler = self._handlers.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            raise HTTPException(405, headers={"Allow": self._allow})
        if self._is_json and not _accepts_json(request.headers.get("accept", "")):
            raise HTTPException(406)
        return await handler(self._service, request)


def _accepts_json(accept: str) -> bool:
    kinds = [kind.partition(";")[0].strip().lower() for kind in accept.split(",") if kind.strip()]
    return not kinds or any(kind in ("*/*", "application/*", "application/json") for kind in kinds)


def _status_of(exc: CdcError) -> int:
    if isinstance(exc, StateError):
        return exc.status
    return 400 if isinstance(exc, ConfigError) else 500


def error_body(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error as Kafka Connect sends it."""
    return JSONResponse({"error_code": status, "message": message}, status, headers=headers)


def http_error(_request: Request, exc: Exception) -> Response:
    """Starlette's errors, its standard texts in Kafka Connect's wording."""
    assert isinstance(exc, HTTPException)
    standard = exc.status_code in _REASONS and exc.detail.lower() == _REASONS[exc.status_code].lower()
    message = f"HTTP {exc.status_code} {_REASONS[exc.status_code]}" if standard else exc.detail
    return error_body(exc.status_code, message, exc.headers)


def without_secrets(value: Any) -> Any:
    """*value* with secrets hidden in every text at any depth."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {key: without_secrets(inner) for key, inner in value.items()}
    return [without_secrets(inner) for inner in value] if isinstance(value, list | tuple) else value
