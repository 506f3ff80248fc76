"""Turns changes with an outcome (`core.outcome`) into outgoings, by a plan that is made once per outcome: key and row
straight from column bytes, then the values that follow the row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

from cdc.core.avro import Writer
from cdc.core.interfaces import AvroPrinter, Converter, Outgoing, PrefixedAvro, PrintsAvro
from cdc.core.outcome import BLOCK, CLOCK, CONSTANT, OPERATION, Outcome, Shaped
from cdc.core.record import Record
from cdc.core.schema import Schema

from . import native
from .plan import AvroPlan, ColumnFailures, FieldOp, ValuePlan, put_field
from .views import MAX_PLANS, key_in_header

_new_outgoing = tuple.__new__


class RowPlan:
    """Writes a row and the values that follow it as Avro, with the column writers of *plan*. *schema* is the row's with
    fields for those values."""

    def __init__(self, plan: AvroPlan, schema: Schema, extras: int) -> None:
        self.plan: Any = plan
        self.optional = schema.optional
        self.fields = [FieldOp(field.schema) for field in schema.fields[len(schema.fields) - extras:]]

    def value(self, record: Record, before: bool, extra: tuple[Any, ...]) -> bytes:
        """The row `before`, or else `after`. Raises ConvertError."""
        plan = self.plan
        out = plan.out
        out.truncate(0)
        out.put_raw(plan.value_prefix)
        if self.optional:
            out.put_byte(2)
        if before:
            plan.write_row(out, plan.columns, record.before, None)
        else:
            plan.write_row(out, plan.columns, record.after, record.other if record.before is None else record.before)
        for position, op in enumerate(self.fields):
            put_field(out, op, extra[position], True)
        data: bytes = out.take()
        return data


class ShapePlan:
    """One outcome's keys and values. *key* and *value* are None if the key or the value is null; *null* is such a value
    as bytes, because JSON writes its schema."""

    def __init__(self, outcome: Outcome, name: str, key: Side | None, value: Side | None, null: bytes | None) -> None:
        self.name = name
        self.op = outcome.op
        self.topic = outcome.topic
        self.key: Any = None if key is None else key.plan
        self.print_key = None if key is None else key.printer
        self.value: Any = None if value is None else value.plan
        self.print_value = None if value is None else value.printer
        self.null = null
        self.before = outcome.image == "before"
        self.extras = outcome.extras
        self.row: RowPlan | None = None
        if value is not None and outcome.value_schema is not None and not outcome.is_envelope:
            self.row = RowPlan(value.plan, outcome.value_schema, len(outcome.extras))

    def value_of(self, record: Record, now_us: int) -> bytes | None:
        """The value's bytes. Raises ConvertError."""
        if self.value is None:
            return self.null
        if self.row is None:
            data: bytes = self.value.value(record, now_us)
        else:
            data = self.row.value(record, self.before, self.extra(record, now_us))
        return data if self.print_value is None else self.print_value.printed(data)

    def extra(self, record: Record, now_us: int) -> tuple[Any, ...]:
        found = []
        for kind, number, constant in self.extras:
            if kind == CONSTANT:
                found.append(constant)
            elif kind == OPERATION:
                found.append(record.op)
            else:
                found.append(of_event(record, now_us, kind, number))
        return tuple(found)


def of_event(record: Record, now_us: int, kind: int, number: int) -> Any:
    """The value of an `Extra` that is in the event."""
    if kind == CLOCK:
        return now_us * 1000 // number
    if kind == BLOCK:
        return None if record.block is None else record.block[number]
    varying = record.source.varying
    return record.source_values[varying.index(number)] if number in varying else record.source.values[number]


class Side:
    """The plan of a key or a value, and what prints its Avro; None if the bytes are sent as they are."""

    def __init__(self, plan: AvroPlan, printer: AvroPrinter | None) -> None:
        self.plan = plan
        self.printer = printer


class ShapedConverter:
    """Converts the shaped changes of one task. *headers_for* gives the constant headers of a topic as bytes. *out*:
    plans of one thread may share it. *viewed* converts views, for converters that make no Avro."""

    def __init__(self, key: Converter, value: Converter, header_converter: Converter, failures: ColumnFailures,
                 headers_for: Callable[[str], list[tuple[str, bytes | None]]], out: Writer, viewed: Any) -> None:
        self.key = key
        self.value = value
        self.header_converter = header_converter
        self.failures = failures
        self.headers_for = headers_for
        self.out = out
        self.viewed = viewed
        self.planned = makes_avro(key) and makes_avro(value)
        self.plans: dict[Any, ShapePlan] = {}
        self.headers: dict[str, list[tuple[str, bytes | None]]] = {}

    def outgoing(self, shaped: Shaped, now_us: int) -> Outgoing:
        """Raises ConvertError, RegistryError."""
        if not self.planned:
            made: Outgoing = self.viewed.outgoing(shaped.view(now_us))
            return made
        record = shaped.record
        plan = self.plan_of(shaped.outcome)
        key = None
        if plan.key is not None:
            other = record.before if record.other is None and record.key_row is record.after else record.other
            key = plan.key.key(record.key_row, other)
            if plan.print_key is not None and key is not None:
                key = plan.print_key.printed(key)
        value = plan.value_of(record, now_us)
        headers = self.headers_of(plan.topic)
        if record.key_headers:
            headers = [*self.key_headers(record, plan.topic), *headers]
        return _new_outgoing(Outgoing, (plan.topic, key, value, -1, headers, plan.name, -1))

    def headers_of(self, topic: str) -> list[tuple[str, bytes | None]]:
        """The constant headers of *topic*."""
        headers = self.headers.get(topic)
        if headers is None:
            headers = self.headers_for(topic)
            if len(self.headers) >= MAX_PLANS:
                self.headers.clear()
            self.headers[topic] = headers
        return headers

    def key_headers(self, record: Record, topic: str) -> list[tuple[str, bytes | None]]:
        values = ValuePlan(record.table, self.failures)
        schema = record.table.key_schema
        return [(name, self.header_converter.from_connect(topic, schema, key_in_header(values, record, row)))
                for name, row in record.key_headers]

    def plan_of(self, outcome: Outcome) -> ShapePlan:
        """Raises RegistryError."""
        plan = self.plans.get(outcome)
        if plan is None:
            plan = self.plan_for(outcome)
        return plan

    def plan_for(self, outcome: Outcome) -> ShapePlan:
        key = value = None
        if outcome.key_schema is not None:
            key = self.side(self.key, outcome.topic, outcome.key_schema, outcome)
            key.plan.key_tail += key_tail(outcome.key_more)
        null = None
        if outcome.value_schema is not None and outcome.is_null:
            null = self.value.from_connect(outcome.topic, outcome.value_schema, None)
        elif outcome.value_schema is not None:
            value = self.side(self.value, outcome.topic, outcome.value_schema, outcome)
        plan = ShapePlan(outcome, str(outcome.table.id), key, value, null)
        if len(self.plans) >= MAX_PLANS:
            self.plans.clear()
        self.plans[outcome] = plan
        return plan

    def side(self, converter: Any, topic: str, schema: Schema, outcome: Outcome) -> Side:
        prefix, printer = b"", None
        if isinstance(converter, PrefixedAvro):
            prefix = converter.wire_prefix(topic, schema)
        else:
            printer = converter.printer(topic, schema)
        null_is_default = converter.null_is_default
        plan = AvroPlan(outcome.table, prefix, prefix, null_is_default or outcome.defaults, self.failures, self.out,
                        null_is_default)
        return Side(plan, printer)


def makes_avro(converter: Any) -> bool:
    """Whether plans write for *converter*; see `RecordConverter.side`."""
    return isinstance(converter, PrefixedAvro) or prints_avro(converter)


def prints_avro(converter: object) -> TypeGuard[PrintsAvro]:
    """Whether *converter*'s text is printed from the Avro bytes that plans write. Only where C does it: Python alone is
    faster with the values."""
    return native.records is not None and isinstance(converter, PrintsAvro)


def key_tail(texts: tuple[str, ...]) -> bytes:
    out = Writer()
    for text in texts:
        out.put_text(text)
    return out.take()
