"""Codecs that wrap other codecs, and one that always gives the same value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cdc.core.avro import Writer, write_value
from cdc.core.codec import Codec
from cdc.core.schema import Schema


class ConstantCodec(Codec):
    """Always the same value; the bytes are not read."""

    def __init__(self, schema: Schema, constant: Any) -> None:
        Codec.__init__(self, schema)
        self.constant = constant
        out = Writer()
        write_value(out, schema, constant)
        self.avro = out.take()

    def value(self, data: bytes, start: int, end: int) -> Any:
        return self.constant

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        out.put_raw(self.avro)


class MappingCodec(Codec):
    """The value that *codec* reads, changed by *mapping*, a function between Connect values of the same schema."""

    def __init__(self, codec: Codec, mapping: Callable[[Any], Any]) -> None:
        Codec.__init__(self, codec.schema)
        self.codec = codec
        self.mapping = mapping

    def value(self, data: bytes, start: int, end: int) -> Any:
        return self.mapping(self.codec.value(data, start, end))

    def encode(self, out: Writer, data: bytes, start: int, end: int) -> None:
        write_value(out, self.schema, self.mapping(self.codec.value(data, start, end)))


class ConvertedCodec(MappingCodec):
    """The same for a function between schemas: what it makes has the schema *schema*."""

    def __init__(self, schema: Schema, codec: Codec, mapping: Callable[[Any], Any]) -> None:
        MappingCodec.__init__(self, codec, mapping)
        self.schema = schema


def unconverted(codec: Codec) -> Codec:
    """What reads the database's own value: *codec* without a custom converter. The service itself compares such values,
    because a converter may make one value of several."""
    return codec.codec if isinstance(codec, ConvertedCodec) else codec
