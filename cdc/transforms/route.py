"""Transforms that change or drop a record by its topic alone: RegexRouter, TimestampRouter, Filter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cdc.config.options import option, settings
from cdc.config.regex import JavaRegex
from cdc.config.replacement import check_replacement, rewrite
from cdc.config.table import OptionTable
from cdc.core.outcome import Outcome
from cdc.core.view import RecordView

from .date_format import DateFormat
from .part import configured, data_error
from .predicates import java_regex

MAX_TOPICS = 20_000
"""How many topics have their new names kept. When there are more, all are dropped and made again when needed."""


@settings
class RegexRouterSettings:
    regex: JavaRegex = option("regex", required=True, importance="HIGH", convert=java_regex,
                              doc="Java regular expression for the whole name of the topic.")
    replacement: str = option("replacement", required=True, importance="HIGH",
                              doc="The new name, in Java's form: `$1`, `${name}`, `\\$`.")


REGEX_OPTIONS = OptionTable.of(RegexRouterSettings)


class RegexRouter:
    """Renames the topics that `regex` matches; other topics stay as they are."""

    def __init__(self, config: Mapping[str, str]) -> None:
        self._settings = configured(RegexRouterSettings, REGEX_OPTIONS, config, "RegexRouter")
        check_replacement("replacement", self._settings.regex, self._settings.replacement)
        self._topics: dict[str, str] = {}

    def apply(self, view: RecordView) -> RecordView:
        view.topic = self._renamed(view.topic)
        return view

    def outcome(self, known: Outcome) -> Outcome:
        return replace(known, topic=self._renamed(known.topic))

    def _renamed(self, old: str) -> str:
        topic = self._topics.get(old)
        if topic is None:
            topic = rewrite(self._settings.regex, self._settings.replacement, old)
            if len(self._topics) >= MAX_TOPICS:
                self._topics.clear()
            self._topics[old] = topic
        return topic


@settings
class TimestampRouterSettings:
    topic_format: str = option("topic.format", default="${topic}-${timestamp}", importance="HIGH",
                               doc="The new name; `${topic}` and `${timestamp}` are replaced.")
    timestamp_format: DateFormat = option("timestamp.format", default="yyyyMMdd", importance="HIGH",
                                          convert=DateFormat, doc="Java's SimpleDateFormat pattern, in UTC.")


TIMESTAMP_OPTIONS = OptionTable.of(TimestampRouterSettings)


class TimestampRouter:
    """Renames topics by the record's timestamp. Records of a database have none, unless a transform sets it."""

    def __init__(self, config: Mapping[str, str]) -> None:
        self._settings = configured(TimestampRouterSettings, TIMESTAMP_OPTIONS, config, "TimestampRouter")

    def apply(self, view: RecordView) -> RecordView:
        if view.timestamp_ms is None:
            raise data_error("Timestamp missing on record")
        try:
            moment = self._settings.timestamp_format.format(view.timestamp_ms)
        except OverflowError:
            raise data_error("The timestamp is outside of the years 1 to 9999") from None
        topic = self._settings.topic_format.replace("${topic}", view.topic)
        view.topic = topic.replace("${timestamp}", moment)
        return view


class Filter:
    """Drops every record that it is applied to."""

    def __init__(self, config: Mapping[str, str]) -> None:
        """Nothing can be configured."""

    def apply(self, view: RecordView) -> None:
        return None

    def outcome(self, known: Outcome) -> Outcome:
        return replace(known, dropped=True)
