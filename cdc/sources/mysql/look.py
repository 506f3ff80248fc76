"""A look at a server before the connector runs there: one connection, no lock, and nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from cdc.core.errors import CdcError, SourceRefusedError
from cdc.core.preview import Look, Preview, TableNames, TablePreview
from cdc.core.table import TableId
from cdc.debezium.filters import Filters
from cdc.debezium.naming import TopicNaming
from cdc.sources.shared.look import other_topics, raised
from cdc.sources.shared.selection import SnapshotSelection

from . import catalog, checks, connection, grants, server
from .builtin import is_builtin
from .connection import Connection
from .options import MySqlConfig
from .source_block import SourceBlock
from .tables import TableBuilder


def look(config: MySqlConfig) -> Preview:
    """What the connector would find. Raises SourceError if it cannot connect or may not read the catalog."""
    filters, naming = Filters.from_config(config, is_builtin), TopicNaming.from_config(config)
    block = SourceBlock(naming, config.flavor.name)
    builder = TableBuilder(config, naming, filters, config.column_mappers, block.source_schema)
    conn = connection.connect(config)
    try:
        facts = server.read_facts(conn)
        found = catalog.read_catalog(conn, facts, filters.table, counted=True)
        if facts.row_image != "FULL":
            builder.relax()
        captured = list(found.creates)
        problems = list(_problems(conn, facts, config, captured))
        previews = list(_previews(builder, found, captured, problems))
        problems += raised(lambda: builder.columns.topics.claim_all((id, None) for id in captured))
    finally:
        connection.close(conn)
    return Preview(f"{facts.flavor.product} {facts.version}", tuple(problems), tuple(_notes(facts)), tuple(previews),
                   tuple(other_topics(config, naming)))


def tables(config: MySqlConfig) -> TableNames:
    """The base tables of all databases that the user sees. Raises SourceError."""
    filters = Filters.from_config(config, is_builtin)
    conn = connection.connect(config)
    try:
        found = catalog.list_tables(conn, lambda id: not is_builtin(id))
        captured = tuple(filter(filters.table, found))
        rows = catalog.row_estimates(conn, captured)
    finally:
        connection.close(conn)
    return TableNames(captured, tuple(id for id in found if not filters.table(id)), rows,
                      tuple(SnapshotSelection.from_config(config).tables(captured, rows)))


def reader(config: MySqlConfig) -> str | None:
    """Who reads the log with the connector's server id. Only clients that registered are listed, as ours and Debezium's
    do. MySQL Reference Manual, "SHOW REPLICAS Statement"; MariaDB docs, "SHOW REPLICA HOSTS". Raises SourceError."""
    conn = connection.connect(config)
    try:
        found = connection.query(conn, config.flavor.show_replicas)
    except SourceRefusedError:  # the user may not ask
        return None
    finally:
        connection.close(conn)
    if not any(int(row[0]) == config.database_server_id for row in found):
        return None
    return f"a client reads the binary log with database.server.id {config.database_server_id}"


def _problems(conn: Connection, facts: server.MySqlFacts, config: MySqlConfig,
              captured: Sequence[TableId]) -> Iterator[CdcError]:
    yield from checks.server_problems(conn, facts, config, snapshot=True)
    if not captured:
        yield from raised(lambda: grants.check_sees_tables(conn, facts))
    yield from raised(lambda: grants.check_select(conn, facts, captured))


def _previews(builder: TableBuilder, found: catalog.Catalog, captured: Sequence[TableId],
            problems: list[CdcError]) -> Iterator[TablePreview]:
    for id in captured:
        structure = found.table(id)
        assert structure is not None
        try:
            schema = builder.build(structure)
        except CdcError as exc:
            problems.append(exc)
        else:
            rows = found.row_estimates.get(id, -1)
            yield TablePreview(schema, rows if rows >= 0 else None)


def _notes(facts: server.MySqlFacts) -> Iterator[str]:
    if facts.row_image != "FULL":
        yield f"binlog_row_image is {facts.row_image}: updates and deletes would lack values of columns. FULL has all."
    if not facts.has_gtids:
        yield "gtid_mode is not ON: after a failover to another server, the connector would need a new snapshot."
    if facts.expire_s is not None and 0 < facts.expire_s < 86_400:
        yield (f"The server keeps binary logs for {facts.expire_s / 3600:.1f} h: after a longer stop, the connector "
               "would need a new snapshot. binlog_expire_logs_seconds sets it.")


LOOK: Final = Look(look, tables, reader)
