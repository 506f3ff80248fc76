"""Names of topics, schemas and fields, as Debezium's naming strategies and adjustment modes give them.

Debezium docs, "Topic names" and the options `topic.naming.strategy`, `schema.name.adjustment.mode`,
`field.name.adjustment.mode`; Debezium sources: AbstractTopicNamingStrategy, AbstractRegexTopicNamingStrategy,
SchemaNameAdjuster. Java replaces UTF-16 code units, so a character beyond U+FFFF counts as two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from cdc.config.regex import JavaRegex
from cdc.config.replacement import check_replacement, compile_for, rewrite
from cdc.core.dataclass import dataclass
from cdc.core.errors import ConfigError
from cdc.core.late_regex import late_regex
from cdc.core.table import TableId

Adjuster = Callable[[str], str]

MAX_TOPIC_LENGTH: Final = 249
"""Kafka's own limit (org.apache.kafka.common.internals.Topic)."""

DEFAULT_KEY_FIELD: Final = "__dbz__physicalTableIdentifier"

_TOPIC_NAME = late_regex(r"[a-zA-Z0-9_.\-]+")
_AVRO_CONVERTERS = frozenset({
    "io.confluent.connect.avro.AvroConverter",
    "io.apicurio.registry.utils.converter.AvroConverter",
})


@dataclass(frozen=True)
class Strategy:
    """One `topic.naming.strategy`. *by_schema*: the schema's name is part of a topic, else the database's."""

    by_schema: bool
    unicode: bool = False
    regex: bool = False


_BY_SCHEMA: Final = Strategy(True)

STRATEGIES: Final[Mapping[str, Strategy]] = {
    "SchemaTopicNamingStrategy": _BY_SCHEMA,
    "SchemaUnicodeTopicNamingStrategy": Strategy(True, unicode=True),
    "SchemaRegexTopicNamingStrategy": Strategy(True, regex=True),
    "DefaultTopicNamingStrategy": Strategy(False),
    "DefaultUnicodeTopicNamingStrategy": Strategy(False, unicode=True),
    "DefaultRegexTopicNamingStrategy": Strategy(False, regex=True),
}
"""By the simple name of Debezium's class in `io.debezium.schema`."""


@dataclass(frozen=True)
class Route:
    """A regex strategy: how a data topic is renamed, and the key field that distinguishes the tables of one topic.

    The replacements are Java's: `$1`, `${name}`, `\\$`. *key_field* None adds no field.
    """

    pattern: JavaRegex
    replacement: str
    key_field: str | None = DEFAULT_KEY_FIELD
    key_pattern: JavaRegex | None = None
    key_replacement: str = ""

    def topic(self, topic: str) -> str:
        """If the result is empty, the topic keeps its name."""
        return rewrite(self.pattern, self.replacement, topic) or topic

    def table_identifier(self, topic: str) -> str:
        return topic if self.key_pattern is None else rewrite(self.key_pattern, self.key_replacement, topic)


class TopicNaming:
    """The names of one connector's topics and of its schemas and fields. Immutable, except for a cache."""

    def __init__(self, prefix: str, strategy: Strategy = _BY_SCHEMA, *, route: Route | None = None,
                 delimiter: str = ".", transaction: str = "transaction", heartbeat_prefix: str = "__debezium-heartbeat",
                 heartbeat_name: str | None = None, schema_mode: str = "none", field_mode: str = "none") -> None:
        self.prefix = prefix
        self.schema_name = schema_adjuster(schema_mode)
        self.field_name = field_adjuster(field_mode)
        self._strategy = strategy
        self._route = route
        self._delimiter = delimiter
        self._transaction = transaction
        self._heartbeat_prefix = heartbeat_prefix
        self._heartbeat_name = heartbeat_name
        self._topics: dict[TableId, str] = {}

    @classmethod
    def from_config(cls, config: Any) -> TopicNaming:
        """From a connector's options, one attribute per key. `field_name_adjustment_mode` is the effective one, see
        `effective_field_mode`.

        Raises ConfigError for an unknown strategy, a malformed name or regex.
        """
        strategy = find_strategy(config.topic_naming_strategy)
        names = {key: getattr(config, key.replace(".", "_"))
                 for key in ("topic.prefix", "topic.delimiter", "topic.transaction", "topic.heartbeat.prefix",
                             "topic.heartbeat.name")}
        for key, name in names.items():
            _check_topic_name(key, name)
        return cls(
            names["topic.prefix"], strategy,
            route=_route_of(config) if strategy.regex else None,
            delimiter=names["topic.delimiter"],
            transaction=names["topic.transaction"],
            heartbeat_prefix=names["topic.heartbeat.prefix"],
            heartbeat_name=names["topic.heartbeat.name"],
            schema_mode=config.schema_name_adjustment_mode,
            field_mode=config.field_name_adjustment_mode,
        )

    def plain_topic(self, id: TableId) -> str:
        """Prefix and names joined, nothing replaced. Compare with `data_topic` to see whether a name was changed."""
        if self._strategy.by_schema:
            parts = (self.prefix, id.schema, id.table)
        else:
            parts = (self.prefix, "" if id.schema else id.catalog, id.table)
        return self._delimiter.join(part for part in parts if part.strip())

    def data_topic(self, id: TableId) -> str:
        topic = self._topics.get(id)
        if topic is None:
            topic = sanitise_topic(self.plain_topic(id), self._strategy.unicode)
            if self._route is not None:
                topic = self._route.topic(topic)
            self._topics[id] = topic
        return topic

    def key_constant(self, id: TableId) -> tuple[tuple[str, str], ...]:
        """Key fields that are no columns, with their values: required STRINGs, after the columns."""
        if self._route is None or self._route.key_field is None:
            return ()
        return ((self._route.key_field, self._route.table_identifier(self.plain_topic(id))),)

    @property
    def merges_on_purpose(self) -> bool:
        """Whether a regex strategy brings tables together without a key field: `topic.key.enforce.uniqueness=false`,
        with which the user says that keys are unique without it."""
        return self._route is not None and self._route.key_field is None

    def transaction_topic(self) -> str:
        return f"{self.prefix}{self._delimiter}{self._transaction}"

    def heartbeat_topic(self) -> str:
        return self._heartbeat_name or f"{self._heartbeat_prefix}{self._delimiter}{self.prefix}"

    def message_topic(self) -> str:
        """Logical decoding messages; always a dot, whatever the delimiter."""
        return f"{self.prefix}.message"

    def schema_change_topic(self) -> str:
        return self.prefix


def find_strategy(name: str) -> Strategy:
    """By Debezium's class name, with or without its package. Raises ConfigError."""
    found = STRATEGIES.get(name.strip().removeprefix("io.debezium.schema."))
    if found is None:
        raise ConfigError(f"Unknown topic naming strategy {name!r}.", option="topic.naming.strategy",
                          hint=f"Known are {', '.join('io.debezium.schema.' + each for each in STRATEGIES)}.")
    return found


def sanitise_topic(name: str, unicode: bool = False) -> str:
    """*name* as Kafka accepts it: letters, digits, `.`, `_`, `-`, at most 249. With *unicode* invalid characters and
    `_` become `_uXXXX`, else `_`. Two names may become the same."""
    valid = _UNICODE_TOPIC if unicode else _TOPIC
    replace = _hex_escape if unicode else _underscore
    result = "".join(char if char in valid else replace(char) for char in _utf16(name))
    if result in (".", ".."):
        return replace(".") * len(result)
    return result[:MAX_TOPIC_LENGTH]


def schema_adjuster(mode: str) -> Adjuster:
    """`schema.name.adjustment.mode`: over a whole dotted name, so only its very first character counts as first."""
    return _adjuster(mode, "schema.name.adjustment.mode", extra=".")


def field_adjuster(mode: str) -> Adjuster:
    """`field.name.adjustment.mode`: as for schemas, but a dot is invalid too."""
    return _adjuster(mode, "field.name.adjustment.mode", extra="")


def effective_field_mode(mode: str, connector_config: Mapping[str, Any]) -> str:
    """`none` means `avro` if the connector's own configuration (not the worker's) names an Avro converter."""
    if mode == "none" and any(connector_config.get(key) in _AVRO_CONVERTERS
                              for key in ("key.converter", "value.converter")):
        return "avro"
    return mode


_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_ALPHANUMERIC: Final = _LETTERS | frozenset("0123456789")
_TOPIC: Final = _ALPHANUMERIC | frozenset("._-")
_UNICODE_TOPIC: Final = _ALPHANUMERIC | frozenset(".-")


def _adjuster(mode: str, option: str, extra: str) -> Adjuster:
    if mode == "none":
        return _unchanged
    if mode == "avro":
        first, replace = _LETTERS | {"_"}, _underscore
    elif mode == "avro_unicode":
        first, replace = _LETTERS, _hex_escape
    else:
        raise ConfigError(f"Unknown adjustment mode {mode!r}.", option=option, hint="Use none, avro or avro_unicode.")
    rest = first | _ALPHANUMERIC | frozenset(extra)
    keeps_digit = mode == "avro"

    def adjust(name: str) -> str:
        result = []
        for index, char in enumerate(_utf16(name)):
            if char in (rest if index else first):
                result.append(char)
            elif index == 0 and keeps_digit and char.isdecimal():
                result.append("_" + char)
            else:
                result.append(replace(char))
        return "".join(result)

    return adjust


def _unchanged(name: str) -> str:
    return name


def _underscore(char: str) -> str:
    return "_"


def _hex_escape(char: str) -> str:
    """Java's toHexString is not padded; Debezium pads one and two digits with `00`."""
    digits = f"{ord(char):x}"
    return f"_u00{digits}" if len(digits) <= 2 else f"_u{digits}"


def _utf16(text: str) -> Iterator[str]:
    for char in text:
        if char > "\uffff":
            over = ord(char) - 0x10000
            yield chr(0xD800 | over >> 10)
            yield chr(0xDC00 | over & 0x3FF)
        else:
            yield char


def _check_topic_name(key: str, name: str | None) -> None:
    if name and not _TOPIC_NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot be part of a topic's name.", option=key,
                          hint="Letters, digits, '.', '_' and '-' only.")


def _route_of(config: Any) -> Route:
    topic = _pattern_and_replacement(config, "topic.regex", "topic.replacement")
    if topic is None:
        raise ConfigError("A regex naming strategy needs topic.regex and topic.replacement.", option="topic.regex")
    key = _pattern_and_replacement(config, "topic.key.field.regex", "topic.key.field.replacement")
    named = getattr(config, "topic_key_field_name", DEFAULT_KEY_FIELD) or DEFAULT_KEY_FIELD
    return Route(*topic, named if getattr(config, "topic_key_enforce_uniqueness", True) else None,
                 *(key or (None, "")))


def _pattern_and_replacement(config: Any, key: str, replacement_key: str) -> tuple[JavaRegex, str] | None:
    regex = str(getattr(config, key.replace(".", "_"), None) or "")
    replacement = str(getattr(config, replacement_key.replace(".", "_"), None) or "")
    if not regex.strip():
        return None
    if not replacement.strip():
        raise ConfigError(f"{key} needs {replacement_key}.", option=replacement_key)
    pattern = compile_for(key, regex)
    check_replacement(replacement_key, pattern, replacement)
    return pattern, replacement
