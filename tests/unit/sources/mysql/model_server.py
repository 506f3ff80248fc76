"""A MySQL or MariaDB in memory: binary log files, GTIDs, replicas, crashes, copies that are put back; and its dumps.

It gives GTIDs and file names again as the real ones do: sql/binlog.cc `reset_logs`, `find_first_log_not_in_gtid_set`;
MariaDB sql/sql_repl.cc `check_slave_start_position`, `gtid_find_binlog_file`, `send_event_to_slave`.
"""

from __future__ import annotations

import copy
import itertools
import zlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from cdc.core.errors import PositionLostError
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.binlog.gtid import GtidSet, MariaGtidSet
from cdc.sources.mysql.flavor import MARIADB, MYSQL
from cdc.sources.mysql.transport import DumpFrom
from tests.unit.sources.mysql import binlog_files

NO_GTID = GtidSet()


class Clock:
    """Seconds; every commit has a microsecond of its own."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000
        self._ticks = itertools.count(1)

    def tick_us(self) -> int:
        return self.now_s * 1_000_000 + next(self._ticks)


@dataclass(frozen=True)
class Transaction:
    """One as every server logs it. *rows*: its numbers, one event each; a statement without any."""

    server_id: int
    uuid: str
    domain: int
    number: int
    """0 without GTIDs."""
    rows: tuple[int, ...]
    time_us: int

    def gtid(self, *, mariadb: bool) -> str:
        return f"{self.domain}-{self.server_id}-{self.number}" if mariadb else f"{self.uuid}:{self.number}"


@dataclass
class File:
    name: str
    created: int
    before: tuple[Transaction, ...]
    """What the files before it had."""
    groups: list[tuple[Transaction, list[bytes]]] = field(default_factory=list)
    head: list[bytes] = field(default_factory=list)
    tail: list[bytes] = field(default_factory=list)

    @property
    def events(self) -> list[bytes]:
        return [*self.head, *(event for _, events in self.groups for event in events), *self.tail]

    @property
    def size(self) -> int:
        return 4 + sum(map(len, self.events))


class ModelServer:
    """`executed`: all transactions that count as carried out, in order; `rows`: what is in its table."""

    def __init__(self, clock: Clock, number: int, *, mariadb: bool, gtids: bool = True, domain: int = 0) -> None:
        self._clock = clock
        self.mariadb = mariadb
        self.gtids = gtids or mariadb
        self.server_id = number
        self.domain = domain
        self.uuid = f"{number:08x}-0000-0000-0000-000000000000"
        self.executed: list[Transaction] = []
        self.rows: list[int] = []
        self.files: list[File] = []
        self.replicated = ""
        """gtid_slave_pos."""
        self._xid = 1
        self._open()

    @property
    def facts(self) -> Any:
        return SimpleNamespace(flavor=MARIADB if self.mariadb else MYSQL, server_uuid=self.uuid, has_gtids=self.gtids)

    # -- what may happen to it -----------------------------------------------------------------------------------

    def commit(self, rows: Sequence[int]) -> None:
        number = 0
        if self.mariadb:
            number = max((each.number for each in self.executed if each.domain == self.domain), default=0) + 1
        elif self.gtids:
            number = max((each.number for each in self.executed if each.uuid == self.uuid), default=0) + 1
        self._log(Transaction(self.server_id, self.uuid, self.domain, number, tuple(rows), self._clock.tick_us()))

    def replicate(self, other: ModelServer) -> None:
        """Carry out what *other* has logged and this one lacks, by GTID. MariaDB refuses where this one's last
        transaction of a domain is not in the other's log."""
        if self.mariadb and not other.has_all(maria_set(self.executed)):
            return
        for each in [each for file in other.files for each, _ in file.groups]:
            if self.mariadb:
                new = each.number > max((have.number for have in self.executed if have.domain == each.domain),
                                        default=0)
            else:
                new = not any((have.uuid, have.number) == (each.uuid, each.number) for have in self.executed)
            if new:
                self._log(each)

    def flush(self) -> None:
        self._end(const.ROTATE_EVENT, (4).to_bytes(8, "little") + self._name(1).encode())
        self._open()

    def restart(self, *, crash: bool = False) -> None:
        if not crash:
            self._end(const.STOP_EVENT, b"")
        self._xid = 1
        self._open()

    def reset(self) -> None:
        self.executed, self.files = [], []
        self._open()

    def copy(self) -> Any:
        return copy.copy(self.executed), list(self.rows), copy.deepcopy(self.files)

    def put_back(self, saved: Any) -> None:
        executed, rows, files = saved
        self.executed, self.rows, self.files = copy.copy(executed), list(rows), copy.deepcopy(files)
        self.restart(crash=True)

    def lose_tail(self, count: int) -> None:
        """A crash of the machine: of the log and the tables the last *count* transactions were not on the disk."""
        for _ in range(count):
            while not self.files[-1].groups and len(self.files) > 1:
                self.files.pop()
            if not self.files[-1].groups:
                break
            lost, _ = self.files[-1].groups.pop()
            self.files[-1].tail = []
            self.executed.remove(lost)
            self.rows = [row for row in self.rows if row not in lost.rows]
        self.restart(crash=True)

    def purge(self, count: int) -> None:
        del self.files[:min(count, len(self.files) - 1)]

    def has_all(self, known: MariaGtidSet) -> bool:
        """`check_slave_start_position`: of each domain that this one has, it has what the other begins after."""
        return all(any(each.server_id == server and each.number >= number for each in mine)
                   for domain, server, number in (map(int, gtid.split("-")) for gtid in known.last_of_each())
                   if (mine := [each for each in self.executed if each.domain == domain]))

    # -- its log -------------------------------------------------------------------------------------------------

    def _name(self, ahead: int = 0) -> str:
        last = int(self.files[-1].name.rpartition(".")[2]) if self.files else 0
        return f"log{self.server_id}.{last + ahead:06d}"

    def _open(self) -> None:
        made = File(self._name(1), self._clock.now_s, tuple(self.executed))
        description = binlog_files.frames(binlog_files.MARIADB if self.mariadb else binlog_files.MYSQL)[0]
        self.files.append(made)
        made.head.append(_sealed(made.created.to_bytes(4, "little") + description[4:-4]))
        if self.mariadb:
            state = {(each.domain, each.server_id): each.number for each in self.executed}
            body = len(state).to_bytes(4, "little") + b"".join(
                domain.to_bytes(4, "little") + server.to_bytes(4, "little") + number.to_bytes(8, "little")
                for (domain, server), number in state.items())
            made.head.append(self._event(const.GTID_LIST_EVENT, body))
        else:
            made.head.append(self._event(const.PREVIOUS_GTIDS_LOG_EVENT, gtid_set(self.executed).encode()))

    def _end(self, kind: int, body: bytes) -> None:
        self.files[-1].tail = [self._event(kind, body)]

    def _event(self, kind: int, body: bytes, *, time_s: int = 0, server_id: int = 0, after: int = 0) -> bytes:
        size = const.HEADER_LEN + len(body) + const.CHECKSUM_LEN
        end = self.files[-1].size + after + size
        return _sealed((time_s or self._clock.now_s).to_bytes(4, "little") + bytes((kind,))
                       + (server_id or self.server_id).to_bytes(4, "little") + size.to_bytes(4, "little")
                       + end.to_bytes(4, "little") + b"\0\0" + body)

    def _log(self, each: Transaction) -> None:
        time_s = each.time_us // 1_000_000
        parts = [self._gtid_part(each)]
        if each.rows:
            if not self.mariadb:
                parts.append((const.QUERY_EVENT, _query(b"BEGIN")))
            parts.append((const.TABLE_MAP_EVENT, b"\1\0\0\0\0\0\1\0\4shop\0\1t\0\1\3\0\0"))
            parts += [(const.WRITE_ROWS_EVENT_V1, b"\1\0\0\0\0\0\1\0\1\1\0" + row.to_bytes(4, "little"))
                      for row in each.rows]
            parts.append((const.XID_EVENT, self._xid.to_bytes(8, "little")))
        else:
            parts.append((const.QUERY_EVENT, _query(b"CREATE TABLE other (id int PRIMARY KEY)")))
        self._xid += 1
        events: list[bytes] = []
        for kind, body in parts:
            # MariaDB's replicas log a GTID event with the time of the rows before it; the first server, of the commit.
            late = kind == const.GTID_EVENT and each.server_id == self.server_id
            events.append(self._event(kind, body, time_s=time_s + late, server_id=each.server_id,
                                      after=sum(map(len, events))))
        self.files[-1].groups.append((each, events))
        self.executed.append(each)
        self.rows += each.rows

    def _gtid_part(self, each: Transaction) -> tuple[int, bytes]:
        if self.mariadb:
            flags = 0 if each.rows else const.FL_STANDALONE
            return const.GTID_EVENT, (each.number.to_bytes(8, "little") + each.domain.to_bytes(4, "little")
                                      + bytes((flags,)) + b"\0" * 6)
        uuid = bytes.fromhex(each.uuid.replace("-", "")) if each.number else b"\0" * 16
        kind = const.GTID_LOG_EVENT if each.number else const.ANONYMOUS_GTID_LOG_EVENT
        times = (self._clock.tick_us() | 1 << 55).to_bytes(7, "little") + each.time_us.to_bytes(7, "little")
        return kind, b"\0" + uuid + each.number.to_bytes(8, "little") + b"\2" + b"\0" * 16 + times

    # -- its answers ---------------------------------------------------------------------------------------------

    @property
    def end(self) -> tuple[str, int]:
        return self.files[-1].name, self.files[-1].size

    @property
    def gtid_text(self) -> str:
        return str(maria_set(self.executed) if self.mariadb else gtid_set(self.executed))

    def cursor(self) -> ModelServer:
        return self

    def __enter__(self) -> ModelServer:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, text: str, parameters: Any = None) -> None:
        self._answer: Any = self._answered(text, parameters)

    def fetchall(self) -> Any:
        return self._answer

    def _answered(self, text: str, parameters: Any) -> Any:
        if text == "SHOW BINARY LOGS":
            return [(file.name, file.size) for file in self.files]
        if "gtid_executed, " in text:
            return [(str(gtid_set(self.executed)), str(gtid_set(self.files[0].before)))]
        if text == "SELECT @@GLOBAL.gtid_purged":
            return [(str(gtid_set(self.files[0].before)),)]
        if text in ("SELECT @@GLOBAL.gtid_executed", "SELECT @@GLOBAL.gtid_binlog_pos"):
            return [(self.gtid_text,)]
        if text == "SELECT @@GLOBAL.gtid_slave_pos":
            return [(self.replicated,)]
        if "gtid_binlog_state" in text:
            return [(",".join(each.gtid(mariadb=True) for each in self.executed), "")]
        assert "BINLOG_GTID_POS" in text
        file = next(file for file in self.files if file.name == parameters[0])
        done, at = list(file.before), 4 + sum(map(len, file.head))
        for each, events in file.groups:
            at += sum(map(len, events))
            if at <= parameters[1]:
                done.append(each)
        return [(str(maria_set(done)),)]

    # -- its dumps -----------------------------------------------------------------------------------------------

    def read_from(self, begin: DumpFrom) -> Generator[bytes, None, None]:
        if begin.gtids is None:
            yield from self._from_place(begin)
        elif isinstance(begin.gtids, GtidSet):
            yield from self._after_set(begin.gtids)
        else:
            yield from self._after_domains(begin.gtids)

    def _from_place(self, begin: DumpFrom) -> Generator[bytes, None, None]:
        number = next((number for number, file in enumerate(self.files) if file.name == begin.file), None)
        if number is None:
            raise refused("Could not find first log file name in binary log index file")
        file, at = self.files[number], 4
        starts = [at := at + size for size in (0, *map(len, file.events))]
        if begin.position not in starts:
            raise refused("bogus data in log event")
        yield _made_up_rotate(file.name, begin.position)
        if begin.position > 4:
            yield file.head[0]
        yield from file.events[starts.index(begin.position):]
        for later in self.files[number + 1:]:
            yield _made_up_rotate(later.name, 4)
            yield from later.events

    def _after_set(self, known: GtidSet) -> Generator[bytes, None, None]:
        if not known.contains(gtid_set(self.files[0].before)):
            raise refused("the source purged required binary logs")
        first = max(number for number, file in enumerate(self.files) if known.contains(gtid_set(file.before)))
        for file in self.files[first:]:
            yield _made_up_rotate(file.name, 4)
            yield from file.head
            for each, events in file.groups:
                if not known.has(each.uuid, "", each.number):
                    yield from events
            yield from file.tail

    def _after_domains(self, known: MariaGtidSet) -> Generator[bytes, None, None]:
        if not self.has_all(known):
            raise refused("Requested slave GTID state not found in binlog")
        asked = [tuple(map(int, gtid.split("-"))) for gtid in known.last_of_each()]
        wanted = {domain: (server, number) for domain, server, number in asked}
        first = next((at for at in range(len(self.files) - 1, -1, -1) if _holds(wanted, self.files[at].before)), None)
        if first is None:
            raise refused("Could not find GTID state requested by slave in any binlog files")
        state = {(each.domain, each.server_id): each.number for each in self.files[first].before}
        wanted = {domain: last for domain, last in wanted.items() if state.get((domain, last[0])) != last[1]}
        for file in self.files[first:]:
            yield _made_up_rotate(file.name, 4)
            yield from file.head
            for each, events in file.groups:
                until = wanted.get(each.domain)
                if until is None:
                    yield from events
                elif each.server_id == until[0] and each.number >= until[1]:
                    del wanted[each.domain]
                    if each.number > until[1]:
                        yield from events
            yield from file.tail


def _holds(wanted: dict[int, tuple[int, int]], before: Sequence[Transaction]) -> bool:
    """`contains_all_slave_gtid`: all transactions of *before* are among those that a client has."""
    state = {(each.domain, each.server_id): each.number for each in before}
    last = {each.domain: each for each in before}
    return all(domain in wanted and (
        state.get((domain, wanted[domain][0]), 0) < wanted[domain][1]
        or (last[domain].server_id, last[domain].number) == wanted[domain]) for domain in last)


def refused(text: str) -> PositionLostError:
    return PositionLostError(text, errno=1236)


def gtid_set(transactions: Sequence[Transaction]) -> GtidSet:
    return GtidSet.parse(",".join(each.gtid(mariadb=False) for each in transactions if each.number))


def maria_set(transactions: Sequence[Transaction]) -> MariaGtidSet:
    """The last of each domain, in the order of the log."""
    return MariaGtidSet({each.domain: (each.server_id, each.number) for each in transactions})


def _query(sql: bytes) -> bytes:
    return b"\0" * 8 + b"\4\0\0\0\0shop\0" + sql


def _sealed(event: bytes) -> bytes:
    return event + zlib.crc32(event).to_bytes(4, "little")


def _made_up_rotate(file: str, position: int) -> bytes:
    body = position.to_bytes(8, "little") + file.encode()
    return _sealed(b"\0" * 4 + bytes((const.ROTATE_EVENT,)) + b"\1\0\0\0" + (23 + len(body)).to_bytes(4, "little")
                   + b"\0" * 4 + const.LOG_EVENT_ARTIFICIAL_F.to_bytes(2, "little") + body)
