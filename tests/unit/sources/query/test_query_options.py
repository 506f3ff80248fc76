"""Options of the query source: URLs, modes, lists of tables; and what is said of them at the start (SQLite)."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cdc import permitted, plugins, privacy
from cdc.core.errors import ConfigError, DecodeError, PositionLostError, SourceConnectionError, SourceRefusedError
from cdc.core.schema import DECIMAL, Schema
from cdc.sources.query import mysql, url
from cdc.sources.query.columns import ColumnInfo, Mapping, mapped, reader, schema_of
from cdc.sources.query.marks import Mark, QueryPosition, marks_of
from cdc.sources.query.options import parse_query
from cdc.sources.query.source import QuerySource
from cdc.sources.query.sqlite import column_of
from cdc.sources.query.zones import local_of, moment_of, readable_until, stored_moment_of, zone_of
from tests.unit.sources.query.polling import World

NAME = "io.confluent.connect.jdbc.JdbcSourceConnector"
BASE = {"name": "q", "connection.url": "jdbc:postgresql://h/d", "mode": "bulk", "topic.prefix": "p-"}


def test_names_that_configurations_have() -> None:
    for name in ("query", "jdbc", "JdbcSource", "JdbcSourceConnector"):
        assert plugins.find("connector", name) is plugins.find("connector", NAME)


@pytest.mark.parametrize(("text", "made"), [
    ("jdbc:postgresql://h:1/d?sslmode=require", ("postgresql", "h", 1, "d", {"sslmode": "require"})),
    ("jdbc:postgresql:d", ("postgresql", "localhost", 5432, "d", {})),
    ("jdbc:postgresql://[::1]/d", ("postgresql", "::1", 5432, "d", {})),
    ("jdbc:mysql://h/a%20b?useSSL=false&x=a%26b", ("mysql", "h", 3306, "a b", {"usessl": "false", "x": "a&b"})),
    ("jdbc:mariadb://h", ("mariadb", "h", 3306, "", {})), ("jdbc:sqlite:test.db", ("sqlite", "", 0, "test.db", {})),
])
def test_a_url_is_taken_apart(text: str, made: Any) -> None:
    assert tuple(url.parse(text)) == made


@pytest.mark.parametrize("text", [
    "jdbc:oracle:thin:@h:1521:x", "postgresql://h/d", "jdbc:mysql://u:secret@h/d", "jdbc:postgresql://a,b/d",
    "jdbc:postgresql://h:99999/d", "jdbc:sqlite:", "jdbc:sqlite::memory:",
])
def test_a_url_that_is_not_understood_is_an_error_without_its_text(text: str) -> None:
    with pytest.raises(ConfigError, match=r"connection\.url: cannot be read") as caught:
        parse_query({**BASE, "connection.url": text})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("keys", "says"), [
    ({"mode": "timestamp"}, "timestamp.column.name: is required"), ({"mode": "nope"}, "allowed: bulk"),
    ({"mode": "incrementing", "query": "SELECT 1"}, "incrementing.column.name: is required"),
    ({"table.whitelist": "a", "table.blacklist": "b"}, "cannot be combined"),
    ({"table.exclude.list": "a"}, "needs table.include.list"),
    ({"query": "SELECT 1", "table.whitelist": "a"}, "combined"),
    ({"query": "SELECT 1", "topic.prefix": ""}, "it is the topic"), ({"table.include.list": "("}, "table.include.list"),
    ({"mode": "timestamp", "timestamp.column.name": "t", "query.suffix": "LIMIT 5"}, "equal|same timestamp"),
    ({"connection.url": "jdbc:mysql://h/d?sslMode=verify_idntity"}, "sslMode is none"),
    ({"db.timezone": "Mars/Base"}, "no time zone"),
    ({"dialect.name": "MySqlDatabaseDialect"}, "PostgreSqlDatabaseDialect"),
    ({"jdbc.credentials.provider.class": "a.B"}, "do not run here|unknown key"), ({"topic.prefix": "a b"}, "letters"),
    ({"mode": "timestamp", "timestamp.columns.mapping": "a"}, r"regex:\[column"),
])
def test_a_configuration_that_cannot_work_says_why(keys: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_query({**BASE, **keys}, strict=True)


def test_a_login_in_the_url_is_used_and_never_shown() -> None:
    config, _ = parse_query({**BASE, "connection.url": "jdbc:mysql://h/d?user=u&password=s3cret"})
    assert (config.connection_user, config.connection_password) == ("u", "s3cret")
    assert "s3cret" not in repr(config)
    given = {**BASE, "connection.url": "jdbc:mysql://h/d?password=s3cret", "query": "SELECT 's3cret'"}
    assert "s3cret" not in str(privacy.public_config(given, plugins.find("connector", NAME)))


@pytest.mark.parametrize(("text", "count"), [
    ("jdbc:postgresql://h/d", 0), ("jdbc:sqlite:/srv/x.db", 0), ("jdbc:sqlite:/etc/x.db", 1),
    ("jdbc:sqlite:/srv/../etc/x.db", 1), ("jdbc:mysql://h/d?sslCa=/etc/x.pem", 1), ("jdbc:sqlite:", 1),
    ("jdbc:sqlite:file:/srv/x.db", 0), ("jdbc:sqlite:file:/srv/%2e%2e/etc/x.db", 1),
])
def test_a_client_may_name_files_of_allowed_folders_only(text: str, count: int) -> None:
    assert len(permitted.problems({"connection.url": text}, (Path("/srv"),))) == count


@pytest.mark.parametrize(("mode", "precision", "scale", "kind"), [
    ("none", 5, 0, "decimal"), ("precision_only", 5, 0, "int32"), ("precision_only", 5, 1, "decimal"),
    ("best_fit", 2, 0, "int8"), ("best_fit", 4, 0, "int16"), ("best_fit", 18, 0, "int64"),
    ("best_fit", 19, 0, "decimal"),
    ("best_fit", 18, 2, "float64"), ("best_fit", 19, 2, "decimal"), ("best_fit_eager_double", 30, 2, "float64"),
])
def test_numeric_mapping(mode: str, precision: int, scale: int, kind: str) -> None:
    column = ColumnInfo("n", "decimal", precision=precision, scale=scale, numeric=True)
    assert mapped(column, Mapping(mode, "connect_logical", zone_of("UTC"))).kind == kind


@pytest.mark.parametrize(("granularity", "schema", "value"), [
    ("connect_logical", Schema("INT64", name="org.apache.kafka.connect.data.Timestamp", version=1), 1_714_550_400_123),
    ("micros_long", Schema("INT64"), 1_714_550_400_123_456), ("micros_string", Schema("STRING"), "1714550400123456"),
    ("nanos_long", Schema("INT64"), 1_714_550_400_123_456_000),
    ("nanos_string", Schema("STRING"), "1714550400123456000"),
    ("micros_iso_datetime_string", Schema("STRING"), "2024-05-01T10:00:00.123456"),
    ("nanos_iso_datetime_string", Schema("STRING"), "2024-05-01T10:00:00.123456000"),
])
def test_timestamp_granularity(granularity: str, schema: Schema, value: Any) -> None:
    mapping = Mapping("none", granularity, zone_of("Europe/Berlin"))
    column = ColumnInfo("ts", "timestamp", optional=False)
    assert schema_of(column, mapping) == schema
    assert reader(column, mapping)("2024-05-01 10:00:00.123456") == value


def test_a_value_that_is_not_of_its_type_is_an_error_that_does_not_show_it() -> None:
    mapping = Mapping("none", "connect_logical", zone_of("UTC"))
    for kind, raw in (("int8", "200"), ("int64", "secret"), ("timestamp", "secret"), ("decimal", "1.234"),
                      ("bytes", "secret"), ("float64", 2**53 + 1), ("time", "24:00:00"), ("boolean", "secret")):
        with pytest.raises(DecodeError, match="Column x") as caught:
            reader(ColumnInfo("x", kind, scale=2), mapping)(raw)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("declared", "kind"), [
    ("INTEGER", "int64"), ("varchar(9)", "string"), ("DECIMAL(9,2)", "decimal"), ("numeric", "float64"),
    ("BLOB", "bytes"),
    ("DATETIME", "timestamp"), ("boolean", "boolean"), ("", "string"), ("unsigned big int", "int64"),
    ("DOUBLE", "float64"),
])
def test_types_of_sqlite(declared: str, kind: str) -> None:
    assert column_of("c", declared, False, False).kind == kind
    if kind == "decimal":
        found = schema_of(column_of("c", declared, True, False), Mapping("none", "connect_logical", zone_of("UTC")))
        assert (found.name, found.parameter("scale"), found.optional) == (DECIMAL, "2", False)


@pytest.mark.parametrize(("text", "checks", "names"), [
    ("useSSL=true", False, False), ("sslMode=REQUIRED", False, False), ("sslMode=trust", False, False),
    ("useSSL=true&verifyServerCertificate=true", True, False), ("sslMode=verify-full", True, True),
    ("sslMode=VERIFY_CA&useSSL=true", True, False),
])
def test_tls_of_mysql_checks_what_the_url_says(text: str, checks: bool, names: bool) -> None:
    context = mysql._tls(url.parse(f"jdbc:mysql://h/d?{text}").properties)["ssl"]
    assert (context.verify_mode is ssl.CERT_REQUIRED, context.check_hostname) == (checks, names)


@pytest.mark.parametrize(("text", "mode"), [
    ("ssl=true", "verify-full"), ("ssl=true&sslmode=require", "require"), ("ssl=false", None), ("", None)])
def test_ssl_of_postgres_is_that_of_its_jdbc_driver(text: str, mode: str | None,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def connect(**keys: Any) -> Any:
        given.update(keys)
        raise psycopg.OperationalError("no server")

    monkeypatch.setattr(psycopg, "connect", connect)
    config, notes = parse_query({**BASE, "connection.url": f"jdbc:postgresql://h/d?{text}"})
    with pytest.raises(SourceConnectionError):
        QuerySource(config).start(None)
    assert (given.get("sslmode"), notes) == (mode, ())


def test_local_times_of_a_zone_and_back() -> None:
    berlin, second = zone_of("Europe/Berlin"), 1_000_000
    spring, autumn = 1_711_846_800 * second, 1_729_990_800 * second  # 01:00 UTC on 2024-03-31 and 2024-10-27
    for moment in (spring - 1, spring, spring + 3600 * second, autumn + 3600 * second, autumn - 3601 * second):
        assert moment_of(local_of(moment, berlin), berlin) == moment
    twice = local_of(autumn, berlin)
    assert twice == local_of(autumn - 3600 * second, berlin)
    assert moment_of(twice, berlin) == autumn
    never = local_of(spring - 1, berlin) + 1800 * second
    assert local_of(stored_moment_of(never, berlin), berlin) <= never
    assert readable_until(autumn - 3600 * second - 1, berlin)[1] is False
    assert readable_until(autumn, berlin) == (twice, True)
    assert readable_until(autumn + 3600 * second, berlin)[1] is False
    assert zone_of("+05:30").utcoffset(None) == zone_of("UTC+5:30").utcoffset(None)


def test_offsets_are_confluents_for_a_query_and_those_of_all_tables_else() -> None:
    position = QueryPosition({"": Mark(5, 1_714_557_600_123_456)})
    assert position.offset() == {"incrementing": 5, "timestamp": 1_714_557_600_123, "timestamp_nanos": 123_456_000}
    both = {"s.t": Mark(5, None), "s.u|v": Mark(None, -1), "": Mark(None, 1000)}
    assert marks_of(QueryPosition(both).offset()) == both
    assert marks_of({"timestamp": 1500}) == {"": Mark(None, 1_500_000)}
    for wrong in ({"lsn": 5}, {"incrementing": "5"}, {"timestamp": 1 << 64}):
        with pytest.raises(PositionLostError, match="none of this connector"):
            marks_of(wrong)


def test_a_stop_between_two_statements_lets_no_other_begin(tmp_path: Path) -> None:
    world = World(tmp_path, "CREATE TABLE t (id INT)", "INSERT INTO t VALUES (1)")
    source = world.begin(mode="bulk")
    source._database.cancel()
    with pytest.raises(SourceConnectionError, match="stopped"):
        world.batch()


def test_a_null_in_the_incrementing_column_is_an_error_or_not_seen(tmp_path: Path) -> None:
    world = World(tmp_path, "CREATE TABLE t (id INT)", "INSERT INTO t VALUES (NULL), (-3), (4)")
    keys = {"mode": "incrementing", "incrementing.column.name": "id"}
    world.begin(**keys, **{"validate.non.null": "false"})
    assert world.rows() == [(-3,), (4,)]
    world.committed = None
    world.begin(**keys, query="SELECT * FROM t")
    with pytest.raises(DecodeError, match="is null in a row"):
        world.rows()


def test_tables_come_and_go_and_odd_names_are_quoted(tmp_path: Path) -> None:
    world = World(tmp_path, 'CREATE TABLE "a ""b" ("order" INTEGER PRIMARY KEY, v TEXT)', "CREATE TABLE other (x)")
    world.write('INSERT INTO "a ""b" VALUES (1, ?)', ("x",))
    source = world.begin(mode="incrementing", **{"table.include.list": "a .*,new"})
    assert world.rows() == [(1, "x")]
    world.write("CREATE TABLE new (id INTEGER PRIMARY KEY)")
    world.write("INSERT INTO new VALUES (7)")
    world.write('DROP TABLE "a ""b"')
    source._next_look = 0.0
    assert world.rows() == []
    assert world.rows() == [(7,)]
    assert list(source._readers) == ["new"]
    assert [each.kind for each in source.warnings.active()] == ["rows_not_seen"]


def test_a_table_that_changes_gets_another_schema(tmp_path: Path) -> None:
    world = World(tmp_path, "CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    world.begin(mode="incrementing")
    first = world.batch()
    world.write("ALTER TABLE t ADD COLUMN v INT")
    world.write("INSERT INTO t VALUES (2, 5)")
    second = world.batch()
    assert first is not None
    assert second is not None
    schemas = [[field.name for field in batch.records[0].value_schema.fields] for batch in (first, second)]  # type: ignore[union-attr]
    assert schemas == [["id"], ["id", "v"]]


def test_the_start_at_this_moment_is_kept_before_the_first_row(tmp_path: Path) -> None:
    world = World(tmp_path, "CREATE TABLE t (id INT, ts DATETIME NOT NULL)", "INSERT INTO t VALUES (1, '2024-01-01')")
    world.begin(mode="timestamp", **{"timestamp.column.name": "ts", "timestamp.initial": "-1"})
    batch = world.batch()
    assert batch is not None
    assert list(batch.records) == []
    world.commit(batch)
    world.write("INSERT INTO t VALUES (2, '2024-05-01 10:00:01')")
    world.now_us += 60_000_000
    world.begin()
    assert [row[0] for row in world.rows()] == [2]


@pytest.mark.parametrize(("keys", "error", "says"), [
    ({"mode": "timestamp", "timestamp.column.name": "nope"}, ConfigError, "no column nope; it has id, ts"),
    ({"mode": "timestamp", "timestamp.column.name": "ts"}, ConfigError, "ts can be null"),
    ({"mode": "incrementing"}, ConfigError, "no column that the database counts up"),
    ({"mode": "incrementing", "incrementing.column.name": "ts"}, ConfigError, "no whole numbers"),
    ({"mode": "bulk", "query": "SELECT nope FROM t"}, SourceRefusedError, "SQLite says"),
    ({"mode": "timestamp", "timestamp.column.name": "ts", "validate.non.null": "false"}, SourceRefusedError, "no time"),
])
def test_what_cannot_be_read_is_an_error(tmp_path: Path, keys: dict[str, str], error: type[Exception],
                                         says: str) -> None:
    world = World(tmp_path, "CREATE TABLE t (id INT, ts DATETIME)", "INSERT INTO t VALUES (1, 'soon')")

    def run() -> None:
        world.begin(**keys)
        world.rows()

    with pytest.raises(error, match=says):
        run()


@pytest.mark.parametrize(("declared", "literal", "value"), [
    ("BLOB", "5", "no bytes"), ("BLOB", "'a'", b"a"), ("DECIMAL(10,5)", "0.00001", b"\x01"),
    ("DATETIME", "'0000-00-00'", "Column c: a value is no timestamp"), ("DATETIME", "'infinity'", "no timestamp"),
    ("DATETIME", "1e300", "too far from 1970"), ("DATE", "'x'", "Column c: a value is no date"),
    ("TIME", "36000000", "Column c: a value is no time of day"),
])
def test_a_value_of_sqlite_that_its_column_does_not_declare_is_never_made_up(
        tmp_path: Path, declared: str, literal: str, value: str | bytes) -> None:
    world = World(tmp_path, f"CREATE TABLE t (c {declared})", f"INSERT INTO t VALUES ({literal})")
    world.begin(mode="bulk")
    if isinstance(value, bytes):
        assert world.rows() == [(value,)]
        return
    with pytest.raises(DecodeError, match=value):
        world.rows()
