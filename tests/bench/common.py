"""What the workloads have in common: `cdc run` as a process of its own, watched from outside, and what Kafka takes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from cdc.core.interfaces import Outgoing
from cdc.runtime.inflight import Delivery, Inflight
from cdc.sinks.kafka import KafkaSink
from tests.servers.kafka import KafkaServer
from tests.servers.registry import RegistryServer

COMPRESSION: Final = "lz4"
"""As people set it where speed matters; the default is none."""
_PATIENCE_S: Final = 300.0
"""So long a topic may stay as it is."""
_BYTECODE: Final = tempfile.TemporaryDirectory(prefix="cdc-bytecode-")
"""An installed package has its bytecode; compiling it anew takes as long as all the rest of a start."""


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
    threads: Mapping[str, float] = field(default_factory=dict)
    """CPU seconds by thread, the largest first."""

    def __str__(self) -> str:
        threads = ", ".join(f"{name} {seconds / self.rows * 1e6:.1f}" for name, seconds in self.threads.items())
        return f"{Measured.__str__(self)} ({threads}), peak RSS {self.peak_kib / 1024:.0f} MB"


@contextlib.contextmanager
def stopwatch(found: list[float]) -> Iterator[None]:
    """Puts the seconds and the CPU seconds of this process that the block takes into *found*."""
    began, cpu_began = time.monotonic(), time.process_time()
    yield
    found += [time.monotonic() - began, time.process_time() - cpu_began]


def until_output(words: Sequence[str]) -> float:
    """Seconds until the program *words* has written its first byte; then it is ended."""
    began = time.monotonic()
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.read(1), f"{words[0]} has written nothing"
        took = time.monotonic() - began
        process.kill()
    return took


class Sinks:
    """Kafka and a registry; drains into them."""

    def __init__(self, kafka: KafkaServer, registry: RegistryServer, *, pure: bool,
                 settings: Mapping[str, str] = {}) -> None:  # noqa: B006  never changed
        """*settings*: keys for every worker. *pure*: the uncompiled core."""
        self.kafka = kafka
        self.registry = registry
        self.pure = pure
        self.settings = settings

    def drain(self, name: str, connector: Mapping[str, object], topic: str, rows: int,
              prepare: Callable[[Path], None] = lambda offsets: None, copied: str = "") -> Drained:
        """Run *connector* as *name* until *topic* has *rows* records. *prepare* may fill the offset file before.
        *copied*: a table that it copies meanwhile."""
        with tempfile.TemporaryDirectory() as folder:
            prepare(Path(folder, "offsets"))
            signals = Path(folder, "signals")
            if copied:
                request = {"id": "1", "type": "execute-snapshot", "data": {"data-collections": [copied]}}
                signals.write_text(json.dumps(request) + "\n")
                connector = {**connector, "signal.enabled.channels": "file", "signal.file": signals,
                             "signal.poll.interval.ms": 50}
            with self.run(Path(folder), {"name": name, **connector}) as process:
                return self.watch(topic, rows, process.pid, lambda: process.poll() is None)

    def warm(self, rows: int = 3_000_000) -> None:
        """Produce *rows* messages, so that the broker's JVM has compiled what takes them: until then each costs it
        three times as much."""
        self._produce("warm", b"key", bytes(range(250)), rows)

    def produce(self, topic: str, like: str, rows: int) -> Measured:
        """Nothing but a producer as the sink has it, with messages as the last one of *like* and our settings."""
        return self._produce(topic, *self._sample(like), rows)

    def _produce(self, topic: str, key: bytes | None, value: bytes | None, rows: int) -> Measured:
        sink = KafkaSink({"bootstrap.servers": self.kafka.bootstrap, "compression.type": COMPRESSION})
        sink.start()
        delivery = Delivery(Inflight(), None, rows, 0)  # type: ignore[arg-type]
        batch = [Outgoing(topic, key, value, -1, (), topic)] * 1000
        took: list[float] = []
        with stopwatch(took):
            for first in range(0, rows, len(batch)):
                part, sent = batch[:rows - first], 0
                while sent < len(part):
                    sent = sink.send(part, sent, delivery)
                    sink.poll(0.01 if sent < len(part) else 0)
            sink.flush(600)
        sink.close()
        assert delivery.acked(), delivery.error
        return Measured(rows, *took)

    def log_bytes(self, topic: str) -> int:
        """Of the topic's files at the broker."""
        assert self.kafka.folder is not None
        return sum(file.stat().st_size for file in (self.kafka.folder / "data").glob(f"{topic}-*/*.log"))

    @contextlib.contextmanager
    def run(self, folder: Path, connector: Mapping[str, object]) -> Iterator[subprocess.Popen[bytes]]:
        properties = {
            "bootstrap.servers": self.kafka.bootstrap,
            "key.converter": "io.confluent.connect.avro.AvroConverter",
            "key.converter.schema.registry.url": self.registry.url,
            "value.converter": "io.confluent.connect.avro.AvroConverter",
            "value.converter.schema.registry.url": self.registry.url,
            "offset.storage.file.filename": folder / "offsets",
            "offset.flush.interval.ms": 1000,
            "listeners": "http://127.0.0.1:0",
            "producer.compression.type": COMPRESSION,
            **self.settings,
            **connector,
        }
        file = folder / "bench.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        environment = {**os.environ, **({"CDC_PURE": "1"} if self.pure else {}), "PYTHONPYCACHEPREFIX": _BYTECODE.name}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
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

    def watch(self, topic: str, rows: int, pid: int, running: Callable[[], bool]) -> Drained:
        """From the first to the last record of *topic*, what the process *pid* takes."""
        begin: tuple[int, float, float] | None = None
        threads: Mapping[str, float] = {}
        last, changed = 0, time.monotonic()
        with contextlib.closing(End(self.kafka, topic)) as end:
            while True:
                if not running():
                    raise RuntimeError(f"The process ended at {last} of {rows} records of {topic}")
                count, now_s, cpu_s = end.offset(), time.monotonic(), cpu_seconds(pid)
                if count and begin is None:
                    begin, threads = (count, now_s, cpu_s), cpu_by_thread(pid)
                if begin is not None and count >= rows:
                    return Drained(count - begin[0], now_s - begin[1], cpu_s - begin[2],
                                   status(pid, "VmHWM"), _more(cpu_by_thread(pid), threads))
                if count != last:
                    last, changed = count, now_s
                elif now_s - changed > _PATIENCE_S:
                    raise RuntimeError(f"{topic} stays at {count} of {rows} records")
                time.sleep(0.05)

    def _sample(self, topic: str) -> tuple[bytes | None, bytes | None]:
        """Key and value of the last message of *topic*."""
        with contextlib.closing(End(self.kafka, topic)) as end:
            return end.last_message()


class End:
    """The end of a topic's only partition, asked again and again."""

    def __init__(self, kafka: KafkaServer, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._consumer = self._made()

    def offset(self) -> int:
        """0 while the topic is not there. After a failure a new client asks: librdkafka may lose its brokers."""
        try:
            return int(self._consumer.get_watermark_offsets(TopicPartition(self._topic, 0), timeout=5)[1])
        except KafkaException:
            self._consumer.close()
            self._consumer = self._made()
            return 0

    def last_message(self) -> tuple[bytes | None, bytes | None]:
        """Its key and value."""
        last = self.offset() - 1
        self._consumer.assign([TopicPartition(self._topic, 0, last)])
        message = self._consumer.poll(30)
        assert message is not None, f"{self._topic} has no message at {last}"
        return message.key(), message.value()

    def close(self) -> None:
        self._consumer.close()

    def _made(self) -> Consumer:
        return Consumer({"bootstrap.servers": self._kafka.bootstrap, "group.id": "bench",
                         "allow.auto.create.topics": False, "enable.auto.commit": False})


def status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_by_thread(pid: int) -> dict[str, float]:
    """CPU seconds by `NAME TID` of each thread that lives."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue  # it has ended
        fields = rest.split()
        found[f"{name} {task.name}"] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def _more(now: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """What each thread has taken since *before*; the four largest, by name without the number."""
    took = sorted(((seconds - before.get(name, 0), name) for name, seconds in now.items()), reverse=True)
    return {f"{name.partition(' ')[0]}#{place}": seconds for place, (seconds, name) in enumerate(took[:4])}


def at_a_rate(write: Callable[[], object], seconds: float, per_second: int) -> int:
    """Call *write* at a constant rate; what is late is made up for. Returns how often."""
    count, began = 0, time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        if count < now * per_second:
            write()
            count += 1
        else:
            time.sleep(0.0002)
    return count
