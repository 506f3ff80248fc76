"""What a producer's own statistics say, of all brokers and topics together.

librdkafka's STATISTICS.md. The text also has each topic and partition; they are skipped, not parsed.
"""

from __future__ import annotations

import math
from typing import Final

EVERY_MS: Final = 5_000
_MOST_BYTES: Final = 16 << 20
"""Each partition takes about a kilobyte. Beyond this the numbers stay as they were."""


class Statistics:
    """The last statistics of one producer. `take` runs in the thread that polls; any thread may read `numbers`."""

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}
        self.lost = False
        """The client knows no broker any more, and never will: it ends up so when a broker that shuts down answers a
        request for metadata with no broker at all, which takes the bootstrap servers away too. Seen with librdkafka
        2.16 in one of twenty outages of a single broker, whatever metadata.recovery.strategy is."""

    def take(self, text: str) -> None:
        """librdkafka's `stats_cb`. It must not raise: an error would come out of `poll`."""
        if len(text) > _MOST_BYTES:
            return
        from .statistics_text import read  # the first text comes seconds after the start, and msgspec takes 4 ms

        found = read(text)
        if found is None:
            return
        self.lost = not found.brokers
        brokers = [each for each in found.brokers.values() if each.nodeid >= 0]
        self.numbers = {
            "cdc_kafka_connections": sum(each.state == "UP" for each in found.brokers.values()),
            "cdc_kafka_sent_bytes_total": found.tx_bytes,
            "cdc_kafka_received_bytes_total": found.rx_bytes,
            "cdc_kafka_requests_waiting": sum(each.waitresp_cnt for each in found.brokers.values()),
            "cdc_kafka_retries_total": sum(each.txretries for each in found.brokers.values()),
            "cdc_kafka_request_errors_total": sum(each.txerrs + each.req_timeouts for each in found.brokers.values()),
            "cdc_kafka_round_trip_p99_seconds": max((each.rtt.p99 / 1e6 for each in brokers), default=math.nan),
        }
