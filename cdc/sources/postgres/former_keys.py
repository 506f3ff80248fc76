"""Keys that Debezium's PostgreSQL connector had under other names, and other databases' keys that people give it."""

from __future__ import annotations

from typing import Final

from cdc.config.former import Former
from cdc.config.regex import compile_list
from cdc.config.table import Parsed
from cdc.core.errors import ConfigError
from cdc.sources.shared import former_keys

FORMER_KEYS: Final = (
    *former_keys.FORMER_KEYS,
    Former("schema.whitelist", "schema.include.list"),
    Former("schema.blacklist", "schema.exclude.list"),
    Former("toasted.value.placeholder", "unavailable.value.placeholder"),
    Former("truncate.handling.mode", "skipped.operations", values={"skip": "t", "include": "none"}),
    Former("slot.drop_on_stop", "slot.drop.on.stop", "1.0"),
    Former("flush.lsn.source", "lsn.flush.mode", "3.4", {"true": "connector", "false": "manual"}, upgrade_only=True),
)

_ONE_DATABASE: Final = "database.dbname, because one connector reads one database"

OTHER_KEYS: Final = {
    "database.name": "database.dbname",
    "database.names": "database.dbname",
    "database.include.list": _ONE_DATABASE,
    "database.exclude.list": _ONE_DATABASE,
    "database.whitelist": _ONE_DATABASE,
    "database.blacklist": _ONE_DATABASE,
}


def has_the_database(key: str, text: str, parsed: Parsed) -> str:
    """Why the list of databases *text* leaves in the one that is captured; empty if it does not."""
    name = parsed.values["database_dbname"]
    if not name:
        return ""
    try:
        named = any(pattern.fullmatch(name) for pattern in compile_list(text, key))
    except ConfigError:
        return ""
    excluded = key in ("database.exclude.list", "database.blacklist")
    if named == excluded:
        return ""
    return f"a connector reads one database, database.dbname, and the list {'does not have' if excluded else 'has'} it"
