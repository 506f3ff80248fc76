# ruff: noqa: F821
# mypy: disable-error-code="name-defined, no-any-return"
# Under `cython.compiled` this calls C functions that only its .pxd declares.
"""Column codecs: the base class.

A `Codec` turns one column's bytes into a Connect value (`value`) or straight into Avro bytes (`encode`). `encode` falls
back on `write_value`, which writes any Connect value by its schema, so both ways give the same bytes.
"""

from __future__ import annotations

from typing import Any

from .avro import Writer, write_value
from .schema import Schema


class Codec:
    """How one column's bytes are read. `schema` is the Connect schema of its values (as a required field).

    Subclasses define `value`, and `encode` if writing Avro without a value is faster. Both raise DecodeError (or
    ValueError, which callers treat the same) on bytes that are no value of the type. They never see NULL.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def value(self, data: bytes, start: int, end: int) -> Any:
        """The Connect value of data[start:end]."""
        raise NotImplementedError

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        """Append the value of data[start:end] to *out* as Avro."""
        write_value(out, self.schema, self.value(data, start, end))
