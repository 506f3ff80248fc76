"""The options of the query source. Documented by Confluent, "JDBC Source Connector Configuration Properties"; keys,
types and defaults are those of kafka-connect-jdbc 10.8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import tzinfo
from typing import Any, Final

from cdc.config.checks import at_least
from cdc.config.framework import FRAMEWORK_OPTIONS
from cdc.config.options import Option, option, settings
from cdc.config.table import OptionTable, Parsed
from cdc.core.late_regex import late_regex
from cdc.sources.shared.conversions import regexes
from cdc.sources.shared.polled import PolledConfig, PolledOptions

from . import url as jdbc
from .columns import GRANULARITIES
from .database import ISOLATIONS
from .zones import zone_of

MODES: Final = ("bulk", "incrementing", "timestamp", "timestamp+incrementing")
_NUMERIC: Final = ("none", "precision_only", "best_fit", "best_fit_eager_double")
_COLUMNS_OF: Final = late_regex(r"(.+):\[?([^\[\]:]+)\]?")
_TOPIC: Final = late_regex(r"[A-Za-z0-9._-]{0,249}")
_BOUNDED: Final = "rows are read as they are sent"


def _mapping(key: str) -> Any:
    """A conversion of `regex:[column|column],…` to pairs of a regex and column names."""
    def convert(text: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        found = []
        for item in filter(None, (part.strip() for part in text.split(","))):
            match = _COLUMNS_OF.fullmatch(item)
            if match is None:
                raise ValueError(f"{item} is not regex:[column|column]")
            regexes(key)(match[1])
            found.append((match[1], tuple(name.strip() for name in match[2].split("|"))))
        return tuple(found)

    return convert


def _zone(text: str) -> tzinfo:
    return zone_of(text or "UTC")


def _prefix(value: str | None) -> str | None:
    return None if value is None or _TOPIC.fullmatch(value) else (
        "allowed are letters, digits, dots, underscores and hyphens, 249 at most")


@settings
class QueryConfig(PolledConfig):
    """The settings of the query source. Repr leaves out passwords and SQL. `url` is `connection.url` taken apart."""

    connection_url: str = option(
        "connection.url", importance="HIGH", required=True, group="Database", private=True,
        doc="JDBC URL: jdbc:postgresql://HOST:PORT/DATABASE, jdbc:mysql://…, jdbc:mariadb://… or jdbc:sqlite:FILE.",
    )
    connection_user: str | None = option("connection.user", default=None, importance="HIGH", group="Database",
                                         doc="Login.")
    connection_password: str | None = option("connection.password", "PASSWORD", default=None, importance="HIGH",
                                             group="Database", doc="Password of the login.")
    dialect_name: str | None = option(
        "dialect.name", default=None, importance="LOW", group="Database",
        one_of=tuple(dict.fromkeys(jdbc.DIALECTS.values())), doc="Confluent's name of the database; the URL says it.",
    )
    table_whitelist: tuple[str, ...] = option("table.whitelist", "LIST", default=None, group="Database",
                                              doc="Names of the tables to read, with or without schema.")
    table_blacklist: tuple[str, ...] = option("table.blacklist", "LIST", default=None, group="Database",
                                              doc="Names of the tables to leave out.")
    table_include_list: tuple[str, ...] = option(
        "table.include.list", "LIST", default=None, group="Database", convert=regexes("table.include.list"),
        doc="Regexes of the full names of the tables to read.",
    )
    table_exclude_list: tuple[str, ...] = option(
        "table.exclude.list", "LIST", default=None, group="Database", convert=regexes("table.exclude.list"),
        doc="Regexes of tables to leave out of those of table.include.list.",
    )
    catalog_pattern: str | None = option(
        "catalog.pattern", default=None, group="Database",
        doc="Pattern (LIKE) of the databases to read from; by default that of the URL, or all.")
    schema_pattern: str | None = option("schema.pattern", default=None, importance="HIGH", group="Database",
                                        doc="Pattern (LIKE) of the schemas to read from; by default all.")
    table_types: tuple[str, ...] = option(
        "table.types", "LIST", default="TABLE", importance="LOW", group="Connector",
        doc="Kinds of tables: TABLE, VIEW; on PostgreSQL also PARTITIONED TABLE, MATERIALIZED VIEW, FOREIGN TABLE.")
    numeric_mapping: str | None = option(
        "numeric.mapping", default=None, importance="LOW", one_of=_NUMERIC, group="Database",
        doc="How NUMERIC columns become integers or doubles; none keeps all as Decimal.")
    numeric_precision_mapping: bool = option(
        "numeric.precision.mapping", "BOOLEAN", default="false", importance="LOW", group="Database",
        doc="An earlier form: true is numeric.mapping=precision_only.")
    mode: str = option("mode", importance="HIGH", required=True, one_of=MODES, group="Mode",
                       doc="How new rows are found: bulk reads all rows each time; the others by their columns.")
    incrementing_column_name: str | None = option(
        "incrementing.column.name", default=None, group="Mode",
        doc="Column whose values only grow; by default the one that the database counts up.")
    timestamp_column_name: tuple[str, ...] = option(
        "timestamp.column.name", "LIST", default=None, group="Mode",
        doc="Columns with the time of the last change; the first one that is not null counts.")
    incrementing_column_mapping: tuple[tuple[str, tuple[str, ...]], ...] = option(
        "incrementing.column.mapping", "LIST", default=None, group="Mode",
        convert=_mapping("incrementing.column.mapping"), doc="The same by table: regex:column,…")
    timestamp_columns_mapping: tuple[tuple[str, tuple[str, ...]], ...] = option(
        "timestamp.columns.mapping", "LIST", default=None, group="Mode",
        convert=_mapping("timestamp.columns.mapping"), doc="The same by table: regex:[column|column],…")
    timestamp_initial: int | None = option(
        "timestamp.initial", "LONG", default=None, importance="LOW", check=at_least(-1), group="Mode",
        doc="Where a first start begins, in milliseconds since 1970; -1 is now. By default all rows are read.")
    timestamp_delay_interval_ms: int = option(
        "timestamp.delay.interval.ms", "LONG", default="0", importance="HIGH", check=at_least(0), group="Connector",
        doc="How old a row's timestamp must be. Set it to more than the longest transaction takes: a row that is "
        "committed later than this after its timestamp can be skipped.")
    timestamp_granularity: str = option(
        "timestamp.granularity", default="connect_logical", importance="LOW", one_of=GRANULARITIES, group="Connector",
        doc="How timestamps are represented.")
    validate_non_null: bool = option(
        "validate.non.null", "BOOLEAN", default="true", importance="LOW", group="Mode",
        doc="Refuse tables whose incrementing or timestamp columns can be null: such rows are never seen.")
    query: str | None = option(
        "query", default=None, group="Mode", private=True,
        doc="A SELECT instead of tables. Except in mode bulk it must be possible to append WHERE and ORDER BY.")
    query_masked: str | None = option("query.masked", "PASSWORD", default=None, group="Mode", doc="The same as query.")
    query_suffix: str | None = option("query.suffix", default=None, importance="LOW", group="Mode", private=True,
                                      doc="SQL that is appended to each SELECT.")
    quote_sql_identifiers: str = option("quote.sql.identifiers", default="always", one_of=("always", "never"),
                                        group="Mode", doc="Whether names of tables and columns are quoted.")
    transaction_isolation_mode: str = option(
        "transaction.isolation.mode", default="DEFAULT", importance="LOW", one_of=tuple(ISOLATIONS), group="Mode",
        doc="Isolation of the SELECTs.")
    poll_interval_ms: int = option("poll.interval.ms", "INT", default="5000", importance="HIGH", check=at_least(1),
                                   group="Connector", doc="Time between two SELECTs of a table.")
    batch_max_rows: int = option("batch.max.rows", "INT", default="1000", importance="LOW", check=at_least(1),
                                 group="Connector", doc="Highest number of rows in a batch.")
    db_fetch_size: int = option("db.fetch.size", "INT", default="100", check=at_least(1), group="Connector",
                                doc="Rows that are fetched at a time.")
    table_poll_interval_ms: int = option(
        "table.poll.interval.ms", "LONG", default="60000", importance="LOW", check=at_least(1), group="Connector",
        doc="Time between two looks for new and removed tables.")
    topic_prefix: str = option("topic.prefix", default="", importance="HIGH", check=_prefix, group="Connector",
                               doc="What precedes a table's name in its topic; with a query, the whole topic.")
    db_timezone: tzinfo = option(
        "db.timezone", default="UTC", convert=_zone, group="Connector",
        doc="Time zone of the values in columns without zone.")
    url: Any = field(default=None, repr=False)

    @property
    def sql(self) -> str:
        """The query without a semicolon at its end; empty for tables."""
        return (self.query or self.query_masked or "").strip().rstrip(";").rstrip()

    @property
    def numeric(self) -> str:
        return self.numeric_mapping or ("precision_only" if self.numeric_precision_mapping else "none")


def _inert(key: str, why: str, doc: str, **more: Any) -> Option:
    return Option(key=key, importance="LOW", effect="inert", why=why, doc=doc, group="Connector", **more)


OPTIONS: Final = OptionTable.of(
    QueryConfig,
    _inert("connection.attempts", "errors.max.retries is the limit", "Attempts to connect.", type="INT", default="3"),
    _inert("connection.backoff.ms", "the pauses grow from half a second", "Pause between them.", type="LONG",
           default="10000"),
    _inert("query.retry.attempts", "errors.max.retries is the limit", "Attempts of a SELECT.", type="INT",
           default="-1"),
    _inert("max.buffer.size", _BOUNDED, "Rows that are buffered.", type="INT", default="0"),
    _inert("poll.linger.ms", _BOUNDED, "Longest wait for a row.", type="LONG", default="5000"),
    _inert("table.monitoring.startup.polling.limit.ms", "the tables are known before anything is read",
           "Longest wait for the list of tables.", type="LONG", default="10000"),
    _inert("date.calendar.system", "dates before 1582 are those of the Gregorian calendar", "Calendar of dates.",
           default="LEGACY"),
    others=FRAMEWORK_OPTIONS)


def _check(parsed: Parsed, config: Mapping[str, str]) -> None:
    values = parsed.values
    values["url"] = None
    if values["connection_url"]:
        _check_url(parsed)
    _check_lists(parsed)
    if not parsed.problems:
        _check_mode(parsed)
    if "jdbc.credentials.provider.class" in parsed.given:
        parsed.problem("jdbc.credentials.provider.class", "classes in Java do not run here.",
                       "Use connection.user and connection.password; a config provider can fetch them.")
    if "tasks.max" in parsed.given and config["tasks.max"].strip() not in ("", "1"):
        parsed.note("tasks.max", "one task reads all tables.")


def _check_url(parsed: Parsed) -> None:
    values = parsed.values
    try:
        url = jdbc.parse(values["connection_url"].strip())
    except ValueError as exc:
        parsed.problem("connection.url", f"cannot be read: {exc}.")
        return
    values["url"], values["database_hostname"] = url, url.host or "/"
    wanted = jdbc.DIALECTS[url.scheme]
    if values["dialect_name"] not in (None, wanted):
        parsed.problem("dialect.name", f"the URL's database is {wanted}.", "Remove the key.")
    of_server = (*jdbc.OF_POSTGRES, "currentschema", "ssl") if url.scheme == "postgresql" else jdbc.OF_MYSQL
    tls = url.properties.get("sslmode", "").lower().replace("_", "-")
    if url.scheme != "postgresql" and tls not in jdbc.MYSQL_MODES:
        parsed.problem("connection.url", "its sslMode is none that the driver has.",
                       f"Known: {', '.join(jdbc.MYSQL_MODES[1:])}.")
    known = {"user", "password", *of_server}
    for name in url.properties:
        if name not in known:
            parsed.note("connection.url", f"its property {name} has no effect here.", "inert")
    for name in ("user", "password"):
        if name in url.properties and not values[f"connection_{name}"]:
            values[f"connection_{name}"] = url.properties[name]


def _check_lists(parsed: Parsed) -> None:
    given = parsed.given
    named = [key for key in ("table.whitelist", "table.blacklist", "table.include.list") if key in given]
    if len(named) > 1:
        parsed.problem(named[1], f"cannot be combined with {named[0]}.", "Keep one of the two.")
    if "table.exclude.list" in given and "table.include.list" not in given:
        parsed.problem("table.exclude.list", "needs table.include.list.", "Set table.include.list=.* for all tables.")
    queries = [key for key in ("query", "query.masked") if key in given]
    if len(queries) > 1:
        parsed.problem("query.masked", "cannot be combined with query.", "Keep one of the two.")
    tables = [key for key in (*named, "table.exclude.list") if key in given]
    if queries and tables:
        parsed.problem(tables[0], f"cannot be combined with {queries[0]}.", "Keep one of the two.")
    if queries and "topic.prefix" not in given:
        parsed.problem("topic.prefix", f"is required with {queries[0]}: it is the topic.")


def _check_mode(parsed: Parsed) -> None:
    values, given = parsed.values, parsed.given
    mode = values["mode"]
    is_query = bool(values["query"] or values["query_masked"])
    by_time, counts = mode.startswith("timestamp"), mode.endswith("incrementing")
    if by_time and not values["timestamp_column_name"] and not values["timestamp_columns_mapping"]:
        parsed.problem("timestamp.column.name", f"is required with mode={mode}.")
    if counts and is_query and not values["incrementing_column_name"]:
        parsed.problem("incrementing.column.name", f"is required with mode={mode} and a query.")
    for key, other in (("timestamp.columns.mapping", "timestamp.column.name"),
                       ("incrementing.column.mapping", "incrementing.column.name")):
        if key in given and (other in given or is_query):
            parsed.problem(key, f"cannot be combined with {other if other in given else 'a query'}.")
    if by_time and re.search(r"\b(limit|fetch)\b", values["query_suffix"] or "", re.IGNORECASE):
        parsed.problem("query.suffix", "a limit could hide rows that have the same timestamp.",
                       "Remove it: rows are read in parts anyway (batch.max.rows).")
    unused = [key for key, used in (
        ("incrementing.column.name", counts), ("timestamp.column.name", by_time), ("timestamp.initial", by_time),
        ("timestamp.delay.interval.ms", by_time), ("incrementing.column.mapping", counts),
        ("timestamp.columns.mapping", by_time)) if key in given and not used]
    for key in unused:
        parsed.note(key, f"is not used with mode={mode}.")


_READER: Final = PolledOptions(settings=QueryConfig, table=OPTIONS, check=_check)
read_query, parse_query = _READER.read, _READER.parse


def columns_for(mappings: Sequence[tuple[str, tuple[str, ...]]], matches: Any) -> tuple[str, ...] | None:
    """The columns of the one mapping whose regex *matches*; None unless exactly one does."""
    found = [columns for regex, columns in mappings if matches(regex)]
    return found[0] if len(found) == 1 else None
