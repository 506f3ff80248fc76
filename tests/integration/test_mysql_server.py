"""Whatever stands in the way of streaming is told with what to do about it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc.core.errors import PositionLostError, SourceConnectionError, SourceError, SourceRefusedError
from cdc.core.table import TableId
from cdc.sources.mysql import checks, connection, grants, server
from cdc.sources.mysql.binlog.gtid import GtidSet, MariaGtidSet
from cdc.sources.mysql.flavor import flavor_of
from cdc.sources.mysql.options import MySqlConfig, parse_mariadb, parse_mysql
from cdc.sources.mysql.transport import BinlogReader, DumpFrom
from tests.servers.mysql import BinlogServer
from tests.servers.process import free_port

USER, PASSWORD = "cdc_server_test", "p'ass\"word"
ALL = ("SELECT, RELOAD, REPLICATION SLAVE, REPLICATION CLIENT ON *.*",)


@pytest.fixture(params=["mysql", "mariadb"], name="binlog")
def binlog_fixture(request: pytest.FixtureRequest) -> Iterator[BinlogServer]:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, BinlogServer)
    found.create_user(USER, PASSWORD, ALL)
    yield found
    found.drop_user(USER)


def config(binlog: BinlogServer, **more: str) -> MySqlConfig:
    parse = parse_mysql if binlog.flavor == "mysql" else parse_mariadb
    return parse({
        "name": "c", "topic.prefix": "srv", "database.hostname": binlog.host, "database.port": str(binlog.port),
        "database.user": USER, "database.password": PASSWORD, "database.server.id": "4712",
        **{key.replace("__", "."): text for key, text in more.items()},
    })[0]


def checked(binlog: BinlogServer, *, snapshot: bool = False, **more: str) -> server.MySqlFacts:
    settings = config(binlog, **more)
    conn = connection.connect(settings)
    try:
        facts = server.read_facts(conn)
        checks.check_server(conn, facts, settings, snapshot=snapshot)
        return facts
    finally:
        connection.close(conn)


def test_a_server_as_it_should_be_is_fine(binlog: BinlogServer) -> None:
    facts = checked(binlog, snapshot=True, snapshot__locking__mode="extended")
    assert (facts.flavor.name, facts.user) == (binlog.flavor, f"'{USER}'@'%'")
    assert facts.version_id == server.version_id(binlog.version) > 0
    assert (facts.log_bin, facts.binlog_format, facts.row_image, facts.row_metadata) == (True, "ROW", "FULL", "FULL")
    assert facts.server_uuid
    assert facts.has_gtids


def test_initial_statements_are_run_and_must_be_sound(binlog: BinlogServer) -> None:
    conn = connection.connect(config(binlog, database__initial__statements="SET @a = 'x;;y'; SET @b = 2"))
    assert connection.query(conn, "SELECT @a, @b, @@SESSION.time_zone") == (("x;y", 2, "+00:00"),)
    connection.close(conn)
    with pytest.raises(SourceRefusedError, match="nonsense"):
        connection.connect(config(binlog, database__initial__statements="SELECT nonsense"))


def test_long_statements_are_ended(binlog: BinlogServer) -> None:
    conn = connection.connect(config(binlog, database__query__timeout__ms="200"))
    with pytest.raises(SourceConnectionError, match=r"errno=(3024|1969|1317)"):
        connection.query(conn, "SELECT COUNT(*) FROM information_schema.COLUMNS a, information_schema.COLUMNS b,"
                           " information_schema.COLUMNS c")
    connection.close(conn)


def test_a_wrong_password_needs_a_person(binlog: BinlogServer) -> None:
    with pytest.raises(SourceRefusedError, match=r"database\.password") as caught:
        connection.connect(config(binlog, database__password="wrong-secret"))
    assert "wrong-secret" not in str(caught.value)


def test_a_server_that_is_away_may_come_back(binlog: BinlogServer) -> None:
    for place in ({"database__port": str(free_port())}, {"database__hostname": "name.invalid"}):
        with pytest.raises(SourceConnectionError, match=r"database\.hostname"):
            connection.connect(config(binlog, **place))


def test_a_server_that_is_gone_without_a_word_is_noticed(binlog: BinlogServer) -> None:
    conn = connection.open_connection(connection.connection_arguments(config(binlog)))
    try:
        sock = conn._sock  # type: ignore[attr-defined]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
    finally:
        connection.close(conn)


def test_a_missing_certificate_is_told(binlog: BinlogServer, tmp_path: Path) -> None:
    mode = "verify_ca" if binlog.flavor == "mysql" else "verify-ca"
    with pytest.raises(SourceRefusedError, match=r"ssl\.truststore"):
        connection.connect(config(binlog, database__ssl__mode=mode,
                                  database__ssl__truststore=str(tmp_path / "none.pem")))


def test_tls_is_checked_as_far_as_the_mode_says(mysql: BinlogServer) -> None:
    mysql.create_user(USER, PASSWORD, ALL)
    authority = str(mysql.data / "ca.pem")
    for mode in ("disabled", "preferred", "required", "verify_ca"):
        conn = connection.connect(config(mysql, database__ssl__mode=mode, database__ssl__truststore=authority))
        (_, cipher), = connection.query(conn, "SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        assert bool(cipher) is (mode != "disabled")
        connection.close(conn)
    with pytest.raises(SourceRefusedError, match="certificate is not accepted"):
        connection.connect(config(mysql, database__ssl__mode="verify_identity", database__ssl__truststore=authority))
    with pytest.raises(SourceRefusedError, match="certificate is not accepted"):
        connection.connect(config(mysql, database__ssl__mode="verify_ca"))
    mysql.drop_user(USER)


@pytest.mark.parametrize(("grants", "snapshot", "missing"), [
    ((), False, "REPLICATION SLAVE, REPLICATION CLIENT"), (("REPLICATION SLAVE ON *.*",), False, "REPLICATION CLIENT"),
    (("REPLICATION CLIENT ON *.*",), False, "REPLICATION SLAVE"),
    (("REPLICATION SLAVE, REPLICATION CLIENT ON *.*",), True, "RELOAD"),
])
def test_a_missing_grant_is_named(binlog: BinlogServer, grants: tuple[str, ...], snapshot: bool, missing: str) -> None:
    binlog.create_user(USER, PASSWORD, grants)
    with pytest.raises(SourceRefusedError) as caught:
        checked(binlog, snapshot=snapshot, snapshot__locking__mode="extended")
    assert caught.value.hint == f"Run GRANT {missing} ON *.* TO '{USER}'@'%';"
    binlog.execute(caught.value.hint.removeprefix("Run "))
    checked(binlog, snapshot=snapshot, snapshot__locking__mode="extended")


def test_grants_by_way_of_a_role_count(binlog: BinlogServer) -> None:
    binlog.create_user(USER, PASSWORD)
    binlog.execute("DROP ROLE IF EXISTS reader")
    binlog.execute("CREATE ROLE reader")
    binlog.execute(f"GRANT {ALL[0]} TO reader")
    binlog.execute(f"GRANT reader TO '{USER}'@'%'")
    binlog.execute(f"SET DEFAULT ROLE reader {'TO' if binlog.flavor == 'mysql' else 'FOR'} '{USER}'@'%'")
    checked(binlog, snapshot=True, snapshot__locking__mode="extended")
    binlog.execute("DROP ROLE reader")


def test_tables_that_may_not_be_read_are_named(binlog: BinlogServer) -> None:
    name = binlog.create_database("grants_test")
    binlog.execute("CREATE TABLE open_ (a int)", name)
    binlog.execute("CREATE TABLE closed (a int)", name)
    binlog.create_user(USER, PASSWORD, (f"SELECT ON {name}.open_",))
    conn = connection.connect(config(binlog))
    facts = server.read_facts(conn)
    grants.check_select(conn, facts, [TableId(name, "", "open_")])
    with pytest.raises(SourceRefusedError, match=r"may not read grants_test\.closed\.") as caught:
        grants.check_select(conn, facts, [TableId(name, "", "open_"), TableId(name, "", "closed")])
    assert caught.value.hint == f"Run GRANT SELECT ON `{name}`.* TO '{USER}'@'%';"
    connection.close(conn)
    binlog.drop_database(name)


def test_a_wrong_log_format_is_told(binlog: BinlogServer) -> None:
    binlog.set(binlog_format="MIXED")
    try:
        with pytest.raises(SourceRefusedError, match="binlog_format is MIXED"):
            checked(binlog)
    finally:
        binlog.set(binlog_format="ROW")


def test_the_servers_own_number_is_a_clash(binlog: BinlogServer) -> None:
    with pytest.raises(SourceRefusedError, match=r"database\.server\.id"):
        checked(binlog, database__server__id=str(binlog.execute("SELECT @@server_id")[0][0]))


def test_the_other_kind_of_server_names_its_connector(binlog: BinlogServer) -> None:
    settings = config(binlog)
    other = (parse_mariadb if binlog.flavor == "mysql" else parse_mysql)({
        "name": "c", "topic.prefix": "srv", "database.hostname": "x", "database.user": "x", "database.server.id": "1",
    })[0]
    conn = connection.connect(settings)
    with pytest.raises(SourceRefusedError, match=r"connector\.class to io\.debezium\.connector\.(mysql|mariadb)\."):
        checks.check_server(conn, server.read_facts(conn), other)
    connection.close(conn)


# -- positions -------------------------------------------------------------------------------------------------------


def dump_error(binlog: BinlogServer, begin: DumpFrom) -> SourceError:
    """What becomes of asking for the log from there."""
    reader = BinlogReader(connection.connect(config(binlog), query_timeout=False), begin, server_id=4713,
                          flavor=flavor_of(binlog.flavor), queue_bytes=1 << 20)
    try:
        with pytest.raises(SourceError) as caught:
            drain(reader)
    finally:
        reader.stop()
    return caught.value


def take_until_it_fails(reader: BinlogReader) -> None:
    while True:
        reader.take(5, 1 << 20)


def drain(reader: BinlogReader) -> None:
    """Start and read for as long as it takes to fail."""
    reader.start()
    take_until_it_fails(reader)


def test_a_file_that_is_gone_is_a_lost_position(binlog: BinlogServer) -> None:
    error = dump_error(binlog, DumpFrom("binlog.000000"))
    assert isinstance(error, PositionLostError), error
    assert "snapshot" in error.hint


def test_a_position_behind_the_end_is_a_lost_position(binlog: BinlogServer) -> None:
    file, _ = binlog.binlog_end()
    error = dump_error(binlog, DumpFrom(file, 2_000_000_000))
    assert isinstance(error, PositionLostError), error


def test_another_servers_history_is_a_lost_position(binlog: BinlogServer) -> None:
    gtids: GtidSet | MariaGtidSet
    if binlog.flavor == "mysql":
        gtids = GtidSet.parse(f"{binlog.execute('SELECT @@server_uuid')[0][0]}:1-999999999")
    else:
        gtids = MariaGtidSet.parse("0-1-999999999")
    error = dump_error(binlog, DumpFrom(gtids=gtids))
    assert isinstance(error, PositionLostError), error


def test_two_clients_of_one_number_are_told_apart(binlog: BinlogServer) -> None:
    file, end = binlog.binlog_end()

    def reader() -> BinlogReader:
        return BinlogReader(connection.connect(config(binlog), query_timeout=False), DumpFrom(file, end),
                            server_id=4714, flavor=flavor_of(binlog.flavor), queue_bytes=1 << 20)

    first, second = reader(), reader()
    first.start()
    second.start()
    try:
        with pytest.raises(SourceError) as caught:
            take_until_it_fails(first)
    finally:
        first.stop()
        second.stop()
    assert isinstance(caught.value, SourceConnectionError | SourceRefusedError), caught.value
