"""What the drains have in common: `cdc run` as a process of its own, watched from outside, and what Kafka takes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from cdc.sinks.kafka import producer_settings
from tests.servers.kafka import KafkaServer
from tests.servers.registry import RegistryServer


@dataclass(frozen=True, slots=True)
class Measured:
    """What so many rows took, in time and in CPU time of all threads."""

    rows: int
    seconds: float
    cpu_s: float

    @property
    def rate(self) -> float:
        return self.rows / self.seconds

    @property
    def cpu_per_million(self) -> float:
        return self.cpu_s / self.rows * 1e6

    def __str__(self) -> str:
        return f"{self.rate:10.0f} rows/s, {self.cpu_per_million:.1f} CPU-s/M"


@dataclass(frozen=True, slots=True)
class Drained(Measured):
    """From the arrival of the first rows, which are not counted, to that of the last; `peak_kib` is the whole
    process's."""

    peak_kib: int

    def __str__(self) -> str:
        return f"{Measured.__str__(self)}, peak RSS {self.peak_kib / 1024:.0f} MB"


@contextlib.contextmanager
def stopwatch(found: list[float]) -> Iterator[None]:
    """Puts the seconds and the CPU seconds of this process that the block takes into *found*."""
    began, cpu_began = time.monotonic(), time.process_time()
    yield
    found += [time.monotonic() - began, time.process_time() - cpu_began]


class Sinks:
    """Kafka and a registry; drains into them."""

    def __init__(self, kafka: KafkaServer, registry: RegistryServer, *, pure: bool) -> None:
        self.kafka = kafka
        self.registry = registry
        self.pure = pure

    def drain(self, name: str, connector: Mapping[str, object], topic: str, rows: int,
              prepare: Callable[[Path], None] = lambda offsets: None) -> Drained:
        """Run *connector* as *name* until *topic* has *rows* records. *prepare* may fill the offset file before."""
        with tempfile.TemporaryDirectory() as folder:
            prepare(Path(folder, "offsets"))
            with self._run(Path(folder), {"name": name, **connector}) as process:
                return self._await(topic, rows, process)

    def produce(self, topic: str, like: str, rows: int) -> Measured:
        """A loop of nothing but `produce()` to *topic*, with messages as the last one of *like* and our settings."""
        key, value = self._sample(like)
        producer = Producer(dict(producer_settings({"bootstrap.servers": self.kafka.bootstrap}).settings))
        producer.list_topics(timeout=10)
        sent = 0
        took: list[float] = []
        with stopwatch(took):
            while sent < rows:
                try:
                    producer.produce(topic, value, key, -1)
                    sent += 1
                except BufferError:
                    producer.poll(0.05)
            producer.flush()
        return Measured(rows, *took)

    @contextlib.contextmanager
    def _run(self, folder: Path, connector: Mapping[str, object]) -> Iterator[subprocess.Popen[bytes]]:
        properties = {
            "bootstrap.servers": self.kafka.bootstrap,
            "key.converter": "io.confluent.connect.avro.AvroConverter",
            "key.converter.schema.registry.url": self.registry.url,
            "value.converter": "io.confluent.connect.avro.AvroConverter",
            "value.converter.schema.registry.url": self.registry.url,
            "offset.storage.file.filename": folder / "offsets",
            "offset.flush.interval.ms": 1000,
            "listeners": "http://127.0.0.1:0",
            **connector,
        }
        file = folder / "bench.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        environment = {**os.environ, **({"CDC_PURE": "1"} if self.pure else {})}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", "cdc", "run", str(file)], env=environment, stdout=log,
                                       stderr=log)
            try:
                yield process
            except BaseException:
                print((folder / "log").read_text()[-4000:], file=sys.stderr)
                raise
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(60)

    def _await(self, topic: str, rows: int, process: subprocess.Popen[bytes]) -> Drained:
        consumer = self._consumer()
        begin: tuple[int, float, float] | None = None
        try:
            while True:
                if process.poll() is not None:
                    raise RuntimeError(f"cdc ended with {process.returncode}")
                count, now_s, cpu_s = _high_watermark(consumer, topic), time.monotonic(), _cpu_seconds(process.pid)
                if count and begin is None:
                    begin = count, now_s, cpu_s
                if begin is not None and count >= rows:
                    return Drained(count - begin[0], now_s - begin[1], cpu_s - begin[2],
                                   _status(process.pid, "VmHWM"))
                time.sleep(0.05)
        finally:
            consumer.close()

    def _sample(self, topic: str) -> tuple[bytes | None, bytes | None]:
        """Key and value of the last message of *topic*."""
        consumer = self._consumer()
        try:
            last = _high_watermark(consumer, topic) - 1
            consumer.assign([TopicPartition(topic, 0, last)])
            message = consumer.poll(30)
            assert message is not None, f"{topic} has no message at {last}"
            return message.key(), message.value()
        finally:
            consumer.close()

    def _consumer(self) -> Consumer:
        return Consumer({"bootstrap.servers": self.kafka.bootstrap, "group.id": "bench",
                         "allow.auto.create.topics": False, "enable.auto.commit": False})


def _high_watermark(consumer: Consumer, topic: str) -> int:
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=5)[1])
    except Exception:
        return 0


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
