"""Fields of an envelope that a transform adds to the value or to the headers: `op`, `source.ts_ms`, `before.id`.

Debezium sources: `AbstractExtractNewRecordState.FieldReference`.
"""

from __future__ import annotations

from typing import Any, Final

from cdc.core.errors import ConfigError
from cdc.core.outcome import BLOCK, CLOCK, OPERATION, SOURCE, Extra
from cdc.core.record import Record
from cdc.core.schema import STRUCT, Schema
from cdc.core.view import PerSchema, RecordView, places

from .envelope import bare, failed, untouched

_TRANSACTION: Final = frozenset({"id", "data_collection_order", "total_order"})
_TOP: Final = frozenset({"op", "ts_ms", "ts_us", "ts_ns"})


_CLOCKS: Final = {"ts_ms": 1_000_000, "ts_us": 1_000, "ts_ns": 1}
"""The units of the envelope's times, in ns."""


class Reference:
    """One field of the list. `new_name`: what it is called in the result."""

    def __init__(self, text: str, prefix: str, option: str) -> None:
        """*text*: `field`, `struct.field`, either with `:new name`. Raises ConfigError, which names *option*."""
        parts = text.rstrip(":").split(":")
        path = parts[0].rstrip(".").split(".")
        if len(parts) > 2 or not path[0]:
            raise ConfigError(f"{option}: {text!r} is no field.", option=option,
                              hint="Write field, struct.field, or struct.field:newname.")
        self.field = path[0] if len(path) == 1 else path[1]
        self.struct = _struct_of(self.field) if len(path) == 1 else path[0]
        plain = self.field if len(path) == 1 else f"{self.struct}_{self.field}"
        self.new_name = prefix + (plain if len(parts) == 1 else parts[1])


def parse_references(texts: tuple[str, ...], prefix: str, option: str) -> tuple[Reference, ...]:
    """The references of a list's items. Raises ConfigError."""
    return tuple(Reference(text, prefix, option) for text in texts)


def _struct_of(field: str) -> str | None:
    """The struct of a field that is named alone; None for the envelope itself."""
    if field in _TRANSACTION:
        return "transaction"
    if field in _TOP:
        return None
    return "updateDescription" if field == "updateDescription" else "source"


class Place:
    """Where a reference points to in envelopes of one schema: *outer* is the index of the struct within the envelope
    (None: the envelope itself), *inner* that of the field within it. `schema` is optional and has no default."""

    def __init__(self, reference: Reference, schema: Schema, outer: int | None, inner: int, field: str) -> None:
        self.reference = reference
        self.schema = bare(schema)
        self.outer = outer
        self.inner = inner
        self.field = field


class References:
    """A list of references, resolved once per envelope schema. A field that the schema does not have is left out."""

    def __init__(self, references: tuple[Reference, ...]) -> None:
        self.all = references
        self.places = PerSchema(self._resolve)

    def _resolve(self, envelope: Schema) -> tuple[Place, ...]:
        found = (_place(reference, envelope) for reference in self.all)
        return tuple(place for place in found if place is not None)

    def values(self, view: RecordView, envelope: Schema) -> tuple[Any, ...]:
        """The values of `places(envelope)`, in order, for a view with that envelope. Of a row, only the named columns
        are decoded."""
        return tuple([_value(view, place) for place in self.places(envelope)])


    def extras(self, envelope: Schema) -> tuple[Extra, ...] | None:
        """The values for all row changes with that envelope; None if a field of a row is among them."""
        found = [_extra(place) for place in self.places(envelope)]
        return None if None in found else tuple(extra for extra in found if extra is not None)


def _extra(place: Place) -> Extra | None:
    if place.outer is None:
        return Extra(OPERATION) if place.field == "op" else Extra(CLOCK, _CLOCKS[place.field])
    return {2: Extra(SOURCE, place.inner), 3: Extra(BLOCK, place.inner)}.get(place.outer)


def _place(reference: Reference, envelope: Schema) -> Place | None:
    known = places(envelope)
    if reference.struct is not None:
        outer = known.get(reference.struct)
        if outer is None:
            raise failed(f"the events have no field {reference.struct!r}", "java.lang.NullPointerException",
                         schema=envelope.name, field=f"{reference.struct}.{reference.field}")
        struct = envelope.fields[outer].schema
        if struct.type != STRUCT:
            raise failed("Cannot look up fields on non-struct type", schema=envelope.name,
                         field=f"{reference.struct}.{reference.field}")
        inner = places(struct).get(reference.field)
        if inner is not None:
            return Place(reference, struct.fields[inner].schema, outer, inner, reference.field)
    inner = known.get(reference.field)
    if inner is None:
        return None
    return Place(reference, envelope.fields[inner].schema, None, inner, reference.field)


def _value(view: RecordView, place: Place) -> Any:
    if not untouched(view):
        holder = view.value if place.outer is None else view.value[place.outer]
        return None if holder is None else holder[place.inner]
    record = view.record
    assert isinstance(record, Record)
    if place.outer is None:
        return record.op if place.field == "op" else view.now_us * 1000 // _CLOCKS[place.field]
    if place.outer == 2:
        return source_value(record, place.inner)
    if place.outer == 3:
        return None if record.block is None else record.block[place.inner]
    name = ("before", "after")[place.outer]
    return None if getattr(record, name) is None else view.column(name, place.field)


def source_value(record: Record, index: int) -> Any:
    """Field *index* of the record's source block."""
    varying = record.source.varying
    if index in varying:
        return record.source_values[varying.index(index)]
    return record.source.values[index]
