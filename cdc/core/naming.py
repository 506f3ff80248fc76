"""Names of topics, schemas and fields, as Debezium's naming strategies and adjustment modes give them.

Debezium docs, "Topic names" and the options `topic.naming.strategy`, `schema.name.adjustment.mode`,
`field.name.adjustment.mode`; Debezium sources: AbstractTopicNamingStrategy, AbstractRegexTopicNamingStrategy,
SchemaNameAdjuster. Java replaces UTF-16 code units, so a character beyond U+FFFF counts as two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .errors import ConfigError
from .regex import Invalid, compile_java
from .schema import TableId

Adjuster = Callable[[str], str]

MAX_TOPIC_LENGTH: Final = 249
"""Kafka's own limit (org.apache.kafka.common.internals.Topic)."""

DEFAULT_KEY_FIELD: Final = "__dbz__physicalTableIdentifier"

_TOPIC_NAME = re.compile(r"[a-zA-Z0-9_.\-]+")
_AVRO_CONVERTERS = frozenset({
    "io.confluent.connect.avro.AvroConverter",
    "io.apicurio.registry.utils.converter.AvroConverter",
})


@dataclass(frozen=True, slots=True)
class Strategy:
    """One `topic.naming.strategy`. *by_schema*: the schema's name is part of a topic, else the database's."""

    by_schema: bool
    unicode: bool = False
    regex: bool = False


STRATEGIES: Final[Mapping[str, Strategy]] = {
    "SchemaTopicNamingStrategy": Strategy(True),
    "SchemaUnicodeTopicNamingStrategy": Strategy(True, unicode=True),
    "SchemaRegexTopicNamingStrategy": Strategy(True, regex=True),
    "DefaultTopicNamingStrategy": Strategy(False),
    "DefaultUnicodeTopicNamingStrategy": Strategy(False, unicode=True),
    "DefaultRegexTopicNamingStrategy": Strategy(False, regex=True),
}
"""By the simple name of Debezium's class in `io.debezium.schema`."""


@dataclass(frozen=True, slots=True)
class Route:
    """A regex strategy: what a data topic becomes, and the key field that tells the tables behind it apart.

    The replacements are Java's: `$1`, `${name}`, `\\$`. *key_field* None adds no field.
    """

    pattern: re.Pattern[str]
    replacement: str
    key_field: str | None = DEFAULT_KEY_FIELD
    key_pattern: re.Pattern[str] | None = None
    key_replacement: str = ""

    def topic(self, topic: str) -> str:
        """A rewriting to nothing leaves the topic as it was."""
        return _rewrite(self.pattern, self.replacement, topic) or topic

    def table_identifier(self, topic: str) -> str:
        return topic if self.key_pattern is None else _rewrite(self.key_pattern, self.key_replacement, topic)


class TopicNaming:
    """The names of one connector's topics and of its schemas and fields. Immutable but for a cache."""

    def __init__(self, prefix: str, strategy: Strategy = Strategy(True), *, route: Route | None = None,
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
    def from_config(cls, config: Any, connector_config: Mapping[str, Any] | None = None) -> TopicNaming:
        """From a connector's options (one attribute per key). *connector_config* is the connector's configuration as
        it was given: its own `key.converter` and `value.converter` decide how field names are adjusted.

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
            field_mode=effective_field_mode(config.field_name_adjustment_mode, connector_config or {}),
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
        """Key fields that no column gives, with their values; STRING, required, after the columns."""
        if self._route is None or self._route.key_field is None:
            return ()
        return ((self._route.key_field, self._route.table_identifier(self.plain_topic(id))),)

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
    """`none` acts as `avro` when the connector's own configuration (not the worker's) names an Avro converter."""
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


def _pattern_and_replacement(config: Any, key: str, replacement_key: str) -> tuple[re.Pattern[str], str] | None:
    regex = str(getattr(config, key.replace(".", "_"), None) or "")
    replacement = str(getattr(config, replacement_key.replace(".", "_"), None) or "")
    if not regex.strip():
        return None
    if not replacement.strip():
        raise ConfigError(f"{key} needs {replacement_key}.", option=replacement_key)
    pattern = _compile(key, regex)
    _check_replacement(replacement_key, pattern, replacement)
    return pattern, replacement


def _compile(option: str, regex: str) -> re.Pattern[str]:
    """With case, as Java's Pattern.compile(regex)."""
    try:
        return compile_java(regex, re.ASCII)
    except Invalid as exc:
        raise ConfigError(f"Not a regular expression: {exc}.", option=option) from exc


_REFERENCE = re.compile(r"\\(?P<literal>.)|\$(?P<number>\d+)|\$\{(?P<name>[a-zA-Z][a-zA-Z0-9]*)\}|\$", re.DOTALL)


def _rewrite(pattern: re.Pattern[str], replacement: str, text: str) -> str:
    """Java's `if (matches()) replaceFirst(replacement)`: the whole text must match, then the first match found is
    replaced (java.util.regex.Matcher.appendReplacement)."""
    if not pattern.fullmatch(text):
        return text
    found = pattern.search(text)
    assert found is not None

    def expand(reference: re.Match[str]) -> str:
        if reference["literal"] is not None:
            return reference["literal"]
        if reference["name"] is not None:
            return found[reference["name"]] or ""
        group = _group_digits(pattern, reference["number"])
        return (found[int(group)] or "") + reference["number"][len(group):]

    return text[:found.start()] + _REFERENCE.sub(expand, replacement) + text[found.end():]


def _group_digits(pattern: re.Pattern[str], digits: str) -> str:
    """As many of *digits* as still name a group; the first always does."""
    count = 1
    while count < len(digits) and int(digits[:count + 1]) <= pattern.groups:
        count += 1
    return digits[:count]


def _check_replacement(option: str, pattern: re.Pattern[str], replacement: str) -> None:
    for reference in _REFERENCE.finditer(replacement):
        if not _is_known(pattern, reference):
            raise ConfigError(f"{reference[0]!r} in the replacement names no group of the regex.", option=option,
                              hint="Write \\$ for a dollar sign.")


def _is_known(pattern: re.Pattern[str], reference: re.Match[str]) -> bool:
    if reference["literal"] is not None:
        return True
    if reference["name"] is not None:
        return reference["name"] in pattern.groupindex
    return reference["number"] is not None and int(reference["number"][0]) <= pattern.groups
