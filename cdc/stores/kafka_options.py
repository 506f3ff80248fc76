"""The worker's keys for offsets in a topic; here, so that reading them does not load a Kafka client."""

from __future__ import annotations

from typing import Final

from cdc.config.options import Option, option, settings
from cdc.config.table import OptionTable, Parsed
from cdc.core.late_regex import late_regex

TOPIC: Final = "offset.storage.topic"
CONFIG_TOPIC: Final = "config.storage.topic"
_TOPIC_SETTING: Final = (
    r"cleanup\.policy|compression\..+|delete\.retention\.ms|file\.delete\.delay\.ms|flush\..+|index\.interval\.bytes"
    r"|(leader|follower)\..+|(local|remote)\..+|max\.(compaction\.lag\.ms|message\.bytes)|message\..+|preallocate"
    r"|min\.(cleanable\.dirty\.ratio|compaction\.lag\.ms|insync\.replicas)|retention\.(bytes|ms)|segment\..+"
    r"|unclean\.leader\.election\.enable"
)
"""Kafka documentation, "Topic configs"."""


@settings
class KafkaOffsetConfig:
    """The topic, and how it is created if it does not exist."""

    offset_storage_topic: str | None = option(
        TOPIC, default=None, importance="HIGH", group="Offsets",
        doc="Topic that stores the offsets, if there is no file for them.",
    )
    offset_storage_partitions: int = option(
        "offset.storage.partitions", "INT", default="25", importance="LOW", group="Offsets",
        doc="Number of partitions if the offset topic must be created.",
    )
    offset_storage_replication_factor: int = option(
        "offset.storage.replication.factor", "SHORT", default="3", importance="LOW", group="Offsets",
        doc="Replication factor if the offset topic must be created; -1 uses the broker's default.",
    )
    config_storage_topic: str | None = option(
        CONFIG_TOPIC, default=None, importance="HIGH", group="Connectors",
        doc="Topic that stores the connectors that are created over REST, if offsets are in a topic.",
    )
    config_storage_replication_factor: int = option(
        "config.storage.replication.factor", "SHORT", default="3", importance="LOW", group="Connectors",
        doc="Replication factor if that topic must be created; -1 uses the broker's default.",
    )


OPTIONS = OptionTable.of(KafkaOffsetConfig, Option(
    key="offset.storage.<topic setting>", pattern=late_regex(rf"offset\.storage\.({_TOPIC_SETTING})"),
    importance="LOW", doc="Settings of the offset topic if it must be created.", dotted=True,
))


def check(worker: Parsed) -> None:
    """What offsets in a topic need of a worker's configuration."""
    if "bootstrap.servers" not in worker.given:
        worker.problem("bootstrap.servers", f"this key is required for {TOPIC}.")
