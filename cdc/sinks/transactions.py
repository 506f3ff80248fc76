"""One transaction after the other on a Kafka producer, so that brokers refuse what an older run of it still sends.

A record counts as delivered only when its transaction is committed: consumers that read committed records only would
never see it otherwise, though an offset covers it. While records come, a transaction ends after a short time; when none
come, at once. To end it, all deliveries are awaited, so that the commit has nothing to send and no callback to call;
it then runs in a thread, because it waits for the brokers.

librdkafka, INTRODUCTION.md: "Transactional producer"; KIP-98.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

from cdc.core.errors import SinkFencedError
from cdc.core.interfaces import Ack
from cdc.kafka.client import Client
from cdc.kafka.errors import error_of

_PERIOD_S: Final = 0.5
"""While records come, a transaction is open for this long."""
_ABORT_S: Final = 1.0
_FLUSH_S: Final = 0.05


class Transactions:
    """The transactions of *producer*, after `init_transactions`. It is the Ack that the producer's callbacks get; the
    acks of the task wait here. All but the commit runs in the task's thread."""

    def __init__(self, producer: Client, explain_end: Callable[[KafkaError], Exception],
                 clock: Callable[[], float] = time.monotonic) -> None:
        """*explain_end* gives the error for a transaction that could not be committed."""
        self.error: Exception | None = None
        self.explain: Callable[[Any, Any], Exception] | None = None
        self._producer = producer
        self._explain_end = explain_end
        self._clock = clock
        self._open_since: float | None = None
        self._ending = self._sent = self._closed = False
        self._commit: Future[None] | None = None
        self._waiting: list[tuple[Ack, int]] = []

    def __len__(self) -> int:
        """Outgoings that were taken and not answered."""
        return sum(count for _, count in self._waiting)

    # -- what a batch needs ---------------------------------------------------------------------------------------

    def begin(self) -> bool:
        """Whether records can be sent now: not while a transaction ends. Raises KafkaException."""
        if self._ending or self._commit is not None or self.error is not None:
            return False
        if self._open_since is None:
            self._producer.begin_transaction()
            self._open_since = self._clock()
        return True

    def took(self, ack: Ack, count: int) -> None:
        """*count* outgoings were taken; *ack* is told when they are committed."""
        if count:
            self._waiting.append((ack, count))
            self._sent = True

    def on_delivery(self, err: Any, msg: Any) -> None:
        if err is not None:
            assert self.explain is not None
            self.failed(self.explain(err, msg))

    def failed(self, error: Exception) -> None:
        if self.error is None or isinstance(error, SinkFencedError):  # it also explains why records were purged
            self.error = error

    def delivered(self, count: int = 1) -> None:
        """A delivery alone says nothing."""

    # -- its end --------------------------------------------------------------------------------------------------

    def poll(self, timeout: float, serve: Callable[[float], None]) -> None:
        """Handle deliveries with *serve* for up to *timeout* seconds, end the transaction if it is time, and answer."""
        deadline = self._clock() + timeout
        while self.error is None:
            left = max(0.0, deadline - self._clock())
            if self._commit is not None:
                wait([self._commit], left)
                if not self._commit.done():
                    return
                self._committed(self._commit)
            elif self._ending:
                serve(0 if self._drained(left) else left)
                if self._drained(0):
                    self._commit = _in_thread(self._commit_now)
                elif self._clock() >= deadline:
                    return
            else:
                serve(left)
                self._ending = self._open_since is not None and (
                    (timeout > 0 and not self._sent) or self._clock() - self._open_since >= _PERIOD_S)
                self._sent = False
                if not self._ending:
                    return
        self._answer(self.error)

    def end_soon(self) -> None:
        """Nothing more comes for now: end the open transaction with the next `poll`."""
        self._ending = self._open_since is not None

    def close(self) -> None:
        """Abandon an open transaction, unless it is being committed. Brokers that are away are not waited for long."""
        self._closed = True
        if self._open_since is not None and self._commit is None and self.error is None:
            try:
                self._producer.abort_transaction(_ABORT_S)
            except (KafkaException, SystemError):
                pass  # the next producer of this id, or the coordinator in a minute, aborts it

    def _drained(self, timeout: float) -> bool:
        """Whether all deliveries are answered, after a flush of up to *timeout* seconds, which does not linger."""
        if timeout > 0 and len(self._producer):
            try:
                self._producer.flush(min(timeout, _FLUSH_S))
            except (KafkaException, SystemError) as exc:  # from librdkafka's error callback; a fatal error
                self.failed(self._explain_end(error_of(exc)))
        return not len(self._producer)

    def _commit_now(self) -> None:
        while True:
            try:
                self._producer.commit_transaction()
                return
            except KafkaException as exc:
                if self._closed or not exc.args[0].retriable():
                    raise

    def _committed(self, commit: Future[None]) -> None:
        self._commit = None
        failure = commit.exception()
        if failure is None:
            self._open_since, self._ending = None, False
            self._answer(None)
        else:
            self.failed(self._explain_end(error_of(failure)))

    def _answer(self, error: Exception | None) -> None:
        waiting, self._waiting = self._waiting, []
        for ack, count in waiting:
            if error is None:
                ack.delivered(count)
            else:
                for _ in range(count):
                    ack.failed(error)



def _in_thread(work: Callable[[], None]) -> Future[None]:
    answer: Future[None] = Future()

    def run() -> None:
        try:
            work()
            answer.set_result(None)
        except BaseException as exc:
            answer.set_exception(exc)

    threading.Thread(target=run, name="transaction-end", daemon=True).start()
    return answer
