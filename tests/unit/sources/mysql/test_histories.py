"""Histories of servers and of a client that stops and crashes: all that was committed is delivered, or the position is
lost.

Each history has a number, its seed; `history(mode, number, …)` runs it again."""

from __future__ import annotations

import random
from typing import Any

import pytest

from cdc.core.errors import PositionLostError
from cdc.core.record import Message, Record
from cdc.sources.mysql import proof, resume
from cdc.sources.mysql.ddl import grammar
from cdc.sources.mysql.ddl import statements as ddl
from cdc.sources.mysql.ddl.tokens import Dialect
from cdc.sources.mysql.options import MySqlConfig, parse_mysql
from cdc.sources.mysql.position import MySqlPosition
from cdc.sources.mysql.witness import Seen
from tests.unit.sources.mysql.model_server import Clock, ModelServer
from tests.unit.sources.mysql.test_changes import reader_of

MODES = ("mysql-gtid", "mysql-file", "mariadb-gtid", "mariadb-file")
HISTORIES = 300
"""Of each mode and kind."""


def settings(*, by_file: bool) -> MySqlConfig:
    return parse_mysql({"name": "n", "topic.prefix": "p", "database.hostname": "h", "database.user": "u",
                        "database.server.id": "1", "gtid.ignore.on.recovery": str(by_file).lower()})[0]


CONFIGS = {by_file: settings(by_file=by_file) for by_file in (False, True)}


class Client:
    """What was delivered, and the offset that was committed."""

    def __init__(self, server: ModelServer, pick: random.Random, *, by_file: bool) -> None:
        file, pos = server.end
        self.by_file = by_file
        self._pick = pick
        gtids = server.facts.flavor.parse_gtids(server.gtid_text) if server.gtids else None
        conn: Any = server
        self.stored = MySqlPosition(
            file, pos, str(gtids) if gtids else None, server_uuid=server.uuid,
            log_created=proof.created_at(server, file) or 0,
            witness=proof.find(conn, server, gtids) if gtids else None).offset()
        self.delivered = set(server.rows)
        self.doubts: list[Seen] = []

    def run(self, server: ModelServer, *, to_the_end: bool = False) -> None:
        """One start, until it is stopped or crashes somewhere. Raises PositionLostError."""
        conn: Any = server
        stored = MySqlPosition.from_offset(self.stored)
        found = resume.check(conn, server.facts, CONFIGS[self.by_file], stored)
        events = list(server.read_from(found.begin))
        self.doubts += proof.prove(found.claim, server, conn, mariadb=server.mariadb)
        reader = reader_of("mariadb" if server.mariadb else "mysql")
        dialect = Dialect(grammar.MARIADB if server.mariadb else grammar.MYSQL)
        ddl.apply("CREATE TABLE t (id int PRIMARY KEY)", "shop", reader.tables.structures, dialect)
        reader.resume(found.position, by_gtid=found.begin.gtids is not None, server_uuid=server.uuid)
        places, at = [stored], 0
        until = len(events) if to_the_end else self._pick.randrange(len(events) + 1)
        while at < until:
            at, _ = reader.run(events[:until], at, self._pick.choice((1, 3, 100)), 1 << 30)
            count, place = reader.ready(2)
            self.delivered.update(_number(each) for each in reader.emitter.take(count))
            places.append(place)
        self.stored = (places[-1] if to_the_end or self._pick.random() < 0.5 else self._pick.choice(places)).offset()


def _number(record: Record | Message) -> int:
    assert isinstance(record, Record)
    assert record.after is not None
    raw = record.after.raw(0)
    assert isinstance(raw, bytes)
    return int.from_bytes(raw, "little")


class World:
    """A primary that the client reads, a replica, and another server that both replicate from."""

    def __init__(self, mode: str, seed: int) -> None:
        flavor, by = mode.split("-")
        self.pick = random.Random(f"{mode} {seed}")
        mariadb, gtids = flavor == "mariadb", by == "gtid" or flavor == "mariadb"
        self.clock = Clock()
        self.primary, self.replica = (
            ModelServer(self.clock, number, mariadb=mariadb, gtids=gtids) for number in (1, 2))
        self.other = ModelServer(self.clock, 3, mariadb=mariadb, gtids=gtids, domain=1)
        self.gtids = gtids
        self.copies: list[Any] = []
        self._next = 1
        for _ in range(self.pick.randrange(1, 3)):  # a place before all GTIDs is one without
            self.write()
        self.client = Client(self.primary, self.pick, by_file=by == "file")

    # -- lawful --------------------------------------------------------------------------------------------------

    def write(self) -> None:
        for _ in range(self.pick.choice((1, 1, 2, 5))):
            rows = range(self._next, self._next + self.pick.choice((0, 1, 1, 1, 2, 6)))
            self._next += len(rows)
            self.primary.commit(rows)
            if self.pick.random() < 0.2:
                self.primary.flush()

    def write_elsewhere(self) -> None:
        if self.gtids:
            self.other.commit(range(self._next, self._next + 1))
            self._next += 1
            self.primary.replicate(self.other)

    def replicate(self) -> None:
        if self.gtids:
            self.replica.replicate(self.primary)

    def flush(self) -> None:
        self.primary.flush()

    def restart(self) -> None:
        self.primary.restart(crash=self.pick.random() < 0.5)

    def fail_over(self) -> None:
        """In order: the replica has everything."""
        if self.gtids:
            self.replicate()
            self.primary, self.replica = self.replica, self.primary

    def expire(self) -> None:
        """Logs that were read, that the client has committed and the replica carried out."""
        self.replicate()
        stored = MySqlPosition.from_offset(self.client.stored)
        if self.gtids and not self.client.by_file:
            parse = self.primary.facts.flavor.parse_gtids
            known, mariadb = parse(stored.gtids or ""), self.primary.mariadb
            read = [known.contains(parse(",".join(each.gtid(mariadb=mariadb) for each, _ in file.groups)))
                    for file in self.primary.files]
            count = [*read, False].index(False)
        else:
            names = [file.name for file in self.primary.files]
            count = names.index(stored.file) if stored.file in names else 0
        self.primary.purge(count)

    def save(self) -> None:
        self.copies.append(self.primary.copy())

    # -- not lawful ----------------------------------------------------------------------------------------------

    def reset(self) -> None:
        self.pick.choice((self.primary, self.primary, self.replica, self.other)).reset()

    def put_back(self) -> None:
        if self.copies:
            self.primary.put_back(self.pick.choice(self.copies))

    def lose_tail(self) -> None:
        self.pick.choice((self.primary, self.primary, self.other)).lose_tail(self.pick.randrange(1, 6))

    def promote(self) -> None:
        """The replica as it is, behind or not."""
        if self.gtids:
            self.primary, self.replica = self.replica, self.primary
            self.copies.clear()

    def purge(self) -> None:
        self.primary.purge(self.pick.randrange(4))


LAWFUL = (World.write, World.write, World.write, World.write_elsewhere, World.replicate, World.flush, World.restart,
          World.fail_over, World.expire)
UNLAWFUL = (*LAWFUL, World.write, World.save, World.reset, World.put_back, World.lose_tail, World.promote, World.purge)


def history(mode: str, seed: int, steps: tuple[Any, ...]) -> World:
    """Raises PositionLostError. At the end the client has read all that there is."""
    world = World(mode, seed)
    for _ in range(world.pick.randrange(2, 14)):
        world.clock.now_s += world.pick.choice((1, 2, 60))
        step = world.pick.choice((*steps, None, None))
        if step is not None:
            step(world)
        else:
            world.client.run(world.primary)
    world.clock.now_s += 1
    world.client.run(world.primary, to_the_end=True)
    return world


@pytest.mark.parametrize("mode", MODES)
def test_a_lawful_history_is_delivered_in_full(mode: str) -> None:
    for seed in range(HISTORIES):
        world = history(mode, seed, LAWFUL)
        assert set(world.primary.rows) <= world.client.delivered, (mode, seed)


@pytest.mark.parametrize("mode", MODES)
def test_any_other_history_is_delivered_in_full_or_refused(mode: str) -> None:
    lost = refused = 0
    for seed in range(HISTORIES):
        try:
            world = history(mode, seed, UNLAWFUL)
        except PositionLostError:
            refused += 1
            continue
        if not set(world.primary.rows) <= world.client.delivered:
            assert world.client.doubts, (mode, seed)  # all that could have shown it was purged
            lost += 1
    assert refused > HISTORIES / 10
    assert lost <= HISTORIES / 100
