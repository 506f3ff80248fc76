"""Has C write the records of a whole batch (`cdc.native`), by plans compiled from those that Python uses.

What C refuses, `RecordConverter.one` writes, leaves out or raises, as if there were no C.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final, Protocol

from cdc.codecs.native import native_op
from cdc.core.avro import Writer
from cdc.core.errors import RecordError
from cdc.core.interfaces import Failed, Outgoing, Transforms
from cdc.core.outcome import BLOCK, CLOCK, CONSTANT, OPERATION, SOURCE, Extra
from cdc.core.record import MessageKind
from cdc.native import module

from .plan import AvroPlan, FieldOp, put_field, source_pieces

records: Any = module("records")
"""None if this installation has no native modules."""

_NO_HEADERS: Final[list[Any]] = []
_NEVER: Final[tuple[Any, ...]] = (None, "", "", ())
"""In place of a plan and its route: each record has to be looked at, be it to raise an error for it."""
_BLOCK: Final = ("block_id", "block_order", "block_table_order")
_MAY_BE_NULL: Final = ("mysql_gtid", "mysql_thread", "mysql_query", *_BLOCK)
_CLOCKS: Final = {1_000_000: "clock_ms", 1_000: "clock_us", 1: "clock_ns"}


class Converter(Protocol):
    """What is needed of `records.RecordConverter`."""

    key: Any
    value: Any
    plans: dict[Any, Any]
    tolerant: bool
    shaped: Any

    def side(self, converter: Any, topic: str, schema: Any) -> tuple[bool, bytes, Any]: ...

    def plan_for(self, table: Any) -> Any: ...

    def headers_for(self, topic: str) -> list[tuple[str, bytes | None]]: ...

    def one(self, record: Any, now_us: int, failed: Any) -> Any: ...


def encode(converter: Converter, batch: Any, now_us: int, failed: list[Failed] | None,
           transforms: Transforms | None) -> Any:
    """The records of *batch*, a RecordBatch, as an OutBatch. Raises what *converter* and *transforms* raise."""
    ending = _ending(now_us)
    if transforms is None:
        def convert(record: Any) -> Sequence[Outgoing] | None:
            made = converter.one(record, now_us, failed)
            return None if made is None else (made,)

        return records.encode(batch, partial(_plan_of, converter), convert, ending, now_us, converter.tolerant)

    def transformed(record: Any) -> Sequence[Outgoing] | None:
        before = 0 if failed is None else len(failed)
        found = []
        for each in transforms.apply((record,), now_us, failed):
            made = converter.one(each, now_us, failed)
            if made is not None:
                found.append(made)
        return None if failed is not None and len(failed) > before else found

    return records.encode(batch, partial(_shape_of, converter, transforms), transformed, ending, now_us,
                          converter.tolerant, True)


def _ending(now_us: int) -> bytes:
    """The end of each envelope: the connector's clock in ms, us and ns."""
    out = Writer()
    for number in (now_us // 1000, now_us, now_us * 1000):
        out.put_byte(2)
        out.put_long(number)
    return out.take()


def _plan_of(converter: Converter, table: Any, op: None) -> tuple[Any, str, str, Sequence[Any]]:
    """The plan for a `native.records.Table`, with topic, name and headers of its records."""
    schema = table.schema
    if isinstance(schema, MessageKind):
        return _transactions(converter, table)
    try:
        plan = converter.plans.get(schema) or converter.plan_for(schema)
        headers = converter.headers_for(schema.topic)
    except RecordError:
        return _NEVER
    if table.cache is None or table.cache[0] is not plan:
        table.cache = plan, compile_plan(plan, table.template, table.fields)
    return table.cache[1], schema.topic, plan.name, headers


def _shape_of(converter: Converter, transforms: Transforms, table: Any, op: str) -> tuple[Any, str, str, Sequence[Any]]:
    """The same behind *transforms*, for the records with this *op*."""
    if isinstance(table.schema, MessageKind):
        return _NEVER
    outcome = transforms.outcome(table.schema, op)
    if outcome is None:
        return _NEVER
    if outcome.dropped:
        return records.DROPPED, "", "", ()
    try:
        shape = converter.shaped.plan_of(outcome)
        headers = converter.shaped.headers_of(outcome.topic)
    except RecordError:
        return _NEVER
    if table.cache is None:
        table.cache = {}
    known = table.cache.get(op)
    if known is None or known[0] is not shape:
        known = table.cache[op] = shape, compile_shape(shape, table.template, table.fields)
    return known[1], outcome.topic, shape.name, headers


def _transactions(converter: Converter, table: Any) -> tuple[Any, str, str, Sequence[Any]]:
    """The plan for the messages of transaction metadata."""
    kind = table.schema
    if table.cache is None:
        try:
            _, key_prefix, print_key = converter.side(converter.key, kind.topic, kind.key_schema)
            _, value_prefix, print_value = converter.side(converter.value, kind.topic, kind.value_schema)
        except RecordError:
            return _NEVER
        table.cache = records.Plan(key_prefix, b"", value_prefix, [], [], [b""], [], "transaction", None, print_key,
                                   print_value)
    return table.cache, kind.topic, kind.topic, _NO_HEADERS


def compile_plan(plan: Any, template: Any, fields: tuple[str, ...]) -> Any:
    """A `native.records.Plan` that writes what *plan*, a `records.TablePlan`, writes; None if C cannot write such
    source blocks.

    *template*: a SourceContext of the table, whose varying fields are the *fields*.
    """
    avro = plan.avro
    return _envelope(avro, avro if avro.table.key_schema is not None else None, template, fields, plan)


def compile_shape(shape: Any, template: Any, fields: tuple[str, ...]) -> Any:
    """The same for a `shaped.ShapePlan`."""
    if shape.value is None:
        return _made(shape.key, None, [b""], [], shape, "null", shape.null)
    if shape.row is None:
        return _envelope(shape.value, shape.key, template, fields, shape)
    pieces, between = _extras(shape, template, fields)
    if pieces is None:
        return None
    return _made(shape.key, shape.value, pieces, between, shape, "before" if shape.before else "after",
                 start=b"\x02" if shape.row.optional else b"")


def _envelope(value: AvroPlan, key: AvroPlan | None, template: Any, fields: tuple[str, ...], printers: Any) -> Any:
    ops = [FieldOp(field.schema) for field in template.schema.fields]
    varying = [(name, ops[index]) for name, index in zip(fields, template.varying, strict=True)]
    if not all(_writes(name, op) for name, op in varying):
        return None
    return _made(key, value, source_pieces(template, ops, value.null_is_default),
                 [(name, op.optional) for name, op in varying], printers, "envelope")


def _made(key: AvroPlan | None, value: AvroPlan | None, pieces: list[bytes], fields: list[tuple[str, bool]],
          printers: Any, image: str, null: bytes | None = None, start: bytes = b"") -> Any:
    return records.Plan(
        b"" if key is None else key.key_prefix, b"" if key is None else key.key_tail,
        b"" if value is None else value.value_prefix + start,
        [] if value is None else [_column(op) for op in value.columns],
        None if key is None else [_column(op) for op in key.keys], pieces, fields, image, null,
        printers.print_key, printers.print_value)


def _extras(shape: Any, template: Any, fields: tuple[str, ...]) -> tuple[list[bytes] | None, list[tuple[str, bool]]]:
    """What follows a row: the bytes around fields, and these; None if C cannot write one of them."""
    pieces: list[bytes] = []
    between: list[tuple[str, bool]] = []
    out = Writer()
    for extra, op in zip(shape.extras, shape.row.fields, strict=True):
        name = _field(extra, template, fields)
        if name is None:
            try:
                put_field(out, op, _constant(extra, shape.op, template), True)
            except RecordError:  # for each record
                return None, []
        elif _writes(name, op):
            pieces.append(out.take())
            between.append((name, op.optional))
        else:
            return None, []
    return [*pieces, out.take()], between


def _field(extra: Extra, template: Any, fields: tuple[str, ...]) -> str | None:
    """The name of what C writes for *extra*; None if all records have the same."""
    if extra.kind == CLOCK:
        return _CLOCKS[extra.number]
    if extra.kind == BLOCK:
        return _BLOCK[extra.number]
    varying: tuple[int, ...] = template.varying
    return fields[varying.index(extra.number)] if extra.kind == SOURCE and extra.number in varying else None


def _constant(extra: Extra, op: str, template: Any) -> Any:
    if extra.kind == CONSTANT:
        return extra.constant
    if extra.kind == OPERATION:
        return op
    return template.values[extra.number]


def _writes(name: str, op: Any) -> bool:
    """Whether C writes such a field."""
    return bool((op.text or op.integer) and (op.optional or name not in _MAY_BE_NULL))


def _column(op: Any) -> tuple[Any, ...]:
    return (op.index, op.branch, op.null, op.unchanged, native_op(op.codec) or op.codec,
            native_op(op.binary_codec) or op.binary_codec)
