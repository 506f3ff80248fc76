"""GIVEN our own Kafka client under load, WHEN the broker restarts, is killed, and links break again and again, THEN
each record is in its topic exactly once, and those of one key in order.

It lasts 2 minutes with CDC_TEST_LONG=1, else some seconds.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable

import pytest

from cdc.core.interfaces import Outgoing
from cdc.native import module
from cdc.runtime.inflight import Inflight
from cdc.sinks.kafka import KafkaSink
from tests.servers.kafka import KafkaServer, consume_all, create_topic
from tests.servers.proxy import Proxy

LONG = os.environ.get("CDC_TEST_LONG") == "1"
SOAK_S = 120.0 if LONG else 25.0
KEYS = 40
PARTITIONS = 5
SEED = 7

pytestmark = pytest.mark.skipif(module("recordsets") is None, reason="no compiled modules")


class Trouble(threading.Thread):
    """Breaks something, lets it be for a while, mends it, until it is told to end; it leaves all mended."""

    def __init__(self, kafka: KafkaServer, proxy: Proxy) -> None:
        super().__init__(daemon=True)
        self._kafka, self._proxy = kafka, proxy
        self._random = random.Random(SEED)
        self._end = threading.Event()
        self._next: list[str] = []
        self.made: dict[str, int] = defaultdict(int)
        self.now = "nothing"
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._end.wait(self._random.uniform(0.2, 1.5)):
                self._once()
        except BaseException as exc:
            self.failure = exc

    def _once(self) -> None:
        kinds: dict[str, Callable[[], None]] = {
            "drop": self._proxy.drop, "freeze": self._proxy.freeze, "cut": self._proxy.cut,
            "cut within an answer": lambda: self._proxy.cut_after(self._random.randrange(1, 400)),
            "stop": self._kafka.stop, "kill": self._kafka.kill,
        }
        if not self._next:  # each kind has its turn, those of links more often
            self._next = [*kinds, "drop", "cut", "cut within an answer", "cut within an answer"]
            self._random.shuffle(self._next)
        name = self._next.pop()
        self.now = name
        kinds[name]()
        self.made[name] += 1
        self._end.wait(self._random.uniform(0.05, 3.0 if name == "freeze" else 1.0))
        if name in ("stop", "kill"):
            self._kafka.start()
        self._proxy.restore()

    def end(self) -> None:
        self._end.set()
        self.join(90)
        assert not self.is_alive()
        assert self.failure is None


@pytest.mark.parametrize("compression", ["none", "zstd"] if LONG else ["zstd"])
def test_each_record_arrives_once_and_in_order(kafka: KafkaServer, topic_prefix: str, compression: str) -> None:
    create_topic(kafka.bootstrap, topic_prefix, PARTITIONS)
    sent: dict[bytes, list[int]] = defaultdict(list)
    inflight, rng, number = Inflight(), random.Random(SEED), 0
    with Proxy(kafka.host, kafka.proxied_target_port, kafka.proxied_port) as proxy:
        sink = KafkaSink({"bootstrap.servers": kafka.proxied_bootstrap, "request.timeout.ms": "2000",
                          "buffer.memory": str(4 << 20), "batch.size": "20000", "compression.type": compression},
                         client="batches", start_timeout_s=60)
        sink.start()
        trouble = Trouble(kafka, proxy)
        trouble.start()
        end = time.monotonic() + SOAK_S
        while time.monotonic() < end:
            batch = []
            for _ in range(rng.choice((1, 3, 200))):
                key = b"key %d" % rng.randrange(KEYS)
                sent[key].append(number)
                batch.append(Outgoing(topic_prefix, key, b"%-*d" % (rng.randrange(300), number), -1, (), "public.t"))
                number += 1
            delivery, first = inflight.add(None, len(batch)), 0  # type: ignore[arg-type]
            while first < len(batch):
                first = sink.send(batch, first, delivery)
                sink.poll(rng.choice((0, 0, 0.002)) if first == len(batch) else 0.02)
            assert inflight.error is None, f"in or after: {trouble.now}"
        trouble.end()
        assert sink.flush(90) == 0
        assert inflight.error is None
        inflight.committable()
        assert len(inflight) == 0
        retries = sink.metrics().get("cdc_kafka_retries_total")
        sink.close()
    found: dict[bytes, list[int]] = defaultdict(list)
    for message in consume_all(kafka.bootstrap, topic_prefix, timeout_s=120):
        found[message.key or b""].append(int(message.value or b""))
    print(f"{number} records, {dict(trouble.made)}, retries: {retries}")
    assert {key: len(values) for key, values in found.items()} == {key: len(values) for key, values in sent.items()}
    assert found == sent
