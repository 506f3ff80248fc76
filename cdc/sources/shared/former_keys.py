"""Keys that Debezium's connectors for both databases had under other names in releases 0.x to 3.x.

Debezium's release notes ("Breaking changes", "Removed and deprecated") and the `Field`s of each release's connector
configurations. No release reads the keys that 2.0 dropped since; an author who wrote them meant them, so we do.
"""

from __future__ import annotations

from typing import Final

from cdc.config.former import Former
from cdc.core.late_regex import late_regex


def _transaction_topic(text: str) -> str | None:
    """The last part of a topic's name that begins with the connector's own name."""
    return text.strip().removeprefix(_SERVER) if text.strip().startswith(_SERVER) else None


_SERVER: Final = "${database.server.name}."
_WORDS: Final = {"whitelist": "include", "blacklist": "exclude"}
_HISTORY: Final = late_regex(r"database\.history\.store\.only\.(?:captured|monitored)\.(tables|databases)\.ddl")

FORMER_KEYS: Final = (
    Former("database.server.name", "topic.prefix"),
    *(Former(f"{kind}.{word}", f"{kind}.{now}.list") for kind in ("table", "column") for word, now in _WORDS.items()),
    Former("snapshot.select.statement.overrides.list", "snapshot.select.statement.overrides"),
    Former("sanitize.field.names", "field.name.adjustment.mode", "2.2", {"true": "avro", "false": "none"}),
    Former("heartbeat.topics.prefix", "topic.heartbeat.prefix"),
    Former("transaction.topic", "topic.transaction", convert=_transaction_topic,
           why="The topic's name is topic.prefix, topic.delimiter and topic.transaction."),
    Former("rows.fetch.size", "snapshot.fetch.size", "1.0"),
    Former("query.timeout.ms", "database.query.timeout.ms", "2.7"),
    Former("snapshot.custom.class", "snapshot.mode.custom.name", "2.6"),
    Former("snapshot.custom_class", "snapshot.mode.custom.name", "1.0"),
    Former("database.history.store.only.*", r"schema.history.internal.store.only.captured.\1.ddl", pattern=_HISTORY),
    Former("database.history.*", r"schema.history.internal\1", upgrade_only=True,
           pattern=late_regex(r"database\.history((?:\..+)?)")),
    Former("internal.database.history.*", r"internal.schema.history.internal\1", upgrade_only=True,
           pattern=late_regex(r"internal\.database\.history((?:\..+)?)")),
    Former("snapshot.mode", "snapshot.mode", values={
        "never": "no_data", "schema_only": "no_data", "schema_only_recovery": "recovery", "exported": "initial"}),
)
