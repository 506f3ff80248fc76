"""Records of every kind that a transform can get, made by hand: row changes, tombstones, and what is no row change."""

from __future__ import annotations

from typing import Any

from cdc.core.record import Message, Record
from cdc.core.schema import INT64, STRING, STRUCT, Schema, optional, struct
from cdc.debezium.schemas import (
    heartbeat_key_schema,
    heartbeat_value_schema,
    message_key_schema,
    message_value_schema,
    postgres_source_schema,
    transaction_key_schema,
    transaction_value_schema,
)
from tests.unit.converters.tables import INT, STR, column, record, row, table

ID = column(0, "id", INT)
NAME = column(1, "name", STR, optional=True, default="anon")
QTY = column(2, "qty", INT, optional=True)
TABLE = table([ID, NAME, QTY], [ID])
TEXT = Schema(STRING)


def change(op: str, before: tuple[Any, ...] | None = None, after: tuple[Any, ...] | None = None,
           **more: Any) -> Record:
    """A change of a row `(id, name, qty)`."""
    old, new = _image(before), _image(after)
    return record(op, TABLE, old, new, key_row=new or old, **more)


def _image(cells: tuple[Any, ...] | None) -> Any:
    return None if cells is None else row(*(cell if cell is None else str(cell).encode() for cell in cells))


CREATED = change("c", None, (1, "a", 5))
UPDATED = change("u", (1, "a", 5), (1, "b", 5))
DELETED = change("d", (1, "a", 5))
TOMBSTONE = change("", (1, "a", 5))
TRUNCATED = change("t")

_SOURCE = postgres_source_schema(str)
HEARTBEAT = Message("hb.srv", heartbeat_key_schema(str), ("srv",), heartbeat_value_schema(str), (1,))
TRANSACTION = Message("srv.transaction", transaction_key_schema(str), ("1",), transaction_value_schema(str),
                      ("BEGIN", "1", None, None, 1))
_CHANGE = struct("io.debezium.connector.schema.Change", (("type", TEXT), ("id", TEXT)), version=1)
SCHEMA_CHANGE_SCHEMA = struct("io.debezium.connector.mysql.SchemaChangeValue", (
    ("ddl", optional(STRING)), ("tableChanges", Schema("ARRAY", items=_CHANGE))), version=1)
SCHEMA_CHANGE = Message("srv", struct("io.debezium.connector.mysql.SchemaChangeKey", (("databaseName", TEXT),)),
                        ("shop",), SCHEMA_CHANGE_SCHEMA, ("CREATE TABLE t (id int)", [("CREATE", "shop.t")]))
SCHEMALESS = Message("plain", None, {"k": 1}, None, {"op": "u", "n": 3})
NULL = Message("plain", TEXT, "k", None, None)
WRONG = Message("text", TEXT, "k", TEXT, "just a text")


def logical(content: bytes | None, prefix: str = "audit") -> Message:
    """A logical decoding message."""
    source = ("1", "postgresql", "srv", 1, None, "db", None, 1, 1, "", "", 1, 2, None, None, None)
    return Message("srv.message", message_key_schema(str), (prefix,), message_value_schema(str, _SOURCE),
                   ("m", 7, source, None, (prefix, content)))


def envelope(after: tuple[Any, ...] | None, schema: Schema, op: str = "c", name: str = "x.Envelope") -> Message:
    """An envelope that a transform could have made, without `before` and with few fields."""
    value = struct(name, (("after", schema), ("op", TEXT), ("ts_ms", optional(INT64))))
    return Message("made", TEXT, "k", value, (after, op, 9))


def row_schema(**fields: Schema) -> Schema:
    return Schema(STRUCT, name="x.Value", optional=True, fields=struct("x", fields.items()).fields)
