"""Whether the brokers answer, from what librdkafka reports about them."""

from __future__ import annotations

import time
from typing import Final

from confluent_kafka import KafkaError

from cdc.log import get_logger

from .errors import DENIED

log = get_logger(__name__)

_SAME_LOG_S: Final = 60.0
"""An error that repeats is logged once in this time."""


class BrokerState:
    """Turns librdkafka's error callbacks into changes of state; librdkafka repeats an error with every retry.

    `unreachable`: no broker answers.
    `denied`: the brokers' refusal, while they refuse us.
    `reason`: the last error's text.
    """

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self._logged: dict[int, float] = {}
        self._told = self._lines = 0
        self._denied_since: float | None = None
        self._closed = False
        self.unreachable = False
        self.denied: KafkaError | None = None
        self.reason = ""

    def on_error(self, error: KafkaError) -> None:
        self._told += 1
        code = error.code()
        if code == KafkaError._ALL_BROKERS_DOWN:
            self.unreachable = True
        else:
            self.reason = error.str()
        if code in DENIED:
            self.denied = error
            if self._denied_since is None:
                self._denied_since = time.monotonic()
        if not self._closed:
            self._log(error)

    def served(self, count: int) -> None:
        """A poll served *count* events: errors, log lines, statistics and deliveries.

        A delivery shows that the brokers answer, unless the same poll served an error, which may have come later.
        """
        told, self._told = self._told, 0
        lines, self._lines = self._lines, 0
        if told or count <= lines:
            return
        if self.unreachable:
            log.info("kafka_reachable", bootstrap_servers=self._servers)
            self._logged.clear()
        self.unreachable, self.denied, self._denied_since, self.reason = False, None, None, ""

    def noted(self) -> None:
        """The client called us back with something that says nothing about brokers."""
        self._lines += 1

    def log(self, level: int, form: str, *args: object) -> None:
        """Write a log line of librdkafka at debug: the error callback gets what matters too."""
        self.noted()
        log.debug("librdkafka", severity=level, line=form % args if args else form)

    def denied_for_s(self) -> float:
        return 0.0 if self._denied_since is None else time.monotonic() - self._denied_since

    def close(self) -> None:
        self._closed = True

    def _log(self, error: KafkaError) -> None:
        now = time.monotonic()
        last = self._logged.get(error.code())
        if last is not None and now - last < _SAME_LOG_S:
            return
        self._logged[error.code()] = now
        denied = error.code() in DENIED
        write = log.error if denied else log.warning
        write("kafka_refused" if denied else "kafka_error", code=error.name(), reason=error.str(),
              bootstrap_servers=self._servers)
