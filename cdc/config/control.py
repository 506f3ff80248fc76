"""The options of signals and notifications, which a source and the runtime both read.

Debezium docs, "Sending signals to a Debezium connector", "Receiving notifications from a Debezium connector"; keys and
defaults are those of release 3.6. Times are in milliseconds.
"""

from __future__ import annotations

from typing import Final

from cdc.core.late_regex import late_regex

from .checks import at_least
from .options import Option, option, settings

CONSUMER: Final = "signal.consumer."
GROUP: Final = "Events"


@settings
class ControlConfig:
    """`jmx` stands for the REST interface, which is what this service has in its place."""

    signal_enabled_channels: tuple[str, ...] = option(
        "signal.enabled.channels", "LIST", default="source", one_of=("source", "kafka", "file", "jmx"), group=GROUP,
        doc="Channels that signals come from: source (the signal table), kafka, file. The REST interface always takes"
            " signals; jmx is another name for it.",
    )
    signal_poll_interval_ms: int = option(
        "signal.poll.interval.ms", "LONG", default="5000", check=at_least(1), group=GROUP,
        doc="Time between two looks at the file of the channel file. The other channels are read as signals come.",
    )
    signal_file: str = option(
        "signal.file", default="file-signals.txt", importance="LOW", group=GROUP,
        doc="File of the channel file: one JSON object with id, type and data on each line. It is emptied when it is"
            " read.",
    )
    signal_kafka_topic: str | None = option(
        "signal.kafka.topic", default=None, group=GROUP,
        doc="Topic of the channel kafka, with one partition; by default the topic prefix with -signal. A message's key"
            " is the topic prefix, its value a JSON object with id, type and data.",
    )
    signal_kafka_bootstrap_servers: str | None = option(
        "signal.kafka.bootstrap.servers", default=None, group=GROUP,
        doc="Addresses of the Kafka cluster that has this topic; by default the worker's.",
    )
    signal_kafka_groupId: str = option(
        "signal.kafka.groupId", default="kafka-signal", group=GROUP,
        doc="Consumer group of the channel kafka. Its committed offset counts until this connector's own offset names"
            " a place in the topic.",
    )
    signal_kafka_poll_timeout_ms: int = option(
        "signal.kafka.poll.timeout.ms", "INT", default="0", check=at_least(0), group=GROUP,
        doc="Longest wait for messages of the channel kafka.", effect="inert",
        why="signals are waited for in a thread of its own",
    )
    notification_enabled_channels: tuple[str, ...] = option(
        "notification.enabled.channels", "LIST", default=None, one_of=("sink", "log", "jmx"), group=GROUP,
        doc="Channels that notifications go to: sink (a topic), log. The REST interface always has the newest; jmx is"
            " another name for it.",
    )
    notification_sink_topic_name: str | None = option(
        "notification.sink.topic.name", default=None, importance="HIGH", group=GROUP,
        doc="Topic of the notification channel sink.",
    )


CONSUMER_OPTIONS: Final = Option(
    key="signal.consumer.*", pattern=late_regex(r"signal\.consumer\.(.+)"), group=GROUP, private=True, dotted=True,
    doc="Properties of the channel kafka's consumer, by the names of Java's client.")
