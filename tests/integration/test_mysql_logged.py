"""What is in a log and is no row of a table, and what is a row and is not in the log: on real servers."""

from __future__ import annotations

import pytest

from cdc.core.errors import SourceRefusedError
from tests.integration.test_mysql_ddl_stream import DATABASE, SECONDS, Reading, make_source, values_of
from tests.servers.mariadb import MariaDbServer
from tests.servers.mysql import BinlogServer, MySqlServer

TABLE = "CREATE TABLE {} (id INT PRIMARY KEY, bal INT{}"
PERIOD = (", s timestamp(6) GENERATED ALWAYS AS ROW START, e timestamp(6) GENERATED ALWAYS AS ROW END,"
          " PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING")
CHANGES = (
    "INSERT INTO {} (id, bal) VALUES (3, 30), (4, 40)", "UPDATE {} SET bal = 41 WHERE id = 4",
    "DELETE FROM {} WHERE id = 3", "UPDATE {} SET id = 5 WHERE id = 4", "INSERT INTO {} (id, bal) VALUES (1, 10)",
    "INSERT INTO {} (id, bal) VALUES (1, 0) ON DUPLICATE KEY UPDATE bal = 14",
    "REPLACE INTO {} (id, bal) VALUES (1, 15)",
    "DELETE HISTORY FROM {}",
)


@pytest.mark.parametrize("metadata", ["FULL", "NO_LOG"])
def test_versioned_tables_and_sequences_replay_to_what_select_shows(metadata: str) -> None:
    with MariaDbServer(row_metadata=metadata) as server:
        server.create_database(DATABASE)
        server.create_database("busy")
        server.execute(TABLE.format("hidden", ") WITH SYSTEM VERSIONING"), DATABASE)
        server.execute(TABLE.format("shown", PERIOD), DATABASE)
        server.execute(TABLE.format("later", ")"), DATABASE)
        server.execute("CREATE SEQUENCE numbers CACHE 2", DATABASE)
        live = Reading(make_source(server), None)
        assert live.streaming.wait(SECONDS)
        server.execute("ALTER TABLE later ADD SYSTEM VERSIONING", DATABASE)
        for table in ("hidden", "shown", "later"):
            for change in CHANGES:
                server.execute(change.format(table), DATABASE)
        server.execute("CREATE SEQUENCE more", DATABASE)
        for query in ("NEXTVAL(numbers)", "SETVAL(numbers, 500)", "NEXTVAL(more)"):
            server.execute(f"SELECT {query}", DATABASE)
        server.execute("DROP SEQUENCE more", DATABASE)
        records = live.until(server.binlog_end())
        assert {each.table.id.table for each in records} == {"hidden", "shown", "later"}
        for table in ("hidden", "shown", "later"):
            rows: dict[object, object] = {}
            for each in records:
                if each.table.id.table == table and each.op == "d" and each.before is not None:
                    del rows[values_of(each.table, each.before)["id"]]
                elif each.table.id.table == table and each.after is not None:
                    found = values_of(each.table, each.after)
                    rows[found["id"]] = found["bal"]
            assert rows == dict(server.execute(f"SELECT id, bal FROM {DATABASE}.{table}")) == {1: 15, 5: 41}


def refusal(server: BinlogServer) -> str:
    server.create_database(DATABASE)
    server.execute("CREATE TABLE here (id INT PRIMARY KEY)", DATABASE)
    with pytest.raises(SourceRefusedError) as caught:
        Reading(make_source(server), None).until(server.binlog_end())
    return caught.value.message


@pytest.mark.parametrize("kind", [MySqlServer, MariaDbServer])
def test_a_database_that_is_not_logged(kind: type[MySqlServer] | type[MariaDbServer]) -> None:
    with kind(binlog_ignore_db=DATABASE) as server:
        assert f"binlog_ignore_db): {DATABASE}." in refusal(server)


@pytest.mark.parametrize(("kind", "statement"), [
    (MySqlServer, "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1"),
    (MariaDbServer, "CHANGE MASTER TO master_host = '127.0.0.1', master_port = 1"),
])
def test_a_replica_that_does_not_log_what_it_replicates(kind: type[MySqlServer] | type[MariaDbServer],
                                                        statement: str) -> None:
    with kind(log_slave_updates="OFF") as server:
        server.execute(statement)
        said = refusal(server)
        assert "a replica of 127.0.0.1:1" in said
        assert f"{DATABASE}.here" in said
