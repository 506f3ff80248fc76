"""What becomes of a record, or a column, that cannot be sent: the only place that decides it.

Kafka Connect documentation, "Error Reporting in Connect"; KIP-298. A record is left out with `errors.tolerance=all`,
and otherwise ends the task. With a dead letter topic, the rows of records that are left out go there: our own
addition, because Kafka Connect has one for sinks only.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cdc.core.errors import CdcError, RecordError
from cdc.core.interfaces import DeadLetters, Failed, Outgoing
from cdc.core.outcome import Shaped
from cdc.core.record import Message
from cdc.core.view import RecordView
from cdc.log import get_logger
from cdc.metrics.task import TaskMetrics

log = get_logger(__name__)

Letter = Callable[[Failed], tuple[bytes | None, bytes]]
"""Gives the key and the value of a dead letter: what the source yielded, as JSON. Never fails."""
_HEADER: Final = "__connect.errors."
_TRANSFORMATION: Final = "TRANSFORMATION"


class Tolerance:
    """Hears of every failure of one task that is a record's or a column's fault. Called from the task's thread only.

    *tolerant* is `errors.tolerance=all`. *log_records* and *log_messages* are `errors.log.enable` and
    `errors.log.include.messages`: each failed record is logged, with its names, never with its values. *classes* are
    the configured classes by stage. *dead_letters* and *letter*: where records that are left out go, and as what.
    """

    def __init__(self, metrics: TaskMetrics, *, tolerant: bool = False, log_records: bool = False,
                 log_messages: bool = False, classes: Mapping[str, str] | None = None,
                 dead_letters: DeadLetters | None = None, letter: Letter | None = None) -> None:
        self.tolerant = tolerant
        self._metrics = metrics
        self._log_records = log_records
        self._log_messages = log_messages
        self._classes = classes or {}
        self._dead_letters = dead_letters if tolerant else None
        self._letter = letter
        self._failures: dict[tuple[str, str], int] = {}

    def column(self, table: str, column: str, reason: str) -> None:
        """A column was written as null. Every failure is counted; the 1st, 10th, 100th … of a column is logged."""
        self._metrics.error("column")
        count = self._failures[table, column] = self._failures.get((table, column), 0) + 1
        if str(count).strip("0") == "1":
            log.warning("column_not_converted", table=table, column=column, reason=reason, count=count)

    def judge(self, failed: Sequence[Failed]) -> tuple[list[Outgoing], RecordError | None]:
        """The dead letters of the records that are left out, and the error that ends the task, if one does: that of the
        last failure, behind which nothing was looked at."""
        if failed and not self.tolerant:
            self._tell(failed[-1])
            return [], failed[-1].error
        letters = []
        for each in failed:
            self._metrics.error("transform" if each.stage == _TRANSFORMATION else "convert")
            self._metrics.records_left_out += 1
            self._tell(each)
            if self._dead_letters is not None and self._letter is not None:
                letters.append(self._dead_letter(each, self._dead_letters, self._letter))
        self._metrics.dead_letters += len(letters)
        return letters, None

    def _tell(self, failed: Failed) -> None:
        if self._log_records:
            log.error("record_left_out" if self.tolerant else "record_failed", table=_origin(failed),
                      stage=failed.stage, executing=self._class_of(failed), error=failed.error.message,
                      **(_names(failed) if self._log_messages else {}))

    def _class_of(self, failed: Failed) -> str:
        return str(failed.error.context.get("class") or self._classes.get(failed.stage, ""))

    def _dead_letter(self, failed: Failed, to: DeadLetters, letter: Letter) -> Outgoing:
        key, value = letter(failed)
        headers = self._headers(failed) if to.headers else []
        return Outgoing(to.topic, key, value, -1, headers, _origin(failed))

    def _headers(self, failed: Failed) -> list[tuple[str, bytes | None]]:
        """Kafka Connect's headers of a dead letter (`DeadLetterQueueReporter`), without the place in a topic that a
        record of a source does not have yet."""
        error = failed.error
        found = {
            "topic": _topic(failed), "connector.name": self._metrics.connector, "task.id": str(self._metrics.task),
            "stage": failed.stage, "class.name": self._class_of(failed),
            "exception.class.name": str(error.context.get("exception") or _class_name(error)),
            "exception.message": error.message,
            "exception.stacktrace": _stack(error),
        }
        return [(_HEADER + name, text.encode("utf-8", "replace")) for name, text in found.items()]


def _stack(error: BaseException) -> str:
    """The stack trace. Of other people's exceptions the class alone is told: a text of theirs may have the value, which
    may be one that a column option hides."""
    told = f"{_class_name(error)}: {error.message}" if isinstance(error, CdcError) else _class_name(error)
    text = "".join((told, "\n", *traceback.format_tb(error.__traceback__)))
    return text if error.__cause__ is None else f"{text}Caused by: {_stack(error.__cause__)}"


def _class_name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _origin(failed: Failed) -> str:
    source = failed.source_record
    return source.topic if isinstance(source, Message) else str(source.table.id)


def _topic(failed: Failed) -> str:
    """The topic that the record was meant for."""
    record = failed.record
    if isinstance(record, Shaped):
        return str(record.outcome.topic)
    return record.topic if isinstance(record, Message | RecordView) else record.table.topic


def _names(failed: Failed) -> dict[str, Any]:
    """What names the record, without a value of it."""
    source = failed.source_record
    if isinstance(source, Message):
        return {"topic": _topic(failed), "key_schema": source.key_schema and source.key_schema.name,
                "value_schema": source.value_schema and source.value_schema.name}
    return {"topic": _topic(failed), "op": source.op or "tombstone",
            "key_schema": source.table.key_schema and source.table.key_schema.name,
            "value_schema": source.table.envelope_schema.name,
            "columns": [column.name for column in source.table.columns],
            "headers": [name for name, _ in source.key_headers]}
