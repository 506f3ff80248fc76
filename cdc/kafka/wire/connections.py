"""Whom a sender is connected to: which brokers and when, what becomes of a connection that is broken, and its end.

All of it runs in the sender's thread, names aside, which are looked up in threads of their own.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

from confluent_kafka import KafkaError

from cdc.log import get_logger

from .cluster import HOPE_S, Cluster, Node
from .connection import UP, Address, Broken, Connection, Request
from .outbox import Item, Told
from .settings import WireSettings

log = get_logger(__name__)

_AGAIN_S: Final = 0.05
_SHORT_S: Final = 1.0
"""A connection that ends after less has failed, even if nobody waited for an answer."""


class Connections:
    """*tell*: has the sender's thread call a function with the time. *look_at*: has it call `tend` then, at the latest.
    *unanswered* gets each request whose connection ended before its answer, *failed* the reason why a broker cannot be
    reached.

    *needed*: the brokers that batches wait for. *gone_bytes*: sent to and received from brokers that the cluster has no
    more.
    """

    def __init__(self, settings: WireSettings, cluster: Cluster, outbox: SimpleQueue[Item],
                 tell: Callable[[Callable[[float], None]], None], look_at: Callable[[float], None],
                 unanswered: Callable[[Request, float], None], failed: Callable[[KafkaError], None]) -> None:
        self._settings, self._cluster, self._outbox = settings, cluster, outbox
        self._tell, self._look_at, self._unanswered, self._tell_failure = tell, look_at, unanswered, failed
        self.selector = selectors.DefaultSelector()
        self.needed: set[int] = set()
        self.gone_bytes = [0, 0]
        self._all_down = self._closed = False

    def watch(self) -> None:
        """Tells the selector what each connection waits for."""
        for node in self._cluster:
            connection = node.connection
            if connection is not None and (wants := connection.wants()) != connection.registered:
                if connection.registered:
                    self.selector.modify(connection, wants)
                else:
                    self.selector.register(connection, wants)
                connection.registered = wants

    def tend(self, now: float) -> None:
        """What is due: time limits, ends, and new connections."""
        for node in self._cluster:
            connection = node.connection
            if connection is None:
                continue
            try:
                self._look_at(connection.check(now))
            except Broken as exc:
                node.timeouts += exc.code == KafkaError._TIMED_OUT
                self.lose(node, exc, now)
                continue
            if not connection.pending and connection.state == UP:
                idle_s = self._settings.idle_s
                if now >= connection.retire_at or (idle_s and now - connection.used_at >= idle_s):
                    self.drop(node, connection, now)
                    continue
            if now < connection.retire_at:
                self._look_at(connection.retire_at)
        self.connect(now)

    # -- connecting -----------------------------------------------------------------------------------------------

    def connect(self, now: float) -> None:
        """To the brokers in `needed`, and in any case to one."""
        for number in self.needed:
            node = self._cluster.nodes.get(number)
            if node is not None and node.connection is None and not node.connecting:
                if now >= node.connect_at:
                    self._begin(node, now)
                else:
                    self._look_at(node.connect_at)
        if not any(node.hopeful(now) for node in self._cluster):
            node = self._cluster.next_to_try(now)
            if node is not None:
                self._begin(node, now)
            else:
                self._look_at(max(self._cluster.retry_at(), now + _AGAIN_S))
        elif not any(node.up for node in self._cluster):
            self._look_at(now + HOPE_S)

    def is_up(self, node: Node) -> None:
        """*node*'s connection has become usable."""
        node.failures, self._all_down = 0, False
        node.addresses.clear()

    def _begin(self, node: Node, now: float) -> None:
        """Looks up the name first, in a thread of its own: that may take long."""
        node.tried_at = now
        try:
            found = socket.getaddrinfo(node.host, node.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except OSError:
            node.resolving = True
            threading.Thread(target=self._look_up, args=(node,), name="kafka-resolver", daemon=True).start()
        else:
            self._resolved(node, [(family, where) for family, *_, where in found], "", now)

    def _look_up(self, node: Node) -> None:
        text, addresses = "", list[Address]()
        try:
            found = socket.getaddrinfo(node.host, node.port, type=socket.SOCK_STREAM)
            addresses = [(family, where) for family, *_, where in found]
        except (OSError, UnicodeError) as exc:
            text = str(exc)
        self._tell(lambda now: self._resolved(node, addresses, text, now))

    def _resolved(self, node: Node, addresses: list[Address], text: str, now: float) -> None:
        node.resolving = False
        if self._closed:
            return
        node.addresses.extend(addresses)
        if not addresses:
            self._failed(node, Broken(KafkaError._RESOLVE, f"the name is not known: {text}"), now)
        else:
            self._try_next(node, now)

    def _try_next(self, node: Node, now: float) -> None:
        try:
            node.connection = Connection(node, node.host, node.addresses.popleft(), self._settings, now)
        except Broken as exc:
            self._failed(node, exc, now)
        else:
            self._look_at(now + self._settings.connect_s)

    def _failed(self, node: Node, why: Broken, now: float) -> None:
        if node.addresses and why.code == KafkaError._TRANSPORT:
            self._try_next(node, now)
            return
        node.addresses.clear()
        node.failed(now, self._settings)
        self._look_at(node.connect_at)
        text = f"{node.name}: {why}"
        self._outbox.put(Told(why.code, text))
        self._tell_failure(KafkaError(why.code, text))
        known = [each for each in self._cluster if each.id >= 0] or list(self._cluster)
        if not self._all_down and all(each.failures and not each.up for each in known):
            self._all_down = True
            self._outbox.put(Told(KafkaError._ALL_BROKERS_DOWN, f"{len(known)}/{len(known)} brokers are down"))

    # -- ends -----------------------------------------------------------------------------------------------------

    def lose(self, node: Node, why: Broken, now: float) -> None:
        """*node*'s connection is broken."""
        connection = node.connection
        if connection is None:
            return
        was_idle = connection.state == UP and not connection.pending and now - connection.opened_at > _SHORT_S
        self.drop(node, connection, now)
        self._cluster.lost(node)
        if was_idle and why.code == KafkaError._TRANSPORT:
            log.debug("kafka_connection_closed", broker=node.name, reason=str(why))
        else:
            self._failed(node, why, now)

    def drop(self, node: Node, connection: Connection, now: float) -> None:
        node.connection = None
        if connection.registered:
            self.selector.unregister(connection)
        connection.close()
        node.sent_bytes += connection.sent_bytes
        node.received_bytes += connection.received_bytes
        if node.id not in self._cluster.nodes and node.id >= 0:
            self.gone_bytes[0] += node.sent_bytes
            self.gone_bytes[1] += node.received_bytes
        self.take_back(connection, now)
        self._look_at(now)

    def take_back(self, connection: Connection, now: float) -> None:
        """What waits for an answer on a connection that has ended gets none."""
        while connection.pending:
            self._unanswered(connection.pending.popleft(), now)

    def close(self, now: float) -> None:
        self._closed = True
        for node in self._cluster:
            if node.connection is not None:
                self.drop(node, node.connection, now)
        self.selector.close()
