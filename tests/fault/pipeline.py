"""`cdc run` as a process that may be killed, and what its topic says about it afterwards."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import fastavro
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from tests.servers.kafka import watermarks
from tests.servers.mysql import BinlogServer
from tests.servers.postgres import PostgresServer
from tests.servers.process import wait_until

AVRO = "io.confluent.connect.avro.AvroConverter"
JSON = "org.apache.kafka.connect.json.JsonConverter"
_WHOLE = 1000
"""Of so many messages, one is read by Confluent's deserialiser."""


class Process:
    """`cdc run` with *files* of *folder*; may be started again after its end. Killed on leaving, at the latest."""

    def __init__(self, folder: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
        """*files*: keys and values by the file's name, written as properties, or as JSON if it ends otherwise (JSON is
        YAML, too)."""
        self.folder = folder
        self.log = folder / "log"
        self.program = ["-m", "cdc", "run"]
        """What Python is to run; the files come after it."""
        self.environment: dict[str, str] = {}
        """Variables beside those of this process."""
        self.files = {name: dict(config) for name, config in files.items()}
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if kind is not None and self.log.exists():
            print(self.text(0)[-8000:])

    def start(self) -> None:
        paths = [self.folder / name for name in self.files]
        for path in paths:
            config = self.files[path.name]
            lines = "".join(f"{key}={value}\n" for key, value in config.items())
            path.write_text(lines if path.suffix == ".properties" else json.dumps(config), encoding="utf-8")
        with self.log.open("ab") as log, (self.folder / "stdout").open("ab") as stdout:
            self.started_at = log.tell()
            environment = {**os.environ, "CDC_LOG_FORMAT": "json", **self.environment}
            self.process = subprocess.Popen([sys.executable, *self.program, *map(str, paths)], stdout=stdout,
                                            stderr=log, env=environment)

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = 90) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def end(self, timeout_s: float) -> int:
        """The exit code of a process that ends by itself."""
        assert self.process is not None
        return self.process.wait(timeout_s)

    def complaint(self, code: int, timeout_s: float = 90) -> str:
        """The paragraph that a process ends with, which is to exit soon with *code*; the log before it is JSON."""
        assert self.end(timeout_s) == code, self.text()
        text = self.text()
        assert "Traceback" not in text
        assert ".py" not in text
        logged, _, said = text.rpartition("}\n") if "}\n" in text else ("", "", text)
        assert all(line.startswith("{") for line in logged.splitlines()), "the paragraph is the end of what is printed"
        assert "\n\n" not in said.strip()
        joined = " ".join(said.split())  # a long path after `cdc:` begins a line of its own
        assert joined.startswith("cdc: ")
        return joined

    def text(self, start: int | None = None) -> str:
        """Standard error of the last start."""
        with self.log.open("rb") as log:
            log.seek(self.started_at if start is None else start)
            return log.read().decode(errors="replace")

    def await_state(self, state: str, timeout_s: float = 40, connector: str = "shop") -> None:
        wait_until(lambda: self.state(connector) == state, timeout_s, f"the task to be {state}")

    def state(self, connector: str = "shop") -> str:
        """Of the connector's task; empty while there is no answer."""
        return self._label(f'cdc_task_state{{connector="{connector}",state="')

    def _label(self, start: str) -> str:
        try:
            lines = self.get("/metrics").splitlines()
        except (OSError, ValueError):
            return ""
        return next((line.removeprefix(start).split('"')[0] for line in lines
                     if line.startswith(start) and line.endswith(" 1.0")), "")

    @property
    def url(self) -> str:
        """Where the running process listens, from its log; empty before it does."""
        with self.log.open("rb") as log:
            log.seek(self.started_at)
            for line in log:
                if b'"rest_listening"' in line:
                    return line.decode().split('"url": "')[1].split('"')[0]
        return ""

    def get(self, path: str) -> str:
        """The answer's text. Raises OSError."""
        with urllib.request.urlopen(self.url + path, timeout=5) as answer:
            return str(answer.read().decode())

    def metric(self, sample: str) -> float | None:
        """The value of one sample, None while there is no answer."""
        try:
            lines = self.get("/metrics").splitlines()
        except (OSError, ValueError):
            return None
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(sample)), None)

    def peak_memory_mb(self) -> float:
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


class Direct(Process):
    """`cdc snapshot --direct` with the *files* of a service."""

    def __init__(self, folder: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
        folder.mkdir()
        super().__init__(folder, files)

    def run(self, *options: str, code: int) -> str:
        """What it printed, both streams, on one line, when it has ended with *code*."""
        printed = self.folder / "stdout"
        before = len(printed.read_text()) if printed.exists() else 0
        self.program = ["-m", "cdc", "snapshot", "--direct", *options]
        self.start()
        assert self.end(60) == code, self.text()
        text = printed.read_text()[before:] + self.text()
        assert "Traceback" not in text
        return " ".join(text.split())


class Pipeline(Process):
    """One connector, named shop, in one file. `options` go over the common ones; keys of either kind."""

    def __init__(self, folder: Path, bootstrap: str, registry_url: str, options: Mapping[str, str]) -> None:
        self.offsets = folder / "offsets"
        self.config = {
            "bootstrap.servers": bootstrap, "offset.storage.file.filename": str(self.offsets),
            "offset.flush.interval.ms": "200", "listeners": "http://127.0.0.1:0",
            **{f"{side}.converter{key}": value for side in ("key", "value") for key, value in (
                ("", AVRO), (".schema.registry.url", registry_url))},
            "name": "shop", "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "topic.prefix": "srv", "retriable.restart.connector.wait.ms": "1000",
            **options,
        }
        super().__init__(folder, {"pipeline.properties": {key: text for key, text in self.config.items() if text}})

    def committed(self) -> str | None:
        """The stored offset's JSON."""
        if not self.offsets.exists():
            return None
        with sqlite3.connect(self.offsets) as store:
            row = store.execute("SELECT offset_json FROM offsets").fetchone()
        return row[0] if row else None


class PrintingPipeline(Pipeline):
    """To standard output, as JSON without schemas; no Kafka, no registry."""

    def __init__(self, folder: Path, options: Mapping[str, str]) -> None:
        plain = {f"{side}.converter{key}": text for side in ("key", "value") for key, text in (
            ("", JSON), (".schemas.enable", "false"), (".schema.registry.url", ""))}
        super().__init__(folder, "", "", {"sink.type": "stdout", **plain, **options})

    def printed(self) -> str:
        return (self.folder / "stdout").read_text(encoding="utf-8")

    def warnings(self) -> list[dict[str, Any]]:
        """Logged by the last start."""
        found = [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]
        return [entry for entry in found if entry["level"] == "warning"]


def source_options(server: PostgresServer, database: str, topic_prefix: str) -> dict[str, str]:
    """What a connector needs to know of *server*; its slot goes by the topic prefix."""
    return {"plugin.name": "pgoutput", "topic.prefix": topic_prefix, "slot.name": topic_prefix.lower(),
            "database.hostname": server.host, "database.port": str(server.port), "database.user": "postgres",
            "database.dbname": database}


def binlog_options(server: BinlogServer, user: str = "root", password: str = "") -> dict[str, str]:
    """What a connector needs to know of *server*."""
    classes = {"mysql": "io.debezium.connector.mysql.MySqlConnector",
               "mariadb": "io.debezium.connector.mariadb.MariaDbConnector"}
    return {"connector.class": classes[server.flavor], "database.hostname": server.host,
            "database.port": str(server.port), "database.user": user, "database.password": password,
            "database.server.id": "4721"}


@dataclass(frozen=True)
class Event:
    """One message."""

    key: dict[str, Any] | None
    value: dict[str, Any] | None
    kafka_offset: int = 0

    @property
    def op(self) -> str:
        return "tombstone" if self.value is None else self.value["op"]

    @property
    def row(self) -> dict[str, Any] | None:
        return None if self.value is None else self.value["after"]

    @property
    def source(self) -> dict[str, Any]:
        """A tombstone has none."""
        assert self.value is not None
        return dict(self.value["source"])

    @property
    def place(self) -> tuple[int, ...]:
        """Where in the log its change is: an LSN; file, byte and row."""
        source = self.source
        if "lsn" in source:
            return (int(source["lsn"]),)
        return int(source["file"].rpartition(".")[2]), source["pos"], source["row"]

    @property
    def identity(self) -> tuple[Any, ...]:
        """The change in the source that it stands for. Of a compressed transaction all events are in one place."""
        transaction = self.source["txId"] or 0 if "lsn" in self.source else repr(self.row)
        return transaction, *self.place, self.op, repr(sorted((self.key or {}).items()))


class Deserializer:
    """Confluent's own for the first bytes with each schema, and now and then for others. What is between is read by
    fastavro alone, which that one calls, too: it takes a sixth of the time. Both must give the same."""

    def __init__(self, registry_url: str) -> None:
        self._client = SchemaRegistryClient({"url": registry_url, "timeout": 3})
        self._whole = AvroDeserializer(self._client)
        self._schemas: dict[bytes, Any] = {}
        self._read = 0

    def __call__(self, data: bytes | None, topic: str, field: MessageField) -> Any:
        if data is None:
            return None
        known = data[:5] in self._schemas
        if not known:
            text = self._client.get_schema(int.from_bytes(data[1:5])).schema_str
            self._schemas[data[:5]] = fastavro.parse_schema(json.loads(text or ""))
        found = fastavro.schemaless_reader(io.BytesIO(data[5:]), self._schemas[data[:5]], None)
        self._read += 1
        if not known or self._read % _WHOLE == 0:
            assert found == self._whole(data, SerializationContext(topic, field))
        return found


class Reader:
    """Reads a topic as users do: confluent-kafka and its deserialiser."""

    def __init__(self, bootstrap: str, registry_url: str) -> None:
        self._settings = {"bootstrap.servers": bootstrap, "group.id": "reader", "enable.auto.commit": False,
                          "auto.offset.reset": "earliest", "allow.auto.create.topics": False,
                          "enable.partition.eof": True, "log_level": 0}
        self._counting: Consumer | None = None
        self._deserialize = Deserializer(registry_url)

    def count(self, topic: str) -> int:
        """Messages in partition 0 now; 0 when there is no topic yet or no broker."""
        self._counting = consumer = self._counting or Consumer(self._settings)
        try:
            return int(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=5)[1])
        except Exception:
            consumer.close()  # a new one finds a broker that is back at once
            self._counting = None
            return 0

    def schema_ids(self, topic: str) -> set[int]:
        """Of the values in partition 0, up to the end as it is now."""
        found = set()
        consumer = Consumer(self._settings)
        try:
            seen, end = 0, watermarks(consumer, TopicPartition(topic, 0))[1]
            consumer.assign([TopicPartition(topic, 0, 0)])
            while seen < end:
                message = consumer.poll(10)
                assert message is not None
                if message.error() is None:
                    seen = (message.offset() or 0) + 1
                    found.add(int.from_bytes((message.value() or b"")[1:5], "big"))
        finally:
            consumer.close()
        return found

    def events(self, topic: str, last: int | None = None) -> Iterator[Event]:
        """All of partition 0, or the *last* so many, up to the end as it is now."""
        consumer = Consumer(self._settings)
        try:
            end = watermarks(consumer, TopicPartition(topic, 0))[1]
            seen = 0 if last is None else max(0, end - last)
            consumer.assign([TopicPartition(topic, 0, seen)])
            while seen < end:
                message = consumer.poll(10)
                assert message is not None, f"{topic} ended at {seen} of {end}"
                error = message.error()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    break  # what is left are the ends of transactions
                assert error is None, str(error)
                kafka_offset = message.offset()
                assert kafka_offset is not None
                seen = kafka_offset + 1
                yield Event(self._deserialize(message.key(), topic, MessageField.KEY),
                            self._deserialize(message.value(), topic, MessageField.VALUE), kafka_offset)
        finally:
            consumer.close()


@dataclass
class Replay:
    """The table that a consumer keeps who applies each event to the row of its key."""

    key: str
    rows: dict[Any, dict[str, Any]] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        assert event.key is not None
        if event.op in ("c", "u", "r"):
            assert event.row is not None
            self.rows[event.key[self.key]] = event.row
        else:
            self.rows.pop(event.key[self.key], None)
