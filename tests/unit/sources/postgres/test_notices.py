"""What the server tells beside its answers: logged once, and one kind of it ends the stream at its place."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.errors import Diagnostic
from psycopg.pq import DiagnosticField
from structlog.testing import capture_logs

from cdc.core.errors import PositionLostError
from cdc.log import get_logger
from cdc.sources.postgres import notices
from cdc.sources.postgres.notices import Notices, StreamNotices, publication_missing, tells_of_missing_publication


def told(text: str, state: str = "01000", function: str | None = None, severity: str = "WARNING") -> Diagnostic:
    fields = {DiagnosticField.MESSAGE_PRIMARY: text, DiagnosticField.SQLSTATE: state,
              DiagnosticField.SOURCE_FUNCTION: function, DiagnosticField.SEVERITY_NONLOCALIZED: severity}
    info: Any = {field: None if value is None else value.encode() for field, value in fields.items()}
    return Diagnostic(info)


@pytest.mark.parametrize(("message", "about_it"), [
    (told('skipped loading publication "p"', "55000", "LoadPublications"), True),
    (told("Laden der Publikation »p« übersprungen", "55000", "LoadPublications"), True),
    (told('publication "p" does not exist', "42704", "get_publication_oid", "ERROR"), True),
    (told('publication "p" does not exist', "42704", None, "ERROR"), True),
    (told('replication slot "s" does not exist', "42704", "ReplicationSlotAcquire", "ERROR"), False),
    (told("could not open the statistics file"), False),
])
def test_a_missing_publication_is_known_by_the_servers_function(message: Diagnostic, about_it: bool) -> None:
    assert tells_of_missing_publication(message) is about_it


def test_the_hint_says_the_true_cause_and_both_ways_out() -> None:
    error = publication_missing("p", "s", "42704")
    assert "at the place in the log that slot s reads" in error.message
    assert "pg_replication_slot_advance('s'" in error.hint
    assert "new snapshot" in error.hint
    assert error.context == {"sqlstate": "42704"}


def test_each_text_is_logged_once_and_without_the_value_that_it_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "log", get_logger(notices.__name__))
    logs = Notices()
    with capture_logs() as lines:
        for _ in range(3):
            logs(told('invalid input syntax for type integer: "4711"', "22P02"))
            logs(told("relation exists, skipping", severity="NOTICE"))
    assert [(line["log_level"], "4711" in line["text"]) for line in lines] == [("warning", False), ("debug", False)]


CHANGE, KEEPALIVE = b"w1", b"k"


@pytest.mark.parametrize(("before", "after", "kept"), [
    ([], [CHANGE], []),
    ([CHANGE], [CHANGE, CHANGE], [CHANGE]),
    ([CHANGE, KEEPALIVE], [KEEPALIVE, CHANGE], [CHANGE]),
    ([KEEPALIVE], [], []),
])
def test_no_frame_after_the_notice_is_given_on(before: list[bytes], after: list[bytes], kept: list[bytes]) -> None:
    error = PositionLostError("gap")
    stream = StreamNotices(lambda _: error)
    chunk = stream.chunk = []
    chunk += before
    stream(told("skipped"))
    chunk += after
    stream(told("skipped again"))
    assert stream.before(chunk) == kept
    assert stream.before([CHANGE]) == [], "a later chunk"
    with pytest.raises(PositionLostError) as caught:
        stream.check()
    assert caught.value is error


def test_other_notices_leave_the_stream_as_it_is() -> None:
    stream = StreamNotices(lambda _: None)
    stream(told("whatever"))
    stream.check()
    assert stream.before([CHANGE, KEEPALIVE]) == [CHANGE, KEEPALIVE]


def test_an_error_without_a_diagnosis_is_no_missing_publication() -> None:
    assert not tells_of_missing_publication(psycopg.OperationalError("connection lost").diag)
