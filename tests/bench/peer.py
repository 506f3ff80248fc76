"""Debezium in a real Kafka Connect on the same rows: one worker for all drains, with its defaults and a warm JVM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.servers.connect import DEBEZIUM, ConnectServer

from .common import COMPRESSION, Drained, Sinks

KINDS: Final = ("W1", "W2", "W5")
TITLE: Final = f"Debezium {DEBEZIUM}"
_DISABLED: Final = {"mysql": "disabled", "mariadb": "disable"}


class Peer:
    """*server* runs already."""

    def __init__(self, server: ConnectServer, sinks: Sinks) -> None:
        self._server = server
        self._sinks = sinks

    def drain(self, name: str, connector: Mapping[str, object], topic: str, rows: int,
              offset: Mapping[str, Any] | None) -> Drained:
        """Run *connector* as *name* until *topic* has *rows* records. *offset*: where it begins, if it needs to be
        told; of a log that needs structures, it reads them from the server."""
        config = {key: str(text) for key, text in connector.items()}
        flavor = config["connector.class"].split(".")[3]
        if flavor in _DISABLED:
            config |= {"database.ssl.mode": _DISABLED[flavor],
                       "schema.history.internal.kafka.bootstrap.servers": self._sinks.kafka.bootstrap,
                       "schema.history.internal.kafka.topic": f"{name}-history"}
        if offset is not None:
            config["snapshot.mode"] = "recovery"
        self._ask("POST", "/connectors", {"name": name, "config": config, "initial_state": "STOPPED"}, 201)
        if offset is not None:
            prefix = config["topic.prefix"]
            self._server.wait_stopped(name)
            self._ask("PATCH", f"/connectors/{name}/offsets",
                      {"offsets": [{"partition": {"server": prefix}, "offset": dict(offset)}]}, 200)
        self._ask("PUT", f"/connectors/{name}/resume", None, 202)
        try:
            return self._sinks.watch(topic, rows, self._server.pid, lambda: self._server.running)
        finally:
            self._server.stop_connector(name)  # so that nobody reads the slot any more
            self._ask("DELETE", f"/connectors/{name}", None, 204)

    def _ask(self, method: str, path: str, body: Any, wanted: int) -> None:
        status, answer = self._server.request(method, path, body)
        assert status == wanted, f"{method} {path}: {status} {answer}"


def server(bootstrap: str, registry: str) -> ConnectServer:
    """A worker as for a benchmark, not started; it writes Avro to the *registry* at this URL."""
    avro = {f"{part}.converter{name}": text for part in ("key", "value") for name, text in
            (("", "io.confluent.connect.avro.AvroConverter"), (".schema.registry.url", registry))}
    return ConnectServer(bootstrap, "bench", heap="1g", quick_start=False, avro=True,
                         settings={"producer.compression.type": COMPRESSION, **avro})
