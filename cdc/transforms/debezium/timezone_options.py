"""The keys of TimezoneConverter, and the rules of its lists (Debezium docs, "Timezone Converter")."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from cdc.config.options import option, settings
from cdc.config.regex import compile_java
from cdc.config.table import OptionTable
from cdc.core.errors import ConfigError
from cdc.core.late_regex import late_regex

_OFFSET: Final = late_regex(r"[+-]\d{2}:\d{2}(:\d{2})?", re.ASCII)
_LIST: Final = compile_java(
    r'\[(source|topic|[".\w\s_]+):([".\w\s_]+(?::[".\w\s_]+)?(?:,|\]$))+', re.ASCII)
"""`TimezoneConverter.LIST_PATTERN`, for the list as Java prints it."""
_MAX_OFFSET: Final = timedelta(hours=18)


def zone(text: str) -> tzinfo:
    """A time zone by its name or as an offset. Raises ValueError."""
    name = text.strip()
    if _OFFSET.fullmatch(name):
        hours, minutes, *seconds = (int(part) for part in name[1:].split(":"))
        offset = timedelta(hours=hours, minutes=minutes, seconds=seconds[0] if seconds else 0)
        if offset > _MAX_OFFSET or minutes > 59 or (seconds and seconds[0] > 59):
            raise ValueError("an offset is at most 18 hours")
        return timezone(-offset if name[0] == "-" else offset)
    if name not in available_timezones():
        raise ValueError("Invalid timezone format. Please specify either a geographic timezone (e.g. "
                         "America/Los_Angeles) or a UTC offset in the format of +/-hh:mm, (e.g. +08:00)")
    return ZoneInfo(name)


@settings
class TimezoneConfig:
    """The keys of TimezoneConverter."""

    converted_timezone: tzinfo = option(
        "converted.timezone", required=True, importance="HIGH", convert=zone,
        doc="The time zone, such as America/New_York or +05:30.")
    include_list: tuple[str, ...] = option(
        "include.list", "LIST", default="", importance="HIGH",
        doc="Convert only what these rules name: source:TABLE, topic:TOPIC, either with :FIELD, or NAME:FIELD. Several "
            "rules without a field, or one with fields: source:orders:placed,changed.")
    exclude_list: tuple[str, ...] = option(
        "exclude.list", "LIST", default="", importance="HIGH", doc="Convert all but what these rules name.")


OPTIONS = OptionTable.of(TimezoneConfig)


@dataclass(slots=True)
class Rules:
    """The fields to convert, or not to: by topic, by table, and by either of them."""

    topics: dict[str, set[str]] = field(default_factory=dict)
    tables: dict[str, set[str]] = field(default_factory=dict)
    any: dict[str, set[str]] = field(default_factory=dict)

    def find(self, topic: str, table: str | None) -> set[str] | None:
        """The fields of the first rule that matches, empty for all fields; None without one."""
        for rules, name in ((self.topics, topic), (self.tables, table), (self.any, topic), (self.any, table)):
            if name is not None and name in rules:
                return rules[name]
        return None


def read_rules(items: tuple[str, ...], which: str) -> Rules:
    """The rules of one list; *which* is `include` or `exclude`. As in Debezium, an item without `source:` or `topic:`
    continues the kind of the item before it. Raises ConfigError."""
    if items and not _LIST.fullmatch(f"[{', '.join(items)}]"):
        raise ConfigError(
            f"Invalid {which} list format. Please specify a list of rules in the format of "
            '"source:<tablename>:<fieldnames>", "topic:<topicname>:<fieldnames>", "<matchname>:<fieldnames>"',
            option=f"{which}.list")
    rules = Rules()
    kinds = {"topic": rules.topics, "source": rules.tables}
    kind = rules.any
    for item in items:
        parts = item.split(":")
        if len(parts) > 1 and parts[0].lower() in kinds:
            kind = kinds.get(parts[0], rules.any)
            parts = parts[1:]
        kind.setdefault(parts[0], set()).update(parts[1:])
    return rules
