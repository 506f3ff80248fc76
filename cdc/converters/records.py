"""Turns records into outgoings; a task uses nothing else of this room.

Keys and values each have their converter, and each table has its plan: for Avro directly from column bytes
(`plan.AvroPlan`), for all other formats through Connect values (`plan.ValuePlan`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cdc.core.avro import Writer
from cdc.core.errors import RecordError
from cdc.core.interfaces import AvroPrinter, Converter, Failed, Outgoing, PrefixedAvro, Transforms
from cdc.core.outcome import Shaped, Transformed
from cdc.core.record import TOMBSTONE, Message, Record
from cdc.core.row import Row
from cdc.core.schema import Schema
from cdc.core.table import TableSchema

from . import native
from .plan import AvroPlan, ColumnFailures, ValuePlan
from .schema_headers import SchemaHeaders
from .shaped import ShapedConverter, makes_avro, prints_avro
from .viewed import ViewConverter
from .views import key_in_header

MAX_PLANS = 10_000
"""How many table versions have plans. When there are more, all plans are dropped and made again when needed."""

_new_outgoing = tuple.__new__


class TablePlan:
    """The plans of one table, for its keys and its values.

    `avro_key`, `avro_value`: whether *avro* writes the key, and the value; otherwise *values* makes them.
    `print_key`, `print_value`: what makes another format of these Avro bytes; None if they are sent as they are.
    """

    def __init__(self, name: str, avro: AvroPlan | None, values: ValuePlan | None, avro_key: bool, avro_value: bool,
                 print_key: AvroPrinter | None = None, print_value: AvroPrinter | None = None) -> None:
        self.name = name
        self.avro: Any = avro
        self.values: Any = values
        self.avro_key = avro_key
        self.avro_value = avro_value
        self.print_key = print_key
        self.print_value = print_value


class RecordConverter:
    """Converts batches for one task.

    *headers*: the constant context headers, as pairs of name and text.
    *header_converter*: serialises headers, among them the key structs of changed keys.
    *tolerant*: go on behind a record that cannot be converted.
    *alike*: *key* and *value* are configured the same, so the registry of one is that of the other.
    """

    def __init__(self, key: Converter, value: Converter, header_converter: Converter, failures: ColumnFailures,
                 headers: Sequence[tuple[str, str]] = (), *, tolerant: bool = False, alike: bool = False) -> None:
        self.key = key
        self.value = value
        self.header_converter = header_converter
        self.failures = failures
        self.context_headers = [(name, text) for name, text in headers]
        self.tolerant = tolerant
        self.alike = alike
        self.plans: dict[Any, TablePlan] = {}
        self.plan_count = 0
        self.header_cache: dict[str, list[tuple[str, bytes | None]]] = {}
        self.out = Writer()
        self.viewed = ViewConverter(key, value, header_converter, failures, self.headers_for, self.out)
        self.shaped = ShapedConverter(key, value, header_converter, failures, self.headers_for, self.out, self.viewed)
        self.schema_headers = SchemaHeaders.of(key, value)

    def convert(self, records: Sequence[Transformed], now_us: int,
                failed: list[Failed] | None = None) -> list[Outgoing]:
        """One outgoing for each record, in order. *now_us*: the connector's clock, µs since 1970.

        Records that cannot be converted are added to *failed*; the first one is the last that is looked at, unless
        tolerant. Without *failed*, its error is raised: ConvertError. Raises RegistryError; after a
        RegistryConnectionError the call may be repeated.
        """
        out: list[Outgoing] = []
        for record in records:
            outgoing = self.one(record, now_us, failed)
            if outgoing is not None:
                out.append(outgoing)
            elif not self.tolerant:
                break
        return out

    def one(self, record: Transformed, now_us: int, failed: list[Failed] | None) -> Outgoing | None:
        """As `convert`, for one record; None if it failed."""
        try:
            if isinstance(record, Record):
                made = self.row_change(record, now_us)
            elif isinstance(record, Message):
                made = self.message(record)
            elif isinstance(record, Shaped):
                made = self.shaped.outgoing(record, now_us)
            else:
                made = self.viewed.outgoing(record)
            return made if self.schema_headers is None else self.schema_headers.added(record, made)
        except RecordError as exc:
            if failed is None:
                raise
            failed.append(Failed(record, exc, self.stage_of(record)))
        return None

    def encodes(self) -> bool:
        """Whether `encode` can be called: C writes what both converters would write, and this installation has it."""
        return (makes_avro(self.key) and makes_avro(self.value) and self.schema_headers is None
                and native.records is not None)

    def encode(self, batch: Any, now_us: int, failed: list[Failed] | None = None,
               transforms: Transforms | None = None) -> Any:
        """As `convert`, for what *transforms* leave of *batch*, a `native.records.RecordBatch`; returns a
        `native.batch.OutBatch`."""
        return native.encode(self, batch, now_us, failed, transforms)

    def stage_of(self, record: Transformed) -> str:
        """Kafka Connect's name for the converter that fails on *record*: the key's if it fails alone."""
        try:
            if isinstance(record, Record):
                if record.table in self.plans:
                    self.row_key(self.plans[record.table], record)
            elif isinstance(record, Message):
                self.key.from_connect(record.topic, record.key_schema, record.key)
            else:
                self.viewed.key_of(record.view(0) if isinstance(record, Shaped) else record)
        except RecordError:
            return "KEY_CONVERTER"
        return "VALUE_CONVERTER"

    def check(self) -> None:
        """Check that the converters' registry answers, before the task starts. Raises RegistryError."""
        for converter in (self.key,) if self.alike else (self.key, self.value):
            check = getattr(converter, "check", None)
            if check is not None:
                check()

    def metrics(self) -> dict[str, float]:
        """The converters' numbers, by the metric's name, added up; read from any thread."""
        found = {"cdc_table_structures_total": float(self.plan_count)}
        for converter in (self.key, self.value, self.header_converter):
            for name, value in getattr(converter, "metrics", dict)().items():
                found[name] = found.get(name, 0.0) + value
        return found

    def close(self) -> None:
        """Close what the converters hold, such as connections to a registry."""
        for converter in (self.key, self.value, self.header_converter):
            close = getattr(converter, "close", None)
            if close is not None:
                close()

    def row_change(self, record: Record, now_us: int) -> Outgoing:
        table = record.table
        plan = self.plans.get(table)
        if plan is None:
            plan = self.plan_for(table)
        op = record.op
        value: Any
        key = self.row_key(plan, record)
        if op == TOMBSTONE:
            value = None
        elif plan.avro_value:
            value = plan.avro.value(record, now_us)
            if plan.print_value is not None:
                value = plan.print_value.printed(value)
        else:
            value = self.value.from_connect(table.topic, table.envelope_schema, plan.values.value(record, now_us))
        headers = self.header_cache.get(table.topic)
        if headers is None:
            headers = self.headers_for(table.topic)
        if record.key_headers:
            headers = [*self.key_headers(plan, record), *headers]
        return _new_outgoing(Outgoing, (table.topic, key, value, -1, headers, plan.name, -1))

    def row_key(self, plan: TablePlan, record: Record) -> bytes | None:
        other = record.other
        if other is None and record.key_row is record.after:
            other = record.before
        if not plan.avro_key:
            return self.key_value(plan, record.key_row, other)
        key: bytes | None = plan.avro.key(record.key_row, other)
        if plan.print_key is not None and key is not None:
            key = plan.print_key.printed(key)
        return key

    def key_value(self, plan: TablePlan, row: Row | None, other: Row | None) -> bytes | None:
        table = plan.values.table
        schema = None if row is None else table.key_schema
        return self.key.from_connect(table.topic, schema, plan.values.key(row, other))

    def key_headers(self, plan: TablePlan, record: Record) -> list[tuple[str, bytes | None]]:
        table = record.table
        values = plan.values or ValuePlan(table, self.failures)
        found = []
        for name, row in record.key_headers:
            value = key_in_header(values, record, row)
            found.append((name, self.header_converter.from_connect(table.topic, table.key_schema, value)))
        return found

    def message(self, record: Message) -> Outgoing:
        partition = -1 if record.kafka_partition is None else record.kafka_partition
        headers = self.headers_for(record.topic) if record.context_headers else []
        if record.headers:
            headers = [*((name, self.header_converter.from_connect(record.topic, schema, value))
                         for name, schema, value in record.headers), *headers]
        return Outgoing(record.topic, self.key.from_connect(record.topic, record.key_schema, record.key),
                        self.value.from_connect(record.topic, record.value_schema, record.value),
                        partition, headers, record.topic)

    def headers_for(self, topic: str) -> list[tuple[str, bytes | None]]:
        found = self.header_cache.get(topic)
        if found is None:
            string = Schema("STRING")
            found = [(name, self.header_converter.from_connect(topic, string, text))
                     for name, text in self.context_headers]
            if len(self.header_cache) >= MAX_PLANS:  # a transform may take topics from rows
                self.header_cache.clear()
            self.header_cache[topic] = found
        return found

    def side(self, converter: Converter, topic: str, schema: Schema | None) -> tuple[bool, bytes, AvroPrinter | None]:
        """Whether keys or values of *schema* are written as Avro, the bytes before them, and what prints them then."""
        if isinstance(converter, PrefixedAvro):
            return True, converter.wire_prefix(topic, schema) if schema else b"", None
        if prints_avro(converter):
            return True, b"", converter.printer(topic, schema) if schema else None
        return False, b"", None

    def plan_for(self, table: TableSchema) -> TablePlan:
        avro_key, key_prefix, print_key = self.side(self.key, table.topic, table.key_schema)
        avro_value, value_prefix, print_value = self.side(self.value, table.topic, table.envelope_schema)
        avro = None
        if avro_key or avro_value:
            key: Any = self.key
            value: Any = self.value
            avro = AvroPlan(table, key_prefix, value_prefix, avro_value and value.null_is_default, self.failures,
                            self.out, avro_key and key.null_is_default)
        values = None if avro_key and avro_value else ValuePlan(table, self.failures)
        plan = TablePlan(str(table.id), avro, values, avro_key, avro_value, print_key, print_value)
        if len(self.plans) >= MAX_PLANS:
            self.plans.clear()
        self.plans[table] = plan
        self.plan_count += 1
        return plan
