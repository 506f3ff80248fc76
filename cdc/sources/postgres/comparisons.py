"""How values of types that are not the server's own are compared: those of extensions, such as citext, and of users.

A name that is not qualified means what pg_catalog has, since that alone is in our search_path: for a citext, the
operators of text, in another order. So the operators are those of the type's default class for B-trees, by which the
server sorts and its keys are unique.

PostgreSQL docs, "Operator Classes and Operator Families", "Operator Type Resolution", "pg_amop".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from psycopg import sql

from cdc.core.dataclass import dataclass

from .connection import Connection, query


@dataclass(frozen=True)
class Comparison:
    """Of the columns of one type. *type* is its name. *operators*: those that take the place of `>`, `>=` and `=`."""

    type: sql.SQL
    operators: dict[str, sql.SQL]


def compared(own: Mapping[str, Comparison], name: str, operator: str, value: sql.Composable) -> sql.Composed:
    """SQL that compares column *name* with *value*, as *own* has it."""
    found = own.get(name)
    if found is None:
        return sql.SQL("{} {} {}").format(sql.Identifier(name), sql.SQL(operator), value)
    return sql.SQL("{} {} {}::{}").format(sql.Identifier(name), found.operators[operator], value, found.type)


def own_comparisons(conn: Connection, oid: int, names: Sequence[str]) -> Mapping[str, Comparison]:
    """By name, those of the columns *names* of table *oid* that need it. Raises SourceError."""
    found: dict[str, Comparison] = {}
    for name, type, strategy, schema, operator in query(conn, _COMPARISONS, oid, list(names)):
        found.setdefault(str(name), Comparison(sql.SQL(type), {})).operators[_STRATEGIES[strategy]] = sql.SQL(
            f"OPERATOR({schema}.{operator})")
    return found


_STRATEGIES: Final = {5: ">", 4: ">=", 3: "="}
_COMPARISONS: Final = """\
WITH RECURSIVE columns AS (
    SELECT attname, atttypid AS type FROM pg_catalog.pg_attribute
    WHERE attrelid = %s::int8::oid AND attnum > 0 AND attname::text = ANY (%s::text[])
    UNION ALL
    SELECT c.attname, t.typbasetype FROM columns c JOIN pg_catalog.pg_type t ON t.oid = c.type WHERE t.typtype = 'd')
SELECT c.attname::text, pg_catalog.format_type(t.oid, -1), a.amopstrategy::int8, pg_catalog.quote_ident(n.nspname),
       o.oprname::text
FROM columns c
JOIN pg_catalog.pg_type t ON t.oid = c.type AND t.typtype = 'b' AND t.typnamespace <> 'pg_catalog'::regnamespace
JOIN pg_catalog.pg_am m ON m.amname = 'btree'
JOIN pg_catalog.pg_opclass s ON s.opcmethod = m.oid AND s.opcdefault AND s.opcintype = t.oid
JOIN pg_catalog.pg_amop a ON a.amopfamily = s.opcfamily AND a.amoplefttype = t.oid AND a.amoprighttype = t.oid
    AND a.amopstrategy IN (3, 4, 5) AND a.amoppurpose = 's'
JOIN pg_catalog.pg_operator o ON o.oid = a.amopopr
JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace"""
