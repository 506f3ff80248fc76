"""Filter and ContentBasedRouter: drop or route a record by an expression.

Debezium sources: `io.debezium.transforms.ScriptingTransformation`, `Filter`, `ContentBasedRouter`; Debezium docs,
"Message Filtering" and "Content-based Routing". The expression is read by `transforms.expressions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from cdc.config.options import option, settings
from cdc.config.regex import JavaRegex
from cdc.config.table import OptionTable
from cdc.core.errors import ConfigError
from cdc.core.view import RecordView

from ..expressions.nodes import Block
from ..expressions.operators import failure
from ..expressions.parser import parse
from ..expressions.records import scope_of
from ..expressions.tokens import ExpressionError
from ..part import configured
from ..predicates import java_regex

_KNOWN: Final = (
    "An expression may use value, key, topic, header, valueSchema and keySchema; == != < <= > >= in && || ! ? : ?: + - "
    "* / %; .name ?.name [...] and methods of texts and lists; return, if ... else, def NAME = .... For example: "
    "value.op == 'u' && value.after.qty > 5. Write the rest with these, or in a transform of your own.")
_LANGUAGES: Final = ("cdc", "jsr223.groovy", "jsr223.graal.js", "jsr223.js", "jsr223.javascript")


def _language(text: str) -> str:
    if text.strip() not in _LANGUAGES:
        raise ValueError(f"languages are {', '.join(_LANGUAGES)}; of Groovy and JavaScript, simple expressions alone")
    return text.strip()


def _expression(text: str) -> Block:
    try:
        return parse(text)
    except ExpressionError as exc:
        start = max(0, exc.position - 20)
        raise ConfigError(f"the expression cannot be read: {exc}: ...{text[start:exc.position]} >>> "
                          f"{text[exc.position:exc.position + 20]}", hint=_KNOWN) from None


@settings
class ScriptConfig:
    """The keys that Filter and ContentBasedRouter have in common."""

    topic_regex: JavaRegex | None = option(
        "topic.regex", default=None, importance="LOW", convert=lambda text: java_regex(text) if text else None,
        doc="Only records of topics that match are handled; the others stay as they are.")
    language: str = option(
        "language", required=True, importance="HIGH", convert=_language,
        doc="cdc, or the language of an existing configuration: jsr223.groovy or jsr223.graal.js. Only simple "
            "expressions of those are read; nothing is executed that is not.")
    null_handling_mode: Literal["keep", "drop", "evaluate"] = option(
        "null.handling.mode", default="keep", one_of=("keep", "drop", "evaluate"), importance="LOW",
        doc="What becomes of a record with a null value, such as a tombstone.")


@settings
class FilterConfig(ScriptConfig):
    """The keys of Filter."""

    condition: Block = option(
        "condition", required=True, importance="HIGH", convert=_expression,
        doc="Records stay for which this is true.")


@settings
class RouterConfig(ScriptConfig):
    """The keys of ContentBasedRouter."""

    topic_expression: Block = option(
        "topic.expression", required=True, importance="HIGH", convert=_expression,
        doc="Gives the topic; null keeps the record's own.")


FILTER_OPTIONS = OptionTable.of(FilterConfig)
ROUTER_OPTIONS = OptionTable.of(RouterConfig)


class Filter:
    """Drops records for which the condition is false."""

    options = FILTER_OPTIONS

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._config = configured(FilterConfig, FILTER_OPTIONS, settings, "Filter")

    def apply(self, view: RecordView) -> RecordView | None:
        """Raises TransformError."""
        decided, kept = _unasked(self._config, view)
        if decided:
            return kept
        result = _result(self._config.condition, view, bool, "a boolean")
        if result is None:
            raise failure("it gave null, not a boolean")
        return view if result else None


class ContentBasedRouter:
    """Sets the topic that the expression gives."""

    options = ROUTER_OPTIONS

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._config = configured(RouterConfig, ROUTER_OPTIONS, settings, "ContentBasedRouter")

    def apply(self, view: RecordView) -> RecordView | None:
        """Raises TransformError."""
        decided, kept = _unasked(self._config, view)
        if decided:
            return kept
        topic = _result(self._config.topic_expression, view, str, "a text")
        if topic is not None:
            view.topic = topic
        return view


def _unasked(config: ScriptConfig, view: RecordView) -> tuple[bool, RecordView | None]:
    """Whether the record is decided without the expression, and then what is left of it."""
    if config.topic_regex is not None and config.topic_regex.fullmatch(view.topic) is None:
        return True, view
    if config.null_handling_mode == "evaluate" or not view.is_tombstone:
        return False, None
    return True, view if config.null_handling_mode == "keep" else None


def _result(expression: Block, view: RecordView, wanted: type, kind: str) -> Any:
    found = expression.result(scope_of(view))
    if found is not None and not isinstance(found, wanted):
        raise failure(f"it did not give {kind}")
    return found
