"""Has C write the records of a whole batch (`cdc.native`), by plans compiled from those that Python uses.

What C refuses, `RecordConverter.one` writes, leaves out or raises, as if there were no C.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from cdc.codecs.native import native_op
from cdc.core.avro import Writer
from cdc.core.errors import RecordError
from cdc.native import module

from .plan import AvroPlan, FieldOp, source_pieces

records: Any = module("records")
"""None if this installation has no native modules."""


class Converter(Protocol):
    """What is needed of `records.RecordConverter`."""

    plans: dict[Any, Any]
    tolerant: bool

    def plan_for(self, table: Any) -> Any: ...

    def headers_for(self, topic: str) -> list[tuple[str, bytes | None]]: ...

    def one(self, record: Any, now_us: int, failed: Any) -> Any: ...


def encode(converter: Converter, batch: Any, now_us: int, failed: Any) -> Any:
    """The records of *batch*, a RecordBatch, as an OutBatch. Raises what *converter* raises."""
    return records.encode(batch, partial(_plan_of, converter), lambda record: converter.one(record, now_us, failed),
                          _clocks(now_us), converter.tolerant)


def _clocks(now_us: int) -> bytes:
    """The end of each envelope: the connector's clock in ms, us and ns."""
    out = Writer()
    for number in (now_us // 1000, now_us, now_us * 1000):
        out.put_byte(2)
        out.put_long(number)
    return out.take()


def _plan_of(converter: Converter, table: Any) -> tuple[Any, str, str, Sequence[Any]]:
    """The plan for a `native.records.Table`, with topic, name and headers of its records; the plan is None if each
    record has to be looked at, be it to raise an error for it."""
    schema = table.schema
    try:
        plan = converter.plans.get(schema) or converter.plan_for(schema)
        headers = converter.headers_for(schema.topic)
    except RecordError:
        return None, "", "", ()
    if table.cache is None or table.cache[0] is not plan:
        table.cache = plan, compile_plan(plan.avro, table.template, table.fields)
    return table.cache[1], schema.topic, plan.name, headers


def compile_plan(avro: AvroPlan, template: Any, fields: tuple[str, ...]) -> Any:
    """A `native.records.Plan` that writes what *avro* writes; None if C cannot write such source blocks.

    *template*: a SourceContext of the table, whose varying fields are the *fields*.
    """
    ops = [FieldOp(field.schema) for field in template.schema.fields]
    varying = [ops[index] for index in template.varying]
    if not all(op.text or op.integer for op in varying):
        return None
    has_key = avro.table.key_schema is not None
    return records.Plan(
        avro.key_prefix, avro.key_tail, avro.value_prefix, [_column(op) for op in avro.columns],
        [_column(op) for op in avro.keys] if has_key else None,
        source_pieces(template, ops, avro.null_is_default),
        [(name, op.optional) for name, op in zip(fields, varying, strict=True)])


def _column(op: Any) -> tuple[Any, ...]:
    return (op.index, op.branch, op.null, op.unchanged, native_op(op.codec) or op.codec,
            native_op(op.binary_codec) or op.binary_codec)
