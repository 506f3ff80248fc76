"""Partial updates of JSON columns (`binlog_row_value_options=PARTIAL_JSON`): the document is the server's."""

from __future__ import annotations

import json

from tests.conftest import BinlogDatabase
from tests.integration.mysql_source import running

DOCUMENT = {"a": [1, 2, 3], "deep": [[1, 2], {"x": [3, 4]}], "b": 5, "long": "x" * 200}
CHANGES = (
    "JSON_SET(j, '$.a[last]', 9)", "JSON_SET(j, '$.a[last-1]', 8)", "JSON_REMOVE(j, '$.a[last]')",
    "JSON_SET(j, '$.a[0]', 'first')", "JSON_SET(j, '$.a[99]', 'end')", "JSON_SET(j, '$.a[last-99]', 'begin')",
    "JSON_SET(j, '$.deep[last].x[last-1]', 30)", "JSON_REMOVE(j, '$.deep[last-1][last]')",
    "JSON_REPLACE(j, '$.deep[0][0]', NULL)", "JSON_SET(j, '$.b[last]', 6)", "JSON_SET(j, '$.b[0][0]', 7)",
    "JSON_REMOVE(JSON_SET(j, '$.a[last]', 1), '$.a[last-1]')", "JSON_SET(j, '$.new', JSON_ARRAY(1), '$.new[last]', 2)",
    "JSON_SET(j, '$.\"a b\"', 1, '$.\"a b\"', 2)", "JSON_REPLACE(j, '$.long[last]', 'y')",
)


def test_diffs_give_the_servers_documents(mysql_database: BinlogDatabase) -> None:
    mysql_database.execute("CREATE TABLE t (id int PRIMARY KEY, j json)")
    wanted = []
    with running(mysql_database) as reading:
        with mysql_database.connect() as conn, conn.cursor() as cursor:
            cursor.execute("SET binlog_row_value_options = PARTIAL_JSON")
            cursor.execute("INSERT INTO t VALUES (1, %s)", (json.dumps(DOCUMENT),))
            for change in CHANGES:
                cursor.execute(f"UPDATE t SET j = {change}")
                if cursor.rowcount:
                    cursor.execute("SELECT j FROM t")
                    (text,), = cursor.fetchall()
                    wanted.append(json.loads(text))
        found = reading.changes(1 + len(wanted))
    assert len(wanted) > 12
    assert [json.loads(after["j"]) for _, _, after, _ in found[1:]] == wanted
