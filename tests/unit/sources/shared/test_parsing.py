"""A source's options: those that all share, those it varies, and its own checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from cdc.config.former import Former
from cdc.config.options import option, settings
from cdc.config.table import Parsed
from cdc.core.errors import ConfigError
from cdc.sources.shared.former_keys import FORMER_KEYS
from cdc.sources.shared.modes import SnapshotMode, mode_of
from cdc.sources.shared.options import SourceConfig, option_table, varied
from cdc.sources.shared.parsing import SourceOptions, refuse_key_stores

LEAST = {"name": "n", "topic.prefix": "srv"}


@settings
class PumpConfig(SourceConfig):
    """A source of water."""

    snapshot_mode: str = varied("snapshot_mode", importance="LOW")
    cdc_queue_bytes: int = varied("cdc_queue_bytes", default="70000")
    pump_key: str | None = option("pump.key", default=None, doc="File.", group="Pump")


def checks_the_pump(parsed: Parsed, config: Mapping[str, str]) -> None:
    refuse_key_stores(parsed, ("pump.key",), "Convert it.", more_suffixes=("water",))
    if "leak" in config:
        parsed.problem("leak", "it leaks.")


def source(*, own_converters: Sequence[str] = (), history: bool = False) -> SourceOptions[PumpConfig]:
    return SourceOptions(
        settings=PumpConfig,
        table=option_table(PumpConfig, server_group="Pump", formers=(*FORMER_KEYS, Former("pump.old", "pump.key"))),
        checks=(checks_the_pump,), own_converters=own_converters, history=history)


def problems(config: Mapping[str, str], **more: Any) -> list[str]:
    return [each.option for each in source(**more).read({**LEAST, **config}).problems]


def notes(config: Mapping[str, str]) -> dict[str, str]:
    return {each.option: each.text for each in source().read({**LEAST, **config}).notes}


def test_a_varied_option_keeps_all_but_its_changes() -> None:
    shared, own = (option_table(made, server_group="x") for made in (SourceConfig, PumpConfig))
    mode, was = own["snapshot.mode"], shared["snapshot.mode"]
    assert (was.importance, mode.importance) == ("MEDIUM", "LOW")
    assert (mode.default, mode.doc, mode.group) == (was.default, was.doc, was.group)
    assert source().parse(LEAST)[0].cdc_queue_bytes == 70000
    assert problems({"cdc.queue.bytes": "1"}) == ["cdc.queue.bytes"]


def test_options_about_the_server_are_in_the_databases_group() -> None:
    groups = {each["group"] for each in source().table.describe()}
    assert "Pump" in groups
    assert "Server" not in groups
    assert source().table["topic.prefix"].group == "Pump"


def test_the_sources_own_checks_run() -> None:
    assert problems({"leak": "1"}) == ["leak"]
    with pytest.raises(ConfigError, match="connector n: leak: it leaks"):
        source().parse({**LEAST, "leak": "1"})


@pytest.mark.parametrize(("file", "refused"), [
    ("/a/k.p12", True), ("/a/k.JKS", True), ("/a/k.pfx", True), ("/a/k.water", True), ("/a/k.pem", False),
    ("/a/jks", False),
])
def test_key_stores_are_refused_by_their_suffix(file: str, refused: bool) -> None:
    assert problems({"pump.key": file}) == (["pump.key"] if refused else [])


def told(config: Mapping[str, str]) -> dict[str, str]:
    """The text and the hint of each problem."""
    return {each.option: f"{each.text} {each.hint}" for each in source().read({**LEAST, **config}).problems}


def test_former_keys_are_taken_and_the_note_names_the_present_ones() -> None:
    for strict in (False, True):
        config, found = source().parse({**LEAST, "pump.old": "a"}, strict=strict)
        assert config.pump_key == "a"
        assert [(each.option, each.kind) for each in found if "pump.key" in each.text] == [("pump.old", "changed")]


def test_lists_of_earlier_releases_limit_what_is_captured() -> None:
    config, _ = source().parse({**LEAST, "table.whitelist": "a.b", "column.blacklist": "a.b.c"})
    assert (config.table_include_list, config.column_exclude_list) == (("a.b",), ("a.b.c",))
    assert "is empty" in told({"table.whitelist": " "})["table.include.list"]
    assert list(told({"table.whitelist": "("})) == ["table.include.list"]


def test_of_a_former_and_a_present_key_the_present_one_counts() -> None:
    config, found = source().parse({**LEAST, "database.server.name": "old"})
    assert config.topic_prefix == "srv"
    assert "is set too and counts" in next(each.text for each in found if each.option == "database.server.name")
    same = {"table.whitelist": "a.b, c.d", "table.include.list": "a.b,c.d"}
    assert problems(same) == []
    assert "Remove" in notes(same)["table.whitelist"]


def test_former_and_present_lists_that_differ_are_an_error() -> None:
    assert problems({"table.whitelist": "a.b", "table.include.list": "a.b,c.d"}) == ["table.whitelist"]


@pytest.mark.parametrize(("key", "text", "attribute", "now"), [
    ("sanitize.field.names", "true", "field_name_adjustment_mode", "avro"),
    ("sanitize.field.names", "false", "field_name_adjustment_mode", "none"),
    ("transaction.topic", "${database.server.name}.tx", "topic_transaction", "tx"),
    ("transaction.topic", "whole.name", "topic_transaction", "transaction"),
    ("heartbeat.topics.prefix", "__beat", "topic_heartbeat_prefix", "__beat"),
    ("query.timeout.ms", "5", "database_query_timeout_ms", 5), ("rows.fetch.size", "7", "snapshot_fetch_size", 7),
    ("snapshot.mode", "exported", "snapshot_mode", "initial"),
])
def test_former_values_become_present_ones(key: str, text: str, attribute: str, now: object) -> None:
    config, found = source().parse({**LEAST, key: text})
    assert getattr(config, attribute) == now
    assert key in [each.option for each in found if each.warning]


def test_a_foreign_key_is_told_whose_it_is() -> None:
    for key, owner in {"slot.name": "PostgreSQL", "binlog.buffer.size": "MySQL", "log.mining.strategy": "Oracle",
                       "mongodb.name": "MongoDB", "database.encrypt": "SQL Server", "topics": "sink connectors",
                       "connection.url": "JDBC",
                       "kafka.api.key": "managed", "group.id": "worker"}.items():
        assert f"is a key of the {owner}" in notes({key: "x"})[key]
        (problem,) = source().read({**LEAST, key: "x"}, strict=True).problems
        assert f"is a key of the {owner}" in problem.text


@pytest.mark.parametrize(("key", "right"), [
    ("tabel.include.list", "table.include.list"), ("Table.Include.List", "table.include.list"),
    ("table_exclude_list", "table.exclude.list"), ("column.maks.with.3.chars", "column.mask.with.<n>.chars"),
    ("column.mask.with.x.chars", "column.mask.with.<n>.chars"), ("column.truncate.3.chars", "column.truncate.to.<n>"),
    ("skiped.operations", "skipped.operations"), ("snapshot.select.statment.overrides", "snapshot.select.statement."),
    ("debezium.source.table.include.list", "table.include.list"), ("tables", "Remove it"),
])
def test_an_unknown_key_that_limits_what_is_captured_is_an_error(key: str, right: str) -> None:
    assert right in told({key: "public.users"})[key]
    with pytest.raises(ConfigError):
        source().parse({**LEAST, key: "public.users"})


def test_a_misspelt_hash_option_does_not_show_its_salt() -> None:
    for key in ("column.mask.hash.MD5.with.slat.geheim", "column.mask.hsh.MD5.with.slat.geheim",
                "column.mask.hash.v2.SHA-256.salt.geheim", "colum.mask.hash.MD5.with.salt.geheim"):
        said = told({key: "a.b.c"})
        assert len(said) == 1
        assert "geheim" not in str(said)


@pytest.mark.parametrize("text", ["", " ", ",", " , "])
@pytest.mark.parametrize("key", ["table.include.list", "column.include.list", "column.mask.with.3.chars",
                                 "snapshot.include.collection.list"])
def test_a_list_that_must_limit_and_is_empty_is_an_error(key: str, text: str) -> None:
    assert "is empty" in told({key: text})[key]


def test_a_select_that_would_not_be_used_is_an_error() -> None:
    key = "snapshot.select.statement.overrides"
    assert problems({f"{key}.a.b": "SELECT 1"}) == [f"{key}.a.b"]
    assert problems({key: "a.b"}) == [key]
    assert problems({key: "a.b", f"{key}.A.b": "SELECT 1"}) == [key, f"{key}.A.b"]


def test_multipliers_of_tables_are_whole_numbers() -> None:
    key = "snapshot.max.threads.multiplier"
    settings, _ = source().parse({**LEAST, key: "2", f"{key}.shop.orders": "5"})
    assert (settings.snapshot_max_threads_multiplier, settings.snapshot_max_threads_multipliers) == (
        2, (("shop.orders", 5),))
    for text in ("0", "-1", "many", ""):
        with pytest.raises(ConfigError, match="whole number of at least 1"):
            source().parse({**LEAST, f"{key}.shop.orders": text})


def test_snapshot_modes() -> None:
    for mode in ("always", "initial", "initial_only", "no_data", "when_needed"):
        assert source().parse({**LEAST, "snapshot.mode": mode.title()})[0].snapshot_mode == mode
        assert notes({"snapshot.mode": mode}) == {}
    assert source().parse({**LEAST, "snapshot.mode": "never"})[0].snapshot_mode == "no_data"
    assert "no_data" in notes({"snapshot.mode": "schema_only"})["snapshot.mode"]
    assert problems({"snapshot.mode": "x"}) == ["snapshot.mode"]


def test_a_mode_that_is_a_java_class_is_refused() -> None:
    config = {**LEAST, "snapshot.mode": "custom", "snapshot.mode.custom.name": "mine"}
    (problem,) = source().read(config).problems
    assert "Java class" in problem.text


def test_recovery_is_for_databases_with_a_history_of_structures() -> None:
    for mode in ("recovery", "schema_only_recovery"):
        assert problems({"snapshot.mode": mode}) == ["snapshot.mode"]
        assert problems({"snapshot.mode": mode}, history=True) == []


def test_the_mode_of_five_switches() -> None:
    based = "snapshot.mode.configuration.based"
    config = {"snapshot.mode": "configuration_based"}
    assert problems(config) == ["snapshot.mode"], "it would do nothing"
    config |= {f"{based}.snapshot.data": "true", f"{based}.snapshot.on.data.error": "TRUE"}
    found = source().parse({**LEAST, **config})[0]
    assert mode_of(found) == SnapshotMode(first=True, always=True, streams=False, when_lost=True)
    config |= {f"{based}.snapshot.data": "false", f"{based}.start.stream": "true"}
    assert mode_of(source().parse({**LEAST, **config})[0]) == SnapshotMode(when_lost=True)
    assert problems({**config, f"{based}.start.stream": "perhaps"}) == [f"{based}.start.stream", "snapshot.mode"]


def test_a_converter_that_nobody_has_is_a_problem_unless_the_source_reads_it() -> None:
    config = {"converters": "c", "c.type": "x", "c.table.include.list": "y"}
    assert problems(config) == ["c.type"]
    assert "c.type" not in notes(config)
    assert problems(config, own_converters=("x",)) == ["c.table.include.list"]


def test_keys_of_post_processors_are_left_to_the_chain_that_applies_them() -> None:
    for start in ("", "post.processors."):
        config = {"post.processors": "a", f"{start}a.type": "x", f"{start}a.table.include.list": "y"}
        assert problems(config) == []
        assert not [option for option in notes(config) if option.startswith(f"{start}a.")]


def test_lists_of_one_kind_exclude_each_other() -> None:
    assert problems({"table.include.list": "a", "table.exclude.list": "b"}) == ["table.exclude.list"]


def test_the_settings_hold_what_a_source_needs_of_the_configuration() -> None:
    config, _ = source().parse({
        **LEAST, "column.mask.with.3.chars": "a.b.c", "value.converter": "io.confluent.connect.avro.AvroConverter",
        "snapshot.select.statement.overrides": "a.b", "snapshot.select.statement.overrides.a.b": "SELECT 1"})
    assert len(config.column_mappers) == 1
    assert config.field_name_adjustment_mode == "avro"
    assert config.snapshot_select_statement_overrides == (("a.b", "SELECT 1"),)


def test_a_heartbeat_query_without_heartbeats_is_noted() -> None:
    assert "never run" in notes({"heartbeat.action.query": "SELECT 1"})["heartbeat.action.query"]
    assert notes({"heartbeat.action.query": "SELECT 1", "heartbeat.interval.ms": "5"}) == {}
