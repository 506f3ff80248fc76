"""Plans: from rows to keys and envelopes, every branch, with fastavro and the converter's slow way as judges."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cdc.codecs.postgres.text import BoolCodec, FloatCodec, TimestampCodec
from cdc.codecs.postgres.values import DurationCodec, VariableDecimalCodec
from cdc.codecs.text import DecimalCodec
from cdc.codecs.time import NANOS
from cdc.codecs.wrappers import ConstantCodec, MappingCodec
from cdc.converters import plan as plan_module
from cdc.converters.plan import AvroPlan, ColumnFailures, ValuePlan
from cdc.core.avro import Writer
from cdc.core.codec import Codec
from cdc.core.errors import ConvertError, DecodeError, NoValue
from cdc.core.fallback import fallback
from cdc.core.record import CREATE, DELETE, READ, TRUNCATE, UPDATE, Record, SourceContext
from cdc.core.row import Row
from cdc.core.schema import (
    ARRAY,
    BOOLEAN,
    BYTES,
    DECIMAL,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    MAP,
    STRING,
    STRUCT,
    Field,
    Schema,
    optional,
    semantic,
    struct,
)
from cdc.core.table import Column, TableSchema
from tests.unit.converters.tables import (
    INT,
    LEFT_OUT,
    MISSING,
    NOW_US,
    SOURCE,
    STR,
    TOPIC,
    Counting,
    Failing,
    Upper,
    avro,
    binary_row,
    column,
    context,
    read,
    record,
    row,
    table,
)

SEED = 20240301
KEY_PREFIX = b"\0\0\0\0\7"
VALUE_PREFIX = b"\0\0\0\0\x09"


class Reports:
    """What was tolerated."""

    def __init__(self, mode: str = "warn") -> None:
        self.seen: list[tuple[str, str, str]] = []
        self.failures = ColumnFailures(mode, lambda *each: self.seen.append(each))


def planned(of: TableSchema, null_is_default: bool = True, failures: ColumnFailures | None = None,
            out: Writer | None = None) -> AvroPlan:
    return AvroPlan(of, KEY_PREFIX, VALUE_PREFIX, null_is_default, failures or ColumnFailures("fail"), out)


def envelope(made: AvroPlan, change: Record) -> dict[str, Any]:
    """The plan's envelope as fastavro reads it."""
    framed = made.value(change, NOW_US)
    assert framed.startswith(VALUE_PREFIX)
    found: dict[str, Any] = read(made.table.envelope_schema, framed[5:])
    return found


def key(made: AvroPlan, of: Row | None, other: Row | None = None) -> Any:
    framed = made.key(of, other)
    if framed is None:
        return None
    assert framed.startswith(KEY_PREFIX)
    assert made.table.key_schema is not None
    return read(made.table.key_schema, framed[5:])


def after(columns: list[Column], cells: list[Any], *, before: Row | None = None, null_is_default: bool = True,
          failures: ColumnFailures | None = None) -> dict[str, Any]:
    """The new row of a change with *cells*; the value plan says the same."""
    of = table(columns)
    change = record(UPDATE if before else CREATE, of, before, row(*cells))
    values = ValuePlan(of, failures or ColumnFailures("fail"))
    assert by_value(of, values, change, null_is_default) == planned(of, null_is_default, failures).value(
        change, NOW_US)[5:]
    found: dict[str, Any] = envelope(planned(of, null_is_default, failures), change)["after"]
    return found


def by_value(of: TableSchema, values: ValuePlan, change: Record, null_is_default: bool = True) -> bytes:
    """The envelope by the slow way, from Connect values, without its prefix."""
    converter = avro(ignore_default_for_nullables=str(not null_is_default).lower())
    framed = converter.from_connect(TOPIC, of.envelope_schema, values.value(change, NOW_US))
    assert framed is not None
    return framed[5:]


ID = column(0, "id", INT)
NAME = column(1, "name", STR, optional=True)


# -- envelopes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("op", "before", "now", "wanted"), [
    (CREATE, None, ("1", "a"), (None, {"id": 1, "name": "a"})),
    (READ, None, ("1", None), (None, {"id": 1, "name": None})),
    (UPDATE, ("1", "a"), ("2", "b"), ({"id": 1, "name": "a"}, {"id": 2, "name": "b"})),
    (UPDATE, None, ("2", "b"), (None, {"id": 2, "name": "b"})),
    (DELETE, ("1", "a"), None, ({"id": 1, "name": "a"}, None)),
    (TRUNCATE, None, None, (None, None)),
])
def test_each_op_has_its_rows(op: str, before: Any, now: Any, wanted: tuple[Any, Any]) -> None:
    of = table([ID, NAME], [ID])
    change = record(op, of, before and row(*before), now and row(*now))
    assert envelope(planned(of), change) == {
        "before": wanted[0], "after": wanted[1],
        "source": {"version": "1", "snapshot": "false", "txId": 7, "lsn": 42, "table": "t"},
        "transaction": None, "op": op, "ts_ms": 1_700_000_000_123, "ts_us": NOW_US, "ts_ns": NOW_US * 1000,
    }


def test_transaction_block() -> None:
    of = table([ID])
    change = record(CREATE, of, None, row("1"), block=("571", 3, 2))
    assert envelope(planned(of), change)["transaction"] == {
        "id": "571", "total_order": 3, "data_collection_order": 2}


def test_envelopes_are_what_the_converter_makes_of_their_values() -> None:
    of = table([ID, NAME], [ID])
    values = ValuePlan(of, ColumnFailures("fail"))
    for change in (
        record(CREATE, of, None, row("1", "é\U0001f600"), block=("x", 1, 1), source=context("first")),
        record(UPDATE, of, row("1", None), row("1", LEFT_OUT)),
        record(DELETE, of, row("1", MISSING), None),
        record(TRUNCATE, of),
    ):
        assert by_value(of, values, change) == planned(of).value(change, NOW_US)[5:]


# -- nulls, defaults, and what stands for them -------------------------------------------------------------------------

TYPES: list[tuple[Schema, Any, Any]] = [
    (Schema(INT8), 5, 0), (Schema(INT16), 5, 0), (Schema(INT32), 5, 0), (Schema(INT64), 5, 0),
    (Schema(FLOAT32), 1.5, 0.0), (Schema(FLOAT64), 1.5, 0.0), (Schema(BOOLEAN), True, False),
    (Schema(STRING), "x", ""), (Schema(BYTES), b"x", b""),
    (semantic(STRING, "io.debezium.time.ZonedTimestamp"), "2024-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
    (semantic(STRING, "io.debezium.data.Json"), "[]", "{}"),
    (Schema(ARRAY, items=optional(INT32)), [1, None], []),
    (Schema(MAP, keys=Schema(STRING), items=optional(STRING)), {"a": "b"}, {}),
    (struct("x.Pair", [("a", Schema(INT32)), ("b", optional(STRING))]), (1, "b"), {"a": 0, "b": None}),
]
TYPE_NAMES = [schema.name or schema.type for schema, _, _ in TYPES]


@pytest.mark.parametrize(("schema", "constant", "standing"), TYPES, ids=TYPE_NAMES)
@pytest.mark.parametrize("cell", [None, MISSING], ids=["null", "absent"])
def test_a_required_column_without_a_value_has_the_types_fallback(schema: Schema, constant: Any, standing: Any,
                                                                   cell: Any) -> None:
    assert after([column(0, "c", ConstantCodec(schema, constant))], [cell]) == {"c": standing}


@pytest.mark.parametrize(("schema", "constant", "_standing"), TYPES, ids=TYPE_NAMES)
def test_an_unchanged_value_of_a_required_column_is_never_made_up(schema: Schema, constant: Any,
                                                                  _standing: Any) -> None:
    of = table([column(0, "c", ConstantCodec(schema, constant))])
    change = record(UPDATE, of, None, row(LEFT_OUT))
    for value in (planned(of).value, ValuePlan(of, ColumnFailures("skip")).value):
        with pytest.raises(ConvertError, match="unchanged value of column 'c'"):
            value(change, NOW_US)
    kept = record(UPDATE, of, row("x"), row(LEFT_OUT))
    assert envelope(planned(of), kept)["after"] == {"c": envelope(planned(of), kept)["before"]["c"]}


@pytest.mark.parametrize(("schema", "constant", "_standing"), TYPES, ids=TYPE_NAMES)
@pytest.mark.parametrize("cell", [None, MISSING, LEFT_OUT], ids=["null", "absent", "unchanged"])
def test_an_optional_column_without_a_value_is_null(schema: Schema, constant: Any, _standing: Any, cell: Any) -> None:
    assert after([column(0, "c", ConstantCodec(schema, constant), optional=True)], [cell]) == {"c": None}


@pytest.mark.parametrize(("required", "null_is_default", "wanted"), [
    (True, True, "new"), (True, False, "new"), (False, True, "new"), (False, False, None)])
def test_a_null_of_a_column_with_a_default(required: bool, null_is_default: bool, wanted: str | None) -> None:
    made = column(0, "c", STR, optional=not required, default="new")
    assert after([made], [None], null_is_default=null_is_default) == {"c": wanted}
    assert after([made], ["x"], null_is_default=null_is_default) == {"c": "x"}


@pytest.mark.parametrize("null_is_default", [True, False])
def test_an_optional_struct_with_a_default_is_a_union_with_null_first(null_is_default: bool) -> None:
    point = Schema(STRUCT, name="x.P", fields=(Field("n", Schema(INT32)),))
    made = column(0, "p", ConstantCodec(point, (4,)), optional=True, default=(3,))
    of = table([made])
    assert planned(of, null_is_default).value(record(CREATE, of, None, row("?")), NOW_US)[5:9] == bytes.fromhex(
        "00 02 02 08")
    assert planned(of, null_is_default).value(record(CREATE, of, None, row(None)), NOW_US)[5:8].startswith(
        bytes.fromhex("00 02 02" if null_is_default else "00 02 00"))


@pytest.mark.parametrize(("required", "wanted"), [(True, "****"), (False, "****")])
def test_a_mask_hides_nulls_too_but_not_in_the_key(required: bool, wanted: str) -> None:
    masked = column(0, "c", ConstantCodec(Schema(STRING), "****"), key_codec=STR, optional=not required,
                    null_value="****")
    assert after([masked], [None]) == {"c": wanted}
    assert key(planned(table([masked], [masked])), row(None)) == {"c": "" if required else None}


# -- columns that the log left out -------------------------------------------------------------------------------------

TOASTED = column(1, "c", STR, optional=True, unchanged="__debezium_unavailable_value")


def test_a_column_left_out_is_its_placeholder() -> None:
    assert after([ID, TOASTED], ["1", LEFT_OUT]) == {"id": 1, "c": "__debezium_unavailable_value"}
    required = column(1, "c", STR, unchanged="?")
    assert after([ID, required], ["1", LEFT_OUT]) == {"id": 1, "c": "?"}


@pytest.mark.parametrize(("old", "wanted"), [
    ("kept", "kept"), (None, None), (MISSING, "__debezium_unavailable_value"),
    (LEFT_OUT, "__debezium_unavailable_value")])
def test_a_column_left_out_is_the_old_rows_where_that_has_it(old: Any, wanted: Any) -> None:
    assert after([ID, TOASTED], ["1", LEFT_OUT], before=row("1", old)) == {"id": 1, "c": wanted}


def test_a_column_left_out_is_taken_from_the_records_other_row_where_there_is_no_before() -> None:
    of = table([ID, TOASTED])
    change = record(CREATE, of, None, row("2", LEFT_OUT))
    change.other = row("1", "kept")
    assert envelope(planned(of), change)["after"] == {"id": 2, "c": "kept"}
    assert by_value(of, ValuePlan(of, ColumnFailures()), change) == planned(of).value(change, NOW_US)[5:]


def test_before_goes_ahead_of_the_other_row_and_takes_nothing_from_it() -> None:
    of = table([ID, TOASTED])
    change = record(UPDATE, of, row("1", LEFT_OUT), row("1", LEFT_OUT))
    change.other = row("1", "not this")
    found = envelope(planned(of), change)
    assert found["before"] == found["after"] == {"id": 1, "c": "__debezium_unavailable_value"}


def test_the_old_rows_own_format_decides_how_its_value_is_read() -> None:
    as_text, as_binary = ConstantCodec(Schema(STRING), "text"), ConstantCodec(Schema(STRING), "binary")
    of = table([column(0, "c", as_text, binary=as_binary)])
    change = record(UPDATE, of, binary_row("old"), row(LEFT_OUT))
    assert envelope(planned(of), change)["after"] == {"c": "binary"}
    assert by_value(of, ValuePlan(of, ColumnFailures()), change) == planned(of).value(change, NOW_US)[5:]


# -- which codec -------------------------------------------------------------------------------------------------------


def test_a_mapped_column_is_mapped_in_rows_and_not_in_keys() -> None:
    mapped = column(0, "c", MappingCodec(STR, lambda text: f"<{text}>"), key_codec=STR)
    of = table([mapped], [mapped])
    change = record(UPDATE, of, row("a"), row("b"))
    found = envelope(planned(of), change)
    assert (found["before"], found["after"]) == ({"c": "<a>"}, {"c": "<b>"})
    assert key(planned(of), row("b")) == {"c": "b"}
    assert ValuePlan(of, ColumnFailures()).key(row("b"), None) == ("b",)


def test_binary_bytes_are_read_by_the_binary_codecs() -> None:
    codecs = [ConstantCodec(Schema(STRING), name) for name in ("text", "binary", "key text", "key binary")]
    made = column(0, "c", codecs[0], binary=codecs[1], key_codec=codecs[2], key_binary=codecs[3])
    of = table([made], [made])
    values = ValuePlan(of, ColumnFailures("fail"))
    for cells, shown, as_key in ((row("x"), "text", "key text"), (binary_row("x"), "binary", "key binary")):
        assert envelope(planned(of), record(CREATE, of, None, cells))["after"] == {"c": shown}
        assert key(planned(of), cells) == {"c": as_key}
        assert values.row(cells, None) == (shown,)
        assert values.key(cells, None) == (as_key,)


def test_binary_bytes_without_a_binary_codec_are_an_error() -> None:
    of = table([ID], [ID])
    for convert in (lambda: planned(of).value(record(CREATE, of, None, binary_row("1")), NOW_US),
                    lambda: planned(of).key(binary_row("1"), None),
                    lambda: ValuePlan(of, ColumnFailures("fail")).row(binary_row("1"), None),
                    lambda: ValuePlan(of, ColumnFailures("fail")).key(binary_row("1"), None)):
        with pytest.raises(ConvertError, match="read as text"):
            convert()


def test_columns_are_found_by_their_place_in_the_row() -> None:
    assert after([column(3, "d", STR), column(1, "b", STR)], ["a", "b", "c", "d"]) == {"d": "d", "b": "b"}
    assert after([column(5, "beyond", STR, optional=True)], ["a"]) == {"beyond": None}


# -- keys --------------------------------------------------------------------------------------------------------------


def test_keys_have_their_own_order_and_constant_fields_at_the_end() -> None:
    b = column(1, "b", STR)
    of = table([ID, b], [b, ID], [("__dbz__physicalTableIdentifier", "srv.public.t_1")])
    assert key(planned(of), row("1", "x")) == {"b": "x", "id": 1, "__dbz__physicalTableIdentifier": "srv.public.t_1"}
    assert ValuePlan(of, ColumnFailures()).key(row("1", "x"), None) == ("x", 1, "srv.public.t_1")


def test_a_key_may_have_constant_fields_only() -> None:
    of = table([ID], [], [("name", "srv.t")])
    assert key(planned(of), row("1")) == {"name": "srv.t"}


def test_no_key_without_a_row_or_a_key_schema() -> None:
    keyed, keyless = table([ID], [ID]), table([ID])
    for of, cells in ((keyed, None), (keyless, row("1"))):
        assert planned(of).key(cells, None) is None
        assert ValuePlan(of, ColumnFailures()).key(cells, None) is None


def test_an_unchanged_key_column_is_the_other_rows() -> None:
    of = table([ID, TOASTED], [TOASTED])
    assert key(planned(of), row("1", LEFT_OUT), row("1", "kept")) == {"c": "kept"}
    values = ValuePlan(of, ColumnFailures())
    assert values.key(row("1", LEFT_OUT), row("1", "kept")) == ("kept",)


@pytest.mark.parametrize(("cell", "other"), [
    (LEFT_OUT, None), (LEFT_OUT, LEFT_OUT), (LEFT_OUT, MISSING), (MISSING, None), (MISSING, "kept")])
@pytest.mark.parametrize("optional", [False, True])
def test_a_key_column_that_no_image_has_is_an_error(cell: Any, other: Any, optional: bool) -> None:
    """A placeholder, a null or a fallback would be one key for many rows."""
    toasted = column(1, "c", STR, unchanged="__debezium_unavailable_value", optional=optional, default="d")
    of = table([ID, toasted], [ID, toasted])
    old = None if other is None else row("1", other)
    for find in (planned(of).key, ValuePlan(of, ColumnFailures("skip")).key):
        with pytest.raises(ConvertError, match="key column 'c'") as raised:
            find(row("1", cell), old)
        assert raised.value.context["table"] == "public.t"


def test_a_key_has_the_default_that_an_insert_left_out() -> None:
    made = replace(column(1, "c", STR, unchanged="new", default="new"), unchanged_in_key=True)
    of = table([ID, made], [made])
    assert key(planned(of), row("1", LEFT_OUT)) == {"c": "new"}
    assert ValuePlan(of, ColumnFailures()).key(row("1", LEFT_OUT), None) == ("new",)


def test_a_key_column_that_is_not_captured_is_in_the_key_only() -> None:
    of = table([NAME], [ID])
    assert key(planned(of), row("9", "a")) == {"id": 9}
    assert envelope(planned(of), record(CREATE, of, None, row("9", "a")))["after"] == {"name": "a"}


# -- bytes that are no value -------------------------------------------------------------------------------------------

ERRORS = [DecodeError("no integer as the server prints it", length=3), ValueError("3 secret"), OverflowError("secret"),
          ZeroDivisionError("secret"), TypeError("secret"), AttributeError("secret")]


def bad(error: Exception, **more: Any) -> Column:
    return column(1, "bad", Failing(Schema(STRING), error), **more)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("mode", ["warn", "skip"])
def test_an_optional_column_that_cannot_be_read_is_null_and_reported(error: Exception, mode: str) -> None:
    reports = Reports(mode)
    of = table([ID, bad(error, optional=True), column(2, "last", STR)])
    change = record(CREATE, of, None, row("1", "secret", "z"))
    assert envelope(planned(of, failures=reports.failures), change)["after"] == {"id": 1, "bad": None, "last": "z"}
    reason = error.message if isinstance(error, DecodeError) else type(error).__name__
    assert reports.seen == [("public.t", "bad", reason)]
    assert ValuePlan(of, reports.failures).row(row("1", "secret", "z"), None) == (1, None, "z")
    assert reports.seen == [("public.t", "bad", reason)] * 2


@pytest.mark.parametrize("null_is_default", [True, False])
def test_a_tolerated_failure_is_null_even_where_there_is_a_default(null_is_default: bool) -> None:
    of = table([ID, bad(ERRORS[0], optional=True, default="new")])
    change = record(CREATE, of, None, row("1", "x"))
    assert envelope(planned(of, null_is_default, ColumnFailures("warn")), change)["after"] == {"id": 1, "bad": None}


def test_failures_need_not_be_reported_to_anybody() -> None:
    of = table([ID, bad(ERRORS[0], optional=True)])
    assert ValuePlan(of, ColumnFailures("skip")).row(row("1", "x"), None) == (1, None)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("mode", "required", "ways"), [
    ("fail", False, "set event.converting.failure.handling.mode=warn for a null in its place, exclude the column "
                    "(column.exclude.list), or set errors.tolerance=all to leave out such records."),
    *[(mode, True, "exclude the column (column.exclude.list), or set errors.tolerance=all to leave out such records.")
      for mode in ("fail", "warn", "skip")],
])
def test_any_other_failure_is_the_records_with_a_hint_and_without_its_bytes(error: Exception, mode: str,
                                                                            required: bool, ways: str) -> None:
    reports = Reports(mode)
    of = table([ID, bad(error, optional=not required)])
    for convert in (lambda: planned(of, failures=reports.failures).value(
                        record(CREATE, of, None, row("1", "secret")), NOW_US),
                    lambda: ValuePlan(of, reports.failures).row(row("1", "secret"), None)):
        with pytest.raises(ConvertError, match="column 'bad' cannot be converted") as caught:
            convert()
        assert caught.value.hint == (
            "A change of the row does not help, because the log keeps the value: " + ways)
        assert caught.value.context == {"table": "public.t", "type": "x", "stage": "convert"}
        assert caught.value.__cause__ is error
        assert "secret" not in str(caught.value)
    assert not reports.seen


@pytest.mark.parametrize(("codec", "text", "mode"), [
    (DecimalCodec(semantic(BYTES, DECIMAL, scale="2"), 2), "NaN", "decimal.handling.mode=string or double"),
    (DecimalCodec(semantic(BYTES, DECIMAL, scale="2"), 2), "-Infinity", "decimal.handling.mode=string or double"),
    (VariableDecimalCodec(semantic(STRUCT, "io.debezium.data.VariableScaleDecimal")), "NaN",
     "decimal.handling.mode=string or double"),
    (DurationCodec(semantic(INT64, "io.debezium.time.MicroDuration")), "infinity", "interval.handling.mode=string"),
    (TimestampCodec(semantic(INT64, "io.debezium.time.NanoTimestamp"), NANOS), "9999-12-31 00:00:00",
     "time.precision.mode=microseconds"),
])
def test_the_hint_names_the_option_that_keeps_the_value(codec: Codec, text: str, mode: str) -> None:
    of = table([ID, column(1, "bad", codec)])
    with pytest.raises(ConvertError, match="column 'bad' cannot be converted") as caught:
        ValuePlan(of, ColumnFailures("warn")).row(row("1", text), None)
    assert f"set {mode}, exclude the column" in caught.value.hint


def test_a_key_column_that_cannot_be_read_follows_the_same_rule() -> None:
    for required in (False, True):
        made = bad(ERRORS[0], optional=not required)
        of = table([ID], [ID, made])
        if required:
            with pytest.raises(ConvertError):
                planned(of, failures=ColumnFailures("warn")).key(row("1", "x"), None)
        else:
            assert key(planned(of, failures=ColumnFailures("warn")), row("1", "x")) == {"id": 1, "bad": None}


def test_errors_of_the_program_are_never_tolerated() -> None:
    of = table([ID, bad(RuntimeError("a bug"), optional=True)])
    with pytest.raises(RuntimeError, match="a bug"):
        planned(of, failures=ColumnFailures("skip")).value(record(CREATE, of, None, row("1", "x")), NOW_US)
    with pytest.raises(RuntimeError, match="a bug"):
        ValuePlan(of, ColumnFailures("skip")).row(row("1", "x"), None)


def test_a_failed_record_leaves_nothing_in_the_next() -> None:
    of = table([ID, column(1, "b", BoolCodec(Schema(BOOLEAN)))], [ID])
    made = planned(of)
    good = record(CREATE, of, None, row("1", "t"))
    wanted = made.value(good, NOW_US)
    for cells in (row("1", "perhaps"), row("many", "t")):
        with pytest.raises(ConvertError):
            made.value(record(CREATE, of, None, cells), NOW_US)
        with pytest.raises(ConvertError):
            made.key(row("many"), None)
        assert made.value(good, NOW_US) == wanted
        assert key(made, row("1")) == {"id": 1}


@pytest.mark.parametrize(("more", "wanted"), [
    ({}, ""), ({"optional": True}, None), ({"default": "new"}, "new"), ({"optional": True, "null_value": "*"}, "*")])
def test_bytes_that_count_as_no_value_are_a_null_and_no_failure(more: dict[str, Any], wanted: Any) -> None:
    reports = Reports("fail")
    assert after([ID, bad(NoValue("zero date"), **more)], ["1", "x"], failures=reports.failures) == {
        "id": 1, "bad": wanted}
    assert not reports.seen


# -- source blocks -----------------------------------------------------------------------------------------------------

ODD = struct("x.Odd", [
    ("first", Schema(STRING)), ("n", Schema(INT64)), ("text", optional(STRING)),
    ("word", Schema(STRING, default="none")), ("double", optional(FLOAT64)), ("flag", Schema(BOOLEAN)),
    ("many", Schema(ARRAY, items=Schema(STRING))),
])
VALUES = ("a", 1, "b", "w", 2.5, True, ["x", "y"])


@pytest.mark.parametrize("varying", [(), (0,), (6,), (0, 1), (2, 3, 4, 5), (0, 6), tuple(range(7))])
def test_each_record_fills_in_its_own_fields_of_the_block(varying: tuple[int, ...]) -> None:
    of = table([ID])
    odd = struct(of.envelope_schema.name or "", [
        (field.name, ODD if field.name == "source" else field.schema) for field in of.envelope_schema.fields])
    made = planned(of)
    others: tuple[Any, ...] = ("z", -(1 << 63), None, None, None, False, [])
    shared = SourceContext(ODD, VALUES, varying)
    for given in (VALUES, others, VALUES):
        change = record(CREATE, of, None, row("1"), source=shared,
                        source_values=tuple(given[index] for index in varying))
        merged = [given[index] if index in varying else VALUES[index] for index in range(7)]
        wanted = dict(zip((field.name for field in ODD.fields), merged, strict=True))
        wanted["word"] = wanted["word"] or "none"
        assert read(odd, made.value(change, NOW_US)[5:])["source"] == wanted
        assert shared.merged(change.source_values) == tuple(merged)


def test_blocks_of_two_shapes_may_take_turns() -> None:
    of = table([ID])
    made = planned(of)
    odd = SourceContext(ODD, VALUES, (1,))
    usual = record(CREATE, of, None, row("1"))
    wanted = made.value(usual, NOW_US)
    made.value(record(CREATE, of, None, row("1"), source=odd, source_values=(5,)), NOW_US)
    assert made.value(usual, NOW_US) == wanted


def test_one_context_serves_several_tables() -> None:
    shared = context()
    for of in (table([ID]), table([ID, NAME])):
        change = record(CREATE, of, None, row("1", "a"), source=shared)
        assert envelope(planned(of), change)["source"]["lsn"] == 42


def test_a_null_in_a_required_field_of_the_block_is_an_error() -> None:
    of = table([ID])
    empty = SourceContext(SOURCE, ("1", None, None, None, None), (0,))
    with pytest.raises(DecodeError, match="null in a required field"):
        planned(of).value(record(CREATE, of, None, row("1"), source=empty, source_values=(None,)), NOW_US)


@pytest.mark.parametrize(("null_is_default", "wanted"), [(True, "false"), (False, None)])
def test_the_block_keeps_its_nulls_where_the_converter_is_told_so(null_is_default: bool, wanted: str | None) -> None:
    of = table([ID])
    assert envelope(planned(of, null_is_default), record(CREATE, of, None, row("1")))["source"]["snapshot"] == wanted


# -- the buffer --------------------------------------------------------------------------------------------------------


def test_plans_may_share_a_buffer() -> None:
    out = Writer()
    tables = [table([ID], [ID]), table([ID, NAME], [NAME])]
    plans = [planned(of, out=out) for of in tables]
    changes = [record(CREATE, of, None, row("1", "a" * 10_000)) for of in tables]
    alone = [(planned(of).key(change.after, None), planned(of).value(change, NOW_US))
             for of, change in zip(tables, changes, strict=True)]
    for _ in range(3):
        assert [(each.key(change.after, None), each.value(change, NOW_US))
                for each, change in zip(plans, changes, strict=True)] == alone


def test_each_captured_column_is_encoded_once_and_never_read() -> None:
    counting = Counting(STR)
    of = table([ID, column(1, "c", counting)])
    planned(of).value(record(UPDATE, of, row("1", "a"), row("1", "b")), NOW_US)
    assert (counting.encodings, counting.values) == (2, 0)


# -- any rows: the same from both ways, compiled and plain -------------------------------------------------------------

MONEY = DecimalCodec(semantic(BYTES, DECIMAL, scale="2"), 2)
CODECS: list[tuple[Codec, list[str]]] = [
    (INT, ["0", "-1", "2147483647", "x"]), (STR, ["", "é", "long" * 50]), (MONEY, ["1.50", "-0.01", "1e400"]),
    (BoolCodec(Schema(BOOLEAN)), ["t", "f", ""]), (FloatCodec(Schema(FLOAT64), False), ["1.5", "NaN", "?"]),
    (Upper(Schema(STRING)), ["a", "ß"]),
]


def some_column(rng: random.Random, index: int) -> tuple[Column, list[Any]]:
    codec, texts = rng.choice(CODECS)
    required = rng.random() < 0.3
    default = rng.choice([None, None, fallback(codec.schema)])
    made = column(index, f"c{index}", codec, optional=not required, default=default,
                  binary=rng.choice([None, codec]), key_codec=codec,
                  unchanged=fallback(codec.schema) if rng.random() < 0.3 else None,
                  null_value=fallback(codec.schema) if rng.random() < 0.2 else None)
    return made, [*texts, None, LEFT_OUT, MISSING]


def outcome(convert: Any) -> bytes:
    try:
        return bytes(convert())
    except ConvertError as exc:
        return b"!" + str(exc).encode()


def some_outcomes(count: int) -> list[tuple[bytes, bytes]]:
    """Of *count* generated tables and changes: the envelope by both ways."""
    rng = random.Random(SEED)
    found = []
    for _ in range(count):
        made = [some_column(rng, index) for index in range(rng.randrange(1, 6))]
        of = table([each for each, _ in made])
        null_is_default = rng.random() < 0.5
        images: list[Row | None] = [row(*(rng.choice(cells) for _, cells in made), kind=rng.randrange(2))
                                    if rng.random() < 0.7 else None for _ in range(3)]
        change = record(UPDATE, of, images[0], images[1], block=("1", 1, 1) if rng.random() < 0.5 else None)
        change.other = images[2]
        failures = ColumnFailures("fail")
        by_plan = outcome(lambda: planned(of, null_is_default, failures).value(change, NOW_US)[5:])  # noqa: B023
        by_values = outcome(lambda: by_value(of, ValuePlan(of, failures), change, null_is_default))  # noqa: B023
        found.append((by_plan, by_values))
    return found


def digest(outcomes: list[tuple[bytes, bytes]]) -> str:
    return hashlib.sha256(b"\0".join(each for pair in outcomes for each in pair)).hexdigest()


def test_generated_rows_are_the_same_by_plan_and_by_value() -> None:
    outcomes = some_outcomes(400)
    for by_plan, by_values in outcomes:
        if by_plan.startswith(b"!"):
            assert by_values.startswith(b"!")
        else:
            assert by_plan == by_values
    assert sum(by_plan.startswith(b"!") for by_plan, _ in outcomes) in range(50, 350)


@pytest.mark.skipif(os.environ.get("CDC_PURE") == "1" or str(plan_module.__file__).endswith(".py"),
                    reason="this is the plain core")
def test_generated_rows_are_the_same_compiled_and_plain() -> None:
    root = Path(__file__).parents[3]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run([sys.executable, __file__], env={**os.environ, "CDC_PURE": "1", "PYTHONPATH": path},
                         capture_output=True, text=True, check=True, timeout=120)
    assert run.stdout.split() == [digest(some_outcomes(400))]


if __name__ == "__main__":
    assert str(plan_module.__file__).endswith(".py")
    print(digest(some_outcomes(400)))
