"""A null value with a schema, behind a plan: Avro has no bytes for it, JSON with schemas has."""

from __future__ import annotations

import json

import pytest

from cdc.converters import shaped
from cdc.converters.json import JsonConverter
from cdc.converters.plan import ColumnFailures
from cdc.converters.views import Views
from cdc.core.interfaces import Outgoing
from cdc.transforms.chain import Chain
from tests.unit.converters.tables import NOW_US, avro
from tests.unit.transforms.worlds import change, converter, one_step, steps

UNWRAP = one_step("io.debezium.transforms.ExtractNewRecordState")


def unwrapped_delete(json_too: bool) -> Outgoing:
    chain = Chain(steps(UNWRAP), Views(ColumnFailures("fail")).view, shapes=True)
    key, value = (JsonConverter(), JsonConverter()) if json_too else (avro(True), avro())
    out, = converter(key, value).convert(chain.apply([change("d")], NOW_US), NOW_US)
    return out


def test_json_has_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    by_views = unwrapped_delete(True)
    monkeypatch.setattr(shaped, "makes_avro", lambda converter: True)  # as in a compiled installation
    by_plan = unwrapped_delete(True)
    assert by_plan.value == by_views.value
    assert json.loads(by_plan.value or b"")["payload"] is None


def test_avro_has_none() -> None:
    assert unwrapped_delete(False).value is None
