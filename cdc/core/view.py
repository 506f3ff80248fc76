"""A record as Kafka Connect's transforms see it, each part made only when somebody asks for it.

Setting the topic, the partition, the timestamp or the headers decodes nothing. As long as nobody replaces the key or
the value, the converter writes that part from the source's own bytes. Reading alone decodes, and replaces nothing.

Values are Connect values (`schema`). Without a schema they are plain Python data, with a dict as the map. Never change
a list or a dict of a record: another record may hold the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from .record import TOMBSTONE, Message, Record
from .row import Row
from .schema import Schema

T = TypeVar("T")


class Header(NamedTuple):
    """One header of a record; several may have the same name."""

    name: str
    schema: Schema | None
    value: Any


class ConstantHeader(Header):
    """A header that many records have: the converter keeps its bytes."""

    __slots__ = ()


class Maker(Protocol):
    """Makes the parts of a record (`converters.views.Views`). Each raises ConvertError."""

    def key(self, record: Record) -> tuple[Any, ...] | None: ...

    def value(self, record: Record, now_us: int) -> tuple[Any, ...]:
        """The envelope. *now_us*: the connector's clock, µs since 1970."""
        ...

    def image(self, record: Record, name: str) -> tuple[Any, ...] | None:
        """The row image *name*, `before` or `after`; None where the record has none."""
        ...

    def column(self, record: Record, name: str, index: int) -> Any:
        """Column *index* of the row image *name*, which the record has."""
        ...

    def headers(self, record: Record | Message) -> list[Header]: ...


class RowImage(NamedTuple):
    """A value that is still in the source's bytes: the row image *name* of the record, then *extra* values. With
    *defaults* a null of the row is its column's default."""

    name: str
    extra: tuple[Any, ...]
    defaults: bool


class _Unmade:
    """The mark of a part that nobody asked for yet."""


UNMADE: Final = _Unmade()


class RecordView:
    """One record. A transform changes it in place.

    `record`: what the source yielded; only `set_after` replaces it.
    `kafka_partition`: None if the producer's partitioner chooses.
    `timestamp_ms`: Kafka's timestamp, ms since 1970; None for the producer's clock.
    `headers_copied`: a transform gave it headers of its own; see `extend_headers`.
    """

    __slots__ = ("_headers", "_key", "_key_schema", "_maker", "_row_image", "_value", "_value_schema",
                 "headers_copied", "headers_replaced", "kafka_partition", "key_replaced", "now_us", "record",
                 "timestamp_ms", "topic", "value_replaced")

    def __init__(self, record: Record | Message, maker: Maker, now_us: int) -> None:
        self.record = record
        self.now_us = now_us
        self.timestamp_ms: int | None = None
        self.key_replaced = self.value_replaced = self.headers_replaced = self.headers_copied = False
        self._maker = maker
        self._key: Any = UNMADE
        self._value: Any = UNMADE
        self._headers: list[Header] | None = None
        self._row_image: RowImage | None = None
        self._key_schema: Schema | None
        self._value_schema: Schema | None
        if isinstance(record, Record):
            self.topic = record.table.topic
            self.kafka_partition: int | None = None
            self._key_schema = None if record.key_row is None else record.table.key_schema
            self._value_schema = None if record.op == TOMBSTONE else record.table.envelope_schema
        else:
            self.topic = record.topic
            self.kafka_partition = record.kafka_partition
            self._key_schema, self._key = record.key_schema, record.key
            self._value_schema, self._value = record.value_schema, record.value

    @property
    def key_schema(self) -> Schema | None:
        return self._key_schema

    @property
    def value_schema(self) -> Schema | None:
        return self._value_schema

    @property
    def key(self) -> Any:
        if self._key is UNMADE:
            self._key = self._maker.key(self._changed)
        return self._key

    @property
    def value(self) -> Any:
        if self._value is UNMADE:
            self._value = self._make_value()
        return self._value

    @property
    def _changed(self) -> Record:
        assert isinstance(self.record, Record), "a message has all its parts"
        return self.record

    def _make_value(self) -> Any:
        if self._row_image is not None:
            name, extra, defaults = self._row_image
            row = self._maker.image(self._changed, name) or ()
            return (*(with_defaults(self._changed.table.value_schema, row) if defaults else row), *extra)
        if self._value_schema is None:
            return None
        return self._maker.value(self._changed, self.now_us)

    @property
    def is_tombstone(self) -> bool:
        """Whether the value is null. Decodes nothing."""
        if self._value is UNMADE and self._row_image is None:
            return self._value_schema is None
        return self._value is None

    @property
    def row_image(self) -> RowImage | None:
        """What `set_row_image` set, if nobody replaced the value since."""
        return self._row_image

    def set_key(self, schema: Schema | None, key: Any) -> None:
        self._key_schema, self._key, self.key_replaced = schema, key, True

    def set_value(self, schema: Schema | None, value: Any) -> None:
        self._value_schema, self._value, self.value_replaced = schema, value, True
        self._row_image = None

    def set_row_image(self, schema: Schema, name: str, extra: tuple[Any, ...] = (), *, defaults: bool = False) -> None:
        """The value becomes the row image *name* (`before` or `after`) of a row change, which has it, followed by
        *extra* values; *schema* is the table's row schema, perhaps with another name, followed by the extra fields.
        With *defaults* nulls of the row become defaults. Decodes nothing."""
        self._value_schema, self._value, self.value_replaced = schema, UNMADE, True
        self._row_image = RowImage(name, extra, defaults)

    def set_after(self, row: Row) -> None:
        """The record gets *row*, in the source's bytes, in place of its row `after`. The key must stay the same. Only
        for a row change whose value nobody replaced."""
        old = self._changed
        key_row = row if old.key_row is old.after else old.key_row
        record = Record(old.op, old.table, old.before, row, key_row, old.source, old.source_values, old.block,
                        old.key_headers)
        record.other = old.other
        self.record, self._value = record, UNMADE

    def image(self, name: str) -> tuple[Any, ...] | None:
        """The row image *name* (`before` or `after`), or None; the other one is not decoded. Only for a row change
        whose value nobody replaced. Raises ConvertError."""
        if self._value is not UNMADE:
            found: tuple[Any, ...] | None = self._value[0 if name == "before" else 1]
            return found
        return self._maker.image(self._changed, name)

    def column(self, name: str, field: str) -> Any:
        """The field *field* of the row image *name* (`before` or `after`); only its column is decoded.

        Only for a row change whose value nobody replaced, and which has that image. Raises KeyError if there is no such
        field, and ConvertError.
        """
        record = self._changed
        for index, column in enumerate(record.table.columns):
            if column.field == field:
                if self._value is not UNMADE and not self.value_replaced:
                    image = self._value[0 if name == "before" else 1]
                    return image[index]
                return self._maker.column(record, name, index)
        raise KeyError(field)

    @property
    def headers(self) -> Sequence[Header]:
        """In order. To change them, use the methods below."""
        if self._headers is None:
            self._headers = self._maker.headers(self.record)
        return self._headers

    def set_headers(self, headers: Iterable[Header]) -> None:
        self._headers, self.headers_replaced, self.headers_copied = list(headers), True, True

    def extend_headers(self, headers: Iterable[Header]) -> None:
        """Append *headers* in place, as Debezium's transforms do where two records have one object of headers."""
        self._headers, self.headers_replaced = [*self.headers, *headers], True

    def add_header(self, name: str, schema: Schema | None, value: Any) -> None:
        """Append a header, behind others of the same name."""
        self.append_header(Header(name, schema, value))

    def append_header(self, header: Header) -> None:
        """The same, for a header that is there already."""
        self.set_headers((*self.headers, header))

    def drop_headers(self, names: Iterable[str]) -> None:
        """Remove all headers with these names."""
        unwanted, self.headers_copied = frozenset(names), True
        if any(header.name in unwanted for header in self.headers):
            self.set_headers(header for header in self.headers if header.name not in unwanted)


class Struct(Mapping[str, Any]):
    """A struct's values by the names of its fields: `Struct(view.value_schema, view.value)["op"]`."""

    __slots__ = ("_places", "_values")

    def __init__(self, schema: Schema, values: Sequence[Any]) -> None:
        self._places = places(schema)
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._values[self._places[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def with_defaults(schema: Schema, values: Sequence[Any]) -> tuple[Any, ...]:
    """A struct's *values*, each null as the default of its field."""
    return tuple([field.schema.default if value is None else value
                  for field, value in zip(schema.fields, values, strict=True)])


MAX_SCHEMAS: Final = 20_000


class PerSchema(Generic[T]):
    """What *make* makes of a schema, once per schema object. Use it to build the schema of a result, too: the converter
    knows schemas by identity, so a transform must give the same object for the same input."""

    def __init__(self, make: Callable[[Schema], T], limit: int = MAX_SCHEMAS) -> None:
        """*limit*: how many results are kept. When there are more, all are dropped and made again when needed."""
        self._make = make
        self._limit = limit
        self._made: dict[int, tuple[Schema, T]] = {}

    def __call__(self, schema: Schema) -> T:
        found = self._made.get(id(schema))
        if found is None:
            found = (schema, self._make(schema))
            if len(self._made) >= self._limit:
                self._made.clear()
            self._made[id(schema)] = found  # holds the schema too, so that no other gets its id
        return found[1]


def _places(schema: Schema) -> Mapping[str, int]:
    return {field.name: index for index, field in enumerate(schema.fields)}


def places(schema: Schema) -> Mapping[str, int]:
    """The index of each field of a struct's *schema*, by name."""
    return _PLACES(schema)


_PLACES: Final = PerSchema(_places)
