"""The keys that Kafka Connect itself reads from every source connector's configuration.

They are here, and not with the runtime, because a source must tell them from its own. Kafka Connect documentation,
"Source Connector Configs"; KIP-158 (topic creation), KIP-298 (error handling), KIP-618 (exactly once).
"""

from __future__ import annotations

import re

from .options import Option, at_least


def _family(key: str, pattern: str, doc: str) -> Option:
    return Option(key=key, pattern=re.compile(pattern), doc=doc, importance="LOW")


_RETRIES = "what can be tried again restarts the task, see errors.max.retries"
_LATER_EOS = "delivery is at least once"

FRAMEWORK_OPTIONS: tuple[Option, ...] = (
    Option(
        key="name", importance="HIGH", group="Common", required=True,
        doc="Name of the connector; its offsets are kept under it.",
    ),
    Option(
        key="connector.class", importance="HIGH", group="Common", required=True,
        doc="Class or short name of the connector.",
    ),
    Option(
        key="connector.plugin.version", group="Common", effect="inert", why="there is one version of each plugin",
        doc="Version of the plugin.",
    ),
    Option(
        key="tasks.max", type="INT", default="1", importance="HIGH", group="Common", check=at_least(1),
        doc="Most tasks; a source uses one.",
    ),
    Option(
        key="tasks.max.enforce", type="BOOLEAN", default="true", importance="LOW", group="Common", effect="inert",
        why="a source has one task", doc="Fail when a connector makes more.",
    ),
    Option(
        key="key.converter", type="CLASS", importance="LOW", group="Common",
        doc="Converter of keys; the worker's by default.",
    ),
    Option(
        key="value.converter", type="CLASS", importance="LOW", group="Common",
        doc="Converter of values; the worker's by default.",
    ),
    Option(
        key="header.converter", type="CLASS", importance="LOW", group="Common",
        doc="Converter of headers; the worker's by default.",
    ),
    Option(key="transforms", type="LIST", importance="LOW", group="Transforms", doc="Names of transforms."),
    Option(key="predicates", type="LIST", importance="LOW", group="Predicates", doc="Names of predicates."),
    Option(
        key="config.action.reload", default="restart", importance="LOW", group="Common", one_of=("restart", "none"),
        effect="inert", why="no config provider reports changes", doc="What to do when a referenced value changes.",
    ),
    Option(
        key="errors.retry.timeout", type="LONG", default="0", group="Error Handling", check=at_least(-1),
        doc="How long a failed operation is tried again, ms; -1 for ever.", effect="inert", why=_RETRIES,
    ),
    Option(
        key="errors.retry.delay.max.ms", type="LONG", default="60000", group="Error Handling", check=at_least(0),
        doc="Longest wait between attempts.", effect="inert", why=_RETRIES,
    ),
    Option(
        key="errors.tolerance", default="none", group="Error Handling", one_of=("none", "all"),
        doc="all skips records that cannot be handled.",
    ),
    Option(
        key="errors.log.enable", type="BOOLEAN", default="false", group="Error Handling",
        doc="Log each failed operation.",
    ),
    Option(
        key="errors.log.include.messages", type="BOOLEAN", default="false", group="Error Handling",
        doc="Log the record with it.", effect="inert", why="logs name the table and never hold values",
    ),
    Option(
        key="topic.creation.groups", type="LIST", importance="LOW", group="Topic Creation",
        doc="Names of topic groups with settings of their own.",
    ),
    Option(
        key="exactly.once.support", default="requested", group="Exactly Once Support",
        one_of=("requested", "required"), doc="Whether exactly-once delivery must be had.",
    ),
    Option(
        key="transaction.boundary", default="poll", group="Exactly Once Support",
        one_of=("poll", "interval", "connector"), effect="inert", why=_LATER_EOS,
        doc="Where producer transactions end.",
    ),
    Option(
        key="transaction.boundary.interval.ms", type="LONG", importance="LOW", group="Exactly Once Support",
        effect="inert", why=_LATER_EOS, doc="How often they end.",
    ),
    Option(
        key="offsets.storage.topic", importance="LOW", group="offsets.topic", effect="later",
        why="all connectors use the worker's offset store", doc="Topic for this connector's offsets.",
    ),
    _family("key.converter.*", r"key\.converter\..+", "Settings of the key converter."),
    _family("value.converter.*", r"value\.converter\..+", "Settings of the value converter."),
    _family("header.converter.*", r"header\.converter\..+", "Settings of the header converter."),
    _family("topic.creation.*", r"topic\.creation\.[^.]+(\..+)?", "Settings of topics when they are created."),
    _family("producer.override.*", r"producer\.override\..+", "Settings of the producer."),
    _family("admin.override.*", r"admin\.override\..+", "Settings of the admin client."),
    _family("consumer.override.*", r"consumer\.override\..+", "Settings of the consumer."),
    _family("transforms.*", r"transforms\..+", "Settings of transforms."),
    _family("predicates.*", r"predicates\..+", "Settings of predicates."),
)
