"""The keys that Kafka Connect itself reads from every source connector's configuration.

They stand here and not in the runtime, because a source must distinguish them from its own keys.
Kafka Connect documentation, "Source Connector Configs"; KIP-158 (topic creation), KIP-298 (error handling),
KIP-618 (exactly once).
"""

from __future__ import annotations

from typing import Final

from cdc.core.late_regex import late_regex

from .checks import at_least, matching
from .options import Option


def _family(key: str, pattern: str, doc: str, *, private: bool = True, dotted: bool = True) -> Option:
    return Option(key=key, pattern=late_regex(pattern), doc=doc, importance="LOW", private=private, dotted=dotted)


_topic = matching(r"[a-zA-Z0-9._-]{0,249}", "a topic's name has letters, digits, dots, hyphens and underscores only")
MOST_ALIASES: Final = 100
"""So many transforms, and predicates, a connector may have."""
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
        doc="Highest number of tasks; a source uses one.",
    ),
    Option(
        key="tasks.max.enforce", type="BOOLEAN", default="true", importance="LOW", group="Common", effect="inert",
        why="a source has one task", doc="Fail if a connector creates more tasks than that.",
    ),
    Option(
        key="key.converter", type="CLASS", importance="LOW", group="Common",
        doc="Class of the converter of keys; the worker's by default.",
    ),
    Option(
        key="value.converter", type="CLASS", importance="LOW", group="Common",
        doc="Class of the converter of values; the worker's by default.",
    ),
    Option(
        key="header.converter", type="CLASS", importance="LOW", group="Common",
        doc="Class of the converter of headers; the worker's by default.",
    ),
    *(Option(key=f"{role}.converter.plugin.version", importance="LOW", group="Common", effect="inert",
             why="there is one version of each plugin", doc="Version of the converter.")
      for role in ("key", "value", "header")),
    Option(key="transforms", type="LIST", importance="LOW", group="Transforms", doc="Names of transforms."),
    Option(key="predicates", type="LIST", importance="LOW", group="Predicates", doc="Names of predicates."),
    Option(
        key="config.action.reload", default="restart", importance="LOW", group="Common", one_of=("restart", "none"),
        effect="inert", why="no config provider reports changes",
        doc="Action when the value behind a reference changes.",
    ),
    Option(
        key="errors.retry.timeout", type="LONG", default="0", group="Error Handling", check=at_least(-1),
        doc="How long a transform or a converter is retried after a passing failure, such as a registry that is away,"
        " in ms. After that the task starts again, as it does after every passing failure. 0 and -1: without limit.",
    ),
    Option(
        key="errors.retry.delay.max.ms", type="LONG", default="60000", group="Error Handling", check=at_least(0),
        doc="Longest pause between these attempts; 10 s if it is not set.",
    ),
    Option(
        key="errors.tolerance", default="none", group="Error Handling", one_of=("none", "all"),
        doc="all leaves out records on which a transform or a converter fails; none stops the task at the first one.",
    ),
    Option(
        key="errors.log.enable", type="BOOLEAN", default="false", group="Error Handling",
        doc="Log each record on which a transform or a converter fails.",
    ),
    Option(
        key="errors.log.include.messages", type="BOOLEAN", default="false", group="Error Handling",
        doc="Also log that record's topic, operation, schemas, columns and headers by name. Logs never hold values.",
    ),
    Option(
        key="errors.deadletterqueue.topic.name", default="", group="Error Handling", check=_topic,
        doc="With errors.tolerance=all: topic for the rows of the records that are left out, as JSON. It holds values"
        " of these rows, also those that transforms hide. Kafka Connect has this for sinks only.",
    ),
    Option(
        key="errors.deadletterqueue.topic.replication.factor", type="SHORT", default="3", group="Error Handling",
        check=at_least(-1), doc="Replication factor of that topic if it must be created; -1 uses the broker's default.",
    ),
    Option(
        key="errors.deadletterqueue.context.headers.enable", type="BOOLEAN", default="false", group="Error Handling",
        doc="Add headers to a dead letter that say why: __connect.errors.topic, .connector.name, .task.id, .stage,"
        " .class.name, .exception.class.name, .exception.message and .exception.stacktrace.",
    ),
    Option(
        key="topic.creation.groups", type="LIST", importance="LOW", group="Topic Creation",
        doc="Names of topic groups; topic.creation.<group>.* holds the settings of each.",
    ),
    Option(
        key="exactly.once.support", default="requested", group="Exactly Once Support",
        one_of=("requested", "required"), doc="required: refuse to start without exactly-once delivery.",
    ),
    Option(
        key="transaction.boundary", default="poll", group="Exactly Once Support",
        one_of=("poll", "interval", "connector"), effect="inert", why=_LATER_EOS,
        doc="What ends a producer's transaction.",
    ),
    Option(
        key="transaction.boundary.interval.ms", type="LONG", importance="LOW", group="Exactly Once Support",
        effect="inert", why=_LATER_EOS, doc="Time between the ends of a producer's transactions.",
    ),
    Option(
        key="offsets.storage.topic", importance="LOW", group="offsets.topic", effect="later",
        why="all connectors use the worker's offset store", doc="Topic for this connector's offsets.",
    ),
    _family("key.converter.*", r"key\.converter\..+", "Settings of the key converter."),
    _family("value.converter.*", r"value\.converter\..+", "Settings of the value converter."),
    _family("header.converter.*", r"header\.converter\..+", "Settings of the header converter."),
    _family("topic.creation.*", r"topic\.creation\.[^.]+(\..+)?", "Settings of topics when they are created.",
            private=False),
    _family("producer.override.*", r"producer\.override\..+", "Settings of the producer."),
    _family("admin.override.*", r"admin\.override\..+", "Settings of the admin client."),
    _family("consumer.override.*", r"consumer\.override\..+", "Settings of the consumer."),
    _family("transforms.*", r"transforms\..+", "Settings of transforms.", dotted=False),
    _family("predicates.*", r"predicates\..+", "Settings of predicates.", dotted=False),
)
