"""Every failure of the server's or the driver's becomes one of our errors, with what to do."""

from __future__ import annotations

import ssl

import pymysql
import pytest

from cdc.config.secrets import HIDDEN
from cdc.core.errors import PositionLostError, SourceConnectionError, SourceError, SourceRefusedError
from cdc.sources.mysql.errors import map_error
from cdc.sources.mysql.grants import global_privileges
from cdc.sources.mysql.server import version_id


def dump_error(text: str) -> SourceError:
    return map_error(pymysql.err.OperationalError(1236, text))


@pytest.mark.parametrize("text", [
    "Could not find first log file name in binary log index file",
    "Cannot replicate because the source purged required binary logs. Replicate the missing transactions from",
    "Cannot replicate because the master purged required binary logs.",
    "Slave has more GTIDs than the master has, using the master's SERVER_UUID. This may indicate that the end of the"
    " binary log was truncated",
    "Client requested source to start replication from position > file size",
    "Client requested master to start replication from impossible position; the first event 'x' at 4",
    "Error: connecting slave requested to start from GTID 0-1-5, which is not in the master's binlog",
    "Error: connecting slave requested to start from GTID 0-1-5, which is not in the master's binlog. Since the"
    " master's binlog contains GTIDs with higher sequence numbers, it probably means that the slave has diverged",
])
def test_a_position_the_server_cannot_serve_is_lost(text: str) -> None:
    error = dump_error(text)
    assert isinstance(error, PositionLostError)
    assert "snapshot" in error.hint
    assert not error.retriable


@pytest.mark.parametrize(("text", "hint"), [
    ("A slave with the same server_uuid/server_id as this slave has connected to the master; the first event 'b.1'",
     "database.server.id"),
    ("A replica with the same server_uuid/server_id as this replica has connected to the source; the first event",
     "database.server.id"),
    ("log event entry exceeded max_allowed_packet; Increase max_allowed_packet on source", "max_allowed_packet"),
    ("Binary log is not open", "log_bin"), ("Misconfigured master - server_id was not set", "server_id"),
    ("something new", "error log"),
])
def test_a_dump_the_server_refuses_says_what_to_do(text: str, hint: str) -> None:
    error = dump_error(text)
    assert isinstance(error, SourceRefusedError)
    assert hint in error.hint


@pytest.mark.parametrize("code", [1789, 1945, 1955])
def test_purged_gtids_are_a_lost_position(code: int) -> None:
    assert isinstance(map_error(pymysql.err.InternalError(code, "x")), PositionLostError)


@pytest.mark.parametrize("code", [2003, 2006, 2013, 1040, 1053, 1205, 1213, 1317, 1927, 1969, 3024, 3032, 3169, 4031])
def test_what_may_pass_is_tried_again(code: int) -> None:
    error = map_error(pymysql.err.OperationalError(code, "x"))
    assert isinstance(error, SourceConnectionError)
    assert error.retriable


@pytest.mark.parametrize("error", [ConnectionResetError(), TimeoutError(), EOFError(),
                                   pymysql.err.InterfaceError(0, ""), pymysql.err.OperationalError(2006, "")])
def test_a_lost_connection_is_told_as_such(error: Exception) -> None:
    assert isinstance(map_error(error), SourceConnectionError)
    assert "lost" in map_error(error).message


@pytest.mark.parametrize(("code", "hint"), [
    (1045, "database.password"), (1142, "GRANT SELECT"), (1227, "privilege"), (3118, "UNLOCK"), (2026, "TLS"),
    (2059, "caching_sha2_password"), (1146, ""),
])
def test_what_stays_as_it_is_needs_a_person(code: int, hint: str) -> None:
    error = map_error(pymysql.err.ProgrammingError(code, "said so"))
    assert isinstance(error, SourceRefusedError)
    assert hint in error.hint
    assert error.context["errno"] == code
    assert "said so." in error.message


def test_a_certificate_that_is_not_accepted_needs_a_person() -> None:
    error = pymysql.err.OperationalError(2003, "Can't connect")
    below = ssl.SSLCertVerificationError()
    below.verify_message = "self-signed certificate"
    error.original_exception = below  # type: ignore[attr-defined]
    assert isinstance(map_error(error), SourceRefusedError)
    assert "self-signed certificate." in map_error(error).message


@pytest.mark.parametrize(("text", "number"), [
    ("9.7.4", 90704), ("8.0.36-28.1", 80036), ("10.11.19-MariaDB-0+deb12u1-log", 101119),
    ("5.5.5-10.6.3-MariaDB", 100603), ("8.4.0-azure", 80400), ("unknown", 0),
])
def test_versions_are_counted_as_in_versioned_comments(text: str, number: int) -> None:
    assert version_id(text) == number


def test_global_privileges_are_read_from_all_grants() -> None:
    lines = ["GRANT SELECT, REPLICATION SLAVE ON *.* TO `u`@`%`", "GRANT BINLOG MONITOR ON *.* TO `r`",
             "GRANT INSERT ON `d`.* TO `u`@`%`", "GRANT `r`@`%` TO `u`@`%`"]
    assert global_privileges(lines) == {"SELECT", "REPLICATION SLAVE", "BINLOG MONITOR"}
    assert global_privileges(["GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION"]) == {"ALL PRIVILEGES"}


@pytest.mark.parametrize(("code", "text", "said"), [
    (1062, "Duplicate entry 'geh'eim@h' for key 't.PRIMARY'", f"Duplicate entry {HIDDEN} for key 't.PRIMARY'."),
    (1366, "Incorrect integer value: 'geheim' for column 'a' at row 1",
     f"Incorrect integer value: {HIDDEN} for column 'a' at row 1."),
    (1292, "Truncated incorrect DOUBLE value: 'geheim'", f"Truncated incorrect DOUBLE value: {HIDDEN}."),
    (1064, "You have an error in your SQL syntax; use near 'x = 'geheim'' at line 1",
     f"You have an error in your SQL syntax; use near {HIDDEN} at line 1."),
    (1146, "Table 'shop.t' doesn't exist", "Table 'shop.t' doesn't exist."),
])
def test_values_are_left_out(code: int, text: str, said: str) -> None:
    assert map_error(pymysql.MySQLError(code, text)).message == f"The server says: {said}"
