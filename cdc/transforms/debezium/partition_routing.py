"""PartitionRouting: the partition from values of the event.

Debezium sources: `io.debezium.transforms.partitions.PartitionRouting`; Debezium docs, "Partition Routing".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.errors import TransformError
from cdc.core.record import DELETE, TRUNCATE
from cdc.core.schema import STRUCT, Schema
from cdc.core.view import RecordView, places

from ..part import configured
from .envelope import AFTER, BEFORE, has_row, is_envelope, operation, untouched
from .java_hash import hash_code, murmur

_MAX: Final = (1 << 31) - 1
_MESSAGE: Final = "m"


def _fields(text: str) -> tuple[tuple[str, ...], ...]:
    items = [item.strip() for item in text.split(",")]
    if not all(items):
        raise ValueError("an element is empty")
    return tuple(tuple(part.strip() for part in item.split(".")) for item in items)


@settings
class PartitionRoutingConfig:
    """The keys of PartitionRouting."""

    partition_payload_fields: tuple[tuple[str, ...], ...] = option(
        "partition.payload.fields", "LIST", required=True, importance="HIGH", group="partitions", convert=_fields,
        doc="The fields whose values give the partition, such as change.id or source.table; change is before for a "
            "delete, else after. A field that is null or does not exist does not count.")
    partition_topic_num: int = option(
        "partition.topic.num", "INT", required=True, importance="HIGH", group="partitions",
        check=lambda number: None if number > 0 else (
            "The 'partition.topic.num' value is invalid: A positive, non-zero integer value is expected"),
        doc="The number of partitions of the topic.")
    partition_hash_function: Literal["java", "murmur"] = option(
        "partition.hash.function", default="java", importance="LOW", group="partitions",
        convert=lambda text: "murmur" if text.strip().lower() == "murmur" else "java",
        doc="How values are hashed: java or murmur.")


OPTIONS = OptionTable.of(PartitionRoutingConfig)


class PartitionRouting:
    """Sets the partition of row changes. Of a row, only the named columns are decoded."""

    options = OPTIONS

    def __init__(self, settings: Mapping[str, str]) -> None:
        config = configured(PartitionRoutingConfig, OPTIONS, settings, "PartitionRouting")
        self._fields = config.partition_payload_fields
        self._number = config.partition_topic_num
        self._hash = murmur if config.partition_hash_function == "murmur" else hash_code

    def apply(self, view: RecordView) -> RecordView:
        """Raises TransformError."""
        schema = view.value_schema
        if view.is_tombstone or schema is None or not is_envelope(schema):
            return view
        op = operation(view)
        if op in (TRUNCATE, _MESSAGE):
            return view
        total, found = 0, False
        for path in self._fields:
            inner, value = _at(view, schema, path, BEFORE if op == DELETE else AFTER)
            if inner is not None and value is not None:
                total, found = total + self._hash(inner, value), True
        if found:
            positive = total & _MAX
            view.kafka_partition = 0 if positive == _MAX else positive % self._number
        return view


def _at(view: RecordView, schema: Schema, path: tuple[str, ...], row: str) -> tuple[Schema | None, Any]:
    """The schema and the value or default at *path*, where `change` stands for *row*; no schema if there is no such
    field. Raises TransformError if a struct on the way is null."""
    names = tuple(row if name == "change" and index < len(path) - 1 else name for index, name in enumerate(path))
    if untouched(view) and len(names) == 2 and names[0] in (BEFORE, AFTER):
        return _column(view, schema, *names)
    value = view.value
    for index, name in enumerate(names):
        if schema.type != STRUCT or name not in places(schema):
            return None, None
        if value is None:
            raise _unprocessable(names[:index])
        at = places(schema)[name]
        schema, value = schema.fields[at].schema, value[at]
    return schema, schema.default if value is None else value


def _column(view: RecordView, envelope: Schema, name: str, field: str) -> tuple[Schema | None, Any]:
    if not has_row(view, name):
        raise _unprocessable((name,))
    row = envelope.fields[places(envelope)[name]].schema
    if field not in places(row):
        return None, None
    schema = row.fields[places(row)[field]].schema
    value = view.column(name, field)
    return schema, schema.default if value is None else value


def _unprocessable(path: tuple[str, ...]) -> TransformError:
    return TransformError(f"Unprocessable message: {'.'.join(path)} is null", exception="io.debezium.DebeziumException",
                          hint="Name fields of change instead of before or after: change is the row that an event has.")
