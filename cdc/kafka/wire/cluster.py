"""What we know of a cluster: its brokers, which of them leads each partition, and whom to ask next. No I/O here."""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from confluent_kafka import KafkaError

from .connection import UP, Address, Connection
from .partition import NO_LEADER, Partition, Topic
from .protocol import Found, TopicFound
from .settings import WireSettings

MOST_ASKED: Final = 500
"""Topics of one Metadata request: reading the answer for so many takes some 10 ms."""
_REFUSALS: Final = frozenset({KafkaError.TOPIC_EXCEPTION, KafkaError.TOPIC_AUTHORIZATION_FAILED})
"""Errors of a topic that do not pass."""
_LACKING: Final = {KafkaError.UNKNOWN_TOPIC_OR_PART: KafkaError._UNKNOWN_TOPIC,
                   KafkaError._UNKNOWN_PARTITION: KafkaError._UNKNOWN_PARTITION}
"""Errors that pass while a topic is being made, and what they are after `topic.metadata.propagation.max.ms`."""
_ROUND_TRIPS: Final = 1000
HOPE_S: Final = 1.0
"""So long nobody else is tried beside a broker that does not answer yet."""


class Node:
    """A broker, or an address of `bootstrap.servers` (*id* below 0). *addresses*: those still to be tried in this
    attempt to connect, which began at *tried_at*. *resolving*: its name is being looked up."""

    def __init__(self, node_id: int, host: str, port: int) -> None:
        self.id, self.host, self.port = node_id, host, port
        self.connection: Connection | None = None
        self.addresses: deque[Address] = deque()
        self.resolving = False
        self.failures = 0
        self.connect_at = self.tried_at = 0.0
        self.retries = self.errors = self.timeouts = 0
        self.sent_bytes = self.received_bytes = 0
        self.round_trips: deque[float] = deque(maxlen=_ROUND_TRIPS)

    @property
    def name(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}/{self.id if self.id >= 0 else 'bootstrap'}"

    @property
    def up(self) -> bool:
        return self.connection is not None and self.connection.state == UP

    @property
    def connecting(self) -> bool:
        return self.resolving or bool(self.addresses) or (self.connection is not None and not self.up)

    def hopeful(self, now: float) -> bool:
        """Whether it is connected, or may be soon. Of one that does not answer others should not wait for long."""
        return self.up or (self.connecting and now < self.tried_at + HOPE_S)

    def failed(self, now: float, settings: WireSettings) -> None:
        """Tries again after a pause that doubles, with librdkafka's jitter."""
        self.failures += 1
        pause = min(settings.reconnect_s * 2 ** min(self.failures - 1, 20), settings.reconnect_most_s)
        self.connect_at = now + pause * random.uniform(0.75, 1.25)

    def statistics(self) -> dict[str, Any]:
        connection = self.connection
        trips = sorted(self.round_trips)
        sent, received = self.sent_bytes, self.received_bytes
        if connection is not None:
            sent, received = sent + connection.sent_bytes, received + connection.received_bytes
        return {
            "name": self.name, "nodeid": self.id, "state": connection.state if connection is not None else "DOWN",
            "waitresp_cnt": len(connection.pending) if connection is not None else 0, "tx": sent, "rx": received,
            "txretries": self.retries, "txerrs": self.errors, "req_timeouts": self.timeouts,
            "rtt": {"p99": int(trips[len(trips) * 99 // 100] * 1e6) if trips else 0},
        }


class Cluster:
    """*holds*: whether records for a topic wait. *stirred*: a topic is to be asked for that was not before; who asks
    clears it."""

    def __init__(self, settings: WireSettings, holds: Callable[[Topic], bool]) -> None:
        self._settings, self._holds = settings, holds
        self._bootstrap = [Node(-1 - at, host, port) for at, (host, port) in enumerate(settings.servers)]
        random.shuffle(self._bootstrap)
        self.nodes: dict[int, Node] = {}
        self.topics: dict[int, Topic] = {}
        self._by_name: dict[str, Topic] = {}
        self._wanted: dict[Topic, None] = {}
        self._refresh_at = float("inf")
        self._turn = 0
        self.stirred = False

    def __iter__(self) -> Iterator[Node]:
        """All nodes, those of `bootstrap.servers` last."""
        yield from self.nodes.values()
        yield from self._bootstrap

    def leader(self, partition: Partition) -> Node | None:
        return self.nodes.get(partition.leader)

    def any_up(self, now: float) -> Node | None:
        """The node to ask: the one with the fewest requests under way, which has answered last."""
        best: Node | None = None
        least = 0, 0.0
        for node in self:
            connection = node.connection
            if connection is not None and connection.state == UP and now < connection.retire_at:
                this = len(connection.pending), -connection.used_at
                if best is None or this < least:
                    best, least = node, this
        return best

    def next_to_try(self, now: float) -> Node | None:
        """A node without a connection that may be tried now, each in its turn."""
        free = [node for node in self if not node.connecting and node.connection is None and now >= node.connect_at]
        if not free:
            return None
        self._turn += 1
        return free[self._turn % len(free)] if self.nodes else free[0]

    def retry_at(self) -> float:
        return min(node.connect_at for node in self)

    def adopt(self, node: Node) -> None:
        """The connection to an address of `bootstrap.servers` becomes that of the broker there."""
        for other in self.nodes.values():
            if node.id < 0 and (other.host, other.port) == (node.host, node.port):
                if other.connection is None and not other.connecting:
                    other.connection, node.connection = node.connection, None
                    other.failures = 0
                    if other.connection is not None:
                        other.connection.owner = other
                return

    # -- topics ---------------------------------------------------------------------------------------------------

    def add(self, topic: Topic) -> None:
        self.topics[topic.number] = self._by_name[topic.name] = topic
        self._wanted[topic] = None

    def want(self, topic: Topic) -> bool:
        """Ask for it again, soon. Returns whether that is new."""
        new = topic not in self._wanted
        self._wanted[topic] = None
        self.stirred |= new
        return new

    def lost(self, node: Node) -> None:
        """Its partitions may get another leader."""
        for topic in self.topics.values():
            if any(each.leader == node.id and each.batches for each in topic.partitions):
                self._wanted[topic] = None

    def to_ask(self, now: float) -> tuple[list[Topic], bool, float]:
        """The topics to ask for now, whether brokers may make them, and when there will be others. Those that nothing
        waits for are not to be made: somebody may have deleted them."""
        if now >= self._refresh_at:
            self._wanted.update(dict.fromkeys(self.topics.values()))
            self._refresh_at = float("inf")
        due = [topic for topic in self._wanted if topic.ask_at <= now]
        needed = [topic for topic in due if self._needs(topic)]
        at = min((topic.ask_at for topic in self._wanted), default=self._refresh_at)
        return (needed or due)[:MOST_ASKED], bool(needed), min(at, self._refresh_at)

    def _needs(self, topic: Topic) -> bool:
        """Whether anything waits for *topic*: its first record, or others."""
        return not topic.count or self._holds(topic)

    def asked(self, topics: list[Topic], now: float) -> None:
        for topic in topics:
            topic.asks += 1
            pause = self._settings.retry_s * 2 ** min(topic.asks - 1, 20)
            topic.ask_at = now + min(pause, self._settings.retry_most_s)

    def learn(self, found: Found, now: float) -> tuple[list[Topic], list[Node]]:
        """Takes a broker's answer; returns the topics that have more partitions now, or are refused, and the nodes
        whose connections are not theirs any more."""
        gone: list[Node] = []
        if found.brokers:  # a broker that shuts down may name none
            gone = self._learn_brokers(found)
        changed = [topic for each in found.topics if (topic := self._by_name.get(each.name)) is not None
                   and self._learn_topic(topic, each, now)]
        if self._settings.refresh_s:
            self._refresh_at = min(self._refresh_at, now + self._settings.refresh_s)
        return changed, gone

    def _learn_brokers(self, found: Found) -> list[Node]:
        gone = [node for node in self.nodes.values() if found.brokers.get(node.id) != (node.host, node.port)]
        for node in gone:
            del self.nodes[node.id]
        for node_id, (host, port) in found.brokers.items():
            if node_id >= 0 and node_id not in self.nodes:
                self.nodes[node_id] = Node(node_id, host, port)
        return gone

    def _learn_topic(self, topic: Topic, found: TopicFound, now: float) -> bool:
        if found.code in _REFUSALS:
            topic.refused = found.code, KafkaError(found.code).str()
            self._wanted.pop(topic, None)
            return True
        numbers = sorted(each.number for each in found.partitions)
        count = len(numbers)
        if found.code or not count or numbers != list(range(count)):
            return self._lacking(topic, found.code, now)
        if count < len(topic.partitions):  # it was made again, with fewer; or this broker knows less than another
            return self._lacking(topic, KafkaError._UNKNOWN_PARTITION, now)
        topic.lacking_since = topic.refused = None
        grown = count > len(topic.partitions)
        while len(topic.partitions) < count:
            topic.partitions.append(Partition(topic, len(topic.partitions)))
        for each in found.partitions:
            partition = topic.partitions[each.number]
            fine = each.leader in self.nodes and each.code in (KafkaError.NO_ERROR, KafkaError.REPLICA_NOT_AVAILABLE)
            partition.leader = each.leader if fine else NO_LEADER
        if all(each.leader != NO_LEADER or not each.batches for each in topic.partitions):
            self._wanted.pop(topic, None)
        if all(each.leader != NO_LEADER for each in topic.partitions):
            topic.asks = 0
        return grown

    def _lacking(self, topic: Topic, code: int, now: float) -> bool:
        """A broker does not know the topic, or not yet; returns whether that has lasted too long."""
        for partition in topic.partitions:
            partition.leader = NO_LEADER
        if not self._needs(topic):
            self._wanted.pop(topic, None)
            topic.lacking_since = None
            return False
        self._wanted[topic] = None
        if code not in _LACKING:
            topic.lacking_since = None
            return False
        if topic.lacking_since is None:
            topic.lacking_since = now
        if now - topic.lacking_since < self._settings.unknown_topic_s:
            return False
        error = KafkaError(_LACKING[code])
        topic.refused = error.code(), error.str()
        return True


def statistics(cluster: Cluster, client_id: str, queued: int, gone_bytes: tuple[int, int]) -> str:
    """As librdkafka's statistics, as far as `kafka/statistics.py` reads them."""
    brokers = {node.name: node.statistics() for node in cluster}
    return json.dumps({
        "name": client_id, "client_id": client_id, "type": "producer", "msg_cnt": queued,
        "tx_bytes": gone_bytes[0] + sum(each["tx"] for each in brokers.values()),
        "rx_bytes": gone_bytes[1] + sum(each["rx"] for each in brokers.values()), "brokers": brokers,
    })


