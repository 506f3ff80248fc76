"""What Kafka Connect's JsonConverter wrote, read back as Connect schemas and values; and the golden records in it."""

from __future__ import annotations

import base64
import functools
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cdc.core.schema import ARRAY, BYTES, FLOAT32, FLOAT64, MAP, STRING, STRUCT, Field, Schema

GOLDEN = Path(__file__).parents[2] / "golden"
_TYPES = {"float": FLOAT32, "double": FLOAT64}


@functools.cache
def golden_files() -> tuple[Path, ...]:
    """All recordings of records with their schemas; `connect-*` hold requests, `signals-*` have no schemas."""
    return tuple(sorted(path for path in GOLDEN.glob("*.jsonl.gz")
                        if not path.name.startswith(("connect-", "signals-"))))


def golden_records(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def schema_of(node: dict[str, Any]) -> Schema:
    kind = _TYPES.get(node["type"], node["type"].upper())
    # Inside a struct's fields a struct's own "field" is its name there, and not its schema's.
    schema = Schema(
        kind, optional=node["optional"], name=node.get("name"), version=node.get("version"), doc=node.get("doc"),
        parameters=tuple(node.get("parameters", {}).items()),
        fields=tuple(Field(child["field"], schema_of(child)) for child in node.get("fields", ())),
        items=schema_of(node["items"] if kind == ARRAY else node["values"]) if kind in (ARRAY, MAP) else None,
        keys=schema_of(node["keys"]) if kind == MAP else None,
    )
    if "default" in node:
        object.__setattr__(schema, "default", value_of(schema, node["default"]))
    return schema


def value_of(schema: Schema, payload: Any) -> Any:
    if payload is None:
        return None
    if schema.type == STRUCT:
        return tuple(value_of(field.schema, payload[field.name]) for field in schema.fields)
    if schema.type == ARRAY:
        assert schema.items is not None
        return [value_of(schema.items, item) for item in payload]
    if schema.type == MAP:
        assert schema.items is not None
        assert schema.keys is not None
        pairs = payload.items() if schema.keys.type == STRING else payload
        return {value_of(schema.keys, key): value_of(schema.items, item) for key, item in pairs}
    if schema.type == BYTES:
        return base64.b64decode(payload)
    if schema.type in (FLOAT32, FLOAT64):
        return float(payload)
    return payload
