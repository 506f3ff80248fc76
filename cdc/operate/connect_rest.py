"""What a takeover asks of a Kafka Connect. A running `cdc` has the same interface."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cdc.client.rest import Answer, Client, message_of
from cdc.core.errors import CdcError
from cdc.core.handover import Given

TIMEOUT_S: Final = 100.0
"""Kafka Connect answers within 90 s (`rest.api` in RestServerConfig): while a group rebalances, requests wait."""
_REBALANCE: Final = 409

"""Source partitions and their offsets."""


class ConnectError(CdcError):
    """Kafka Connect refused a request. `status` is the answer's."""

    def __init__(self, message: str, *, status: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class ConnectRest:
    """One worker of a Kafka Connect.

    All methods raise ConnectError, and NotReadyError if nobody answers. While the group rebalances, they repeat the
    request for *patience_s* seconds.
    """

    def __init__(self, client: Client, *, patience_s: float = 60.0,
                 pause: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._patience_s = patience_s
        self._pause = pause
        self.url = client.url

    # -- what is there -----------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Whether it is a Kafka Connect."""
        found = self._ask("GET")
        if not isinstance(found, dict) or "version" not in found:
            raise self._another()

    def connectors(self) -> list[str]:
        found = self._ask("GET", "connectors")
        if not isinstance(found, list):
            raise self._another()
        return sorted(map(str, found))

    def config(self, name: str) -> dict[str, str]:
        """As it was submitted: references stand in it unresolved, and passwords in plain text."""
        found = self._ask("GET", "connectors", name, "config")
        if not isinstance(found, dict):
            raise ConnectError(f"{self.url} gives no configuration of connector {name}.")
        return {str(key): "" if value is None else str(value) for key, value in found.items()}

    def state(self, name: str) -> tuple[str, list[str]]:
        """The states of the connector and of its tasks; `("", [])` if it does not exist, or has none yet."""
        try:
            found = self._ask("GET", "connectors", name, "status")
        except ConnectError as exc:
            if exc.status == 404:
                return "", []
            raise
        tasks = found.get("tasks") or []
        return str(found.get("connector", {}).get("state", "")), [str(each.get("state", "")) for each in tasks]

    def failure(self, name: str) -> str:
        """The first line of what made the connector or a task fail; empty if nothing did."""
        found = self._ask("GET", "connectors", name, "status")
        traces = [each.get("trace") for each in (found.get("connector", {}), *(found.get("tasks") or []))]
        return next((str(trace).splitlines()[0] for trace in traces if trace), "")

    def offsets(self, name: str) -> Given | None:
        """None if this Kafka Connect cannot tell them: before 3.5 (KIP-875)."""
        try:
            found = self._ask("GET", "connectors", name, "offsets")
        except ConnectError as exc:
            if exc.status in (404, 405):
                return None
            raise
        return [(each["partition"], each["offset"]) for each in found["offsets"] if each.get("offset")]

    def validate(self, config: Mapping[str, str]) -> list[tuple[str, str]]:
        """The errors in a connector's configuration: key and text."""
        found = self._ask("PUT", "connector-plugins", config.get("connector.class", ""), "config", "validate",
                          body=dict(config))
        return [(str(each["value"].get("name", "")), str(text)) for each in found.get("configs", ())
                for text in each["value"].get("errors", ())]

    # -- what changes it ---------------------------------------------------------------------------------------------

    def stop(self, name: str) -> bool:
        """Whether this Kafka Connect knows how to: from 3.5 on (KIP-875)."""
        try:
            self._ask("PUT", "connectors", name, "stop")
        except ConnectError as exc:
            if exc.status in (404, 405):
                return False
            raise
        return True

    def resume(self, name: str) -> None:
        self._ask("PUT", "connectors", name, "resume")

    def pause(self, name: str) -> None:
        self._ask("PUT", "connectors", name, "pause")

    def create_stopped(self, name: str, config: Mapping[str, str]) -> None:
        self._ask("POST", "connectors", body={"name": name, "config": dict(config), "initial_state": "STOPPED"})

    def alter_offsets(self, name: str, offsets: Sequence[tuple[Mapping[str, Any], Mapping[str, Any] | None]]) -> None:
        self._ask("PATCH", "connectors", name, "offsets",
                  body={"offsets": [{"partition": partition, "offset": offset} for partition, offset in offsets]})

    def delete(self, name: str) -> None:
        self._ask("DELETE", "connectors", name)

    # -- requests ----------------------------------------------------------------------------------------------------

    def _ask(self, method: str, *path: str, body: Any = None) -> Any:
        until = time.monotonic() + self._patience_s
        while True:
            answer = self._once(method, *path, body=body)
            if answer.status != _REBALANCE or method == "POST" or time.monotonic() > until:
                break
            self._pause(1.0)
        if 200 <= answer.status < 300:
            if isinstance(answer.body, str):
                raise self._another()
            return answer.body
        told = message_of(answer)
        raise ConnectError(f"{method} {self.url}/{'/'.join(path)} was answered with HTTP status {answer.status}"
                           f"{f': {told}' if told else ''}.", status=answer.status,
                           hint=self._client.hints.unknown if answer.status == 401 else "")

    def _once(self, method: str, *path: str, body: Any) -> Answer:
        return self._client.exchange(method, *path, body=body)

    def _another(self) -> ConnectError:
        return ConnectError(f"{self.url} answers, but it is no Kafka Connect.")
