"""Failures that a task passes over are counted, logged no more than asked for, and sent to where dead letters go."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from cdc.core.errors import ConvertError, TransformError
from cdc.core.interfaces import DeadLetters, Failed
from cdc.core.record import Message
from cdc.core.schema import STRING, Schema
from cdc.metrics.task import TaskMetrics
from cdc.runtime.tolerance import Tolerance

MESSAGE = Message("topic", None, None, Schema(STRING, name="text"), "geheim")
LETTERS = DeadLetters("dead", 1)


def failed(stage: str = "VALUE_CONVERTER", error: Any = None) -> Failed:
    return Failed(MESSAGE, error or ConvertError("does not fit", table="t"), stage)


def tolerance(metrics: TaskMetrics, **options: Any) -> Tolerance:
    return Tolerance(metrics, **{"tolerant": True, "classes": {"VALUE_CONVERTER": "com.acme.V"},
                                 "letter": lambda each: (b"k", each.source_record.value.encode()), **options})


def test_every_bad_column_counts_and_powers_of_ten_are_logged() -> None:
    metrics = TaskMetrics("c")
    made = Tolerance(metrics)
    with capture_logs() as logged:
        for _ in range(120):
            made.column("public.t", "a", "no number")
        made.column("public.t", "b", "no number")
    assert metrics.errors == {"column": 121}
    assert [(each["column"], each["count"]) for each in logged] == [("a", 1), ("a", 10), ("a", 100), ("b", 1)]


def test_without_tolerance_the_last_failure_ends_the_task() -> None:
    """It precedes the others in order, because nothing is looked at behind a failure."""
    metrics, last = TaskMetrics("c"), ConvertError("last")
    made = tolerance(metrics, tolerant=False, dead_letters=LETTERS)
    assert made.judge([failed("TRANSFORMATION"), failed(error=last)]) == ([], last)
    assert (metrics.errors, metrics.records_left_out, metrics.dead_letters) == ({}, 0, 0)


@pytest.mark.parametrize("tolerant", [True, False])
@pytest.mark.parametrize("log_records", [True, False])
def test_failed_records_are_logged_if_asked_for(log_records: bool, tolerant: bool) -> None:
    with capture_logs() as logged:
        tolerance(TaskMetrics("c"), tolerant=tolerant, log_records=log_records, log_messages=True).judge([failed()])
    assert len(logged) == log_records
    if log_records:
        assert logged[0]["event"] == ("record_left_out" if tolerant else "record_failed")
        assert {name: logged[0][name] for name in ("table", "stage", "executing", "error", "value_schema")} == {
            "table": "topic", "stage": "VALUE_CONVERTER", "executing": "com.acme.V", "error": "does not fit",
            "value_schema": "text"}
        assert "geheim" not in str(logged)


def test_records_left_out_are_counted_by_stage() -> None:
    metrics = TaskMetrics("c")
    error = TransformError("no field")
    assert tolerance(metrics).judge([failed(), failed("TRANSFORMATION", error), failed("KEY_CONVERTER")]) == ([], None)
    assert metrics.errors == {"convert": 2, "transform": 1}
    assert (metrics.records_left_out, metrics.dead_letters) == (3, 0)


def test_a_dead_letter_is_the_row_and_its_headers_say_why() -> None:
    metrics = TaskMetrics("shop")
    error = TransformError("no field x")
    error.context.update({"class": "com.acme.Drop", "exception": "org.acme.DataException"})
    (plain,), _ = tolerance(metrics, dead_letters=LETTERS).judge([failed("TRANSFORMATION", error)])
    assert (plain.topic, plain.key, plain.value, plain.headers) == ("dead", b"k", b"geheim", [])
    (told,), _ = tolerance(metrics, dead_letters=DeadLetters("dead", 1, True)).judge([
        failed("TRANSFORMATION", error)])
    headers = {name.removeprefix("__connect.errors."): (text or b"").decode() for name, text in told.headers}
    assert "no field x" in headers.pop("exception.stacktrace")
    assert headers == {
        "topic": "topic", "connector.name": "shop", "task.id": "0", "stage": "TRANSFORMATION",
        "class.name": "com.acme.Drop", "exception.class.name": "org.acme.DataException",
        "exception.message": "no field x"}
    (own,), _ = tolerance(metrics, dead_letters=DeadLetters("dead", 1, True)).judge([failed()])
    assert dict(own.headers)["__connect.errors.exception.class.name"] == b"cdc.core.errors.ConvertError"
    assert metrics.dead_letters == 3


def test_the_stack_trace_of_a_dead_letter_has_the_causes_and_no_value() -> None:
    try:
        try:
            int("geheim")
        except ValueError as exc:
            raise ConvertError("column 'n' cannot be converted") from exc
    except ConvertError as exc:
        error = exc
    (letter,), _ = tolerance(TaskMetrics("c"), dead_letters=DeadLetters("dead", 1, True)).judge([failed(error=error)])
    trace = (dict(letter.headers)["__connect.errors.exception.stacktrace"] or b"").decode()
    assert trace.startswith("cdc.core.errors.ConvertError: column 'n' cannot be converted\n")
    assert "Caused by: builtins.ValueError\n" in trace
    assert "test_tolerance.py" in trace
    assert ": 'geheim'" not in trace
