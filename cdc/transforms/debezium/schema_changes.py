"""SchemaChangeEventFilter: leaves out schema change events of some kinds.

Debezium sources: `io.debezium.transforms.SchemaChangeEventFilter`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.schema import ARRAY
from cdc.core.view import RecordView

from ..part import configured
from .envelope import field_of, require_struct, typed

KINDS: Final = ("CREATE", "ALTER", "DROP", "TRUNCATE", "DATABASE")
_SUFFIXES: Final = (".SchemaChangeValue", ".SchemaChangeKey")


def _kinds(text: str) -> tuple[str, ...]:
    found = tuple(item.strip() for item in text.split(","))
    unknown = [item for item in found if item not in KINDS]
    if unknown:
        raise ValueError(f"{', '.join(map(repr, unknown))} is no kind; kinds are {', '.join(KINDS)}")
    return found


@settings
class SchemaChangeFilterConfig:
    """The keys of SchemaChangeEventFilter."""

    schema_change_event_exclude_list: tuple[str, ...] = option(
        "schema.change.event.exclude.list", required=True, importance="HIGH", convert=_kinds,
        doc=f"The kinds to leave out: {', '.join(KINDS)}.")


OPTIONS = OptionTable.of(SchemaChangeFilterConfig)


class SchemaChangeEventFilter:
    """Drops schema change events whose first table change is of an excluded kind. An event without table changes is of
    the kind DATABASE."""

    options = OPTIONS

    def __init__(self, settings: Mapping[str, str]) -> None:
        config = configured(SchemaChangeFilterConfig, OPTIONS, settings, "SchemaChangeEventFilter")
        self._excluded = config.schema_change_event_exclude_list

    def apply(self, view: RecordView) -> RecordView | None:
        """Raises TransformError."""
        schema = view.value_schema
        if schema is None or schema.name is None or not schema.name.endswith(_SUFFIXES) or view.is_tombstone:
            return view
        schema = require_struct(schema, view.value, "Read schema change event to filter")
        changes = typed(schema, view.value, "tableChanges", ARRAY)
        if changes is None:
            return None
        kind = "DATABASE"
        if changes:
            items = schema.fields[[field.name for field in schema.fields].index("tableChanges")].schema.items
            kind = field_of(require_struct(items, changes[0], "Read table change"), changes[0], "type")
        return None if kind in self._excluded else view
