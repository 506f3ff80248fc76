"""What each server error means to us."""

from __future__ import annotations

import psycopg
import pytest

from cdc.config.secrets import HIDDEN
from cdc.core.errors import PositionLostError, SourceBusyError, SourceConnectionError, SourceError, SourceRefusedError
from cdc.sources.postgres.checks import check_slot
from cdc.sources.postgres.errors import map_error
from cdc.sources.postgres.lsn import Lsn
from cdc.sources.postgres.slots import Slot


@pytest.mark.parametrize(("state", "kind"), [
    ("08006", SourceConnectionError), ("57P01", SourceConnectionError), ("57P02", SourceConnectionError),
    ("57P03", SourceConnectionError), ("53300", SourceConnectionError), ("55006", SourceBusyError),
    ("40001", SourceConnectionError), ("57014", SourceConnectionError),
    ("53400", SourceRefusedError), ("42501", SourceRefusedError), ("42704", SourceRefusedError),
    ("28P01", SourceRefusedError), ("3D000", SourceRefusedError), ("55000", SourceRefusedError),
    ("XX000", SourceRefusedError), ("58P01", PositionLostError),
])
def test_sqlstate_decides(state: str, kind: type[SourceError]) -> None:
    mapped = map_error(psycopg.errors.lookup(state)("something happened"))
    assert type(mapped) is kind
    assert mapped.context["sqlstate"] == state


def test_unknown_sqlstate_is_refused() -> None:
    class Odd(psycopg.DatabaseError):
        sqlstate = "ZZ999"

    assert isinstance(map_error(Odd("odd")), SourceRefusedError)


@pytest.mark.parametrize(("text", "kind"), [
    ("ERROR:  requested WAL segment 00000001000000000000000A has already been removed", PositionLostError),
    ('ERROR:  can no longer get changes from replication slot "s"\nDETAIL:  invalidated', PositionLostError),
    ('ERROR:  can no longer access replication slot "s"', PositionLostError),
    ('ERROR:  unrecognized pgoutput option: x', SourceRefusedError),
    ('ERROR:  replication slot "s" is active for PID 12', SourceBusyError),
    ("FATAL:  terminating connection due to administrator command", SourceConnectionError),
    ("server closed the connection unexpectedly", SourceConnectionError),
    ("connection failed: FATAL:  the database system is starting up", SourceConnectionError),
    ("connection failed: FATAL:  sorry, too many clients already", SourceConnectionError),
    ('connection failed: FATAL:  password authentication failed for user "u"', SourceRefusedError),
    ('connection failed: FATAL:  no pg_hba.conf entry for host "h"', SourceRefusedError),
    ("connection failed: FATAL:  permission denied to start WAL sender", SourceRefusedError),
    ("connection failed: server does not support SSL, but SSL was required", SourceRefusedError),
    ("connection failed: SSL error: certificate verify failed", SourceRefusedError),
    ("connection failed: SSL SYSCALL error: EOF detected", SourceConnectionError),
    ("the connection is closed", SourceConnectionError),
])
def test_without_sqlstate_the_text_has_to_do(text: str, kind: type[SourceError]) -> None:
    mapped = map_error(psycopg.OperationalError(text))
    assert type(mapped) is kind
    assert "\n" not in mapped.message


def slot(**more: object) -> Slot:
    facts = {"name": "s", "plugin": "pgoutput", "kind": "logical", "database": "d", "temporary": False,
             "active_pid": None, "restart_lsn": Lsn(1), "confirmed_flush_lsn": Lsn(2), "catalog_xmin": 1,
             "wal_status": "reserved", "two_phase": False, "failover": False, "lost": None}
    return Slot(**{**facts, **more})  # type: ignore[arg-type]


def test_usable_slot_passes() -> None:
    check_slot(slot(), "d")


@pytest.mark.parametrize(("facts", "kind"), [
    ({"plugin": "wal2json"}, SourceRefusedError), ({"database": "e"}, SourceRefusedError),
    ({"kind": "physical", "plugin": None}, SourceRefusedError),
    ({"lost": "idle_timeout"}, PositionLostError), ({"lost": "wal_removed", "active_pid": 7}, PositionLostError),
    ({"active_pid": 7}, SourceConnectionError), ({"confirmed_flush_lsn": None}, SourceConnectionError),
])
def test_unusable_slot_says_why(facts: dict[str, object], kind: type[SourceError]) -> None:
    with pytest.raises(kind):
        check_slot(slot(**facts), "d")


@pytest.mark.parametrize(("kind", "text", "said"), [
    (psycopg.errors.InvalidTextRepresentation, 'invalid input syntax for type integer: "geh"eim"',
     f"Invalid input syntax for type integer: {HIDDEN}."),
    (psycopg.errors.DatetimeFieldOverflow, 'date/time field value out of range: "geheim"',
     f"Date/time field value out of range: {HIDDEN}."),
    (psycopg.errors.UndefinedTable, 'relation "t" does not exist', 'Relation "t" does not exist.'),
])
def test_values_are_left_out(kind: type[psycopg.Error], text: str, said: str) -> None:
    assert map_error(kind(text)).message == f"PostgreSQL: {said}"
