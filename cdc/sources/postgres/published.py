"""What a publication has of the captured tables at one moment: read from the catalogs, without a lock on any table.

The cost grows with the captured tables and those made since the last reading, not with the others. PostgreSQL docs,
"System Catalogs": pg_publication, pg_publication_rel, pg_publication_namespace, pg_inherits; "Logical Replication":
"Publication". The view pg_publication_tables is not used: from version 16 on it waits for locks of published tables.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from psycopg import sql

from cdc.core.dataclass import dataclass

from .connection import Connection, query

Name = tuple[str, str]
"""Schema and table."""

OPERATIONS: Final = {"c": "insert", "u": "update", "d": "delete", "t": "truncate"}
EVERY_TABLE: Final = "a"
"""The membership of each table in a publication FOR ALL TABLES."""


@dataclass(frozen=True)
class SeenPublication:
    """A row of pg_publication. `row`: changes with each ALTER of the row (its xmin). `operations`: of c, u, d and t."""

    name: str
    oid: int
    row: str
    owner: int
    all_tables: bool
    operations: frozenset[str]
    via_root: bool


@dataclass(frozen=True)
class SeenTable:
    """A captured table as it is now.

    `kind`: `r` for a table, `p` for a partitioned one. `logged`: false for an unlogged one.
    `identity`: whether the server can identify its old rows. `renamed`: it had another name or schema once.
    `places`: where a membership of it can be: `t` and an oid for itself and its partitioned parents, `s` and an oid for
    the schemas of these.
    `since_made`: whether one of its memberships is as old as the table itself.
    `members`: its memberships: the place, a dot and the oid of the catalog's row, which is new when a table is taken
    out and put back; each with a digest of row filter and column list, empty without them. None if not published.
    `under`: the name under which its own changes are published; None if they are not.
    `missing`: of a partitioned table, the partitions whose changes come under no captured name.
    """

    oid: int
    name: Name
    kind: str
    logged: bool
    identity: bool
    renamed: bool
    since_made: bool
    places: frozenset[str]
    members: Mapping[str, str]
    under: Name | None
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Seen:
    """The publication, None if there is none; the captured tables by name; and the present names of tables that were
    captured under another one."""

    publication: SeenPublication | None
    tables: Mapping[Name, SeenTable]
    moved: Mapping[int, Name]


def read_publication(conn: Connection, name: str) -> SeenPublication | None:
    rows = query(conn, """\
SELECT oid::int8, xmin::text, pubowner::int8, puballtables, pubviaroot, pubinsert, pubupdate, pubdelete, pubtruncate
FROM pg_catalog.pg_publication WHERE pubname = %s""", name)
    if not rows:
        return None
    oid, row, owner, all_tables, via_root, *published = rows[0]
    operations = frozenset(op for op, on in zip(OPERATIONS, published, strict=True) if on)
    return SeenPublication(name, oid, row, owner, all_tables, operations, via_root)


def read_names(conn: Connection) -> list[Name]:
    """All tables of the database that a list can name; not the temporary ones."""
    return [(row[0], row[1]) for row in query(conn, """\
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND c.oid >= 16384""")]


def names_digest(conn: Connection) -> str:
    """Changes when a table of the database is made, dropped or renamed."""
    return str(query(conn, """\
SELECT count(*) || '/' || sum(pg_catalog.hashtextextended(c.oid || '.' || c.relnamespace || '.' || c.relname, 0))
FROM pg_catalog.pg_class c
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND c.oid >= 16384""")[0][0])


def newest_oid(conn: Connection) -> int:
    return int(query(conn, "SELECT coalesce(max(oid), 0)::int8 FROM pg_catalog.pg_class")[0][0])


def read_seen(conn: Connection, publication: SeenPublication | None, names: Collection[Name],
              captured: Callable[[Name], bool], kept: Collection[int] = (), newer_than: int | None = None) -> Seen:
    """*publication*, and what it has of *names*, of the tables *kept*, which were captured before, and of those with an
    oid *newer_than* that. *captured* says which of them are captured. Raises SourceError."""
    nodes = _nodes(conn, publication, names, kept, newer_than)
    wanted, before = set(names), set(kept)
    found = {node.name: node for node in nodes.values()
             if node.persistence != "t" and node.kind in ("r", "p") and captured(node.name)
             and (node.name in wanted or node.oid in before or (newer_than is not None and node.oid > newer_than))}
    children: dict[int, list[_Node]] = {}
    for node in nodes.values():
        if node.parent is not None:
            children.setdefault(node.parent, []).append(node)
    tables = {name: _table(node, nodes, children, publication, captured) for name, node in found.items()}
    moved = {oid: nodes[oid].name for oid in before if oid in nodes and nodes[oid].name not in tables}
    return Seen(publication, tables, moved)


@dataclass(frozen=True)
class _Node:
    oid: int
    name: Name
    kind: str
    persistence: str
    parent: int | None
    schema: int
    identity: bool
    renamed: bool
    age: int
    own: str | None
    part: str
    by_schema: str | None
    member_age: int


def _nodes(conn: Connection, publication: SeenPublication | None, names: Collection[Name], oids: Collection[int],
           newer_than: int | None) -> dict[int, _Node]:
    """The relations of *names* and *oids* and newer ones, with what is above and below them as partitions."""
    pairs = sorted(names)
    has_schemas = conn.info.server_version >= 150000
    columns, join = _SCHEMAS if has_schemas else _NO_SCHEMAS
    text = sql.SQL(_NODES).format(schemas=sql.SQL(columns), join=sql.SQL(join))
    rows = query(conn, text, [each[0] for each in pairs], [each[1] for each in pairs], list(oids), newer_than,
                 *[publication.oid if publication is not None else 0] * (2 if has_schemas else 1))
    return {row[0]: _node(row) for row in rows}


def _node(row: tuple[Any, ...]) -> _Node:
    (oid, schema_name, name, kind, persistence, parent, schema, identity, renamed, age, own, own_age, part, by_schema,
     schema_age) = row
    own_member = None if own is None else f"t{oid}.{own}"
    schema_member = None if by_schema is None else f"s{schema}.{by_schema}"
    return _Node(oid, (schema_name, name), kind, persistence, parent, schema, identity, renamed, age, own_member, part,
                 schema_member, max(own_age or 0, schema_age or 0))


# The rows of a table's system columns are as old as the table. One that was renamed, or got another owner or schema,
# has a younger row in pg_type; one that got another owner has a row of that transaction in pg_shdepend, too.
_NODES: Final = """\
WITH RECURSIVE wanted (oid) AS (
    SELECT c.oid FROM ROWS FROM (pg_catalog.unnest(%s::text[]), pg_catalog.unnest(%s::text[])) w (schema, name)
    JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
    UNION SELECT oid FROM pg_catalog.pg_class WHERE oid = ANY(%s::oid[])
    UNION SELECT oid FROM pg_catalog.pg_class WHERE oid > %s::int8::oid AND relkind IN ('r', 'p')
), up (oid) AS (
    SELECT oid FROM wanted UNION
    SELECT p.oid FROM up JOIN pg_catalog.pg_inherits i ON i.inhrelid = up.oid
    JOIN pg_catalog.pg_class p ON p.oid = i.inhparent WHERE p.relkind = 'p'
), down (oid) AS (
    SELECT oid FROM wanted UNION
    SELECT i.inhrelid FROM down JOIN pg_catalog.pg_class p ON p.oid = down.oid AND p.relkind = 'p'
    JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid
)
SELECT c.oid::int8, n.nspname, c.relname, c.relkind::text, c.relpersistence::text,
       CASE WHEN c.relispartition THEN (
           SELECT i.inhparent::int8 FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid LIMIT 1) END,
       c.relnamespace::int8,
       CASE c.relreplident WHEN 'f' THEN true WHEN 'n' THEN false ELSE EXISTS (
           SELECT FROM pg_catalog.pg_index x WHERE x.indrelid = c.oid AND x.indisvalid
           AND CASE c.relreplident WHEN 'i' THEN x.indisreplident ELSE x.indisprimary AND x.indimmediate END) END,
       EXISTS (
           SELECT FROM pg_catalog.pg_type t JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = -1
           WHERE t.oid = c.reltype AND t.xmin <> a.xmin AND NOT EXISTS (
               SELECT FROM pg_catalog.pg_shdepend d
               WHERE d.objid = c.oid AND d.classid = 'pg_catalog.pg_class'::regclass
               AND d.dbid = (SELECT b.oid FROM pg_catalog.pg_database b WHERE b.datname = current_database())
               AND d.objsubid = 0 AND d.deptype = 'o' AND d.xmin = t.xmin)),
       (SELECT pg_catalog.age(a.xmin) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = -1),
       r.oid::int8, pg_catalog.age(r.xmin),
       coalesce(pg_catalog.md5(nullif(concat(pg_catalog.to_jsonb(r) ->> 'prqual', '/',
                                             pg_catalog.to_jsonb(r) ->> 'prattrs'), '/')), ''),
       {schemas}
FROM (SELECT oid FROM up UNION SELECT oid FROM down) each
JOIN pg_catalog.pg_class c ON c.oid = each.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_publication_rel r ON r.prrelid = c.oid AND r.prpubid = %s
{join}"""
_SCHEMAS: Final = ("s.oid::int8, pg_catalog.age(s.xmin)",
                   "LEFT JOIN pg_catalog.pg_publication_namespace s ON s.pnnspid = c.relnamespace AND s.pnpubid = %s")
_NO_SCHEMAS: Final = ("NULL, NULL", "")


def _table(node: _Node, nodes: Mapping[int, _Node], children: Mapping[int, list[_Node]],
           publication: SeenPublication | None, captured: Callable[[Name], bool]) -> SeenTable:
    line = _line(node, nodes)
    members: dict[str, str] = {}
    for each in line:
        members.update({each.own: each.part} if each.own is not None else {})
        members.update({each.by_schema: ""} if each.by_schema is not None else {})
    if publication is not None and publication.all_tables:
        members = {EVERY_TABLE: ""}
    missing = tuple(sorted(
        ".".join(leaf.name) for leaf in _leaves(node, children)
        if (under := _under(_line(leaf, nodes), publication)) is None or not captured(under)))
    places = frozenset({place for each in line for place in (f"t{each.oid}", f"s{each.schema}")} | {EVERY_TABLE})
    return SeenTable(node.oid, node.name, node.kind, node.persistence == "p", node.identity, node.renamed,
                     any(each.member_age >= node.age for each in line), places, members,
                     _under(line, publication) if node.kind == "r" else None, missing)


def _line(node: _Node, nodes: Mapping[int, _Node]) -> list[_Node]:
    """The node, and the partitioned tables above it."""
    line = [node]
    while (parent := line[-1].parent) is not None and parent in nodes:
        line.append(nodes[parent])
    return line


def _leaves(node: _Node, children: Mapping[int, list[_Node]]) -> list[_Node]:
    below = list(children.get(node.oid, ()))
    return [each for each in below if each.kind == "r"] + [
        leaf for each in below if each.kind == "p" for leaf in _leaves(each, children)]


def _under(line: list[_Node], publication: SeenPublication | None) -> Name | None:
    """The name under which changes of the first of *line* are published."""
    if publication is None:
        return None
    published = [each for each in line if publication.all_tables or each.own is not None or each.by_schema is not None]
    if not published:
        return None
    return published[-1].name if publication.via_root else line[0].name
