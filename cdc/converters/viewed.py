"""Turns the views that come out of transforms into outgoings.

A key or a value that no transform replaced is written by the table's plan, straight from column bytes, as without
transforms; only its topic, and so its schema id, may be another one.
"""

from __future__ import annotations

from collections.abc import Callable

from cdc.core.avro import Writer
from cdc.core.errors import ConvertError
from cdc.core.interfaces import Converter, Outgoing, PrefixedAvro, ReadsHeaders
from cdc.core.record import Record
from cdc.core.row import Row
from cdc.core.schema import Schema
from cdc.core.table import TableSchema
from cdc.core.view import ConstantHeader, Header, RecordView

from .plan import AvroPlan, ColumnFailures
from .shaped import RowPlan
from .views import MAX_PLANS, old_of_key


class ViewConverter:
    """Converts the views of one task. *headers_for* gives the constant headers of a topic as bytes. *out*: plans of one
    thread may share it."""

    def __init__(self, key: Converter, value: Converter, header_converter: Converter, failures: ColumnFailures,
                 headers_for: Callable[[str], list[tuple[str, bytes | None]]], out: Writer) -> None:
        self._key = key
        self._value = value
        self._header_converter = header_converter
        self._failures = failures
        self._headers_for = headers_for
        self._out = out
        self._avro_key: PrefixedAvro | None = key if isinstance(key, PrefixedAvro) else None
        self._avro_value: PrefixedAvro | None = value if isinstance(value, PrefixedAvro) else None
        self._with_headers: ReadsHeaders | None = value if isinstance(value, ReadsHeaders) else None
        self._key_plans: dict[tuple[TableSchema, str], AvroPlan] = {}
        self._value_plans: dict[tuple[TableSchema, str], AvroPlan] = {}
        self._constant: dict[tuple[str, int], tuple[Header, tuple[str, bytes | None]]] = {}
        """Bytes by topic and the header's identity; each holds its header, so that no other one gets that identity."""
        self._row_plans: dict[tuple[TableSchema, str, int, bool], tuple[Schema, RowPlan]] = {}
        """By table, topic, the schema's identity and whether nulls are defaults; each holds its schema, so that no
        other one gets that identity."""

    def outgoing(self, view: RecordView) -> Outgoing:
        """Raises ConvertError, RegistryError."""
        partition = -1 if view.kafka_partition is None else view.kafka_partition
        record = view.record
        origin = str(record.table.id) if isinstance(record, Record) else record.topic
        timestamp_ms = -1 if view.timestamp_ms is None else view.timestamp_ms
        if view.kafka_partition is not None and partition < 0:
            raise ConvertError("Invalid partition: a partition number should always be non-negative or null.",
                               topic=view.topic, exception="java.lang.IllegalArgumentException")
        if timestamp_ms < -1:
            raise ConvertError("Invalid record timestamp: Kafka has none before 1970.", topic=view.topic,
                               exception="org.apache.kafka.common.errors.InvalidRecordException")
        return Outgoing(view.topic, self.key_of(view), self._value_of(view), partition, self._headers(view), origin,
                        timestamp_ms)

    def key_of(self, view: RecordView) -> bytes | None:
        record, schema = view.record, view.key_schema
        if self._avro_key is None or view.key_replaced or schema is None or not isinstance(record, Record):
            return self._key.from_connect(view.topic, schema, view.key)
        plan = self._plan(self._key_plans, self._avro_key, record.table, view.topic, schema)
        row: Row | None = record.key_row
        key: bytes | None = plan.key(row, old_of_key(record))
        return key

    def _value_of(self, view: RecordView) -> bytes | None:
        record, schema = view.record, view.value_schema
        if self._with_headers is not None:
            return self._with_headers.from_connect_with(view.topic, view.headers, schema, view.value)
        if view.row_image is not None and self._avro_value is not None:
            return self._row_of(view, self._avro_value)
        if self._avro_value is None or view.value_replaced or schema is None or not isinstance(record, Record):
            return self._value.from_connect(view.topic, schema, view.value)
        plan = self._plan(self._value_plans, self._avro_value, record.table, view.topic, schema)
        value: bytes = plan.value(record, view.now_us)
        return value

    def _row_of(self, view: RecordView, converter: PrefixedAvro) -> bytes:
        """The value of a view whose row is still in the source's bytes."""
        record, image, schema = view.record, view.row_image, view.value_schema
        assert isinstance(record, Record)
        assert image is not None
        assert schema is not None
        key = (record.table, view.topic, id(schema), image.defaults)
        found = self._row_plans.get(key)
        if found is None:
            prefix = converter.wire_prefix(view.topic, schema)
            if len(self._row_plans) >= MAX_PLANS:
                self._row_plans.clear()
            plan = AvroPlan(record.table, prefix, prefix, converter.null_is_default or image.defaults, self._failures,
                            self._out)
            found = self._row_plans[key] = (schema, RowPlan(plan, schema, len(image.extra)))
        return found[1].value(record, image.name == "before", image.extra)

    def _plan(self, plans: dict[tuple[TableSchema, str], AvroPlan], converter: PrefixedAvro, table: TableSchema,
              topic: str, schema: Schema) -> AvroPlan:
        """The plan of one side. Only that side's schema is registered: a transform may have replaced the other one."""
        plan = plans.get((table, topic))
        if plan is None:
            prefix = converter.wire_prefix(topic, schema)
            if len(plans) >= MAX_PLANS:
                plans.clear()
            plan = AvroPlan(table, prefix, prefix, converter.null_is_default, self._failures, self._out)
            plans[table, topic] = plan
        return plan

    def _headers(self, view: RecordView) -> list[tuple[str, bytes | None]]:
        topic, record = view.topic, view.record
        if not view.headers_replaced:
            if isinstance(record, Record):
                if not record.key_headers:
                    return self._headers_for(topic)
            elif record.context_headers:
                return self._headers_for(topic)
        return [self._header(topic, header) for header in view.headers]

    def _header(self, topic: str, header: Header) -> tuple[str, bytes | None]:
        if not isinstance(header, ConstantHeader):
            return header.name, self._header_bytes(topic, header)
        found = self._constant.get((topic, id(header)))
        if found is None:
            if len(self._constant) >= MAX_PLANS:
                self._constant.clear()
            found = self._constant[topic, id(header)] = (header, (header.name, self._header_bytes(topic, header)))
        return found[1]

    def _header_bytes(self, topic: str, header: Header) -> bytes | None:
        return self._header_converter.from_connect(topic, header.schema, header.value)
