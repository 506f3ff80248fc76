"""The one thread of a producer: it owns the sockets, asks for metadata and for a producer id, and sends batches.

Other threads may only call the methods that say so. They leave what they want in the inbox, and wake the thread; it
leaves what they should know in the outbox. It ends when it is told to, or when the last reference to its client goes.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError

from cdc.log import carry, get_logger

from . import protocol
from .cluster import Cluster, Node, statistics
from .connection import READ, UP, Broken, Connection, Request
from .connections import Connections
from .outbox import Counted, Item, Told
from .partition import RETRIABLE, Topic
from .producing import Producing, give_up_waiting
from .protocol import ProtocolError, Reader
from .settings import WireSettings

if TYPE_CHECKING:
    from cdc.native.recordsets import RecordSets

log = get_logger(__name__)

_EXPIRE_EVERY_S: Final = 0.5
_LOOK_S: Final = 1.0
"""The longest sleep."""

Answer = SimpleQueue[KafkaError | None]
"""Where somebody waits for the brokers' list: None is success."""


class Sender:
    """In each turn of its thread batches are sent and answers taken; all else only when it is due (`_tend_at`)."""

    def __init__(self, settings: WireSettings, sets: RecordSets) -> None:
        self.outbox: SimpleQueue[Item] = SimpleQueue()
        self.cluster = Cluster(settings, self._holds)
        self.producing = Producing(settings, self.cluster, sets, self.outbox)
        self._connections = Connections(settings, self.cluster, self.outbox, self._tell, self._look_at,
                                        self._unanswered, self._answer_all)
        self._settings, self._sets = settings, sets
        self._inbox: deque[Callable[[float], None]] = deque()
        self._asking: list[Answer] = []
        self._selector = self._connections.selector
        self._woken, self._wake = socket.socketpair()
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        self._selector.register(self._woken, READ)
        self._dirty = self._sleeping = self._ending = False
        self._tend_at = self._expire_at = self._producer_at = self._ask_at = 0.0
        self._asked_producer = self._asked_topics = False
        self._producer_failures = 0
        self._look_s = min(_LOOK_S, settings.answer_s)
        self._statistics_at = time.monotonic() + settings.statistics_s if settings.statistics_s else float("inf")
        self._thread = threading.Thread(target=carry(self._run), name="kafka-sender", daemon=True)
        self._thread.start()

    # -- from any thread ------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Have the thread look at the record sets, and at `Producing.pushed`."""
        self._dirty = True
        if self._sleeping:
            self._sleeping = False
            with contextlib.suppress(OSError):  # full: it is being woken; closed: it has ended
                self._wake.send(b"\0")

    def add(self, topic: Topic) -> None:
        """Learn *topic*'s partitions; the outbox gets a None when they are there."""
        self._tell(lambda now: self.cluster.add(topic))

    def ask(self) -> Answer:
        """Ask any broker for the cluster's brokers."""
        answer: Answer = SimpleQueue()
        self._tell(lambda now: self._asking.append(answer))
        return answer

    def give_up(self, timeout: float) -> None:
        """Put all records into the outbox, as undeliverable; returns when that is done, within *timeout* seconds."""
        done: SimpleQueue[None] = SimpleQueue()
        self._tell(lambda now: self._give_up(done))
        with contextlib.suppress(Exception):
            done.get(timeout=timeout if self._thread.is_alive() else 0)

    def end(self, timeout: float) -> None:
        """End the thread, and wait up to *timeout* seconds for that."""
        self._ending = True
        self.wake()
        if timeout and threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def _holds(self, topic: Topic) -> bool:
        return any(each.batches for each in topic.partitions) or bool(self._sets.ready(topic.number, all=True))

    def _tell(self, what: Callable[[float], None]) -> None:
        self._inbox.append(what)
        self.wake()

    # -- the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._ending:
                self._turn()
        except Exception as exc:
            log.exception("kafka_sender_ended")
            self.producing.fail(KafkaError._FAIL, f"a mistake in our Kafka client: {type(exc).__name__}: {exc}")
        finally:
            self._close()

    def _turn(self) -> None:
        self._dirty = False
        now = time.monotonic()
        while self._inbox:
            self._inbox.popleft()(now)
            self._look_at(now)
        if now >= self._tend_at or self.cluster.stirred:
            self._tend_at = now + self._look_s
            self.cluster.stirred = False
            self._tend(now)
        wake_at = self._tend_at
        if self.producing.failure is None and self.producing.producer is not None:
            wake_at, self._connections.needed = self.producing.dispatch(now)
            if self._connections.needed:
                self._connections.connect(now)
            while self.producing.broken:
                self._connections.lose(*self.producing.broken.pop(), now)
        if self.producing.failure is not None:
            self._stop_sending(now)
        self._connections.watch()
        self._sleeping = True
        if self._dirty or self._inbox or self._ending or self.cluster.stirred:
            wake_at = 0.0
        ready = self._selector.select(max(0.0, min(wake_at, self._tend_at) - time.monotonic()))
        self._sleeping = False
        for key, events in ready:
            if isinstance(key.fileobj, Connection):
                self._serve(key.fileobj, events, time.monotonic())
            else:
                with contextlib.suppress(BlockingIOError):
                    self._woken.recv(4096)

    def _look_at(self, when: float) -> None:
        """Have `_tend` called then, at the latest."""
        self._tend_at = min(self._tend_at, when)

    def _tend(self, now: float) -> None:
        """What is due: connections and their time limits, metadata, the producer id, old records, statistics."""
        self._connections.tend(now)
        self._ask(now)
        if now >= self._expire_at:
            self._expire_at = now + _EXPIRE_EVERY_S
            self.producing.expire(now)
        if self._settings.delivery_s:
            self._look_at(self._expire_at)
        if now >= self._statistics_at:
            self._statistics_at = now + self._settings.statistics_s
            gone = self._connections.gone_bytes[0], self._connections.gone_bytes[1]
            self.outbox.put(Counted(statistics(self.cluster, self._settings.client_id.decode(errors="replace"),
                                               self._sets.held_count, gone)))
        self._look_at(self._statistics_at)

    # -- answers --------------------------------------------------------------------------------------------------

    def _serve(self, connection: Connection, events: int, now: float) -> None:
        node: Node = connection.owner
        if node.connection is not connection:
            return  # it was given up after its events had come
        was_up = connection.state == UP
        usual = was_up and now < connection.retire_at
        broken: Broken | None = None
        try:
            connection.serve(events, now)
        except Broken as exc:
            broken = exc
        if connection.state == UP and not was_up:
            self._connections.is_up(node)
        answered, connection.answered = connection.answered, []
        for at, (request, reader) in enumerate(answered):
            usual = usual and request.api == protocol.PRODUCE
            try:
                self._answered(connection, request, reader, now)
            except ProtocolError as exc:
                connection.pending.extendleft(reversed([each for each, _ in answered[at:]]))
                broken = Broken(KafkaError._BAD_MSG, f"the answer to a {protocol.NAMES[request.api]} request is not "
                                                     f"understood: {exc}")
                break
        if connection.owner.connection is not connection:
            self._connections.take_back(connection, now)
        elif broken is not None:
            self._connections.lose(connection.owner, broken, now)
        if not usual:
            self._look_at(now)

    def _answered(self, connection: Connection, request: Request, reader: Reader, now: float) -> None:
        node: Node = connection.owner
        if request.api == protocol.PRODUCE:
            self.producing.answered(node, connection, request, reader, now)
        elif request.api == protocol.METADATA:
            found = protocol.metadata_answer(reader, request.version)
            self._asked_topics = False
            changed, gone = self.cluster.learn(found, now)
            for each in gone:
                if each.connection is not None:
                    self._connections.drop(each, each.connection, now)
            self.cluster.adopt(node)
            for topic in changed:
                if topic.refused is None:
                    self._sets.partitions(topic.number, len(topic.partitions))
                    topic.count = len(topic.partitions)
            self.producing.check(changed)
            if found.brokers:
                self._answer_all(None)
            else:
                self._ask_at = now + self._settings.retry_s
            if changed:
                self.outbox.put(None)
        else:
            self._take_producer(*protocol.init_producer_id_answer(reader), now)

    def _take_producer(self, code: int, producer_id: int, epoch: int, now: float) -> None:
        self._asked_producer = False
        if not code:
            self.producing.producer = producer_id, epoch
        elif code in RETRIABLE:
            self._producer_failures += 1
            pause = self._settings.retry_s * 2 ** min(self._producer_failures - 1, 20)
            self._producer_at = now + min(pause, self._settings.retry_most_s)
        else:
            error = KafkaError(code)
            self.outbox.put(Told(code, f"no producer id: {error.str()}"))
            self.producing.fail(code, f"The broker gives no producer id: {error.str()}")
            self.outbox.put(None)

    def _unanswered(self, request: Request, now: float) -> None:
        """Its connection has ended: it is to be sent again."""
        if request.api == protocol.PRODUCE and self.producing.failure is None:
            self.producing.retry(request.about, now)
        elif request.api == protocol.METADATA:
            self._asked_topics = False
        elif request.api == protocol.INIT_PRODUCER_ID:
            self._asked_producer = False

    def _answer_all(self, error: KafkaError | None) -> None:
        """Who waits for the brokers' list gets it, or *error*."""
        for answer in self._asking:
            answer.put(error)
        self._asking.clear()

    # -- metadata and the producer id -----------------------------------------------------------------------------

    def _ask(self, now: float) -> None:
        node = self.cluster.any_up(now)
        if node is None or node.connection is None:
            return
        try:
            if self.producing.producer is None and self.producing.failure is None and not self._asked_producer:
                if now >= self._producer_at:
                    self._asked_producer = True
                    node.connection.ask(protocol.INIT_PRODUCER_ID, protocol.init_producer_id_request(), None, now)
                else:
                    self._look_at(self._producer_at)
            if self._asked_topics:
                return
            if now < self._ask_at:
                self._look_at(self._ask_at)
                return
            topics, make, at = self.cluster.to_ask(now)
            if topics or self._asking or not self.cluster.nodes:
                self._asked_topics = True
                self.cluster.asked(topics, now)
                version = node.connection.session.versions[protocol.METADATA] if node.connection.session else 0
                body = protocol.metadata_request([topic.name for topic in topics], make, version)
                node.connection.ask(protocol.METADATA, body, None, now)
            else:
                self._look_at(at)
        except Broken as exc:
            self._connections.lose(node, exc, now)

    # -- the end --------------------------------------------------------------------------------------------------

    def _give_up(self, done: SimpleQueue[None]) -> None:
        """A batch that was sent may have arrived, and its numbers are used up: then this producer sends no more."""
        if self.producing.failure is None:
            if self.producing.numbered and any(
                    batch.sequence >= 0 for topic in self.cluster.topics.values() for each in topic.partitions
                    for batch in each.batches):
                code = KafkaError._PURGE_INFLIGHT
                self.producing.fail(code, KafkaError(code).str())
            else:
                self.producing.give_up_all()
        done.put(None)

    def _stop_sending(self, now: float) -> None:
        for node in self.cluster:
            if node.connection is not None and any(each.api == protocol.PRODUCE for each in node.connection.pending):
                self._connections.drop(node, node.connection, now)
        give_up_waiting(self._sets, self.cluster, self.outbox)

    def _close(self) -> None:
        self._connections.close(time.monotonic())
        while self._inbox:  # who still waits gets an answer
            self._inbox.popleft()(time.monotonic())
        self._answer_all(KafkaError(KafkaError._DESTROY))
        self._woken.close()
        self._wake.close()
