"""What a first copy counts as read, without a server."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pymysql.protocol import MysqlPacket

from cdc.core.errors import SourceConnectionError
from cdc.core.record import SourceContext
from cdc.core.schema import STRING, Schema, struct
from cdc.core.table import TableId, TableSchema
from cdc.sources.mysql import catalog
from cdc.sources.mysql.snapshot import TableRead, TextReader
from cdc.sources.mysql.snapshot_plan import SnapshotPlan
from cdc.sources.snapshot.initial import InitialSnapshot

EOF = b"\xfe\0\0\2\0"
WITHOUT_ROWS = [b"\1", b"definition", EOF, EOF]


def read(name: str) -> TableRead:
    schema = TableSchema(TableId("d", "", name), name, (), (), None, struct("Value", []), struct("Envelope", []))
    return TableRead(schema, "SELECT …", (0,), 1)


class Reader(TextReader):
    """Of tables without rows, as a transaction sees a table that others have filled since it began."""

    def __init__(self, plan: SnapshotPlan) -> None:
        sent = deque(WITHOUT_ROWS * 2)
        conn = SimpleNamespace(_execute_command=lambda command, text: None,
                               _read_packet=lambda: MysqlPacket(sent.popleft(), "utf8"))
        patient = SimpleNamespace(patiently=lambda id, ask, limited: ask())
        unordered = SimpleNamespace(order=lambda id, read: None)
        nothing = cast(Any, None)
        super().__init__(cast(Any, conn), None, nothing, nothing, nothing, cast(Any, patient), cast(Any, unordered),
                         check_same=plan.check_same_table)

    def begin(self) -> None:
        pass

    def context(self, read: TableRead, marker: str) -> SourceContext:
        return SourceContext(struct("Source", [("snapshot", Schema(STRING))]), (marker,), ())

    def reads(self, tables: Any, *, several: bool) -> Iterator[Any]:
        yield from tables


def test_a_table_that_another_one_was_swapped_for_is_not_counted_as_read(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {TableId("d", "", "a"): 1, TableId("d", "", "b"): 1}
    monkeypatch.setattr(catalog, "creation_times", lambda conn, ids: {id: made[id] for id in ids})
    plan = SnapshotPlan(cast(Any, None), cast(Any, SimpleNamespace(connection=lambda: None)), cast(Any, None),
                        cast(Any, None))
    plan._made_at = dict(made)
    made[TableId("d", "", "b")] = 2
    copying: Any = InitialSnapshot(Reader(plan), [read("a"), read("b")], during=cast(Any, lambda reached: reached),
                                   final=cast(Any, "final"), max_records=10)
    with pytest.raises(SourceConnectionError, match="swapped"):
        copying.poll(60)
    assert copying._reached.names == ["d.a"]
