"""Thousands of histories of a server and a client that both may stop anywhere: nothing is lost in silence.

The server commits, crashes, is put back from a copy, loses the end of its log, and gives way to a promoted standby;
LSNs and xids are used again. The client stops and crashes, with what it delivered stored or not, confirmed or not. A
history can be replayed by its seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from cdc.core.errors import PositionLostError
from cdc.core.record import Message
from cdc.sources.postgres import resume
from cdc.sources.postgres.changes import ChangeReader
from cdc.sources.postgres.position import PostgresPosition
from cdc.sources.postgres.source import PostgresSource
from cdc.sources.postgres.spill import Spill
from tests.unit.sources.postgres.model_server import OID, RELATION, Logged, ModelServer
from tests.unit.sources.postgres.pgoutput_frames import xlog
from tests.unit.sources.postgres.test_changes import CONFIG, cells, make

HISTORIES = 1000
_BY_MAIN = ("shown_lsn", "shown_end_lsn", "shown_xid", "shown_ts_usec", "shown_checksum", "begin_lsn", "begin_ts_usec")

_PARTS = make()
_PARTS.feed(xlog(0, RELATION))
_TABLE = _PARTS.relations.states[OID]


class Confirmations:
    """Stands in for the replication connection."""

    def __init__(self, server: ModelServer) -> None:
        self.server = server

    def confirm(self, lsn: int) -> None:
        self.server.confirmed = max(self.server.confirmed, lsn)


class Client:
    """One connector. `delivered`: rows and messages. `known`: what its stored offset says was delivered."""

    def __init__(self) -> None:
        self.offset: dict[str, Any] | None = None
        self.delivered: set[str] = set()
        self.known: list[Logged] = []
        self.source = PostgresSource(CONFIG)

    def reader(self) -> ChangeReader:
        """A new one; what it shares with others does not depend on what was read."""
        _PARTS.emitter.take()
        return ChangeReader(
            emitter=_PARTS.emitter, resolve=lambda relation, xid, final_lsn: _TABLE, relax=_PARTS.relations.relax,
            relabel=_PARTS.relations.relabel, name_type=_PARTS.name_type, events=_PARTS.events, spill=Spill(),
            transaction_metadata=False, clock_us=_PARTS.clock_us)

    def must_go_on(self, server: ModelServer) -> bool:
        """Whether *server* has everything that was delivered, continues the timeline, and has no slot that was moved
        on by others."""
        if not self.offset:
            return True
        stored = PostgresPosition.from_offset(self.offset)
        timelines = {server.timeline, *(timeline for timeline, _ in server.left)}
        has = set(map(id, server.log))
        return (all(id(each) in has for each in self.known) and server.confirmed <= stored.end_lsn
                and stored.timeline in timelines)

    def snapshot(self, server: ModelServer, time_us: int) -> None:
        """Reads all tables beside the slot, which stays where it is."""
        self.delivered |= server.committed_rows() | {each.gid for each in server.log if each.kind == "message"}
        lsn = server.end_lsn
        self._commit(PostgresPosition(end_lsn=lsn, last_lsn=lsn, begin_lsn=lsn, begin_time_us=time_us, system_id="7",
                                      timeline=server.timeline))
        self.known = list(server.log)

    def session(self, server: ModelServer, rng: random.Random) -> Iterator[bool]:
        """Streams a bit with each step. Yields whether all that the server has now was read."""
        stored = PostgresPosition.from_offset(self.offset) if self.offset else None
        position = resume.resume_at(stored, server.facts(), server.slot(), lambda _: server.left, "no_validation")
        reader = self.reader()
        reader.resume(resume.held(position, server.confirmed), resume.witness_of(position, server.confirmed))
        source = self.source
        source._changes = reader
        source._replication = Confirmations(server)  # type: ignore[assignment]
        frames: list[bytes] = []
        done = 0
        for sent in server.stream(resume.first_lsn_to_ask(position, server.confirmed)):
            frames += sent
            while done < len(frames) or reader.replay is not None:
                done, _ = reader.run(frames, done, rng.choice((1, 2, 100)), 1 << 20)
                self.delivered |= {_text(each) for each in reader.emitter.take()}
                yield False
                reached = reader.position()
                if rng.random() < 0.6:
                    self._commit(reached)
                    self._know(server, reader, reached)
                    if rng.random() < 0.6:
                        source.confirm(reached)
            yield bool(sent) and sent[0][0] == ord("k")

    def _commit(self, position: PostgresPosition) -> None:
        self.offset = json.loads(json.dumps(position.offset()))

    def _know(self, server: ModelServer, reader: ChangeReader, position: PostgresPosition) -> None:
        if reader.stream.due is not None:
            return
        begun = position.begin_time_us and position.shown is None  # it is known by what the snapshot has
        before = self.known if begun else [each for each in server.log if each.shown and each.lsn < position.end_lsn]
        partly = [each for each in server.log if position.tx_changes and each.shown and each.lsn == position.tx_lsn]
        self.known = [*before, *partly]


def _text(record: Any) -> str:
    if isinstance(record, Message):
        return bytes(record.value[4][1]).decode()
    return str(cells(record.after)[1])


class History:
    """What happened, from a seed. `lawful`: nothing that was delivered was ever taken from the server. `upgrades`: the
    server only crashes, and the client's stored offset becomes one of an earlier version."""

    def __init__(self, seed: int, *, lawful: bool = False, upgrades: bool = False) -> None:
        self.rng = random.Random(seed)
        self.lawful = lawful
        self.upgrades = upgrades
        self.server = ModelServer(sends_empty=self.rng.random() < 0.3)
        self.others: list[ModelServer] = []
        self.client = Client()
        self.time_us = 1_700_000_000_000_000
        self.named = 0
        self.lost = False
        if not upgrades and self.rng.random() < 0.3:
            for _ in range(self.rng.randint(0, 4)):
                self.write()
            self.client.snapshot(self.server, self.tick())

    def run(self) -> History:
        for _ in range(self.rng.randint(3, 8)):
            self.rest()
            if not self.stream(self.rng.choice((0, 3, 10, 40))):
                return self
        self.stream(None)
        return self

    def tick(self) -> int:
        self.time_us += self.rng.choice((1, 1000, 60_000_000))
        return self.time_us

    def name(self) -> str:
        self.named += 1
        return f"row {self.named}"

    def rows(self, most: int = 3) -> tuple[str, ...]:
        return tuple(self.name() for _ in range(self.rng.randint(0, most)))

    def write(self) -> None:
        """Something that an application does."""
        server, rng = self.server, self.rng
        kind = rng.choices(("commit", "other", "message", "prepare", "decide"), (8, 3, 1, 1, 2))[0]
        if kind == "commit":
            server.commit(self.rows(), self.tick(), streamed=not self.upgrades and rng.random() < 0.2)
        elif kind == "other":
            server.other(rng.choice((64, 128, 400)))
        elif kind == "message":
            server.emit(self.name())
        elif kind == "prepare":
            server.prepare(f"gid {self.name()}", self.rows(), self.tick())
        elif server.open:
            server.decide(rng.choice(sorted(server.open)), self.tick(), commits=rng.random() < 0.7)

    def rest(self) -> None:
        """What happens while the client is away."""
        for _ in range(self.rng.randint(0, 3)):
            for _ in range(self.rng.randint(0, 4)):
                self.write()
            self.happen(self.rng.choice(("copy", "standby", "back", "promote", "crash", "checkpoint", "tail", "none")))

    def happen(self, what: str) -> None:
        server = self.server
        if what == "crash":
            server.crash()
        elif what == "checkpoint":
            server.checkpoint()
        elif what == "copy":
            self.others.append(server.copy())
        elif what == "standby":
            self.others.append(server.standby())
        elif what in ("back", "promote") and self.others:
            other = self.rng.choice(self.others).copy()
            if what == "promote":
                other.promote()
            self.replace(other)
        elif what == "tail":
            other = server.copy()
            other.confirmed_on_disk = server.confirmed_on_disk
            other.lose_tail(self.rng.randint(1, 6))
            self.replace(other)

    def replace(self, server: ModelServer) -> None:
        if not self.upgrades and (not self.lawful or self.client.must_go_on(server)):
            self.server = server

    def stream(self, steps: int | None) -> bool:
        """Runs the client, with writes in between; None is until it has read everything. False if the position is
        lost."""
        lawful = self.client.must_go_on(self.server)
        if self.upgrades and self.client.offset:
            self.client.offset = {key: value for key, value in self.client.offset.items() if key not in _BY_MAIN}
        try:
            for number, all_read in enumerate(self.client.session(self.server, self.rng)):
                if all_read if steps is None else number >= steps:
                    break
                if steps is not None and self.rng.random() < 0.2:
                    self.write()
                if steps is not None and self.rng.random() < 0.05:
                    self.server.confirmed_on_disk = self.server.confirmed  # a checkpoint, which writes nothing of ours
        except PositionLostError:
            assert not lawful, "the server has everything that was delivered"
            self.lost = True
        return not self.lost

    def missing(self) -> set[str]:
        """What the server has since the first start, and nobody got."""
        server = self.server
        return (server.committed_rows() | {each.gid for each in server.log if each.kind == "message"}
                ) - self.client.delivered


def test_every_row_is_delivered_or_the_position_is_lost() -> None:
    lost = 0
    for seed in range(HISTORIES):
        history = History(seed).run()
        lost += history.lost
        assert history.lost or not history.missing(), f"seed {seed}"
    assert HISTORIES / 10 < lost < HISTORIES * 9 / 10, "the histories test one side only"


@pytest.mark.parametrize("upgrades", [False, True])
def test_a_server_that_has_everything_is_never_refused(upgrades: bool) -> None:
    """Also with offsets as earlier versions wrote them, which do not say what was shown."""
    for seed in range(HISTORIES // (3 if upgrades else 1)):
        history = History(seed, lawful=True, upgrades=upgrades).run()
        assert not history.lost, f"seed {seed}"
        assert upgrades or not history.missing(), f"seed {seed}"
