"""Custom converters: what another package gives to change how columns become fields.

The Python form of Debezium's `io.debezium.spi.converter.CustomConverter` (Debezium docs, "Developing custom data type
converters"). A package offers one by an entry point of the group `cdc.plugins`, as a `Plugin` of the kind `custom
converter`. Its factory takes the connector's keys below `NAME.`, without that prefix, as a transform's does; that is
what `configure` is in Java.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from .named_tuple import NamedTuple
from .schema import Schema


class ConvertedField(NamedTuple):
    """A column that a converter may take.

    `data_collection`: the table, `schema.table` (PostgreSQL) or `database.table` (MySQL).
    `type_name`: the database's name of the type, as Debezium's `RelationalColumn.typeName`.
    `length`, `scale`: None where the type has none.
    `schema`: what the field's values are without a converter; the function that is registered gets such values.
    """

    name: str
    data_collection: str
    type_name: str
    length: int | None
    scale: int | None
    optional: bool
    schema: Schema


Convert = Callable[[Any], Any]
Register = Callable[[Schema, Convert], None]
"""Takes the schema of the new values and the function that makes them. Whether the field is optional is the column's
business, and the column's default is converted by the same function. The function never gets a null: a null stays one.
It must give a Connect value of that schema; any exception means that the value cannot be converted."""


class CustomConverter(Protocol):
    """Asked once for each column of each version of a table."""

    def converter_for(self, field: ConvertedField, register: Register) -> None:
        """Call *register* to take *field*; else it is offered to the next converter."""
        ...
