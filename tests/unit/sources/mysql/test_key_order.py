"""Where a later attempt of the first copy goes on in a table, and where it reads the table again."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cdc.core.row import row_of
from cdc.core.table import TableId
from cdc.debezium.mappers import Mask
from cdc.sources.mysql.ddl.structure import ColumnDef, Structures, TableStructure
from cdc.sources.mysql.key_order import KeyOrder, Order

ID = TableId("d", "", "t")
CREATE = "CREATE TABLE `t` (\n  `id` varchar(10) NOT NULL,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB"
COLUMN = ColumnDef("id", "VARCHAR", 10, charset="utf8mb4")


def order(table: TableStructure, key: tuple[int, ...] = (0,), create: str = CREATE, **options: Any) -> Order | None:
    structures = Structures("utf8mb4", {"d": "utf8mb4"})
    structures.put(table)
    config = SimpleNamespace(**{"skipped_operations": ("t",), "gtid_source_filter_dml_events": True,
                                "gtid_source_includes": (), "gtid_source_excludes": (), "column_mappers": (),
                                **options})
    schema: Any = SimpleNamespace(id=ID, key=[SimpleNamespace(index=index) for index in key])
    return KeyOrder(structures, {ID: create}, cast(Any, config), "FULL").order(schema, (0,))


def made(collation: str | None) -> TableStructure:
    return TableStructure(ID, (COLUMN,), ("id",), charset="utf8mb4", collation=collation)


def test_a_place_holds_in_the_same_order_only() -> None:
    first = order(made("utf8mb4_bin"))
    assert first is not None
    place = first.place(row_of([b"Z"]))
    assert first.clause(place) == " WHERE ((`id` > _utf8mb4 X'5a')) ORDER BY `id`"
    other = order(made("utf8mb4_general_ci"))
    assert other is not None
    assert other.clause(place) == " ORDER BY `id`"
    own = order(replace(made(None), columns=(replace(COLUMN, collation="utf8mb4_bin"),)))
    assert own is not None
    assert "WHERE" in own.clause(place)


@pytest.mark.parametrize("options", [
    {"skipped_operations": ("u",)}, {"gtid_source_includes": ("3e11fa47.*",)}, {"gtid_source_excludes": ("0-7",)},
], ids=str)
def test_there_is_no_order_where_the_stream_leaves_out_changes(options: dict[str, Any]) -> None:
    assert order(made(None), **options) is None


def test_servers_that_only_matter_for_positions_leave_out_no_change() -> None:
    assert order(made(None), gtid_source_includes=("x",), gtid_source_filter_dml_events=False) is not None


def test_the_offset_shows_no_value_that_is_hidden_in_the_events() -> None:
    hiding = [SimpleNamespace(mapper=Mask("***"))]
    assert order(made(None), key=(), column_mappers=hiding) is None
    assert order(made(None), key=(0,), column_mappers=hiding) is not None, "keys are never hidden"
    assert order(made(None), key=()) is not None


@pytest.mark.parametrize("create", [CREATE.replace("InnoDB", "MyISAM"), CREATE.replace("(`id`)", "(`id`(4))")])
def test_no_server_is_asked_to_sort_a_table(create: str) -> None:
    assert order(made(None)) is not None
    assert order(made(None), create=create) is None
