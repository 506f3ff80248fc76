"""ExtractChangedRecordState: headers with the names of the columns that an update changed, or left alone.

Debezium sources: `io.debezium.transforms.ExtractChangedRecordState`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.schema import ARRAY, STRING, Schema, optional
from cdc.core.view import RecordView

from ..part import configured
from .envelope import AFTER, BEFORE, has_row, is_envelope, require_struct, row_of
from .in_place import InPlaceHeaders


@settings
class ChangedConfig:
    """The keys of ExtractChangedRecordState."""

    header_changed_name: str | None = option(
        "header.changed.name", default=None, importance="LOW",
        doc="The header with the names of changed columns; without it there is no such header.")
    header_unchanged_name: str | None = option(
        "header.unchanged.name", default=None, importance="LOW",
        doc="The header with the names of unchanged columns; without it there is no such header.")


OPTIONS = OptionTable.of(ChangedConfig)


class ExtractChangedRecordState:
    """Adds the headers to every envelope. The lists are empty unless it has both rows."""

    options = OPTIONS

    def __init__(self, settings: Mapping[str, str]) -> None:
        config = configured(ChangedConfig, OPTIONS, settings, "ExtractChangedRecordState")
        self._names = [(name, Schema(ARRAY, optional=True, name=name, items=optional(STRING))) if name else None
                       for name in (config.header_changed_name, config.header_unchanged_name)]
        self._in_place = InPlaceHeaders()

    def apply(self, view: RecordView) -> RecordView:
        """Raises TransformError."""
        if view.is_tombstone:
            self._in_place.add(view, ())
            return view
        if not is_envelope(view.value_schema):
            return view
        lists = _compared(view)
        self._in_place.add(view, [(*header, names) for header, names in zip(self._names, lists, strict=True)
                                  if header is not None])
        return view


def _compared(view: RecordView) -> tuple[list[str], list[str]]:
    """The names of changed columns, and those of unchanged ones."""
    changed: list[str] = []
    unchanged: list[str] = []
    if has_row(view, AFTER) and has_row(view, BEFORE):
        schema, after = row_of(view, AFTER)
        _, before = row_of(view, BEFORE)
        for field, new, old in zip(require_struct(schema, after, "After value should be struct.").fields, after, before,
                                   strict=True):
            (unchanged if _same(new, old) else changed).append(field.name)
    return changed, unchanged


def _same(new: Any, old: Any) -> bool:
    """As Java's equals: a NaN equals itself, and 0.0 is not -0.0."""
    if isinstance(new, float) and isinstance(old, float):
        return repr(new) == repr(old)
    return bool(new == old)
