"""Where the log is read from: whether a server can go on from a stored position, by its recorded answers."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from cdc.core.errors import ConfigError, PositionLostError
from cdc.sources.mysql import resume
from cdc.sources.mysql.binlog.gtid import GtidSet, MariaGtidSet
from cdc.sources.mysql.flavor import MARIADB, MYSQL
from cdc.sources.mysql.options import MySqlConfig, parse_mysql
from cdc.sources.mysql.position import MySqlPosition

A, B, C = (f"{letter * 8}-0000-0000-0000-000000000000" for letter in "abc")
LOGS = (("binlog.000007", 1000), ("binlog.000008", 200))
STORED = MySqlPosition("binlog.000007", 500, server_uuid=A, event=3, row=2, log_created=99, transaction=f"{A}:11")


class Server:
    """A connection whose server gives the answers it is made with, and no other."""

    def __init__(self, logs: Any = LOGS, *, gtids: tuple[str, str] | None = None,
                 domains: tuple[str, str] | None = None, at: dict[tuple[str, int], str | None] | None = None) -> None:
        self.answers: dict[str, Any] = {"SHOW BINARY LOGS": logs}
        if gtids is not None:
            self.answers["SELECT @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged"] = (gtids,)
        if domains is not None:
            self.answers["SELECT @@GLOBAL.gtid_binlog_state, @@GLOBAL.gtid_slave_pos"] = (domains,)
        self.at = at or {}
        self.found: Any = ()

    def cursor(self) -> Server:
        return self

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, text: str, parameters: Any = None) -> None:
        self.found = ((self.at[parameters],),) if "BINLOG_GTID_POS" in text else self.answers[text]

    def fetchall(self) -> Any:
        return self.found


def facts(*, mariadb: bool = False, uuid: str = A, gtids: bool = True) -> Any:
    """What `check` reads of a server's facts."""
    return SimpleNamespace(flavor=MARIADB if mariadb else MYSQL, server_uuid=uuid, has_gtids=gtids)


def config(**options: str) -> MySqlConfig:
    given = {"name": "n", "topic.prefix": "p", "database.hostname": "h", "database.user": "u",
             "database.server.id": "1"} | {key.replace("_", "."): value for key, value in options.items()}
    return parse_mysql(given)[0]


def check(server: Server, stored: MySqlPosition, of: Any = None, **options: str) -> resume.Resumption:
    conn: Any = server
    return resume.check(conn, of or facts(), config(**options), stored)


def with_gtids(text: str, **more: Any) -> MySqlPosition:
    return replace(STORED, gtids=text, **more)


# -- by file and position ----------------------------------------------------------------------------------------------


def test_by_file_the_position_is_asked_for_as_it_is() -> None:
    found = check(Server(), STORED, facts(gtids=False))
    assert found.position == STORED
    assert (found.begin.file, found.begin.position, found.begin.gtids) == ("binlog.000007", 500, None)


def test_a_position_without_gtids_goes_by_file_where_the_server_has_them() -> None:
    assert check(Server(), STORED).begin.gtids is None


def test_a_file_that_is_gone_is_a_lost_position() -> None:
    with pytest.raises(PositionLostError, match=r"binlog\.000006") as caught:
        check(Server(), replace(STORED, file="binlog.000006"), facts(gtids=False))
    assert caught.value.context["oldest"] == "binlog.000007"
    assert "new snapshot" in caught.value.hint


def test_a_server_without_any_log_has_lost_the_position() -> None:
    with pytest.raises(PositionLostError) as caught:
        check(Server(logs=()), STORED, facts(gtids=False))
    assert caught.value.context["oldest"] is None


def test_another_servers_file_of_the_same_name_is_a_lost_position() -> None:
    with pytest.raises(PositionLostError) as caught:
        check(Server(), STORED, facts(uuid=B, gtids=False))
    assert caught.value.context == {"stored_server_uuid": A, "server_uuid": B}
    assert "gtid_mode" in caught.value.hint


@pytest.mark.parametrize("stored", [STORED, with_gtids(f"{A}:1-10")], ids=["by file", "by GTID"])
def test_a_log_older_than_the_stored_one_was_reset(stored: MySqlPosition) -> None:
    with pytest.raises(PositionLostError, match=r"binlog\.000003") as caught:
        check(Server((("binlog.000003", 1),), gtids=(f"{A}:1-10", "")), stored)
    assert "reset" in caught.value.hint


def test_files_are_ordered_by_number_and_not_as_text() -> None:
    logs = (("binlog.999999", 1000), ("binlog.1000000", 1000))
    stored = replace(STORED, file="binlog.999999")
    assert check(Server(logs), stored, facts(gtids=False)).position == stored


# -- what was delivered in part ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("uuid", [None, B])
def test_of_another_servers_transaction_all_is_delivered_again(uuid: str | None) -> None:
    stored = with_gtids(f"{A}:1-10", server_uuid=uuid, file="binlog.000001")
    found = check(Server(gtids=(f"{A}:1-20", "")), stored)
    assert found.position == replace(stored, event=0, row=0, log_created=0, transaction=None)


def test_of_its_own_transaction_the_rest_is_delivered() -> None:
    found = check(Server(gtids=(f"{A}:1-20", "")), with_gtids(f"{A}:1-10")).position
    assert (found.event, found.row, found.log_created, found.transaction) == (3, 2, 99, f"{A}:11")


def test_an_offset_of_debeziums_that_names_a_file_of_the_server_goes_on() -> None:
    stored = replace(STORED, server_uuid=None, transaction=None, log_created=0)
    found = check(Server(), stored, facts(gtids=False))
    assert (found.position, found.position.event, found.position.row) == (stored, 3, 2)


# -- by GTIDs, MySQL ---------------------------------------------------------------------------------------------------


def gtids_asked(server: Server, text: str, **options: str) -> str:
    found = check(server, with_gtids(text), **options)
    assert isinstance(found.begin.gtids, GtidSet)
    assert found.position.gtids == str(found.begin.gtids)
    return str(found.begin.gtids)


@pytest.mark.parametrize(("ours", "executed", "purged"), [
    (f"{A}:1-10", f"{A}:1-10", ""),
    (f"{A}:1-10", f"{A}:1-20,{B}:1-5", ""),
    (f"{A}:1-10", f"{A}:1-20", f"{A}:1-10"),
    (f"{A}:1-10,{B}:1-5", f"{A}:1-20,{B}:1-9", f"{A}:1-7,{B}:1-5"),
])
def test_what_the_server_still_has_is_asked_for_after_ours(ours: str, executed: str, purged: str) -> None:
    assert gtids_asked(Server(gtids=(executed, purged)), ours) == ours


@pytest.mark.parametrize(("executed", "missing"), [
    (f"{A}:1-9", f"{A}:10"), (f"{B}:1-100", f"{A}:1-10"), ("", f"{A}:1-10")])
def test_a_server_without_what_was_delivered_is_another(executed: str, missing: str) -> None:
    with pytest.raises(PositionLostError) as caught:
        gtids_asked(Server(gtids=(executed, "")), f"{A}:1-10")
    assert caught.value.context["missing"] == missing
    assert "new snapshot" in caught.value.hint


@pytest.mark.parametrize(("purged", "lost"), [
    (f"{A}:1-12", f"{A}:11-12"), (f"{A}:1-10,{B}:1-5", f"{B}:1-5")])
def test_transactions_purged_after_the_position_are_lost(purged: str, lost: str) -> None:
    with pytest.raises(PositionLostError) as caught:
        gtids_asked(Server(gtids=(f"{A}:1-20,{B}:1-9", purged)), f"{A}:1-10")
    assert caught.value.context["purged"] == lost
    assert "binlog_expire_logs_seconds" in caught.value.hint


def test_rows_that_a_later_attempt_of_the_snapshot_read_must_be_in_the_log() -> None:
    begun = with_gtids(f"{A}:1-5", snapshot="INITIAL", read=("binlog.000008", 4, f"{A}:1-7", A))
    read = MySqlPosition.from_offset(begun.offset()).read_at()
    assert read is not None
    check(Server(gtids=(f"{A}:1-7", "")), read)
    with pytest.raises(PositionLostError, match="lacks transactions"):
        check(Server(gtids=(f"{A}:1-6", "")), read)
    assert MySqlPosition.from_offset(replace(begun, read=None).offset()).read_at() is None


def test_a_long_list_is_cut_in_the_message() -> None:
    many = ",".join(f"{number:08x}-0000-0000-0000-000000000000:1" for number in range(100))
    with pytest.raises(PositionLostError) as caught:
        gtids_asked(Server(gtids=("", "")), many)
    assert len(caught.value.context["missing"]) == 300


def test_of_sources_not_followed_the_purged_ones_count_as_ours() -> None:
    server = Server(gtids=(f"{A}:1-20,{B}:1-9", f"{B}:1-5"))
    assert gtids_asked(server, f"{A}:1-10", gtid_source_includes=A) == f"{A}:1-10,{B}:1-5"
    assert gtids_asked(server, f"{A}:1-10", gtid_source_excludes=f"{B},{C}") == f"{A}:1-10,{B}:1-5"


def test_of_sources_not_followed_what_the_server_never_had_is_not_named_to_it() -> None:
    server = Server(gtids=(f"{A}:1-20", ""))
    assert gtids_asked(server, f"{A}:1-10,{C}:1-5", gtid_source_includes=A) == f"{A}:1-10"


def test_recovery_may_ignore_gtids_on_the_same_server_only() -> None:
    server = Server(gtids=(f"{A}:1-20", ""))
    stored = with_gtids(f"{A}:1-10")
    assert check(server, stored, gtid_ignore_on_recovery="true").begin.gtids is None
    assert check(server, stored, facts(uuid=B), gtid_ignore_on_recovery="true").begin.gtids is not None


def test_gtids_are_of_no_use_to_a_server_that_has_none() -> None:
    assert check(Server(), with_gtids(f"{A}:1-10"), facts(gtids=False)).begin.gtids is None


# -- by GTIDs, MariaDB -------------------------------------------------------------------------------------------------


def test_domains_are_asked_for_after_ours() -> None:
    found = check(Server(domains=("0-1-100,0-2-120,5-1-7", "")), with_gtids("0-1-90,5-1-7"), facts(mariadb=True))
    assert isinstance(found.begin.gtids, MariaGtidSet)
    assert (str(found.begin.gtids), found.position.gtids) == ("0-1-90,5-1-7", "0-1-90,5-1-7")


def test_what_came_by_replication_is_known_too() -> None:
    assert check(Server(domains=("", "0-1-100")), with_gtids("0-1-90"), facts(mariadb=True)).begin.gtids


def test_a_domain_the_server_does_not_know_is_a_lost_position() -> None:
    with pytest.raises(PositionLostError) as caught:
        check(Server(domains=("0-1-100", "")), with_gtids("0-1-90,7-1-5"), facts(mariadb=True))
    assert caught.value.context["missing"] == "7-1-5"


def test_a_domain_behind_ours_is_a_lost_position_unless_it_is_not_followed() -> None:
    server = Server(domains=("0-1-100,5-1-3", ""))
    with pytest.raises(PositionLostError) as caught:
        check(server, with_gtids("0-1-90,5-1-7"), facts(mariadb=True))
    assert caught.value.context["missing"] == "5-1-7"
    assert check(server, with_gtids("0-1-90,5-1-7"), facts(mariadb=True), gtid_source_excludes="5-.*").begin.gtids


def test_a_place_by_file_learns_its_gtids_from_mariadb() -> None:
    server = Server(at={("binlog.000007", 500): "0-1-90"})
    found = check(server, STORED, facts(mariadb=True))
    assert (found.position.gtids, found.begin.gtids) == ("0-1-90", None)
    unknown = check(Server(at={("binlog.000007", 500): None}), STORED, facts(mariadb=True))
    assert unknown.position.gtids is None


# -- after a snapshot, and filters -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gtids", "has_gtids", "wanted"), [
    (f"{A}:1-10", True, f"{A}:1-10"), (None, True, None), ("", True, None), (f"{A}:1-10", False, None)])
def test_a_snapshots_position_is_gone_on_from_by_its_gtids_if_they_are_in_use(gtids: str | None, has_gtids: bool,
                                                                              wanted: str | None) -> None:
    found = resume.first(facts(gtids=has_gtids), replace(STORED, gtids=gtids), ())
    assert found.begin.gtids is None if wanted is None else str(found.begin.gtids) == wanted
    assert (found.begin.file, found.begin.position, found.position.gtids) == ("binlog.000007", 500, gtids)


@pytest.mark.parametrize(("options", "follows"), [
    ({}, {A, B, C}), ({"gtid_source_includes": A}, {A}), ({"gtid_source_excludes": A}, {B, C}),
    ({"gtid_source_includes": "a.*,b.*"}, {A, B}), ({"gtid_source_includes": "a"}, set())])
def test_a_source_is_followed_by_its_whole_name(options: dict[str, str], follows: set[str]) -> None:
    wanted = resume.source_filter(config(**options))
    assert {source for source in (A, B, C) if wanted(source)} == follows


def test_a_filter_that_is_no_regular_expression_is_refused() -> None:
    with pytest.raises(ConfigError):
        resume.source_filter(config(gtid_source_includes="("))
