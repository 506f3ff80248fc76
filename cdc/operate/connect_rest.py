"""Kafka Connect's REST interface, as a client. A running `cdc` has the same one."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from cdc.core.errors import CdcError, ConfigError

_TIMEOUT_S: Final = 100.0
"""Kafka Connect answers within 90 s (`rest.api` in RestServerConfig): while a group rebalances, requests wait."""
_REBALANCE: Final = 409
_MOST_BYTES: Final = 64 << 20

Given = list[tuple[dict[str, Any], dict[str, Any]]]
"""Source partitions and their offsets."""


class ConnectError(CdcError):
    """Kafka Connect refused a request. `status` is the answer's."""

    def __init__(self, message: str, *, status: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class ConnectUnreachableError(ConnectError):
    """Nothing answers, or no HTTP."""


class ConnectRest:
    """One worker of a Kafka Connect. A user and a password may stand in *url*, as in `https://user:password@host:8083`;
    they are never shown. Without them *authorization* is sent. *tls* is for https. Raises ConfigError for what is
    no such address.

    All methods raise ConnectError. While the group rebalances, they repeat the request for *patience_s* seconds.
    """

    def __init__(self, url: str, *, authorization: str = "", patience_s: float = 60.0,
                 pause: Callable[[float], None] = time.sleep,
                 tls: Callable[[], ssl.SSLContext] = ssl.create_default_context) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ConfigError("The address of Kafka Connect must have the form http://host:port.",
                              hint="Its REST interface is at `listeners` of its worker, port 8083 by default.")
        self._https = parts.scheme == "https"
        self._host, self._port = parts.hostname, port or (443 if self._https else 80)
        self._path = parts.path.rstrip("/")
        self._headers = {"Accept": "application/json", **({"Authorization": authorization} if authorization else {})}
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        self._patience_s = patience_s
        self._pause = pause
        self._tls = tls
        shown = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"{parts.scheme}://{shown}:{self._port}{self._path}"
        """Without the user."""

    # -- what is there -----------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Whether it is a Kafka Connect."""
        found = self._ask("GET", "/")
        if not isinstance(found, dict) or "version" not in found:
            raise ConnectError(f"{self.url} answers, but it is no Kafka Connect.")

    def connectors(self) -> list[str]:
        found = self._ask("GET", "/connectors")
        if not isinstance(found, list):
            raise ConnectError(f"{self.url} answers, but it is no Kafka Connect.")
        return sorted(map(str, found))

    def config(self, name: str) -> dict[str, str]:
        """As it was submitted: references stand in it unresolved, and passwords in plain text."""
        found = self._ask("GET", f"{_path(name)}/config")
        if not isinstance(found, dict):
            raise ConnectError(f"{self.url} gives no configuration of connector {name}.")
        return {str(key): "" if value is None else str(value) for key, value in found.items()}

    def state(self, name: str) -> tuple[str, list[str]]:
        """The states of the connector and of its tasks; `("", [])` if it does not exist, or has none yet."""
        try:
            found = self._ask("GET", f"{_path(name)}/status")
        except ConnectError as exc:
            if exc.status == 404:
                return "", []
            raise
        tasks = found.get("tasks") or []
        return str(found.get("connector", {}).get("state", "")), [str(each.get("state", "")) for each in tasks]

    def failure(self, name: str) -> str:
        """The first line of what made the connector or a task fail; empty if nothing did."""
        found = self._ask("GET", f"{_path(name)}/status")
        traces = [each.get("trace") for each in (found.get("connector", {}), *(found.get("tasks") or []))]
        return next((str(trace).splitlines()[0] for trace in traces if trace), "")

    def offsets(self, name: str) -> Given | None:
        """None if this Kafka Connect cannot tell them: before 3.5 (KIP-875)."""
        try:
            found = self._ask("GET", f"{_path(name)}/offsets")
        except ConnectError as exc:
            if exc.status in (404, 405):
                return None
            raise
        return [(each["partition"], each["offset"]) for each in found["offsets"] if each.get("offset")]

    def validate(self, config: Mapping[str, str]) -> list[tuple[str, str]]:
        """The errors in a connector's configuration: key and text."""
        class_name = quote(config.get("connector.class", ""), safe="")
        found = self._ask("PUT", f"/connector-plugins/{class_name}/config/validate", dict(config))
        return [(str(each["value"].get("name", "")), str(text)) for each in found.get("configs", ())
                for text in each["value"].get("errors", ())]

    # -- what changes it ---------------------------------------------------------------------------------------------

    def stop(self, name: str) -> bool:
        """Whether this Kafka Connect knows how to: from 3.5 on (KIP-875)."""
        try:
            self._ask("PUT", f"{_path(name)}/stop")
        except ConnectError as exc:
            if exc.status in (404, 405):
                return False
            raise
        return True

    def resume(self, name: str) -> None:
        self._ask("PUT", f"{_path(name)}/resume")

    def pause(self, name: str) -> None:
        self._ask("PUT", f"{_path(name)}/pause")

    def create_stopped(self, name: str, config: Mapping[str, str]) -> None:
        self._ask("POST", "/connectors", {"name": name, "config": dict(config), "initial_state": "STOPPED"})

    def alter_offsets(self, name: str, offsets: Sequence[tuple[Mapping[str, Any], Mapping[str, Any] | None]]) -> None:
        self._ask("PATCH", f"{_path(name)}/offsets",
                  {"offsets": [{"partition": partition, "offset": offset} for partition, offset in offsets]})

    def delete(self, name: str) -> None:
        self._ask("DELETE", _path(name))

    # -- HTTP --------------------------------------------------------------------------------------------------------

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        until = time.monotonic() + self._patience_s
        while True:
            status, answer = self._once(method, path, body)
            if status != _REBALANCE or method == "POST" or time.monotonic() > until:
                break
            self._pause(1.0)
        if 200 <= status < 300:
            return answer
        told = answer.get("message") if isinstance(answer, dict) else None
        hint = "Write the user and password into the address: http://user:password@host:port." if status == 401 else ""
        raise ConnectError(f"{method} {self.url}{path} was answered with HTTP status {status}"
                           f"{f': {told}' if told else ''}.", status=status, hint=hint)

    def _once(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        made = http.client.HTTPSConnection(
            self._host, self._port, timeout=_TIMEOUT_S, context=self._tls(),
        ) if self._https else http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
        try:
            headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
            made.request(method, self._path + path, None if body is None else json.dumps(body), headers)
            answer = made.getresponse()
            data = answer.read(_MOST_BYTES)
        except (OSError, http.client.HTTPException) as exc:
            reason = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
            raise ConnectUnreachableError(f"There is no answer from {self.url}: {reason}.") from exc
        finally:
            made.close()
        try:
            return answer.status, json.loads(data) if data else None
        except ValueError:
            if 200 <= answer.status < 300:
                raise ConnectError(f"{self.url} answers, but it is no Kafka Connect.") from None
            return answer.status, None


def _path(name: str) -> str:
    return f"/connectors/{quote(name, safe='')}"
