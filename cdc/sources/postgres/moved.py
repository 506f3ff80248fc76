"""Whether the tables that a snapshot's transaction reads are still those that its view of pg_class has.

A SELECT goes by the present names and files. PostgreSQL docs, "Concurrency Control", "Caveats".
"""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql


def renamed_among(names: Iterable[tuple[int, str, str]]) -> sql.Composed:
    """Gives the tables, of oids, schemas and *names* that are locked, whose name leads to another table by now. Our
    transaction's view of pg_class still has the former names; a SELECT goes by the present ones."""
    oids, schemas, tables = zip(*names, strict=True)
    return sql.SQL("""\
SELECT pg_catalog.format('%I.%I', t.schema, t.name)
FROM ROWS FROM (pg_catalog.unnest({}::oid[]), pg_catalog.unnest({}::text[]), pg_catalog.unnest({}::text[]))
    AS t (oid, schema, name)
WHERE pg_catalog.to_regclass(pg_catalog.format('%I.%I', t.schema, t.name))::oid IS DISTINCT FROM t.oid""").format(
        *(sql.Literal(list(each)) for each in (oids, schemas, tables)))


def rewritten_among(oids: Iterable[int]) -> sql.Composed:
    """As `rewritten`, for several tables that are not partitioned: gives their oids."""
    return sql.SQL("""\
SELECT c.oid::int8 FROM pg_catalog.pg_class c
WHERE c.relkind = 'r' AND c.relfilenode <> pg_catalog.pg_relation_filenode(c.oid)
  AND c.oid = ANY ({}::oid[])""").format(sql.Literal(list(oids)))


def rewritten(oid: int, partitioned: bool) -> sql.Composed:
    """The query that gives a row if table *oid*, or one of its partitions, was rewritten. It finds them by the index
    of pg_class, because it runs for each table."""
    tables = "ANY (ARRAY(SELECT relid::oid FROM pg_catalog.pg_partition_tree({0})))" if partitioned else "{0}"
    return sql.SQL("""\
SELECT 1 FROM pg_catalog.pg_class c
WHERE c.relkind = 'r' AND c.relfilenode <> pg_catalog.pg_relation_filenode(c.oid) AND c.oid = """ + tables + """
LIMIT 1""").format(sql.Literal(oid))
