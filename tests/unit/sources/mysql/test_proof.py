"""What a server's log must show before the stream goes on; `test_histories.py` has whole histories of it."""

from __future__ import annotations

from typing import Any

import pymysql
import pytest

from cdc.core.errors import PositionLostError, SourceConnectionError
from cdc.sources.mysql import proof
from cdc.sources.mysql.binlog.gtid import GtidSet, MariaGtidSet
from cdc.sources.mysql.errors import map_error
from cdc.sources.mysql.witness import Seen, Witness, checksum
from tests.unit.sources.mysql.model_server import Clock, ModelServer

FLAVORS = pytest.mark.parametrize("mariadb", [False, True], ids=["mysql", "mariadb"])


def make(*, mariadb: bool) -> tuple[ModelServer, Clock]:
    clock = Clock()
    return ModelServer(clock, 1, mariadb=mariadb), clock


def found(server: ModelServer) -> Witness | None:
    conn: Any = server
    return proof.find(conn, server, server.facts.flavor.parse_gtids(server.gtid_text))


def prove(server: ModelServer, claim: proof.Claim) -> tuple[Seen, ...]:
    conn: Any = server
    return proof.prove(claim, server, conn, mariadb=server.mariadb)


@FLAVORS
def test_of_each_source_the_last_transaction_is_found(mariadb: bool) -> None:
    server, clock = make(mariadb=mariadb)
    other = ModelServer(clock, 3, mariadb=mariadb, domain=1)
    other.commit([1])
    server.replicate(other)
    server.commit([2])
    server.commit([])
    server.flush()
    server.flush()
    witness = found(server)
    assert witness is not None
    assert {each.gtid for each in witness.seen} == (
        {"0-1-2", "1-3-1"} if mariadb else {f"{server.uuid}:2", f"{other.uuid}:1"})
    assert prove(server, proof.Claim(seen=witness.seen)) == ()


@FLAVORS
def test_a_gtid_given_again_is_refused_with_what_was_expected_and_found(mariadb: bool) -> None:
    server, clock = make(mariadb=mariadb)
    server.commit([1])
    witness = found(server)
    assert witness is not None
    server.reset()
    clock.now_s += 1
    server.commit([2])
    with pytest.raises(PositionLostError, match="given the GTID") as caught:
        prove(server, proof.Claim(seen=witness.seen))
    assert caught.value.context["expected"] == f"{witness.seen[0].time_us} us"
    assert caught.value.context["found"] != caught.value.context["expected"]
    assert "new snapshot" in caught.value.hint


def test_a_transaction_that_the_log_passes_over_is_refused() -> None:
    server, _ = make(mariadb=True)
    server.commit([1])
    server.commit([2])
    with pytest.raises(PositionLostError, match="does not have") as caught:
        prove(server, proof.Claim(seen=(Seen("0-2-2", 0),)))
    assert caught.value.context["expected"] == "0-2-2"


def test_a_copy_that_begins_right_behind_a_transaction_need_not_have_logged_it() -> None:
    """It was made from a backup, with gtid_slave_pos set to the backup's place."""
    server, _ = make(mariadb=True)
    server.commit([1])
    seen = (Seen("0-9-7", 5_000_000), Seen("3-9-2", 5_000_000))
    server.replicated = "0-9-7,3-9-2"
    assert prove(server, proof.Claim(seen=seen)) == seen
    server.replicated = "0-9-7,3-9-3"
    with pytest.raises(PositionLostError, match="does not have") as caught:
        prove(server, proof.Claim(seen=seen))
    assert caught.value.context["expected"] == "3-9-2"


@FLAVORS
def test_an_event_at_its_place_proves_the_log_and_another_one_does_not(mariadb: bool) -> None:
    server, clock = make(mariadb=mariadb)
    server.commit([1])
    file, end = server.end
    last = server.files[-1].events[-1]
    witness = Witness(file, end - len(last), checksum(last))
    head = (file, server.files[-1].created)
    server.flush()
    prove(server, proof.Claim(head, witness))
    server.reset()
    server.commit([1])
    with pytest.raises(PositionLostError, match="not in the server's log"):
        prove(server, proof.Claim(head, witness))  # in the same second, but the transaction has another number
    clock.now_s += 1
    server.reset()
    with pytest.raises(PositionLostError, match="not in the server's log") as caught:
        prove(server, proof.Claim(head, witness))
    assert caught.value.context["found"] == "no event there"
    with pytest.raises(PositionLostError, match="another one has its name"):
        prove(server, proof.Claim(head))


@FLAVORS
def test_what_was_purged_is_a_doubt_and_no_error(mariadb: bool) -> None:
    server, _ = make(mariadb=mariadb)
    server.commit([1])
    witness = found(server)
    assert witness is not None
    server.flush()
    server.purge(1)
    assert prove(server, proof.Claim(seen=witness.seen)) == witness.seen
    assert found(server) is None


def test_a_server_that_cannot_read_its_log_now_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server, _ = make(mariadb=False)
    server.commit([1])
    file, end = server.end
    claim = proof.Claim((file, server.files[-1].created), Witness(file, end - 31, 1))

    def fail(_: object) -> Any:
        raise map_error(pymysql.OperationalError(1236, "I/O error reading log event"))
        yield

    monkeypatch.setattr(server, "read_from", fail)
    with pytest.raises(SourceConnectionError):
        prove(server, claim)
    with pytest.raises(SourceConnectionError):
        prove(server, proof.Claim(claim.head))


def test_nothing_is_found_where_the_server_refuses() -> None:
    server, _ = make(mariadb=True)
    server.commit([1])
    conn: Any = server
    assert proof.find(conn, server, MariaGtidSet.parse("7-9-5")) is None


def test_the_last_ones_of_a_set() -> None:
    uuid = "aaaaaaaa-0000-0000-0000-000000000000"
    assert GtidSet.parse(f"{uuid}:1-3:7-9:tag:4").last_of_each() == [f"{uuid}:9", f"{uuid}:tag:4"]
    assert MariaGtidSet.parse("5-1-7,0-2-3").last_of_each() == ["0-2-3", "5-1-7"]
