"""TimezoneConverter: times of row changes in another time zone.

Debezium sources: `io.debezium.transforms.TimezoneConverter`. A time without zone is read as the wall clock of the
target zone, so its instant moves; a time with zone keeps its instant and is printed in the target zone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from cdc.core.errors import ConfigError
from cdc.core.record import Record
from cdc.core.schema import STRUCT, Field, Schema
from cdc.core.view import RecordView, places
from cdc.log import get_logger

from ..part import configured
from .envelope import AFTER, BEFORE, is_envelope, untouched
from .timezone_options import OPTIONS, TimezoneConfig, read_rules
from .zone import Zone

log = get_logger(__name__)

_UNSUPPORTED: Final = frozenset({
    "io.debezium.time.Date", "io.debezium.time.MicroTime", "io.debezium.time.NanoTime", "io.debezium.time.Time",
    "org.apache.kafka.connect.data.Date", "org.apache.kafka.connect.data.Time"})
_UNITS: Final = {"io.debezium.time.Timestamp": 1_000, "org.apache.kafka.connect.data.Timestamp": 1_000,
                 "io.debezium.time.MicroTimestamp": 1_000_000, "io.debezium.time.NanoTimestamp": 1_000_000_000}
"""Units in a second of the times without zone, by the schema's name."""
_EPOCHS: Final = {"ts_ms": 1_000, "ts_us": 1_000_000, "ts_ns": 1_000_000_000}
"""Units in a second of the source block's times."""
_ZONED: Final = "io.debezium.time.ZonedTimestamp"
_ZONED_TIME: Final = "io.debezium.time.ZonedTime"
_MAX_WARNED: Final = 1000


class TimezoneConverter:
    """Converts the times of envelopes, and of the source block where a rule names its fields."""

    options = OPTIONS

    def __init__(self, config: Mapping[str, str]) -> None:
        """Raises ConfigError."""
        read = configured(TimezoneConfig, OPTIONS, config, "TimezoneConverter")
        includes, excludes = read_rules(read.include_list, "include"), read_rules(read.exclude_list, "exclude")
        if read.include_list and read.exclude_list:
            raise ConfigError("Both include and exclude lists are specified. Please specify only one.",
                              option="exclude.list")
        self._mode = "include" if read.include_list else "exclude" if read.exclude_list else "all"
        self._rules = excludes if read.exclude_list else includes
        self._zone = Zone(read.converted_timezone)
        self._converters: dict[str, Callable[[Any], Any]] = {
            _ZONED: self._zone.timestamp_text, _ZONED_TIME: self._zone.clock_text,
            **{name: partial(self._zone.local, per_second=unit) for name, unit in _UNITS.items()}}
        self._warned: set[str] = set()

    def apply(self, view: RecordView) -> RecordView:
        """Raises TransformError."""
        schema = view.value_schema
        if view.is_tombstone or schema is None or not is_envelope(schema):
            return view
        wanted = self._wanted(view, schema)
        if wanted is None:
            return view
        values = list(view.value)
        for name in (BEFORE, AFTER, "source"):
            at = places(schema).get(name)
            if at is not None and values[at] is not None and schema.fields[at].schema.type == STRUCT:
                values[at] = self._struct(name, schema.fields[at].schema, values[at], wanted)
        view.set_value(schema, tuple(values))
        return view

    def _wanted(self, view: RecordView, schema: Schema) -> Wanted | None:
        """The fields to convert; None for none."""
        fields: set[str] | None = set()
        if self._mode != "all":
            fields = self._rules.find(view.topic, _table_of(view, schema))
        if fields is None:
            return Wanted(set(), False) if self._mode == "exclude" else None
        if self._mode == "exclude" and not fields:
            return None
        return Wanted(fields, self._mode == "exclude")

    def _struct(self, name: str, schema: Schema, values: tuple[Any, ...], wanted: Wanted) -> tuple[Any, ...]:
        if name == "source" and not wanted.names(name):
            return values
        return tuple([self._field(name, field, value) if wanted.has(name, field.name) else value
                      for field, value in zip(schema.fields, values, strict=True)])

    def _field(self, struct: str, field: Field, value: Any) -> Any:
        kind = field.schema.name
        if kind in _UNSUPPORTED and field.name not in self._warned and len(self._warned) < _MAX_WARNED:
            self._warned.add(field.name)
            log.warning("a field without instant is not converted", field=field.name, type=kind)
        convert = self._converters.get(kind or "")
        if convert is None:
            epoch = kind is None and struct == "source" and field.name in _EPOCHS and value is not None
            return self._zone.moved(value, _EPOCHS[field.name]) if epoch else value
        known = field.schema.default if value is None else value
        return None if known is None else convert(known)


class Wanted:
    """The fields of a record to convert: those in *fields*, all if it is empty; with *others* all but those."""

    def __init__(self, fields: set[str], others: bool) -> None:
        self._fields = fields
        self._others = others

    def names(self, struct: str) -> set[str]:
        """The fields that are named for *struct*. A name without a struct counts for both rows."""
        found = {field.removeprefix(f"{struct}.") for field in self._fields if field.startswith(f"{struct}.")}
        if struct != "source":
            found |= {field for field in self._fields if not field.startswith(("source.", "before.", "after."))}
        return found

    def has(self, struct: str, field: str) -> bool:
        if not self._fields:
            return True
        return (field in self.names(struct)) is not self._others


def _table_of(view: RecordView, schema: Schema) -> str | None:
    """The table in the source block, if it has one."""
    if untouched(view):
        assert isinstance(view.record, Record)
        return view.record.table.id.table
    at = places(schema).get("source")
    if at is None or view.value[at] is None:
        return None
    inner = places(schema.fields[at].schema).get("table")
    return None if inner is None else view.value[at][inner]
