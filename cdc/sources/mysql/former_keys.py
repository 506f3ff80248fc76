"""Keys that Debezium's MySQL connector had under other names, and other databases' keys that people give it."""

from __future__ import annotations

import re
from typing import Final

from cdc.config.former import Former
from cdc.config.regex import split_list
from cdc.config.table import Parsed
from cdc.sources.shared import former_keys

FORMER_KEYS: Final = (
    *former_keys.FORMER_KEYS,
    Former("database.whitelist", "database.include.list"),
    Former("database.blacklist", "database.exclude.list"),
    Former("snapshot.minimal.locks", "snapshot.locking.mode", "1.0", {"true": "minimal", "false": "extended"}),
    Former("snapshot.new.tables", why="A table that the lists take in later has no snapshot."),
    Former("gtid.new.channel.position", since="1.3"),
    Former("ddl.parser.mode", why="There is only one parser.", since="1.0"),
    Former("event.deserialization.failure.handling.mode", "event.processing.failure.handling.mode",
           upgrade_only=True),
)

OTHER_KEYS: Final = {
    "database.name": "database.include.list",
    "database.names": "database.include.list",
    "database.dbname": "database.include.list",
    "schema.include.list": "database.include.list",
    "schema.whitelist": "database.include.list",
}


def lists_say_the_same(key: str, text: str, parsed: Parsed) -> str:
    """Why the lists take nothing from outside of the databases that *text* names; empty if they may."""
    named = {name.lower() for name in split_list(text)}
    databases, tables = parsed.values["database_include_list"] or (), parsed.values["table_include_list"] or ()
    if named and databases and {each.lower() for each in databases} <= named:
        return "database.include.list has no other database"
    first = {re.split(r"\\?\.", each.lower(), maxsplit=1)[0] for each in tables}
    if named and tables and first <= named:
        return "table.include.list has tables of no other database"
    return ""
