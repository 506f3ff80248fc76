"""The worker's keys for `sink.type=kafka`; here, so that reading them does not load a Kafka client."""

from __future__ import annotations

from typing import Literal

from cdc.config.options import option, settings
from cdc.config.table import OptionTable, Parsed

Fencing = Literal["auto", "on", "off"]
ClientKind = Literal["auto", "native", "python", "batches"]


@settings
class KafkaSinkConfig:
    """The worker's keys for `sink.type=kafka`, beside those of the clients."""

    sink_kafka_fencing: Fencing = option(
        "sink.kafka.fencing", default="auto", one_of=("auto", "on", "off"), group="Sink", importance="MEDIUM",
        doc="Whether each connector's producer has a transactional id, so that brokers refuse what a paused process "
        "still sends after another one took over. auto: if the offsets are in a topic and the brokers allow it. on: "
        "always. Consumers should then read with isolation.level=read_committed.",
    )
    sink_kafka_client: ClientKind = option(
        "sink.kafka.client", default="auto", one_of=("auto", "native", "python", "batches"), group="Sink",
        importance="LOW",
        doc="Which client sends to Kafka. native: librdkafka, called by compiled code, without a Python object for "
        "each message. python: librdkafka, through confluent-kafka's Producer, which takes more CPU time. batches: a "
        "client of our own that writes record batches, which takes the least CPU time; where it does not know a "
        "setting, or there are transactions, librdkafka takes its place, and the log says why. auto: batches, if it "
        "was compiled.",
    )


OPTIONS = OptionTable.of(KafkaSinkConfig)


def check(worker: Parsed) -> None:
    """What `sink.type=kafka` needs of a worker's configuration."""
    if "bootstrap.servers" not in worker.given:
        worker.problem("bootstrap.servers", "this key is required.", "Or set sink.type to stdout or file.")
