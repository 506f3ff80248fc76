"""Options of transforms that later releases of Debezium dropped."""

from __future__ import annotations

import pytest

from cdc.transforms.former_options import transform_changes

UNWRAP = {"transforms": "u", "transforms.u.type": "io.debezium.transforms.ExtractNewRecordState"}


def changed(config: dict[str, str]) -> dict[str, str]:
    """What each key that changes is now, `key=value`; empty for keys that are dropped."""
    return {change.key: f"{change.now}={change.value}" if change.now else "" for change in transform_changes(config)}


@pytest.mark.parametrize(("deletes", "tombstones", "mode"), [
    ("drop", "true", "drop"), ("drop", "false", "tombstone"), ("rewrite", "true", "rewrite"),
    ("rewrite", "false", "rewrite-with-tombstone"), ("none", "true", "delete-to-tombstone"),
])
def test_two_options_for_deletes_became_one(deletes: str, tombstones: str, mode: str) -> None:
    config = UNWRAP | {"transforms.u.drop.tombstones": tombstones, "transforms.u.delete.handling.mode": deletes}
    assert changed(config) == {
        "transforms.u.delete.handling.mode": f"transforms.u.delete.tombstone.handling.mode={mode}",
        "transforms.u.drop.tombstones": ""}


def test_one_of_the_two_options_has_the_others_default() -> None:
    now = "transforms.u.delete.tombstone.handling.mode"
    assert changed(UNWRAP | {"transforms.u.drop.tombstones": "false"}) == {
        "transforms.u.drop.tombstones": f"{now}=tombstone"}
    assert changed(UNWRAP | {"transforms.u.delete.handling.mode": "rewrite"}) == {
        "transforms.u.delete.handling.mode": f"{now}=rewrite"}
    assert changed(UNWRAP) == {}


@pytest.mark.parametrize("more", [{"transforms.u.delete.tombstone.handling.mode": "drop"}, {
    "transforms.u.delete.handling.mode": "none"}])
def test_what_has_no_present_form_is_dropped(more: dict[str, str]) -> None:
    assert set(changed(UNWRAP | more | {"transforms.u.drop.tombstones": "false"}).values()) == {""}


def test_the_header_with_the_operation() -> None:
    old, new = "transforms.u.operation.header", "transforms.u.add.headers"
    assert changed(UNWRAP | {old: "true"}) == {old: f"{new}=op"}
    assert changed(UNWRAP | {old: "true", new: "db"}) == {old: ""}
    assert changed(UNWRAP | {old: "false"}) == {old: ""}


def test_classes_and_options_that_were_renamed() -> None:
    config = {"transforms": "u, o", "transforms.u.type": "io.debezium.transforms.UnwrapFromEnvelope",
              "transforms.u.add.source.fields": "table", "transforms.o.type":
              "io.debezium.transforms.outbox.EventRouter", "transforms.o.table.field.schema.version": "v"}
    assert changed(config) == {
        "transforms.u.type": "transforms.u.type=io.debezium.transforms.ExtractNewRecordState",
        "transforms.u.add.source.fields": "transforms.u.add.fields=table",
        "transforms.o.table.field.schema.version": "transforms.o.table.field.event.schema.version=v"}
