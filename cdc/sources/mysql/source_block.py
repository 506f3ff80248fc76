"""The `source` block of MySQL and MariaDB. Debezium docs, "Data change events" of the two connectors."""

from __future__ import annotations

from typing import Any, Final

from cdc.core.record import SourceContext
from cdc.core.schema import INT32, INT64, STRING, Schema, optional
from cdc.debezium import schemas
from cdc.debezium.naming import TopicNaming
from cdc.sources.shared.source_block import SourceBlockBase

SNAPSHOT, TABLE, GTID, POS, ROW = 4, 9, 11, 13, 14
VARYING: Final = (POS, ROW)
"""Fields of the source block that each record fills itself."""
_OF_TRANSACTIONS: Final = (3, 7, 8, 10, GTID, 12, POS, ROW, 15, 16)
"""The times, `server_id`, `gtid`, `file`, `pos`, `row`, `thread`, `query`: `cdc.native.mysql.FIELDS`."""


class SourceBlock(SourceBlockBase):
    """Source blocks of one connector; *connector* is `mysql` or `mariadb`."""

    def __init__(self, naming: TopicNaming, connector: str) -> None:
        name = naming.schema_name(f"io.debezium.connector.{connector}.Source")
        super().__init__(naming, connector, schemas.source_schema(name, (
            ("table", optional(STRING)), ("server_id", Schema(INT64)), ("gtid", optional(STRING)),
            ("file", Schema(STRING)), ("pos", Schema(INT64)), ("row", Schema(INT32)), ("thread", optional(INT64)),
            ("query", optional(STRING)),
        )))

    def source_values(self, time_us: int, *, database: str = "", table: str | None = None, server_id: int = 0,
                      gtid: str | None = None, file: str = "", pos: int = 0, row: int = 0, thread: int | None = None,
                      query: str | None = None, snapshot: str | None = None) -> tuple[Any, ...]:
        """The block's Connect values."""
        head = self.head(time_us, database, snapshot)
        return (*head, table, server_id, gtid, file, pos, row, thread, query)

    def template(self, database: str, table: str) -> SourceContext:
        """A block for all records of a table."""
        return SourceContext(self.source_schema, self.source_values(0, database=database, table=table),
                             _OF_TRANSACTIONS)

    def context(self, values: tuple[Any, ...]) -> SourceContext:
        """A block for records that differ only in `pos` and `row`."""
        return SourceContext(self.source_schema, values, VARYING)
