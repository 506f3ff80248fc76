"""The ASGI application: all resources' tables together, and what is done for every request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import starlette.routing
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cdc.log import get_logger
from cdc.metrics.names import MIRRORED
from cdc.metrics.prometheus import WorkerMetrics

from . import admin, connectors, observe, offsets, operating, plugins
from .access import Access
from .api import Api, PluginView
from .resource import Handler, Resource, Route, Service, error_body, http_error

log = get_logger(__name__)

_REFUSED_S: Final = 0.5

ROUTES: tuple[Route, ...] = (
    *observe.ROUTES, *connectors.ROUTES, *offsets.ROUTES, *operating.ROUTES, *plugins.ROUTES, *admin.ROUTES)


class App:
    """The ASGI application of one worker. Set `closing` to end the answers that have no end of their own."""

    def __init__(self, worker: Api, plugin_view: PluginView, access: Access | None = None, *,
                 tail_from_anywhere: bool = False, mirrored: Iterable[str] = MIRRORED, topics: bool = True,
                 topics_reset: bool = True) -> None:
        """*access*: who may ask for what; by default clients on this machine for everything, and others may look.
        *mirrored*: the names of other products under which `/metrics` publishes numbers too. *topics*: whether clients
        may see which topics a connector has used, and *topics_reset*, whether they may reset that."""
        self._access = access or Access()
        self._service = Service(
            worker, plugin_view, WorkerMetrics(worker.tasks, mirrored), asks=self._access.asks,
            tail_from_anywhere=tail_from_anywhere, topics=topics, topics_reset=topics and topics_reset)
        self._app = Starlette(routes=_routes(self._service, ROUTES), exception_handlers={HTTPException: http_error})
        self._app.router.redirect_slashes = False

    @property
    def worker(self) -> Api:
        return self._service.worker

    @worker.setter
    def worker(self, worker: Api) -> None:
        self._service.worker = worker

    @property
    def closing(self) -> bool:
        return self._service.closing

    @closing.setter
    def closing(self, closing: bool) -> None:
        self._service.closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["path"] = scope["path"].rstrip("/") or "/"
        scope["known"] = self._access.asks and self._access.knows(Headers(scope=scope))
        added = [*self._access.headers, *self._access.cors(scope)]
        if added:
            send = _with_headers(send, added)
        await (await self._refusal(scope) or self._app)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> ASGIApp | None:
        """What answers a request that is not let through; None for one that is."""
        if b"%2f" in scope.get("raw_path", b"").lower():
            return error_body(400, "A name in a path cannot contain a slash.")
        if scope["method"] == "OPTIONS" and Headers(scope=scope).get("access-control-request-method"):
            return Response(status_code=200 if self._access.cors(scope) else 403)  # a browser sends no credentials here
        refused = self._access.refusal(scope)
        if refused is None:
            return None
        status, reason = refused
        if status == 401 and "authorization" in Headers(scope=scope):
            log.warning("rest_login_refused", client=scope["client"][0] if scope.get("client") else "")
            await asyncio.sleep(_REFUSED_S)  # slow down those who guess
        return error_body(status, reason, {"WWW-Authenticate": 'Basic realm="cdc", Bearer'} if status == 401 else None)


def _with_headers(send: Send, added: Iterable[tuple[str, str]]) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in added:
                headers[name] = value
        await send(message)

    return sent


def _routes(service: Service, table: Iterable[Route]) -> list[starlette.routing.Route]:
    """One route for each path, with all its methods."""
    by_path: dict[str, dict[str, Handler]] = {}
    is_json = {}
    for route in table:
        by_path.setdefault(route.path, {})[route.method] = route.handler
        is_json[route.path] = route.is_json
    return [starlette.routing.Route(path, Resource(service, handlers, is_json=is_json[path]))
            for path, handlers in by_path.items()]
