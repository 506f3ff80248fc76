# ruff: noqa: F821
# mypy: disable-error-code="name-defined, no-any-return"
# Under `cython.compiled` this calls C functions that only its .pxd declares.
"""Reads an envelope's Avro bytes for a CloudEvent: the row images as JSON at once, and the few other values that the
event needs.

How nulls and optional fields are laid out in Avro: `core/avro.py`, `write_field`.
"""

from __future__ import annotations

from typing import Any

from cdc.converters.avro_json import JsonForm, JsonPrinter
from cdc.core.avro import Writer
from cdc.core.schema import BOOLEAN, INT8, INT16, INT32, INT64, STRING, STRUCT, Schema


class EnvelopeReader(JsonPrinter):
    """Reads values of one envelope schema. *data*: the fields to print; *wanted*: those whose values are needed; both
    by their index. Not shared between threads."""

    def __init__(self, schema: Schema, form: JsonForm, data: frozenset[int], wanted: frozenset[int]) -> None:
        super().__init__(schema, form, b"", b"")
        self.schema = schema
        self.shown = [index in data for index in range(len(schema.fields))]
        self.wanted = [index in wanted for index in range(len(schema.fields))]
        self.scratch = Writer()
        self.ends: list[int] = []

    def read(self, avro: bytes) -> tuple[bytes, list[Any]]:
        """The printed fields as a JSON object, and by index the values of the wanted ones. Raises ConvertError if
        *avro* is not a value of the schema. Then `ends` has the place after each field."""
        out = self.out
        out.truncate(0)
        self.begin(avro)
        self.ends = []
        if self.op.null_branch >= 0 and self.next_byte() == self.op.null_branch:
            raise self.broken()
        values = []
        first = True
        for index, part in enumerate(self.op.parts):
            start = self.at
            value = None
            if self.wanted[index]:
                value = self.value_of(self.schema.fields[index].schema)
                self.at = start
            values.append(value)
            if self.shown[index]:
                out.put_byte(123 if first else 44)
                out.put_raw(part.before[1:] if part.before.startswith(b",") else part.before)
                self.put(out, part)
                first = False
            else:
                self.put(self.scratch, part)
                self.scratch.truncate(0)
            self.ends.append(self.at)
        if self.at != self.end:
            raise self.broken()
        if first:
            out.put_byte(123)
        out.put_byte(125)
        return out.take(), values

    def value_of(self, schema: Schema) -> Any:
        """A Connect value of the types that `source` and `transaction` have."""
        if schema.optional:
            null = 2 if schema.default is not None and schema.type != STRUCT else 0
            if self.next_byte() == null:
                return None
        if schema.type == STRING:
            return self.raw(self.length()).decode()
        if schema.type in (INT64, INT32, INT16, INT8):
            return self.number()
        if schema.type == BOOLEAN:
            return self.next_byte() != 0
        if schema.type == STRUCT:
            return tuple([self.value_of(field.schema) for field in schema.fields])
        raise self.broken()
