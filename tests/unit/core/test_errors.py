"""The tree of errors: each has its place, a text with context and hint, and says whether a retry may help."""

from __future__ import annotations

import inspect

import pytest

from cdc.core import errors
from cdc.core.errors import CdcError, ConfigError, PositionLostError, ProtocolError, SourceConnectionError, StateError

ALL = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, CdcError)]
RETRIABLE = {"SourceConnectionError", "SourceBusyError", "SourceStoppedError", "OffsetsHeldError",
             "RegistryConnectionError", "SinkConnectionError", "SinkFencedError"}


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_each_class_is_in_the_tree_that_the_module_draws(kind: type[CdcError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")
    assert kind.retriable is (kind.__name__ in RETRIABLE)


@pytest.mark.parametrize(("error", "text"), [
    (CdcError("It failed."), "It failed."),
    (CdcError("It failed.", hint="Try again."), "It failed. Try again."),
    (CdcError("It failed", table="t", lsn=None, count=0), "It failed [table=t, count=0]"),
    (CdcError("It failed", hint="Look.", table="t"), "It failed [table=t] Look."),
])
def test_the_text_is_message_context_and_hint(error: CdcError, text: str) -> None:
    assert str(error) == text


def test_one_error_may_be_retriable_where_its_class_is_not_and_the_other_way() -> None:
    assert CdcError("x", retriable=True).retriable
    assert not SourceConnectionError("x", retriable=False).retriable
    assert SourceConnectionError("x").retriable


def test_some_carry_more() -> None:
    assert ConfigError("x", option="a.b").option == "a.b"
    assert (StateError("x").status, StateError("x", status=404).status) == (409, 404)
    broken = ProtocolError("x", offset=7, wanted=1, got=2, file="f")
    assert (broken.offset, broken.context) == (7, {"offset": 7, "wanted": 1, "got": 2, "file": "f"})
    assert "nothing is skipped" in broken.hint


def test_a_hint_to_reset_the_offset_says_how() -> None:
    with_hint = PositionLostError("Gone.", hint="Reset the connector's offset to start with a new snapshot.", slot="s")
    assert "cdc offsets reset CONNECTOR" in str(with_hint)
    assert with_hint.context == {"slot": "s"}
    assert "cdc offsets" not in str(PositionLostError("Gone.", hint="Point the connector back."))
    assert str(PositionLostError("Gone.")) == "Gone."
