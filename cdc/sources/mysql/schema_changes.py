"""Records of the schema change topic: a statement, and the structures of its tables after it.

Debezium docs, "MySQL connector": "Schema change topic"; Debezium sources: SchemaFactory, ConnectTableChangeSerializer,
BinlogSnapshotChangeEventSource. The topic has the connector's name, one partition, and the database as key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cdc.codecs.java import java_hash_order
from cdc.core.dataclass import dataclass
from cdc.core.record import Message
from cdc.core.schema import ARRAY, BOOLEAN, INT32, INT64, STRING, Schema, optional, struct
from cdc.core.table import TableId
from cdc.debezium.filters import Filters
from cdc.debezium.naming import Adjuster
from cdc.sources.mysql.ddl.columns import enum_literals
from cdc.sources.mysql.ddl.schema_change_text import SchemaChange, TableChange
from cdc.sources.mysql.ddl.structure import NOW, ColumnDef, TableStructure

from .builtin import is_builtin
from .flavor import Flavor
from .quoting import quoted, quoted_table

_STRING: Final = Schema(STRING)
_OPTIONAL_STRING: Final = optional(STRING)
_OPTIONAL_INT32: Final = optional(INT32)
_OPTIONAL_BOOLEAN: Final = optional(BOOLEAN)

_OTHER: Final = 1111
_JDBC_TYPES: Final[Mapping[str, int]] = {
    **dict.fromkeys(("CHAR", "CHARACTER", "ENUM", "SET"), 1),
    **dict.fromkeys(("VARCHAR", "CHARACTER VARYING", "CHAR VARYING", "TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT",
                     "LONG", "LONG VARCHAR", "LONG CHAR VARYING", "LONG CHARACTER VARYING"), 12),
    **dict.fromkeys(("NCHAR", "NATIONAL CHAR", "NATIONAL CHARACTER"), -15),
    **dict.fromkeys(("NVARCHAR", "NATIONAL VARCHAR", "NATIONAL CHAR VARYING", "NATIONAL CHARACTER VARYING",
                     "NCHAR VARCHAR", "NCHAR VARYING"), -9),
    **dict.fromkeys(("TINYINT", "INT1", "SMALLINT", "INT2"), 5),
    **dict.fromkeys(("MEDIUMINT", "MIDDLEINT", "INT3", "INT", "INTEGER", "INT4", "YEAR"), 4),
    **dict.fromkeys(("BIGINT", "INT8", "SERIAL"), -5),
    "REAL": 7, "FLOAT4": 6, "FLOAT": 6, "DOUBLE": 8, "DOUBLE PRECISION": 8, "FLOAT8": 8,
    "DECIMAL": 3, "DEC": 3, "FIXED": 3, "NUMERIC": 2, "BIT": -7,
    "DATE": 91, "TIME": 92, "DATETIME": 93, "TIMESTAMP": 2014,
    "BINARY": -2, "VARBINARY": -3,
    **dict.fromkeys(("TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB", "LONG VARBINARY"), 2004),
    "BOOL": 16, "BOOLEAN": 16,
}
"""java.sql.Types by `ColumnDef.base`; all others are `OTHER`."""


@dataclass(frozen=True)
class SchemaChangeSchemas:
    """Key and value schema of the topic, made once per connector."""

    key: Schema
    value: Schema


def make_schemas(flavor: Flavor, adjust: Adjuster, source: Schema) -> SchemaChangeSchemas:
    """*source* is the schema of the connector's source block."""
    column = struct(adjust("io.debezium.connector.schema.Column"), (
        ("name", _STRING), ("jdbcType", Schema(INT32)), ("nativeType", _OPTIONAL_INT32), ("typeName", _STRING),
        ("typeExpression", _OPTIONAL_STRING), ("charsetName", _OPTIONAL_STRING), ("length", _OPTIONAL_INT32),
        ("scale", _OPTIONAL_INT32), ("position", Schema(INT32)), ("optional", _OPTIONAL_BOOLEAN),
        ("autoIncremented", _OPTIONAL_BOOLEAN), ("generated", _OPTIONAL_BOOLEAN), ("comment", _OPTIONAL_STRING),
        ("defaultValueExpression", _OPTIONAL_STRING), ("enumValues", Schema(ARRAY, optional=True, items=_STRING)),
    ), version=1)
    table = struct(adjust("io.debezium.connector.schema.Table"), (
        ("defaultCharsetName", _OPTIONAL_STRING),
        ("primaryKeyColumnNames", Schema(ARRAY, optional=True, items=_STRING)),
        ("columns", Schema(ARRAY, items=column)), ("comment", _OPTIONAL_STRING),
    ), version=1, optional=True)
    change = struct(adjust("io.debezium.connector.schema.Change"), (
        ("type", _STRING), ("id", _STRING), ("table", table),
    ), version=1)
    return SchemaChangeSchemas(
        struct(adjust(f"io.debezium.connector.{flavor.name}.SchemaChangeKey"), (("databaseName", _STRING),), version=1),
        struct(adjust(f"io.debezium.connector.{flavor.name}.SchemaChangeValue"), (
            ("source", source), ("ts_ms", Schema(INT64)), ("databaseName", _OPTIONAL_STRING),
            ("schemaName", _OPTIONAL_STRING), ("ddl", _OPTIONAL_STRING), ("tableChanges", Schema(ARRAY, items=change)),
        ), version=1),
    )


def make_message(each: SchemaChange, topic: str, schemas: SchemaChangeSchemas, source: tuple[Any, ...], ts_ms: int, *,
                 flavor: Flavor, comments: bool = False) -> Message:
    """One record. *source*: the source block's value; its `db` is `each.database`, its `table` the name of the changed
    table, or null. *ts_ms*: our clock. *comments*: `MySqlConfig.keep_comments`."""
    changes = [] if each.change is None else _change(each.change, flavor, comments)
    return Message(topic, schemas.key, (each.database,), schemas.value,
                   (source, ts_ms, each.database, None, each.ddl, changes), kafka_partition=0, context_headers=True)


def _change(change: TableChange, flavor: Flavor, comments: bool) -> list[tuple[Any, ...]]:
    """Empty if the table's structure is not known: then the record has only the statement."""
    if change.type == "DROP":
        return [("DROP", _id(change.id), None)]
    if change.structure is None:
        return []
    return [(change.type, _id(change.id), table_value(change.structure, flavor, comments))]


def _id(id: TableId) -> str:
    return ".".join('"' + name.replace('"', '""') + '"' for name in (id.catalog, id.table))


def table_value(table: TableStructure, flavor: Flavor, comments: bool = False) -> tuple[Any, ...]:
    """A `Table` struct's value."""
    columns = [column_value(column, place, flavor, comments) for place, column in enumerate(table.columns, 1)]
    return table.charset, list(table.key), columns, table.comment if comments else None


def column_value(column: ColumnDef, position: int, flavor: Flavor, comments: bool = False) -> tuple[Any, ...]:
    """A `Column` struct's value. Debezium marks a column with AUTO_INCREMENT or ON UPDATE as both incremented and
    generated; its MariaDB connector does not see an ON UPDATE after a default of the same kind."""
    filled = column.auto_increment or (column.on_update and (flavor.sees_on_update or column.default != NOW))
    return (
        column.name, _JDBC_TYPES.get(column.base, _OTHER), None, column.type_name, column.type_name,
        column.charset if column.is_character else None,
        column.length, column.scale, position, column.nullable, filled, filled,
        column.comment if comments else None, column.default, list(enum_literals(column)) or None,
    )


class Scope:
    """Which statements are written to the topic: all, or those that
    `schema.history.internal.store.only.captured.tables.ddl` and `….databases.ddl` select. Debezium sources:
    RelationalTableFilters, BinlogDatabaseSchema.parseDdl."""

    def __init__(self, filters: Filters, *, told: bool, only_tables: bool, only_databases: bool) -> None:
        """*told* is `include.schema.changes`."""
        self._filters = filters
        self._only_tables = only_tables or not told
        self._only_databases = only_databases

    def table(self, id: TableId) -> bool:
        """Whether we need the structure of *id*."""
        if self._filters.table(id):
            return True
        return not (self._only_tables or is_builtin(id) or (self._only_databases
                                                            and not self._filters.databases(id.catalog)))

    def told(self, changes: Sequence[SchemaChange]) -> list[SchemaChange]:
        """The records of one statement that are written."""
        if self._only_tables:
            return [each for each in changes if self._captured(each)] if any(map(self._matters, changes)) else []
        return [self._without_index(each) for each in changes if not self._only_databases or self._database(each)]

    def _matters(self, each: SchemaChange) -> bool:
        if each.change is None:
            return each.known and self._database(each)
        return each.whole is None and self._filters.table(each.change.id)

    def _captured(self, each: SchemaChange) -> bool:
        change = each.change
        if change is None or (change.structure is None and change.type != "DROP"):
            return self._database(each)
        return self._database(each) and self._filters.table(change.id)

    def _without_index(self, each: SchemaChange) -> SchemaChange:
        """For a table that is not captured, the record has the whole statement and no table."""
        if each.whole is None or each.change is None or self._filters.table(each.change.id):
            return each
        return SchemaChange(each.whole, each.database, known=False)

    def _database(self, each: SchemaChange) -> bool:
        return not each.database or self._filters.databases(each.database)


def touched(each: SchemaChange, together: Iterable[SchemaChange]) -> str | None:
    """`source.table` of *each*: all tables of its database that its statement changes. *together* are the statement's
    records."""
    if each.change is None:
        return None if each.known else ""
    ids = {str(other.change.id): other.change.id.table for other in together
           if other.change is not None and other.database == each.database}
    return ",".join(ids[name] for name in java_hash_order(ids))


# -- snapshots -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Database:
    """A database, and the character set and collation that its tables inherit."""

    name: str
    charset: str
    collation: str


def server_change(charset: str, collation: str) -> SchemaChange:
    """The first record of a snapshot: the server's defaults."""
    return SchemaChange(f"SET character_set_server={charset}, collation_server={collation}", "")


def snapshot_changes(server_charset: str, server_collation: str, databases: Iterable[Database],
                     tables: Sequence[tuple[TableStructure, str]]) -> list[SchemaChange]:
    """All records of a snapshot, in Debezium's order: each table and database is dropped and created. *tables*:
    structures and their CREATE statements; those outside of *databases* are left out."""
    ordered = sorted(tables, key=lambda pair: (pair[0].id.catalog, pair[0].id.table))
    known = sorted(databases, key=lambda database: database.name)
    changes = [server_change(server_charset, server_collation)]
    changes += [
        SchemaChange(f"DROP TABLE IF EXISTS {quoted_table(table.id)}", table.id.catalog,
                     TableChange("DROP", table.id)) for table, _ in ordered
    ]
    for database in known:
        name = quoted(database.name)
        changes += [
            SchemaChange(f"DROP DATABASE IF EXISTS {name}", database.name),
            SchemaChange(f"CREATE DATABASE {name} CHARSET {database.charset} COLLATE {database.collation}",
                         database.name),
            SchemaChange(f"USE {name}", database.name),
        ]
        changes += [SchemaChange(ddl, database.name, TableChange("CREATE", table.id, table))
                    for table, ddl in ordered if table.id.catalog == database.name]
    return changes
