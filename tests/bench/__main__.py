"""One command for all figures of speed.

    python -m tests.bench [W1 W2 …] [--databases postgres mysql mariadb] [--rows 1000000] [--pairs 3]
                          [--pure] [--peer] [--set KEY=VALUE …]

Drains one backlog by workload with `cdc run` into Kafka, and beside it, in turn, what reads the same log into nothing
(`pg_recvlogical`, `mysqlbinlog --raw`, COPY) and a bare producer of the same messages. It prints each rate, CPU time by
thread, memory and bytes, and the medians of the paired ratios. A sample is void unless its topic is right (`gate.py`).
W11 and W12 are W1 beside an incremental snapshot; they say how many rows it copied meanwhile.
With --peer, W1, W2 and W5 run in Kafka Connect with the real Debezium and Confluent's AvroConverter, too.
`--threads 2 4` drains W5 with so many readers, too. W7 is latency at 1000 transactions a second, W8 the start. Say the
load of the machine with the figures; it is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cdc import about
from cdc.kafka.client import usual
from tests.servers.kafka import KafkaServer
from tests.servers.mariadb import MariaDbServer
from tests.servers.mysql import MySqlServer
from tests.servers.registry import RegistryServer

from . import gate, peer, timing
from .common import Drained, Measured, Sinks
from .mysql import MySql
from .peer import Peer
from .postgres import Postgres
from .workloads import WORKLOADS, Database, Workload

_LATENCY_S = 20.0
_PER_SECOND = 1000


def main() -> None:
    args = _arguments()
    with contextlib.ExitStack() as stack:
        kafka = stack.enter_context(KafkaServer(heap="1g", quick_start=False))
        registry = stack.enter_context(RegistryServer())
        settings = dict(each.split("=", 1) for each in args.set)
        sinks = Sinks(kafka, registry, pure=args.pure, settings=settings)
        sinks.warm()
        rival = Peer(stack.enter_context(peer.server(kafka.bootstrap, registry.url)), sinks) if args.peer else None
        core = "python" if args.pure else about.core()
        client = "python" if args.pure else usual()
        print(f"core: {core}, Kafka client: {settings.get('sink.kafka.client', client)}", flush=True)
        for name in args.databases:
            with contextlib.ExitStack() as one:
                bench = Bench(_database(name, one), sinks, args.rows, args.pairs, args.seconds, rival)
                bench.readers = args.threads
                for workload in args.workloads or bench.database.kinds:
                    if workload in bench.database.kinds:
                        bench.run(workload)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("workloads", nargs="*", metavar="W", help="all, if none is named")
    parser.add_argument("--databases", nargs="+", choices=("postgres", "mysql", "mariadb"),
                        default=["postgres", "mysql", "mariadb"])
    parser.add_argument("--rows", type=int, default=1_000_000, help="at most 1,000,000")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=_LATENCY_S, help="how long W7 writes")
    parser.add_argument("--pure", action="store_true", help="the uncompiled core")
    parser.add_argument("--peer", action="store_true", help="Debezium in Kafka Connect beside it: W1, W2, W5")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="keys of the worker or connector")
    parser.add_argument("--threads", nargs="+", type=int, default=[], metavar="N",
                        help="W5 also with so many readers (snapshot.max.threads)")
    args = parser.parse_args()
    unknown = set(args.workloads) - {*WORKLOADS, "W7", "W8"}
    if unknown:
        parser.error(f"there is no workload {', '.join(sorted(unknown))}")
    return args


def _database(name: str, stack: contextlib.ExitStack) -> Database:
    if name == "postgres":
        made = Postgres()
        stack.enter_context(made.server)
        return made
    options: dict[str, Any] = {"innodb_buffer_pool_size": "512M", "max_binlog_size": "1G"}
    server = MariaDbServer(**options) if name == "mariadb" else MySqlServer(**options)
    stack.enter_context(server)
    return MySql(server)


class Bench:
    """The workloads of one database."""

    def __init__(self, database: Database, sinks: Sinks, rows: int, pairs: int, seconds: float,
                 rival: Peer | None = None) -> None:
        self.database = database
        self.sinks = sinks
        self.rows = rows
        self.pairs = pairs
        self.seconds = seconds
        self.rival = rival
        self.readers: Sequence[int] = ()
        self._usual: Drained | None = None

    def run(self, kind: str) -> None:
        load = os.getloadavg()[0]
        if kind in WORKLOADS:
            rows = max(1000, int(self.rows * WORKLOADS[kind].share))
            print(f"{kind} {self.database.name}: {WORKLOADS[kind].title}, {rows} rows, load {load:.1f}", flush=True)
            self._drains(kind, WORKLOADS[kind], rows)
            return
        print(f"{kind} {self.database.name}, load {load:.1f}", flush=True)
        self.database.prepare(WORKLOADS["W1"], 1000 if kind == "W7" else 0)
        if kind == "W7":
            print(f"  {timing.latency(self.sinks, self.database, self._name(kind, 0), self.seconds, _PER_SECOND)}")
        else:
            timing.start(self.sinks, self.database, self._name(kind, "warmup"))  # writes the bytecode
            names = [self._name(kind, pair) for pair in range(self.pairs)]
            took = [timing.start(self.sinks, self.database, name) for name in names]
            server = [self.database.first_s() for _ in range(self.pairs)]
            asked = [timing.requests_s(self.sinks, self.database, name) for name in names]
            print(f"  `cdc run` to the first record, s: {timing.median([each.seconds for each in took])}; "
                  f"CPU-s: {timing.median([each.cpu_s for each in took])}\n"
                  f"  the server's own program to the first bytes, s: {timing.median(server)}\n"
                  f"  registry and broker for a bare client, s: {timing.median(asked)}", flush=True)

    def _drains(self, kind: str, workload: Workload, rows: int) -> None:
        self.database.prepare(workload, rows)
        self._drain(self._name(kind, "warmup"), workload, rows)
        rounds = []
        for pair in range(self.pairs):
            name = self._name(kind, pair)
            floor = self.database.floor(workload, rows)
            ours = self._drain(name, workload, rows)
            bare = self.sinks.produce(f"{name}.produce", self.database.topic(name), rows)
            others: dict[str, Measured] = {"bare producer": bare, **({floor[0]: floor[1]} if floor else {})}
            if workload.against:
                others[workload.against] = self._drain(f"{name}_plain", WORKLOADS[workload.against], rows)
            for count in self.readers if workload.snapshot else ():
                several = {**workload.settings, "snapshot.max.threads": str(count)}
                others[f"{count} readers"] = self._drain(
                    f"{name}_readers{count}", replace(workload, settings=several), rows)
            rounds.append((ours, others))
            print(f"  {'cdc':22}{ours}", flush=True)
            for yardstick, measured in rounds[-1][1].items():
                print(f"  {yardstick:22}{measured}", flush=True)
        for yardstick in rounds[0][1]:
            _print_ratio(yardstick, [(ours, others[yardstick]) for ours, others in rounds],
                         cpu=yardstick in ("bare producer", workload.against))
        largest = max((ours for ours, _ in rounds), key=lambda ours: ours.peak_kib)
        if self._usual is not None:
            print(f"  memory against the first: {(largest.peak_kib - self._usual.peak_kib) / 1024:+.0f} MB", flush=True)
        self._usual = self._usual or largest

        if self.rival is not None and kind in peer.KINDS:
            self._against(self.rival, kind, workload, rows)

    def _against(self, rival: Peer, kind: str, workload: Workload, rows: int) -> None:
        """*rival* and we in turn; its first drain warms it up."""
        self._rivals(rival, self._name(kind, "peer_warmup"), workload, rows)
        pairs: list[tuple[Drained, Measured]] = []
        for pair in range(self.pairs):
            ours = self._drain(self._name(kind, f"beside_{pair}"), workload, rows)
            theirs = self._rivals(rival, self._name(kind, f"peer_{pair}"), workload, rows)
            pairs.append((ours, theirs))
            print(f"  {'cdc':22}{ours}\n  {peer.TITLE:22}{theirs}", flush=True)
        _print_ratio(peer.TITLE, pairs, cpu=True)

    def _rivals(self, rival: Peer, name: str, workload: Workload, rows: int) -> Drained:
        topic = self.database.topic(name)
        with self.database.draining(name, workload) as connector:
            drained = rival.drain(name, connector, topic, rows, None if workload.snapshot else self.database.begin())
        gate.check(self.database, workload, self.sinks.kafka.bootstrap, self.sinks.registry.url, topic, rows)
        return drained

    def _drain(self, name: str, workload: Workload, rows: int) -> Drained:
        topic = self.database.topic(name)
        beside = topic.replace("orders", workload.beside) if workload.beside else ""
        with self.database.draining(name, workload) as connector:
            drained = self.sinks.drain(name, connector, topic, rows,
                                       lambda path: None if workload.snapshot else self.database.offsets(path, name),
                                       beside.removeprefix(f"{name}."))
        if beside:
            print(f"  {beside}: {gate.copied(self.sinks.kafka.bootstrap, beside, workload, self.sinks.registry.url)}"
                  " rows were copied meanwhile", flush=True)
        plain = gate.check(self.database, workload, self.sinks.kafka.bootstrap, self.sinks.registry.url, topic, rows)
        print(f"  {topic}: right; bytes a record {plain / rows:.0f}, at the broker "
              f"{self.sinks.log_bytes(topic) / rows:.0f}", flush=True)
        return drained

    def _name(self, kind: str, part: object) -> str:
        return f"{self.database.name}_{kind}_{part}".lower()


def _print_ratio(yardstick: str, pairs: list[tuple[Drained, Measured]], *, cpu: bool) -> None:
    """*cpu*: compare CPU times, too."""
    rates: Mapping[str, list[float]] = {
        "rate": [ours.rate / other.rate for ours, other in pairs],
        "CPU time": [ours.cpu_per_million / other.cpu_per_million for ours, other in pairs if other.cpu_s]}
    for what, ratios in rates.items():
        if ratios and (what == "rate" or cpu):
            print(f"  {what} against {yardstick}: {timing.median(ratios)}", flush=True)


if __name__ == "__main__":
    main()
