"""ByLogicalTableRouter and ToLogicalTopicRouter: the events of several tables, such as shards, in one topic.

Debezium sources: `io.debezium.transforms.ByLogicalTableRouter` (3.6) and `ToLogicalTopicRouter`, its successor;
Debezium docs, "Topic Routing".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from cdc.config.options import option, settings
from cdc.config.regex import JavaRegex
from cdc.config.replacement import check_replacement, rewrite
from cdc.config.table import OptionTable
from cdc.core.errors import ConfigError
from cdc.core.outcome import Outcome
from cdc.core.schema import STRING, Field, Schema
from cdc.core.view import PerSchema, RecordView, places
from cdc.debezium.naming import schema_adjuster
from cdc.log import get_logger

from ..part import configured
from ..predicates import java_regex
from .envelope import AFTER, BEFORE, copied, is_envelope, require_struct

log = get_logger(__name__)
_MAX_TOPICS: Final = 10_000
_CACHE: Final = "the cache here holds all schemas"


@settings
class LogicalRouterConfig:
    """The keys of ByLogicalTableRouter."""

    topic_regex: JavaRegex = option(
        "topic.regex", required=True, importance="LOW", convert=java_regex,
        doc="Topics whose whole name matches are renamed.")
    topic_replacement: str = option(
        "topic.replacement", required=True, importance="LOW", doc="The new name, with groups of topic.regex.")
    key_enforce_uniqueness: bool = option(
        "key.enforce.uniqueness", "BOOLEAN", default="true", importance="LOW",
        doc="Add a field to the key that tells the tables of one topic apart.")
    key_field_regex: JavaRegex | None = option(
        "key.field.regex", default=None, importance="LOW", convert=lambda text: java_regex(text) if text else None,
        doc="If the whole topic matches, key.field.replacement gives the value of that field; otherwise it is the "
            "topic.")
    key_field_replacement: str | None = option(
        "key.field.replacement", default=None, importance="LOW", doc="The value, with groups of key.field.regex.")
    key_field_name: str | None = option(
        "key.field.name", default=None, importance="LOW",
        doc="The name of that field: __dbz__physicalTableIdentifier by default.")
    schema_name_adjustment_mode: str = option(
        "schema.name.adjustment.mode", default="none", one_of=("none", "avro", "avro_unicode"), importance="LOW",
        doc="How the new topic becomes a name of schemas.")

    logical_table_cache_size: int = option(
        "logical.table.cache.size", "INT", default="16", importance="LOW", effect="inert", why=_CACHE,
        doc="The number of schemas in the cache.")
    logical_destination_cache_size: int = option(
        "logical.destination.cache.size", "INT", default="16", importance="LOW", effect="inert", why=_CACHE,
        doc="The same, in ToLogicalTopicRouter.")


OPTIONS = OptionTable.of(LogicalRouterConfig)


class ByLogicalTableRouter:
    """Renames topics, and the key's and the envelope's schemas with them. A record that is no envelope keeps its
    value."""

    default_field = "__dbz__physicalTableIdentifier"
    options = OPTIONS

    def __init__(self, settings: Mapping[str, str]) -> None:
        """Raises ConfigError."""
        self._config = config = configured(LogicalRouterConfig, OPTIONS, settings, "ByLogicalTableRouter")
        check_replacement("topic.replacement", config.topic_regex, config.topic_replacement)
        if config.key_field_regex is not None:
            if not (config.key_field_replacement or "").strip():
                raise ConfigError("key.field.replacement must be non-empty if key.field.regex is set.",
                                  option="key.field.replacement")
            check_replacement("key.field.replacement", config.key_field_regex, config.key_field_replacement or "")
        self._field = config.key_field_name or self.default_field
        self._adjust = schema_adjuster(config.schema_name_adjustment_mode)
        self._topics: dict[str, tuple[str | None]] = {}
        self._schemas: dict[str, tuple[PerSchema[Schema], PerSchema[Schema]]] = {}

    def apply(self, view: RecordView) -> RecordView:
        """Raises TransformError."""
        old = view.topic
        new = self._new_topic(old)
        if new is None:
            return view
        if not new:
            log.warning("topic.replacement gives an empty name, so the record keeps its topic", topic=old)
            return view
        if view.key is not None:
            schema = require_struct(view.key_schema, view.key, "Updating schema")
            view.set_key(self._of(new)[0](schema), (*view.key, *self._identifier(old)))
        else:
            view.set_key(None, None)
        view.topic = new
        if view.is_tombstone or not is_envelope(view.value_schema):
            return view
        assert view.value_schema is not None
        self._rename(view, self._of(new)[1](view.value_schema))
        return view

    def outcome(self, known: Outcome) -> Outcome | None:
        """What `apply` makes of all records with that outcome."""
        new = self._new_topic(known.topic)
        if new is None:
            return known
        if not new:
            return None
        key = None if known.key_schema is None else self._of(new)[0](known.key_schema)
        more = known.key_more if key is None else (*known.key_more, *self._identifier(known.topic))
        value = known.value_schema
        if known.is_envelope and value is not None and is_envelope(value):
            value = self._of(new)[1](value)
        return replace(known, topic=new, key_schema=key, key_more=more, value_schema=value)

    def _rename(self, view: RecordView, schema: Schema) -> None:
        values = view.value
        view.set_value(schema, tuple([
            value if value is not None or field.name in (BEFORE, AFTER) else field.schema.default
            for field, value in zip(schema.fields, values, strict=True)]))

    def _new_topic(self, old: str) -> str | None:
        """None if the topic does not match."""
        found = self._topics.get(old)
        if found is None:
            config = self._config
            matches = config.topic_regex.fullmatch(old) is not None
            new = rewrite(config.topic_regex, config.topic_replacement, old) if matches else None
            if len(self._topics) >= _MAX_TOPICS:
                self._topics.clear()
            found = self._topics[old] = (new,)
        return found[0]

    def _of(self, new: str) -> tuple[PerSchema[Schema], PerSchema[Schema]]:
        """What makes the schemas of keys, and those of envelopes, for the topic *new*."""
        found = self._schemas.get(new)
        if found is None:
            found = (PerSchema(lambda schema: self._key_schema(schema, new)),
                     PerSchema(lambda schema: self._envelope_schema(schema, new)))
            if len(self._schemas) >= _MAX_TOPICS:
                self._schemas.clear()
            self._schemas[new] = found
        return found

    def _identifier(self, old: str) -> tuple[str, ...]:
        config = self._config
        if not config.key_enforce_uniqueness:
            return ()
        if config.key_field_regex is None:
            return (old,)
        return (rewrite(config.key_field_regex, config.key_field_replacement or "", old),)

    def _key_schema(self, schema: Schema, topic: str) -> Schema:
        more = [Field(self._field, Schema(STRING))] if self._config.key_enforce_uniqueness else []
        return copied(schema, (*schema.fields, *more), optional=schema.optional, name=self._adjust(f"{topic}.Key"))

    def _envelope_schema(self, schema: Schema, topic: str) -> Schema:
        known = places(schema)
        first = known.get(BEFORE, known.get(AFTER))
        fields = list(schema.fields)
        if first is not None:
            old = fields[first].schema
            row = copied(old, old.fields, optional=old.optional, name=self._adjust(f"{topic}.Value"))
            fields = [Field(each.name, row) if each.name in (BEFORE, AFTER) else each for each in fields]
        return copied(schema, fields, optional=schema.optional, name=self._adjust(f"{topic}.Envelope"))


class ToLogicalTopicRouter(ByLogicalTableRouter):
    """The same, with another name for the key's field."""

    default_field = "__dbz__sourceIdentifier"
