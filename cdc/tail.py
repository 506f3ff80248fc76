"""`cdc tail`: shows the events of a running pipeline, or of a topic.

A pipeline is asked over HTTP (`/tail`, server-sent events). A topic is read with a consumer of its own that belongs to
no group anybody else uses and commits nothing; Avro is decoded with the schemas of a Schema Registry.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from .core.errors import CdcError, ConfigError, RegistryConnectionError, RegistryRefusedError, SinkConnectionError
from .core.plain import VARIABLE_DECIMAL, readable_scalar, unscaled
from .render import render_drop, render_event

DEFAULT_URL = "http://127.0.0.1:8083"
_TIMEOUT_SECONDS = 10.0
_SILENCE_SECONDS = 60.0
_SCHEMA_ID_BYTES = 5


class Event(NamedTuple):
    topic: str
    key: Any
    value: Any


class Dropped(NamedTuple):
    number: int


Seen = Event | Dropped


class Printer:
    """Writes events to standard output: for eyes, or with *as_json* one object a line. Stops after *limit*."""

    def __init__(self, as_json: bool, limit: int | None) -> None:
        self._as_json = as_json
        self._left = limit
        self._color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def print_all(self, events: Generator[Seen]) -> None:
        if self._left == 0:
            return
        with closing(events):
            for event in events:
                self._print(event)
                if isinstance(event, Event) and self._left is not None:
                    self._left -= 1
                    if self._left <= 0:
                        return

    def _print(self, event: Seen) -> None:
        if isinstance(event, Dropped):
            print(render_drop(event.number, sys.stderr.isatty()), file=sys.stderr, flush=True)
        elif self._as_json:
            print(json.dumps(event._asdict(), ensure_ascii=False, default=_json_value), flush=True)
        else:
            print(render_event(*event, color=self._color, width=_terminal_width()), flush=True)


def _terminal_width() -> int:
    try:
        return max(60, os.get_terminal_size(sys.stdout.fileno()).columns)
    except (OSError, ValueError):
        return 100


def _json_value(value: Any) -> str:
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else str(value)


# Of a running pipeline


def pipeline_events(url: str, readable: bool) -> Generator[Seen]:
    """What the pipeline at *url* (its `listeners` address) sends from now on. Ends when the pipeline does."""
    parts = _address(url if "://" in url else f"http://{url}")
    if parts is None or parts.scheme != "http":
        raise ConfigError("That is not the address of a pipeline.", hint="For example http://127.0.0.1:8083.")
    assert parts.hostname is not None
    path = f"{parts.path.rstrip('/')}/tail" + ("?readable=true" if readable else "")
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 8083, timeout=_SILENCE_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status != 200:
            raise CdcError(f"{parts.hostname} answered {response.status}: {_message(response.read())}")
        yield from _server_sent(response)
        print("The pipeline has ended.", file=sys.stderr)
    except (OSError, http.client.HTTPException) as exc:
        raise CdcError(f"No pipeline answers at {parts.hostname}:{parts.port or 8083}: {type(exc).__name__}.",
                       hint="Is `cdc run` running? Its log says at start where it listens (rest_listening).") from exc
    finally:
        connection.close()


def _address(url: str) -> SplitResult | None:
    """*url* taken apart; None when it is not the address of a server."""
    try:
        parts = urlsplit(url)
        return parts if parts.hostname and (parts.port is None or parts.port) else None
    except ValueError:
        return None


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return "no reason given"


def _server_sent(lines: Iterable[bytes]) -> Generator[Seen]:
    """Server-sent events (WHATWG HTML, "Server-sent events") of the kinds that `/tail` sends."""
    kind = ""
    for raw in lines:
        line = raw.decode("utf-8").rstrip("\r\n")
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data = json.loads(line.removeprefix("data: "))
            if kind == "change":
                yield Event(data["topic"], data["key"], data["value"])
            elif kind == "dropped":
                yield Dropped(data["count"])


# Of a topic


class Registry:
    """Schemas by id, from a Schema Registry's `GET /schemas/ids/{id}`; a user in the URL is sent as basic auth."""

    def __init__(self, url: str) -> None:
        parts = _address(url)
        if parts is None or parts.scheme not in ("http", "https"):
            raise ConfigError("--registry is not an http address.", hint="For example --registry http://127.0.0.1:8081.")
        host = parts.netloc.rpartition("@")[2]
        self._url = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
        self._headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
        self._schemas: dict[int, tuple[Any, Any] | None] = {}

    def schema(self, id: int) -> tuple[Any, Any] | None:
        """Avro schema *id* as it is and as fastavro wants it; None when it is of another kind than Avro."""
        if id not in self._schemas:
            import fastavro

            answer = self._get(f"/schemas/ids/{id}")
            self._schemas[id] = None
            if answer.get("schemaType", "AVRO") == "AVRO":
                schema = json.loads(answer["schema"])
                self._schemas[id] = schema, fastavro.parse_schema(schema)
        return self._schemas[id]

    def _get(self, path: str) -> Any:
        request = urllib.request.Request(self._url + path, headers=self._headers)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as exc:
            kind = RegistryConnectionError if exc.code >= 500 else RegistryRefusedError
            raise kind(f"The registry answered {exc.code} to {path}.", url=self._url,
                       hint="Is it the registry that the pipeline writes to, and the right user?") from exc
        except (OSError, ValueError, http.client.HTTPException) as exc:
            raise RegistryConnectionError(f"The registry does not answer: {type(exc).__name__}.", url=self._url,
                                          hint="Check --registry.") from exc


class Decoder:
    """Bytes of a key or value as plain data: Confluent's Avro framing, JSON with or without its schema, or text."""

    def __init__(self, registry: Registry | None, readable: bool) -> None:
        self._registry = registry
        self._readable = readable

    def decode(self, data: bytes | None) -> Any:
        if data is None:
            return None
        if data[:1] == b"\0" and len(data) >= _SCHEMA_ID_BYTES:
            return self._framed(data)
        return _loose(data)

    def _framed(self, data: bytes) -> Any:
        if self._registry is None:
            raise ConfigError("This topic has values with a schema id.", option="--registry",
                              hint="Say where the schemas are: --registry http://HOST:8081.")
        id = int.from_bytes(data[1:_SCHEMA_ID_BYTES], "big")
        schemas = self._registry.schema(id)
        if schemas is None:
            return _loose(data[_SCHEMA_ID_BYTES:])
        import fastavro

        schema, parsed = schemas
        try:
            value = fastavro.schemaless_reader(BytesIO(data[_SCHEMA_ID_BYTES:]), parsed, None)
        except Exception as exc:
            return f"({len(data)} bytes that do not fit schema {id}: {type(exc).__name__})"
        return avro_plain(schema, value) if self._readable else value


def _loose(data: bytes) -> Any:
    try:
        value = json.loads(data)
    except ValueError:
        return data.decode("utf-8", "backslashreplace")
    if isinstance(value, dict) and value.keys() == {"schema", "payload"}:
        return value["payload"]
    return value


def avro_plain(schema: Any, value: Any, names: Mapping[str, Any] | None = None) -> Any:
    """*value* as fastavro read it, temporal values made readable by the `connect.name` of their *schema*."""
    if names is None:
        names = dict(_named(schema))
    if value is None:
        return None
    if isinstance(schema, list):
        branches = [branch for branch in schema if branch != "null"]
        return avro_plain(branches[0], value, names) if len(branches) == 1 else value
    if isinstance(schema, str):
        return avro_plain(names[schema], value, names) if schema in names else _scalar(None, value)
    kind = schema["type"]
    if kind == "record":
        return _record(schema, value, names)
    if kind == "array":
        return [avro_plain(schema["items"], item, names) for item in value]
    if kind == "map":
        return {key: avro_plain(schema["values"], item, names) for key, item in value.items()}
    return _scalar(schema.get("connect.name"), value) if isinstance(kind, str) else avro_plain(kind, value, names)


def _record(schema: Mapping[str, Any], value: Mapping[str, Any], names: Mapping[str, Any]) -> Any:
    if schema.get("connect.name") == VARIABLE_DECIMAL:
        return unscaled(value["value"], value["scale"])
    return {field["name"]: avro_plain(field["type"], value.get(field["name"]), names) for field in schema["fields"]}


def _scalar(name: str | None, value: Any) -> Any:
    if isinstance(value, bytes):
        return _json_value(value)
    return readable_scalar(name, value) if isinstance(value, bool | int | float | str) else str(value)


def _named(schema: Any, namespace: str = "") -> Iterator[tuple[str, Any]]:
    """Every record within *schema*, under its full name and its short one. Avro specification, "Names"."""
    if isinstance(schema, list):
        for branch in schema:
            yield from _named(branch, namespace)
    elif isinstance(schema, dict):
        if "name" in schema:
            namespace = schema.get("namespace", namespace)
            yield schema["name"], schema
            yield f"{namespace}.{schema['name']}", schema
        for inner in (schema.get("items"), schema.get("values"), schema["type"]):
            yield from _named(inner, namespace)
        for field in schema.get("fields", ()):
            yield from _named(field["type"], namespace)


def topic_events(topic: str, brokers: str, registry: str | None, properties: Sequence[str], from_beginning: bool,
                 readable: bool) -> Generator[Seen]:
    """Every record of *topic* from now on, or *from_beginning*, for ever. *properties*: librdkafka's, `key=value`."""
    from confluent_kafka import KafkaException

    decoder = Decoder(Registry(registry) if registry else None, readable)
    heard = _LastError()
    try:
        consumer = _assigned(topic, brokers, _consumer_config(brokers, properties, heard), from_beginning)
    except KafkaException as exc:
        raise SinkConnectionError(f"Nothing can be read at {brokers}: {heard.text or exc.args[0].str()}.",
                                  hint="Check --bootstrap-server, and -X if it wants TLS or a login.") from exc
    try:
        while True:
            message = consumer.poll(0.5)
            if message is None:
                continue
            if message.error() is not None:
                raise SinkConnectionError(f"Reading {topic} failed: {message.error().str()}.")
            yield Event(topic, decoder.decode(message.key()), decoder.decode(message.value()))
    finally:
        consumer.close()


class _LastError:
    """What librdkafka's `error_cb` said last: it tells why nobody answers (refused, TLS, login)."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, error: Any) -> None:
        if not self.text or error.name() != "_ALL_BROKERS_DOWN":
            self.text = error.str().partition(" (after ")[0]


def _consumer_config(brokers: str, properties: Sequence[str], heard: _LastError) -> dict[str, Any]:
    config: dict[str, Any] = {
        "bootstrap.servers": brokers,
        "group.id": f"cdc-tail-{uuid.uuid4()}",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "log_level": 0,
        "error_cb": heard,
    }
    for text in properties:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError("-X wants key=value.", option="-X", hint="For example -X security.protocol=SASL_SSL.")
        config[key.strip()] = value
    return config


def _assigned(topic: str, brokers: str, config: dict[str, Any], from_beginning: bool) -> Any:
    """A consumer that is about to read every partition of *topic*. Raises ConfigError, KafkaException."""
    import confluent_kafka

    try:
        consumer = confluent_kafka.Consumer(config)
    except confluent_kafka.KafkaException as exc:
        raise ConfigError(f"The consumer cannot be made: {exc.args[0].str()}.", option="-X",
                          hint="-X takes the properties of librdkafka.") from exc
    try:
        found = consumer.list_topics(topic, timeout=_TIMEOUT_SECONDS).topics[topic]
        if found.error is not None or not found.partitions:
            raise ConfigError(f"There is no topic {topic} at {brokers}.", option="--topic",
                              hint="Topics are created with the first event: <topic.prefix>.<schema>.<table>.")
        start = confluent_kafka.OFFSET_BEGINNING if from_beginning else confluent_kafka.OFFSET_END
        consumer.assign([confluent_kafka.TopicPartition(topic, number, start) for number in sorted(found.partitions)])
        return consumer
    except BaseException:
        consumer.close()
        raise
