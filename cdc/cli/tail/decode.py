"""Keys and values of a topic as plain data."""

from __future__ import annotations

import base64
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any
from urllib.parse import unquote, urlunsplit

from cdc.core.errors import ConfigError, RegistryConnectionError, RegistryRefusedError
from cdc.show.plain import VARIABLE_DECIMAL, readable_scalar, unscaled

from .address import server_address

_TIMEOUT_SECONDS = 10.0
_SCHEMA_ID_BYTES = 5


def json_value(value: Any) -> str:
    """A value that JSON has no form for: bytes as base64, others as text."""
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else str(value)


class Registry:
    """Fetches schemas by id: a Schema Registry's `GET /schemas/ids/{id}`. A user in the URL is sent as basic auth."""

    def __init__(self, url: str) -> None:
        parts = server_address(url)
        if parts is None or parts.scheme not in ("http", "https"):
            raise ConfigError("--registry is not an http address.", hint="For example --registry http://127.0.0.1:8081.")
        host = parts.netloc.rpartition("@")[2]
        self._url = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
        self._headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
        self._schemas: dict[int, tuple[Any, Any] | None] = {}

    def schema(self, schema_id: int) -> tuple[Any, Any] | None:
        """The Avro schema *schema_id*, as it is and as fastavro parsed it; None for a schema that is not Avro."""
        if schema_id not in self._schemas:
            import fastavro

            answer = self._get(f"/schemas/ids/{schema_id}")
            self._schemas[schema_id] = None
            if answer.get("schemaType", "AVRO") == "AVRO":
                schema = json.loads(answer["schema"])
                self._schemas[schema_id] = schema, fastavro.parse_schema(schema)
        return self._schemas[schema_id]

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
    """Decodes keys and values: Avro in Confluent's framing, JSON with or without its schema, else text."""

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
                              hint="Name the registry that has the schemas: --registry http://HOST:8081.")
        schema_id = int.from_bytes(data[1:_SCHEMA_ID_BYTES], "big")
        schemas = self._registry.schema(schema_id)
        if schemas is None:
            return _loose(data[_SCHEMA_ID_BYTES:])
        import fastavro

        schema, parsed = schemas
        try:
            value = fastavro.schemaless_reader(BytesIO(data[_SCHEMA_ID_BYTES:]), parsed, None)
        except Exception as exc:
            return f"({len(data)} bytes that do not fit schema {schema_id}: {type(exc).__name__})"
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
    """*value*, as fastavro read it, with temporal values as text; the schema's `connect.name` tells which are."""
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
        return json_value(value)
    return readable_scalar(name, value) if isinstance(value, bool | int | float | str) else str(value)


def _named(schema: Any, namespace: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every record inside *schema* under its full name and its short name. Avro specification, "Names"."""
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
