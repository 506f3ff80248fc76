"""Kafka Connect's predicates (`org.apache.kafka.connect.transforms.predicates`)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cdc.config.options import option, settings
from cdc.config.regex import JavaRegex, compile_java
from cdc.config.table import OptionTable
from cdc.core.outcome import Outcome
from cdc.core.view import RecordView

from .part import configured


def java_regex(text: str) -> JavaRegex:
    """For options that hold a Java regular expression. Case counts. Raises ValueError."""
    return compile_java(text, re.ASCII)


@settings
class TopicNameMatchesSettings:
    pattern: JavaRegex = option("pattern", required=True, convert=java_regex, check=None,
                                doc="Java regular expression for the whole name of the topic.")


TOPIC_OPTIONS = OptionTable.of(TopicNameMatchesSettings)


class TopicNameMatches:
    """True if `pattern` matches the whole name of the topic."""

    def __init__(self, config: Mapping[str, str]) -> None:
        self._pattern = configured(TopicNameMatchesSettings, TOPIC_OPTIONS, config, "TopicNameMatches").pattern

    def test(self, view: RecordView) -> bool:
        return self._pattern.fullmatch(view.topic) is not None

    def decided(self, known: Outcome) -> bool:
        return self._pattern.fullmatch(known.topic) is not None


@settings
class HasHeaderKeySettings:
    name: str = option("name", required=True, doc="Name of the header.")


HEADER_OPTIONS = OptionTable.of(HasHeaderKeySettings)


class HasHeaderKey:
    """True if the record has at least one header of that name."""

    def __init__(self, config: Mapping[str, str]) -> None:
        self._name = configured(HasHeaderKeySettings, HEADER_OPTIONS, config, "HasHeaderKey").name

    def test(self, view: RecordView) -> bool:
        return any(header.name == self._name for header in view.headers)


class RecordIsTombstone:
    """True if the value is null."""

    def __init__(self, config: Mapping[str, str]) -> None:
        """Nothing can be configured."""

    def test(self, view: RecordView) -> bool:
        return view.is_tombstone

    def decided(self, known: Outcome) -> bool:
        return known.is_null
