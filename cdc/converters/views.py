"""Makes the parts of records that transforms ask for: `core.view.Maker`, over the tables' value plans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from cdc.core.record import Message, Record
from cdc.core.row import Row
from cdc.core.schema import STRING, Schema
from cdc.core.table import TableSchema
from cdc.core.view import ConstantHeader, Header, RecordView

from .plan import ColumnFailures, ValuePlan

MAX_PLANS: Final = 10_000
"""How many table versions have plans. When there are more, all are dropped and made again when needed."""

_TEXT: Final = Schema(STRING)


class Views:
    """Views of one task's records. *context_headers*: the constant headers, as pairs of name and text."""

    def __init__(self, failures: ColumnFailures, context_headers: Sequence[tuple[str, str]] = ()) -> None:
        self._failures = failures
        self._constant = [ConstantHeader(name, _TEXT, text) for name, text in context_headers]
        self._plans: dict[TableSchema, ValuePlan] = {}

    def view(self, record: Record | Message, now_us: int) -> RecordView:
        """*record* for transforms. *now_us*: the connector's clock, µs since 1970."""
        return RecordView(record, self, now_us)

    def key(self, record: Record) -> tuple[Any, ...] | None:
        return self._plan(record.table).key(record.key_row, old_of_key(record))

    def value(self, record: Record, now_us: int) -> tuple[Any, ...]:
        return self._plan(record.table).value(record, now_us)

    def image(self, record: Record, name: str) -> tuple[Any, ...] | None:
        row, old = image_of(record, name)
        return None if row is None else self._plan(record.table).row(row, old)

    def column(self, record: Record, name: str, index: int) -> Any:
        row, old = image_of(record, name)
        if row is None:
            raise KeyError(name)
        return self._plan(record.table).column(record.table.columns[index], row, old)

    def headers(self, record: Record | Message) -> list[Header]:
        if isinstance(record, Message):
            own = [Header(*header) for header in record.headers]
            return [*own, *self._constant] if record.context_headers else own
        return [*(self._key_header(record, name, row) for name, row in record.key_headers), *self._constant]

    def _key_header(self, record: Record, name: str, row: Row) -> Header:
        return Header(name, record.table.key_schema, key_in_header(self._plan(record.table), record, row))

    def _plan(self, table: TableSchema) -> ValuePlan:
        plan = self._plans.get(table)
        if plan is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            plan = self._plans[table] = ValuePlan(table, self._failures)
        return plan


def key_in_header(plan: ValuePlan, record: Record, row: Row) -> tuple[Any, ...] | None:
    """The key struct of *row*, one of the record's `key_headers`. The values that a new key leaves out are in the old
    row; an old key takes none from elsewhere."""
    return plan.key(row, record.before if row is not record.before else None)


def old_of_key(record: Record) -> Row | None:
    """The row with the key values that the key's own row leaves out."""
    return record.before if record.other is None and record.key_row is record.after else record.other


def image_of(record: Record, name: str) -> tuple[Row | None, Row | None]:
    """The row image *name*, `before` or `after`, and the row with the values that it leaves out."""
    if name == "before":
        return record.before, None
    return record.after, record.other if record.before is None else record.before
