"""ExtractNewRecordState: the row in place of the envelope.

Debezium sources: `ExtractNewRecordState`, `AbstractExtractNewRecordState`, `DefaultDeleteHandlingStrategy`; Debezium
docs, "New Record State Extraction". A row that nobody reads stays in the source's bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from cdc.config.former import Former
from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.errors import TransformError
from cdc.core.outcome import CONSTANT, Extra, Outcome
from cdc.core.schema import STRING, Field, Schema, optional
from cdc.core.view import PerSchema, RecordView, places, with_defaults

from ..part import configured
from .envelope import (
    AFTER,
    BEFORE,
    copied,
    field_of,
    has_row,
    is_envelope,
    require_struct,
    row_schema,
    struct_schema,
    typed,
    untouched,
)
from .in_place import InPlaceHeaders
from .references import References, parse_references

DELETED: Final = "__deleted"
_TEXT: Final = Schema(STRING)
_MAX_DROPPED: Final = 1000
"""How many sets of dropped fields have their schemas kept."""
Mode = Literal["drop", "tombstone", "rewrite", "rewrite-with-tombstone", "delete-to-tombstone"]


@settings
class UnwrapConfig:
    """The keys of ExtractNewRecordState."""

    delete_tombstone_handling_mode: Mode = option(
        "delete.tombstone.handling.mode", default="tombstone",
        one_of=("drop", "tombstone", "rewrite", "rewrite-with-tombstone", "delete-to-tombstone"),
        doc="What becomes of a delete and its tombstone. drop: both go. tombstone: the delete has a null value, its "
            "tombstone goes. rewrite: the delete is its old row with __deleted=true, its tombstone goes. "
            "rewrite-with-tombstone: as rewrite, and the tombstone stays. delete-to-tombstone: the delete becomes a "
            "tombstone, its tombstone goes.",
    )
    route_by_field: str = option(
        "route.by.field", default="", importance="LOW",
        doc="The column whose value is the topic's name. A null or blank value keeps the topic.",
    )
    add_fields_prefix: str = option(
        "add.fields.prefix", default="__", importance="LOW", doc="Goes before the name of each field of add.fields.")
    add_fields: tuple[str, ...] = option(
        "add.fields", "LIST", default="", importance="LOW",
        doc="Fields of the event that are added to the row: field, struct.field, or either with :newname. A field that "
            "the event does not have is left out.",
    )
    add_headers_prefix: str = option(
        "add.headers.prefix", default="__", importance="LOW", doc="Goes before the name of each header of add.headers.")
    add_headers: tuple[str, ...] = option(
        "add.headers", "LIST", default="", importance="LOW", doc="As add.fields, but added as headers.")
    drop_fields_header_name: str | None = option(
        "drop.fields.header.name", default=None, importance="LOW",
        doc="A header with a list of fields that are removed from the row, as ExtractChangedRecordState makes it.",
    )
    drop_fields_from_key: bool = option(
        "drop.fields.from.key", "BOOLEAN", default="false", importance="LOW",
        doc="Remove those fields from the key, too.")
    drop_fields_keep_schema_compatible: bool = option(
        "drop.fields.keep.schema.compatible", "BOOLEAN", default="true", importance="LOW",
        doc="Remove only optional fields.")
    replace_null_with_default: bool = option(
        "replace.null.with.default", "BOOLEAN", default="true", importance="LOW",
        doc="In the rewrite modes, a null becomes the column's default.")


_DELETES: Final = "Set delete.tombstone.handling.mode."
FORMERS: Final = (
    Former("delete.handling.mode", since="3", why=_DELETES),
    Former("drop.tombstones", since="3", why=_DELETES),
    Former("add.source.fields", since="3", why="Set add.fields, with source.NAME for each."),
    Former("operation.header", since="3", why="Set add.headers=op."),
)
"""Options that Debezium ignores by now, silently."""
OPTIONS = OptionTable.of(UnwrapConfig, formers=FORMERS)


@dataclass(frozen=True, slots=True)
class _Shapes:
    """The schemas of a value made from events of one envelope schema."""

    after: Schema
    before: Schema | None


class ExtractNewRecordState:
    """Replaces an envelope by its row. Other records stay as they are; truncates are dropped."""

    options = OPTIONS

    def __init__(self, settings: Mapping[str, str]) -> None:
        """Raises ConfigError."""
        config = configured(UnwrapConfig, OPTIONS, settings, "ExtractNewRecordState")
        self._mode = config.delete_tombstone_handling_mode
        self._rewrites = self._mode.startswith("rewrite")
        self._route = config.route_by_field
        self._defaults = config.replace_null_with_default
        self._fields = References(parse_references(config.add_fields, _prefix(settings, "add.fields"), "add.fields"))
        self._header_references = parse_references(config.add_headers, _prefix(settings, "add.headers"), "add.headers")
        self._headers = References(self._header_references)
        self._in_place = InPlaceHeaders()
        self._drop_header = (config.drop_fields_header_name or "").strip()
        self._drop_from_key = config.drop_fields_from_key
        self._compatible = config.drop_fields_keep_schema_compatible
        self._shapes = PerSchema(self._make_shapes)
        self._dropped: dict[frozenset[str], PerSchema[tuple[list[int], Schema]]] = {}

    def apply(self, view: RecordView) -> RecordView | None:
        """The record with its row as value; None drops it. Raises TransformError."""
        if view.is_tombstone:
            if self._header_references:
                self._in_place.add(view, [(each.new_name, _TEXT, "d") for each in self._header_references
                                          if each.field == "op"])
            return view if self._mode == "rewrite-with-tombstone" else None
        schema = view.value_schema
        if schema is None or not is_envelope(schema):
            return view
        if self._header_references:
            values = self._headers.values(view, schema)
            self._in_place.add(view, [(place.reference.new_name, place.schema, value) for place, value in zip(
                self._headers.places(schema), values, strict=True)])
        if has_row(view, AFTER):
            return self._present(view, schema)
        if not has_row(view, BEFORE):
            return None
        return self._deleted(view, schema)

    def outcome(self, known: Outcome) -> Outcome | None:
        """What `apply` makes of all records with that outcome; None if it looks at the record."""
        if self._header_references or self._drop_header or self._route:
            return None
        if known.is_null:
            return replace(known, dropped=self._mode != "rewrite-with-tombstone")
        if known.value_schema is None or not is_envelope(known.value_schema):
            return known
        if not known.is_envelope:
            return None
        if known.row != BEFORE:
            return self._row_outcome(known, known.value_schema) if known.row else replace(known, dropped=True)
        if self._mode == "tombstone":
            return replace(known, image="null", value_schema=row_schema(known.value_schema, AFTER))
        if self._mode == "delete-to-tombstone":
            return replace(known, image="null", value_schema=None)
        return replace(known, dropped=True) if self._mode == "drop" else self._row_outcome(known, known.value_schema)

    def _row_outcome(self, known: Outcome, envelope: Schema) -> Outcome | None:
        extras = self._fields.extras(envelope)
        if extras is None:
            return None
        if self._rewrites:
            extras = (Extra(CONSTANT, constant="true" if known.row == BEFORE else "false"), *extras)
        return replace(known, image=known.row, value_schema=self._shapes(envelope).after, extras=extras,
                       defaults=self._rewrites and self._defaults)

    def _present(self, view: RecordView, envelope: Schema) -> RecordView:
        topic = self._routed(view, AFTER)
        added = self._fields.values(view, envelope)
        if self._rewrites:
            added = ("false", *added)
        self._replace(view, self._shapes(envelope).after, AFTER, added)
        view.topic = topic
        if self._drop_header:
            self._drop_fields(view)
        return view

    def _deleted(self, view: RecordView, envelope: Schema) -> RecordView | None:
        if self._mode == "drop":
            return None
        topic = self._routed(view, BEFORE)
        if self._mode == "tombstone":
            view.set_value(row_schema(envelope, AFTER), None)
        elif self._mode == "delete-to-tombstone":
            view.set_value(None, None)
        else:
            added = ("true", *self._fields.values(view, envelope))
            shape = self._shapes(envelope).before
            assert shape is not None, "it has the row"
            self._replace(view, shape, BEFORE, added)
        view.topic = topic
        if self._drop_header:
            self._drop_fields(view)
        return view

    def _replace(self, view: RecordView, schema: Schema, name: str, added: tuple[Any, ...]) -> None:
        if untouched(view):
            view.set_row_image(schema, name, added, defaults=self._rewrites and self._defaults)
            return
        row = field_of(struct_schema(view), view.value, name)
        if self._rewrites and self._defaults:
            row = with_defaults(row_schema(envelope_of(view), name), row)
        view.set_value(schema, (*row, *added))

    def _make_shapes(self, envelope: Schema) -> _Shapes:
        added = [Field(place.reference.new_name, place.schema) for place in self._fields.places(envelope)]
        deleted = [Field(DELETED, optional(STRING))] if self._rewrites else []
        shapes: dict[str, Schema] = {}
        for name in (AFTER, BEFORE):
            if name in places(envelope):
                row = row_schema(envelope, name)
                shapes[name] = copied(row, (*row.fields, *deleted, *added))
        before, after = shapes.get(BEFORE), shapes[AFTER]
        return _Shapes(after, after if before == after else before)

    def _routed(self, view: RecordView, name: str) -> str:
        if not self._route:
            return view.topic
        schema = row_schema(envelope_of(view), name)
        if not untouched(view):
            found = typed(schema, field_of(struct_schema(view), view.value, name), self._route, STRING)
        else:
            typed(schema, (None,) * len(schema.fields), self._route, STRING)
            found = view.column(name, self._route)
        return found if found is not None and found.strip() else view.topic

    def _drop_fields(self, view: RecordView) -> None:
        header = next((each for each in view.headers if each.name == self._drop_header), None)
        names = [] if header is None or header.value is None else header.value
        if not isinstance(names, Sequence) or isinstance(names, str | bytes):
            raise TransformError("the header for drop.fields.header.name is no list", header=self._drop_header)
        if not names:
            return
        if self._drop_from_key and view.key is not None:
            schema = require_struct(view.key_schema, view.key, "field replacement")
            unwanted = self._unwanted(schema, names)
            if unwanted:
                view.set_key(*self._without(schema, view.key, unwanted))
        if not view.is_tombstone and view.value_schema is not None:
            unwanted = self._unwanted(view.value_schema, names)
            if unwanted:
                view.set_value(*self._without(view.value_schema, view.value, unwanted))

    def _unwanted(self, schema: Schema, names: Sequence[str]) -> frozenset[str]:
        if not self._compatible:
            return frozenset(names)
        return frozenset(each.name for each in schema.fields if each.schema.optional and each.name in names)

    def _without(self, schema: Schema, values: tuple[Any, ...],
                 unwanted: frozenset[str]) -> tuple[Schema, tuple[Any, ...]]:
        """As ReplaceField with `exclude`: nulls become defaults."""
        if unwanted not in self._dropped:
            if len(self._dropped) >= _MAX_DROPPED:
                self._dropped.clear()
            self._dropped[unwanted] = PerSchema(lambda each: _kept(each, unwanted))
        kept, smaller = self._dropped[unwanted](schema)
        return smaller, with_defaults(smaller, [values[index] for index in kept])


def _prefix(settings: Mapping[str, str], key: str) -> str:
    """The prefix of the names in the list *key*, which may be set to nothing."""
    option = f"{key}.prefix"
    return settings.get(option, OPTIONS[option].default or "")


def envelope_of(view: RecordView) -> Schema:
    """The value's schema, without a look at the value."""
    assert view.value_schema is not None
    return view.value_schema


def _kept(schema: Schema, unwanted: frozenset[str]) -> tuple[list[int], Schema]:
    kept = [index for index, field in enumerate(schema.fields) if field.name not in unwanted]
    return kept, copied(schema, [schema.fields[index] for index in kept])
