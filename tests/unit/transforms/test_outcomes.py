"""Changes with an outcome give the bytes that views give; no column is decoded for them, and no view is made."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.converters.json import JsonConverter
from cdc.converters.plan import ColumnFailures
from cdc.converters.views import Views
from cdc.core.outcome import Shaped
from cdc.core.record import Record
from cdc.transforms.chain import Chain
from tests.unit.converters.tables import (
    INT,
    LEFT_OUT,
    NOW_US,
    STR,
    Counting,
    avro,
    column,
    context,
    record,
    row,
    table,
)
from tests.unit.transforms.debezium import records
from tests.unit.transforms.worlds import HEADERS, converter, steps

UNWRAP = "io.debezium.transforms.ExtractNewRecordState"
REROUTE = "io.debezium.transforms.ByLogicalTableRouter"
MODE = "delete.tombstone.handling.mode"
Step = tuple[str, dict[str, str]]
ROUTE: Step = ("RegexRouter", {"regex": "srv[.](.*)", "replacement": "x-$1"})
LOGICAL: Step = (REROUTE, {"topic.regex": "(.*)t", "topic.replacement": "$1all"})
PLAIN_KEYS: Step = (REROUTE, LOGICAL[1] | {"key.enforce.uniqueness": "false"})
FIELDS = "op,ts_ms,ts_us,ts_ns:nanos,source.lsn,source.txId,source.snapshot,id,total_order,table,nope"

CHAINS: dict[str, tuple[Step, ...]] = {
    "route": (ROUTE,),
    **{f"unwrap-{mode}": ((UNWRAP, {MODE: mode, "add.fields": FIELDS}),) for mode in (
        "drop", "tombstone", "rewrite", "rewrite-with-tombstone", "delete-to-tombstone")},
    "unwrap-nulls": ((UNWRAP, {MODE: "rewrite", "replace.null.with.default": "false"}),),
    "unwrap-route": ((UNWRAP, {}), ROUTE),
    "route-unwrap": (ROUTE, (UNWRAP, {})),
    "logical": (LOGICAL,),
    "logical-plain-key-unwrap": (PLAIN_KEYS, (UNWRAP, {"add.fields": "op"})),
    "logical-twice": (LOGICAL, (REROUTE, {"topic.regex": "(.*)all", "topic.replacement": "$1every",
                                          "key.field.name": "again"})),
    "filter": (("Filter", {"predicate": "dead"}),),
    "unwrap-others": ((UNWRAP, {"predicate": "dead", "negate": "true"}),),
    "unwrap-topic": ((UNWRAP, {"predicate": "topic"}), ROUTE),
    "unwrap-twice": ((UNWRAP, {MODE: "rewrite-with-tombstone"}), (UNWRAP, {})),
}
PREDICATES = {"predicates": "dead,topic", "predicates.dead.type": "RecordIsTombstone",
              "predicates.topic.type": "TopicNameMatches", "predicates.topic.pattern": "srv.*"}
CHANGES: tuple[Record, ...] = (
    records.CREATED, records.UPDATED, records.DELETED, records.TOMBSTONE, records.TRUNCATED,
    records.change("r", None, (2, None, None), source=context("true")),
    records.change("u", (1, None, 5), (1, None, None), block=("7", 3, 4)),
    records.change("d", (1, "é", None), headers=(("__debezium.newkey", row(b"2", b"b", b"1")),)),
    record("u", records.TABLE, row(b"1", b"old", b"1"), row(b"1", LEFT_OUT, b"1")),
)


def config(chain: tuple[Step, ...]) -> dict[str, str]:
    found = {"transforms": ",".join(f"s{number}" for number in range(len(chain))), **PREDICATES}
    for number, (name, options) in enumerate(chain):
        found[f"transforms.s{number}.type"] = name
        found |= {f"transforms.s{number}.{key}": text for key, text in options.items()}
    return found


def both(name: str, given: list[Record]) -> tuple[list[Any], list[Any]]:
    """What a chain leaves of the records: with outcomes, and as views."""
    views = Views(ColumnFailures("fail"), HEADERS).view
    return tuple(Chain(steps(config(CHAINS[name])), views, shapes=shapes).apply(  # type: ignore[return-value]
        given, NOW_US) for shapes in (True, False))


@pytest.mark.parametrize("null_is_default", ["true", "false"])
@pytest.mark.parametrize("json", [False, True])
@pytest.mark.parametrize("name", CHAINS)
def test_the_bytes_are_those_of_views(name: str, json: bool, null_is_default: str) -> None:
    for change in CHANGES:
        change.source.cache = None  # a source has one converter, whose settings the bytes in it follow
    shaped, viewed = both(name, list(CHANGES))
    assert all(isinstance(each, Shaped) for each in shaped)
    found = []
    for given in (shaped, viewed):
        pair: list[Any] = [JsonConverter(), JsonConverter()] if json else [avro(True), avro()]
        for each, is_key in zip(pair, (True, False), strict=True):
            each.configure({"schemas.enable": "true", "schema.registry.url": "mock://outcomes",
                            "replace.null.with.default": null_is_default}, is_key)
        found.append(converter(*pair).convert(given, NOW_US))
    assert found[0] == found[1]
    assert len(found[0]) == len(viewed)


@pytest.mark.parametrize("options", [
    {"add.headers": "op"}, {"route.by.field": "name"}, {"drop.fields.header.name": "x"}, {"add.fields": "before.name"}])
def test_what_depends_on_the_record_has_no_outcome(options: dict[str, str]) -> None:
    views = Views(ColumnFailures("fail"), HEADERS).view
    found = Chain(steps(config(((UNWRAP, options),))), views, shapes=True).apply([records.CREATED], NOW_US)
    assert not any(isinstance(each, Shaped) for each in found)


def test_no_column_is_decoded_and_those_of_the_row_alone_are_written() -> None:
    codecs = [Counting(codec) for codec in (INT, STR, STR)]
    of = table([column(index, f"c{index}", codec) for index, codec in enumerate(codecs)], [column(0, "c0", INT)])
    views = Views(ColumnFailures("fail"), HEADERS).view
    step = Chain(steps(config(((UNWRAP, {"add.fields": "op,source.txId"}), ROUTE))), views, shapes=True)
    out = converter()
    for op, before, after in (("c", None, row(b"1", b"x", b"y")), ("u", row(b"1", b"x", b"y"), row(b"1", b"z", b"y")),
                              ("d", row(b"1", b"x", b"y"), None)):
        out.convert(step.apply([record(op, of, before, after)], NOW_US), NOW_US)
    assert [(codec.values, codec.encodings) for codec in codecs] == [(0, 2), (0, 2), (0, 2)]


def test_a_view_of_a_change_with_an_outcome_is_the_same() -> None:
    shaped, viewed = both("unwrap-rewrite", [records.DELETED])
    seen = shaped[0].view(NOW_US)
    assert (seen.topic, seen.value_schema, seen.value) == (
        viewed[0].topic, viewed[0].value_schema, viewed[0].value)
