"""Records to outgoings: the converter room's front door.

Keys and values go through their own converters, each through the plan of the record's table: for Avro straight from
column bytes (`plan.AvroPlan`), for everything else through Connect values (`plan.ValuePlan`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from cdc.core.codec import Writer
from cdc.core.errors import RecordError
from cdc.core.interfaces import Converter, Outgoing
from cdc.core.record import TOMBSTONE, Message, Record
from cdc.core.row import Row
from cdc.core.schema import Schema, TableSchema

from .plan import AvroPlan, ColumnFailures, ValuePlan

MAX_PLANS = 10_000
"""Table versions kept; a table whose structure changes this often starts over with fresh plans."""

_new_outgoing = tuple.__new__


class AvroLike(Protocol):
    """What makes the compiled path possible: a converter that frames Avro with a fixed prefix per schema."""

    null_is_default: bool

    def wire_prefix(self, topic: str, schema: Schema) -> bytes: ...


class TablePlan:
    """One table's two sides."""

    def __init__(self, name: str, avro: AvroPlan | None, values: ValuePlan | None, avro_key: bool,
                 avro_value: bool) -> None:
        self.name = name
        self.avro: Any = avro
        self.values: Any = values
        self.avro_key = avro_key
        self.avro_value = avro_value


class RecordConverter:
    """Converts batches for one task.

    *headers* are the constant context headers, `(name, bytes)`; *header_converter* serialises the key structs of
    changed keys. With *tolerant* a record that cannot be converted is left out and reported to *on_error*.
    """

    def __init__(self, key: Converter, value: Converter, header_converter: Converter, failures: ColumnFailures,
                 headers: Sequence[tuple[str, str]] = (), *, tolerant: bool = False,
                 on_error: Callable[[Exception, str], None] | None = None) -> None:
        self.key = key
        self.value = value
        self.header_converter = header_converter
        self.failures = failures
        self.context_headers = [(name, text) for name, text in headers]
        self.tolerant = tolerant
        self.on_error = on_error
        self.plans: dict[Any, TablePlan] = {}
        self.header_cache: dict[str, list[tuple[str, bytes | None]]] = {}
        self.out = Writer()

    def convert(self, records: list[Record | Message], now_us: int) -> list[Outgoing]:
        """In order, one outgoing each. *now_us* is the connector's clock, µs since the epoch.

        Raises ConvertError, RegistryError. After a RegistryConnectionError the same call may be made again.
        """
        out: list[Outgoing] = []
        for record in records:
            try:
                if isinstance(record, Record):
                    out.append(self.row_change(record, now_us))
                else:
                    out.append(self.message(record))
            except RecordError as exc:
                if not self.tolerant:
                    raise
                if self.on_error is not None:
                    self.on_error(exc, self.origin(record))
        return out

    def check(self) -> None:
        """Whether the converters' registry answers, before anything begins. Raises RegistryError."""
        for converter in (self.key, self.value):
            check = getattr(converter, "check", None)
            if check is not None:
                check()

    def close(self) -> None:
        """Let go of what the converters hold, such as connections to a registry."""
        for converter in (self.key, self.value, self.header_converter):
            close = getattr(converter, "close", None)
            if close is not None:
                close()

    def origin(self, record: Record | Message) -> str:
        return record.topic if isinstance(record, Message) else str(record.table.id)

    def row_change(self, record: Record, now_us: int) -> Outgoing:
        table = record.table
        plan = self.plans.get(table)
        if plan is None:
            plan = self.plan_for(table)
        op = record.op
        other = record.other
        if other is None and record.key_row is record.after:
            other = record.before
        value: Any
        key = plan.avro.key(record.key_row, other) if plan.avro_key else self.key_value(plan, record.key_row, other)
        if op == TOMBSTONE:
            value = None
        elif plan.avro_value:
            value = plan.avro.value(record, now_us)
        else:
            value = self.value.from_connect(table.topic, table.envelope_schema, plan.values.value(record, now_us))
        headers = self.header_cache.get(table.topic)
        if headers is None:
            headers = self.headers_for(table.topic)
        if record.key_headers:
            headers = [*self.key_headers(plan, record), *headers]
        return _new_outgoing(Outgoing, (table.topic, key, value, -1, headers, plan.name))

    def key_value(self, plan: TablePlan, row: Row | None, other: Row | None) -> bytes | None:
        table = plan.values.table
        schema = None if row is None else table.key_schema
        return self.key.from_connect(table.topic, schema, plan.values.key(row, other))

    def key_headers(self, plan: TablePlan, record: Record) -> list[tuple[str, bytes | None]]:
        table = record.table
        values = plan.values or ValuePlan(table, self.failures)
        found = []
        for name, row in record.key_headers:
            # A new key's unchanged columns are in the old image, and an old key has none.
            value = values.key(row, record.before if row is not record.before else None)
            found.append((name, self.header_converter.from_connect(table.topic, table.key_schema, value)))
        return found

    def message(self, record: Message) -> Outgoing:
        partition = -1 if record.kafka_partition is None else record.kafka_partition
        headers = self.headers_for(record.topic) if record.context_headers else []
        return Outgoing(record.topic, self.key.from_connect(record.topic, record.key_schema, record.key),
                        self.value.from_connect(record.topic, record.value_schema, record.value),
                        partition, headers, record.topic)

    def headers_for(self, topic: str) -> list[tuple[str, bytes | None]]:
        found = self.header_cache.get(topic)
        if found is None:
            string = Schema("STRING")
            found = [(name, self.header_converter.from_connect(topic, string, text))
                     for name, text in self.context_headers]
            self.header_cache[topic] = found
        return found

    def plan_for(self, table: TableSchema) -> TablePlan:
        key_avro = hasattr(self.key, "wire_prefix")
        value_avro = hasattr(self.value, "wire_prefix")
        avro = None
        if key_avro or value_avro:
            key: Any = self.key
            value: Any = self.value
            key_prefix = key.wire_prefix(table.topic, table.key_schema) if key_avro and table.key_schema else b""
            value_prefix = value.wire_prefix(table.topic, table.envelope_schema) if value_avro else b""
            null_is_default = value.null_is_default if value_avro else key.null_is_default
            avro = AvroPlan(table, key_prefix, value_prefix, null_is_default, self.failures, self.out)
        values = None if key_avro and value_avro else ValuePlan(table, self.failures)
        plan = TablePlan(str(table.id), avro, values, key_avro, value_avro)
        if len(self.plans) >= MAX_PLANS:
            self.plans.clear()
        self.plans[table] = plan
        return plan
