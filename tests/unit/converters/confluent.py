"""What Confluent's own Java classes made of schemas and values: `tests/golden/confluent`."""

from __future__ import annotations

import base64
import functools
from collections.abc import Iterator
from typing import Any

from cdc.core.schema import Schema
from tests.unit.converters.connect_json import GOLDEN, golden_records, schema_of, value_of

Case = dict[str, Any]
FOLDER = GOLDEN / "confluent"
ALONE = ("prim_dec", "prim_date")
"""Single values for which the Java converter writes bytes that its schema does not describe; ours refuses them."""


@functools.cache
def cases(form: str) -> dict[str, list[Case]]:
    """Those of one format, by name; each with a configuration of its own."""
    found: dict[str, list[Case]] = {}
    for case in golden_records(FOLDER / "cases.jsonl.gz"):
        if case["format"] == form and not (form == "protobuf" and case["case"] in ALONE):
            found.setdefault(case["case"], []).append(case)
    return found


def connect(case: Case) -> tuple[Schema, Any]:
    """A case's schema and value."""
    schema = schema_of(case["connect"]["schema"])
    return schema, value_of(schema, case["connect"]["payload"])


def recorded(form: str) -> Iterator[tuple[Case, Schema, Any]]:
    """One record for each schema of the recordings of types and shapes."""
    records: dict[str, list[dict[str, Any]]] = {}
    for case in golden_records(FOLDER / "golden.jsonl.gz"):
        if case["format"] == form:
            if case["file"] not in records:
                records[case["file"]] = list(golden_records(GOLDEN / case["file"]))
            source = records[case["file"]][case["record"]][case["side"]]
            schema = schema_of(source["schema"])
            yield case, schema, value_of(schema, source["payload"])


def protobuf_bytes(case: Case) -> bytes:
    """The message of a recorded value."""
    return base64.b64decode(case["value"])
