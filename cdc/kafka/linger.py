"""How long records wait for a full batch, and when a producer that would wait by itself is told to send what it holds.

Our own producer keeps the times itself; librdkafka, which has no such rules, is told by a `Linger`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

CLIENT_MS: Final = 1000
"""`linger.ms` of a client that is told. An idempotent librdkafka has at most five messages of a partition under way
(`rd_kafka_toppar_producer_serve`). While it waits for their answers and the first of the others is older than
`linger.ms`, its thread asks the socket again and again, and takes a whole core. So this is longer than any usual
answer takes; full batches are sent without waiting for it."""
FEW: Final = 16
"""So many records at once, with no others under way, are sent without lingering: no backlog waits behind them."""
LINGER_S: Final = 0.005
"""So long a backlog waits for a full batch while nothing is under way, unless `linger.ms` is set. As Kafka's client."""
_AGAIN_S: Final = 0.02
"""After so long without an answer the client is told again: its thread may not have run meanwhile."""
MOST_LINGER_S: Final = 0.1
"""So long a few records wait for a full batch, whatever else is sent and answered meanwhile."""


def client_ms(settings: Mapping[str, str]) -> str:
    """`linger.ms` of a client with *settings*, which is told. librdkafka wants it below the limits of a message
    (`rd_kafka_topic_conf_finalize`)."""
    texts = (settings.get("message.timeout.ms", ""), settings.get("transaction.timeout.ms", ""))
    return str(min([CLIENT_MS, *(int(text) // 2 for text in texts if text.isdecimal() and int(text))]))


class Linger:
    """Of one producer: who gives it records and handles its answers says so."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._send_by: float | None = None
        self._latest = self._again_at = 0.0

    def given(self) -> None:
        """The client has taken records."""
        if self._send_by is None:
            now = self._clock()
            self._send_by, self._latest = now + LINGER_S, now + MOST_LINGER_S

    def answered(self, left: int) -> None:
        """Answers came; *left* records have none yet."""
        self._again_at = 0.0
        self._send_by = self._clock() + LINGER_S if left else None

    def told(self) -> None:
        """The client was told to send. More is sent only after an answer."""
        now = self._clock()
        self._again_at, self._latest = now + _AGAIN_S, now + MOST_LINGER_S

    def is_due(self, *, idle: bool) -> bool:
        """Whether to tell it now. *idle*: no further record is there yet that could make a batch fuller."""
        if self._send_by is None:
            return False
        now = self._clock()
        return now >= self._again_at and (idle or now >= min(self._send_by, self._latest))
