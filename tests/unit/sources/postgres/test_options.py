"""The PostgreSQL source takes Debezium's configurations as they are."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from cdc.config.table import Note
from cdc.core.errors import ConfigError
from cdc.sources.postgres.options import OPTIONS, PostgresConfig, ReplicaIdentity, parse_postgres, read_postgres

LEAST = {
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "name": "shop", "topic.prefix": "srv",
    "database.hostname": "db", "database.user": "u", "database.dbname": "d", "plugin.name": "pgoutput",
}


def parse(**more: str) -> PostgresConfig:
    return parse_postgres(LEAST | {key.replace("__", "."): text for key, text in more.items()})[0]


def notes(config: dict[str, str]) -> dict[str, Note]:
    return {note.option: note for note in read_postgres(LEAST | config).notes}


def problems(config: dict[str, str], *, strict: bool = False) -> dict[str, str]:
    found = read_postgres(LEAST | config, strict=strict).problems
    return {problem.option: f"{problem.text} {problem.hint}".strip() for problem in found}


TUTORIAL = """{
  "name": "inventory-connector",
  "config": {
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1",
    "database.hostname": "postgres", "database.port": "5432", "database.user": "postgres",
    "database.password": "postgres", "database.dbname": "postgres", "topic.prefix": "dbserver1",
    "schema.include.list": "inventory"}
}"""

AVRO = """{
  "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "name": "orders-source", "tasks.max": "1",
  "plugin.name": "pgoutput", "slot.name": "orders_slot", "publication.name": "orders_pub",
  "publication.autocreate.mode": "filtered", "database.hostname": "pg.internal", "database.port": "5432",
  "database.user": "cdc", "database.password": "s3cr3t", "database.dbname": "orders", "database.sslmode": "require",
  "topic.prefix": "orders", "table.include.list": "public.orders,public\\\\.order_(items|notes)",
  "column.exclude.list": "public.customers.ssn", "decimal.handling.mode": "string", "time.precision.mode": "connect",
  "tombstones.on.delete": "false", "heartbeat.interval.ms": "10000", "snapshot.mode": "initial",
  "heartbeat.action.query": "INSERT INTO public.heartbeat (ts) VALUES (now())",
  "key.converter": "io.confluent.connect.avro.AvroConverter",
  "key.converter.schema.registry.url": "http://schema-registry:8081",
  "value.converter": "io.confluent.connect.avro.AvroConverter",
  "value.converter.schema.registry.url": "http://schema-registry:8081",
  "value.converter.basic.auth.credentials.source": "USER_INFO", "value.converter.basic.auth.user.info": "u:p",
  "topic.creation.default.replication.factor": "3", "topic.creation.default.partitions": "12",
  "topic.creation.default.cleanup.policy": "compact", "producer.override.compression.type": "zstd",
  "errors.tolerance": "none", "errors.log.enable": "true"
}"""

MASKED = """{
  "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "name": "hr", "plugin.name": "pgoutput",
  "database.hostname": "10.0.0.5", "database.port": 5433, "database.user": "dbz", "database.password": "dbz",
  "database.dbname": "hr", "topic.prefix": "hr-prod", "slot.name": "hr", "slot.drop.on.stop": false,
  "message.key.columns": "public.employees:id;public.(.*)_log:ts,seq", "provide.transaction.metadata": true,
  "column.mask.hash.SHA-256.with.salt.CzQMA0cB5K": "public.employees.ssn,public.employees.email",
  "column.mask.with.12.chars": "public.employees.phone", "column.truncate.to.100.chars": "public.notes.text",
  "column.propagate.source.type": ".*", "binary.handling.mode": "base64", "hstore.handling.mode": "map",
  "interval.handling.mode": "string", "skipped.operations": "none", "unavailable.value.placeholder": "__gone",
  "snapshot.select.statement.overrides": "public.big",
  "snapshot.select.statement.overrides.public.big": "SELECT * FROM public.big WHERE ts > now() - interval '1 day'",
  "schema.name.adjustment.mode": "avro", "signal.data.collection": "public.debezium_signal",
  "key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
  "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
  "database.sslfactory": "org.postgresql.ssl.NonValidatingFactory", "status.update.interval.ms": "5000",
  "driver.ApplicationName": "hr cdc", "driver.socketTimeout": "300"
}"""

SERVER = """{
  "connector.class": "PostgresConnector", "name": "engine", "database.hostname": "localhost",
  "database.user": "postgres", "database.password": "postgres", "database.dbname": "test",
  "topic.prefix": "tutorial", "plugin.name": "pgoutput",
  "schema.history.internal": "io.debezium.storage.file.history.FileSchemaHistory",
  "schema.history.internal.file.filename": "/tmp/history.dat", "include.schema.changes": "false",
  "max.batch.size": "4096", "max.queue.size": "16384", "poll.interval.ms": "100", "snapshot.fetch.size": "20000",
  "snapshot.mode": "never", "table.exclude.list": "public\\\\.(tmp_.*|.*_old)",
  "publication.autocreate.mode": "disabled"
}"""


def example(text: str) -> dict[str, str]:
    found: dict[str, Any] = json.loads(text)
    found = found.get("config", found) | {"name": "x"}
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in found.items()}


@pytest.mark.parametrize("text", [TUTORIAL, AVRO, MASKED, SERVER])
def test_configurations_from_the_web_run_unchanged(text: str) -> None:
    config, _ = parse_postgres(example(text))
    assert config.topic_prefix


@pytest.mark.parametrize("text", [TUTORIAL, AVRO, MASKED])
def test_configurations_from_the_web_hold_no_key_that_nobody_knows(text: str) -> None:
    parse_postgres(example(text), strict=True)


def test_the_least_configuration_gives_the_documented_defaults() -> None:
    config = parse()
    assert (config.slot_name, config.publication_name, config.publication_autocreate_mode) == (
        "debezium", "dbz_publication", "all_tables")
    assert (config.database_port, config.database_sslmode) == (5432, "prefer")
    assert config.skipped_operations == ("t",)
    assert config.snapshot_mode == "initial"
    assert read_postgres(LEAST).given == frozenset(LEAST)


@pytest.mark.parametrize(("skipped", "published"), [
    (None, None), ("", None), ("none", ("c", "u", "d", "t")), ("t", ("c", "u", "d")), ("c,d,t", ("u",)),
])
def test_a_publication_leaves_out_what_is_skipped_on_purpose(skipped: str | None,
                                                             published: tuple[str, ...] | None) -> None:
    """Not the truncates that are skipped by default: the server's default publishes all."""
    config, _ = parse_postgres(LEAST if skipped is None else {**LEAST, "skipped.operations": skipped})
    assert config.published_operations == published


@pytest.mark.parametrize(("given", "wanted"), [
    ({}, (None, None)),
    ({"slot.max.retries": "6", "slot.retry.delay.ms": "500"}, (6, 0.5)),
    ({"slot.max.retries": "3"}, (3, 10.0)),
    ({"slot.retry.delay.ms": "250"}, (None, 0.25)),
    ({"slot.max.retries": "0"}, (0, 10.0)),
])
def test_only_what_is_set_limits_the_wait_for_a_slot(given: dict[str, str],
                                                     wanted: tuple[int | None, float | None]) -> None:
    config, _ = parse_postgres(LEAST | given)
    assert (config.busy_retries, config.busy_delay_s) == wanted


def test_every_option_has_a_text_and_an_attribute_named_as_its_key() -> None:
    for declared in OPTIONS.options:
        assert declared.doc, declared.key
    for field in dataclasses.fields(PostgresConfig):
        if "option" in field.metadata:
            assert field.metadata["option"].attribute == field.name


def test_every_inert_or_coming_option_says_why() -> None:
    assert [each.key for each in OPTIONS.options if each.effect != "normal" and not each.why] == []


def test_lists_are_split_as_debezium_splits_them() -> None:
    config = parse(table__include__list=r" public\.a , public.b{1\,2}")
    assert config.table_include_list == (r"public\.a", "public.b{1,2}")


def test_a_bad_regex_names_option_item_and_position() -> None:
    text = problems({"table.include.list": "a,(b"})["table.include.list"]
    assert 'item 2, "(b"' in text
    assert "position 0" in text


@pytest.mark.parametrize("kind", ["table", "column", "schema", "message.prefix"])
def test_include_and_exclude_lists_exclude_each_other(kind: str) -> None:
    found = problems({f"{kind}.include.list": "a", f"{kind}.exclude.list": "b"})
    assert f"{kind}.include.list" in found[f"{kind}.exclude.list"]


@pytest.mark.parametrize(("key", "text"), [
    ("topic.prefix", "a b"), ("slot.name", "Slot"), ("slot.name", "a" * 64), ("database.port", "0"),
    ("database.port", "postgres"), ("skipped.operations", "c,x"), ("skipped.operations", "none,c"),
    ("message.key.columns", "public.a"), ("message.key.columns", "public.(:id"), ("decimal.handling.mode", "exact"),
    ("tombstones.on.delete", "yes"), ("publication.autocreate.mode", "some"), ("snapshot.mode", "sometimes"),
    ("max.batch.size", "0"), ("heartbeat.interval.ms", "-1"), ("replica.identity.autoset.values", "public.a:SOME"),
    ("slot.stream.params", "a"), ("custom.metric.tags", "a"), ("database.sslmode", "on"), ("cdc.streaming", "yes"),
    ("legacy.snapshot.max.threads", "maybe"), ("incremental.snapshot.chunk.size", "many"), ("plugin.name", "other"),
    ("topic.delimiter", "/"), ("topic.naming.strategy", "com.example.MyStrategy"), ("database.hostname", "db:0"),
    ("database.sslkey", "/key.p12"), ("driver.targetServerType", "best"), ("snapshot.query.mode", "custom"),
])
def test_a_bad_value_is_an_error_that_names_its_key(key: str, text: str) -> None:
    assert list(problems({key: text})) == [key]


def test_the_queue_must_be_longer_than_a_batch() -> None:
    assert "2048" in problems({"max.queue.size": "2048"})["max.queue.size"]


@pytest.mark.parametrize("mode", ["custom", "recovery", "schema_only_recovery", "sometimes"])
def test_snapshot_modes_that_postgres_lacks_are_refused_with_those_that_it_has(mode: str) -> None:
    assert "always, initial, initial_only, no_data, when_needed" in problems({"snapshot.mode": mode})["snapshot.mode"]


@pytest.mark.parametrize("mode", ["never", "schema_only", "NEVER"])
def test_former_snapshot_modes_are_taken_with_a_note(mode: str) -> None:
    config, found = parse_postgres(LEAST | {"snapshot.mode": mode})
    assert config.snapshot_mode == "no_data"
    assert [note.option for note in found] == ["snapshot.mode"]


def test_a_converter_that_nobody_has_is_an_error() -> None:
    found = read_postgres(LEAST | {"converters": "a", "a.type": "b"})
    assert [problem.option for problem in found.problems] == ["a.type"]
    assert problems({"converters": " "}) == {}


def test_settings_of_missing_converters_are_not_called_unknown() -> None:
    assert notes({"converters": "isbn", "isbn.type": "x"}) == {}


@pytest.mark.parametrize("name", ["decoderbufs", "wal2json"])
def test_pgoutput_is_used_whatever_the_plugin_with_a_note(name: str) -> None:
    assert "pgoutput" in notes({"plugin.name": name})["plugin.name"].text
    assert parse(plugin__name=name).plugin_name == "pgoutput"


def test_a_missing_plugin_name_is_nothing_to_speak_of() -> None:
    without = {key: text for key, text in LEAST.items() if key != "plugin.name"}
    assert parse_postgres(without)[1] == ()


@pytest.mark.parametrize("key", [
    "database.sslfactory", "database.connection.factory.class", "sourceinfo.struct.maker", "driver.loginTimeout",
    "schema.history.internal.kafka.topic", "query.fetch.size", "memory.management.tables.class",
])
def test_keys_for_a_jvm_are_accepted_with_a_note(key: str) -> None:
    found = notes({key: "1"})[key]
    assert found.kind == "inert"
    assert not found.warning


def test_missing_features_are_warned_about_when_asked_for() -> None:
    key = "openlineage.integration.enabled"
    assert notes({key: "true"})[key].kind == "later"


def test_notifications_to_a_topic_need_its_name() -> None:
    with pytest.raises(ConfigError, match=r"notification\.sink\.topic\.name: is missing"):
        parse(notification__enabled__channels="log,sink")


def test_missing_features_are_not_warned_about_when_left_at_their_defaults() -> None:
    assert notes({"signal.enabled.channels": "source", "read.only": "false", "snapshot.max.threads": "1"}) == {}


def test_former_names_are_taken() -> None:
    config, found = parse_postgres({key: text for key, text in LEAST.items() if key != "topic.prefix"} | {
        "database.server.name": "x", "schema.whitelist": "shop", "truncate.handling.mode": "include",
        "slot.drop_on_stop": "true", "toasted.value.placeholder": "same"})
    assert (config.topic_prefix, config.schema_include_list, config.skipped_operations) == ("x", ("shop",), ())
    assert (config.slot_drop_on_stop, config.unavailable_value_placeholder) == (True, "same")
    assert len(found) == 5


def test_a_dropped_name_that_limits_nothing_is_no_error() -> None:
    assert "topic.prefix" in notes({"database.server.name": "x"})["database.server.name"].text
    assert "MySQL" in notes({"include.schema.changes": "false"})["include.schema.changes"].text


@pytest.mark.parametrize(("key", "text", "good"), [
    ("database.include.list", "d", True), ("database.whitelist", "a, D", True), ("database.names", "d", True),
    ("database.include.list", "other", False), ("database.exclude.list", "other", True),
    ("database.exclude.list", "d", False), ("database.blacklist", "(", False),
])
def test_a_list_of_databases_is_good_if_it_has_the_one_that_is_captured(key: str, text: str, good: bool) -> None:
    assert (problems({key: text}) == {}) is good


@pytest.mark.parametrize(("key", "right"), [
    ("database.whitelist", "database.dbname"), ("database.include.list", "database.dbname"),
    ("collection.include.list", "table.include.list"), ("field.exclude.list", "column.exclude.list"),
    ("message.prefix.blacklist", "message.prefix.exclude.list"), ("gtid.source.includes", "Remove it."),
])
def test_lists_of_other_databases_and_releases_are_errors(key: str, right: str) -> None:
    assert right in problems({key: "x"})[key]


def test_a_misspelt_key_is_told_the_nearest_known_one() -> None:
    assert "database.hostname" in notes({"database.hostnam": "x"})["database.hostnam"].text
    assert "database.hostname" in problems({"database.hostnam": "x"}, strict=True)["database.hostnam"]


def test_column_options_come_in_the_order_in_which_they_are_tried() -> None:
    config, _ = parse_postgres(LEAST | {
        "column.mask.hash.v2.SHA-256.with.salt.xyz": "a", "column.mask.hash.MD5.with.salt.xyz": "b",
        "datatype.propagate.source.type": "c", "column.propagate.source.type": "d", "column.mask.with.0.chars": "e",
        "column.truncate.to.20.chars": "f,g"})
    assert [[pattern.pattern for pattern in rule.patterns] for rule in config.column_mappers] == [
        ["f", "g"], ["e"], ["d"], ["c"], ["b"], ["a"]]
    assert "xyz" not in repr(config)


def test_an_unknown_hash_is_named_without_its_salt() -> None:
    ((key, text),) = problems({"column.mask.hash.v2.SHA-25.with.salt.geheim": "a"}).items()
    assert "geheim" not in key + text


def test_a_bad_regex_of_a_column_option_is_an_error() -> None:
    assert list(problems({"column.mask.with.3.chars": "("})) == ["column.mask.with.3.chars"]


def test_select_overrides_are_pairs_and_their_gaps_are_errors() -> None:
    key = "snapshot.select.statement.overrides"
    config, _ = parse_postgres(LEAST | {key: "public.a", f"{key}.public.a": "SELECT 1"})
    assert config.snapshot_select_statement_overrides == (("public.a", "SELECT 1"),)
    found = problems({key: "public.a, public.b", f"{key}.public.a": "SELECT 1", f"{key}.public.c": "SELECT 2"})
    assert set(found) == {key, f"{key}.public.c"}


def test_a_spool_directory_must_exist() -> None:
    for folder in ("/none/there", "x" * 5000):
        assert "no folder" in problems({"cdc.spool.directory": folder})["cdc.spool.directory"]


def test_a_delay_that_is_no_number_is_an_error_and_not_a_crash() -> None:
    assert problems({"slot.retry.delay.ms": "5s"}).keys() == {"slot.retry.delay.ms"}


def test_initial_statements_split_at_single_semicolons() -> None:
    config = parse(database__initial__statements="SET a TO 'x;;y'; SET b TO 1;")
    assert config.database_initial_statements == ("SET a TO 'x;y'", "SET b TO 1")


def test_replica_identities_are_entries() -> None:
    config = parse(replica__identity__autoset__values=r"public.a:FULL,public\.b.*:index b_key, c:nothing")
    assert config.replica_identity_autoset_values == (
        ReplicaIdentity("public.a", "FULL"), ReplicaIdentity(r"public\.b.*", "INDEX", "b_key"),
        ReplicaIdentity("c", "NOTHING"))


def test_stream_params_are_pairs() -> None:
    assert parse(slot__stream__params="origin=none;a=b=c").slot_stream_params == (("origin", "none"), ("a", "b=c"))


def test_skipping_nothing_differs_from_the_default() -> None:
    assert parse(skipped__operations="none").skipped_operations == ()
    assert parse(skipped__operations="u, D").skipped_operations == ("u", "d")


def test_former_ways_to_say_things_are_taken_with_a_note() -> None:
    config, found = parse_postgres(LEAST | {
        "flush.lsn.source": "false", "internal.slot.seek.to.known.offset.on.start": "true"})
    assert (config.lsn_flush_mode, config.offset_mismatch_strategy) == ("manual", "trust_offset")
    assert len(found) == 2


def test_present_ways_go_before_former_ones() -> None:
    assert parse(flush__lsn__source="false", lsn__flush__mode="connector").lsn_flush_mode == "connector"


def test_flushing_by_the_driver_brings_a_heartbeat() -> None:
    assert parse(lsn__flush__mode="connector_and_driver").heartbeat_interval_ms == 600_000
    assert parse(lsn__flush__mode="connector_and_driver", heartbeat__interval__ms="5").heartbeat_interval_ms == 5


def test_a_heartbeat_query_that_never_runs_is_noted() -> None:
    assert "heartbeat.action.query" in notes({"heartbeat.action.query": "SELECT 1"})


def test_naming_avro_adjusts_field_names() -> None:
    assert parse(value__converter="io.confluent.connect.avro.AvroConverter").field_name_adjustment_mode == "avro"
    assert parse(value__converter="org.apache.kafka.connect.json.JsonConverter").field_name_adjustment_mode == "none"


def test_the_connection_string_holds_what_was_configured() -> None:
    config = parse(database__password="it's", database__sslmode="verify-full", database__sslrootcert="/ca.pem",
                   driver__ApplicationName="me", database__tcpKeepAlive="false")
    text = config.conninfo(replication="database")
    assert conninfo_to_dict(text) == {
        "host": "db", "port": "5432", "user": "u", "password": "it's", "dbname": "d", "sslmode": "verify-full",
        "keepalives": "0", "sslrootcert": "/ca.pem", "application_name": "me", "replication": "database"}


@pytest.mark.parametrize(("host", "hosts", "ports"), [
    ("a,b", "a,b", "5432,5432"), ("a:1, b", "a,b", "1,5432"), ("[::1]:7,::2", "::1,::2", "7,5432"),
    ("/tmp/run", "/tmp/run", "5432"),
])
def test_several_hosts_are_libpqs(host: str, hosts: str, ports: str) -> None:
    text = parse(database__hostname=host).conninfo()
    assert f"host={hosts} port={ports}" in text


def test_target_server_types_are_libpqs() -> None:
    assert "target_session_attrs=standby" in parse(driver__targetServerType="secondary").conninfo()


def test_the_password_is_in_no_text() -> None:
    config = parse(database__password="geheim", database__sslpassword="geheim2", driver__sslpassword="geheim3")
    assert "geheim" not in repr(config)
    assert "geheim" not in str(config)


def test_all_problems_come_in_one_error() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_postgres({"name": "shop", "slot.name": "X"})
    for key in ("topic.prefix", "database.hostname", "database.user", "database.dbname", "slot.name", "connector shop"):
        assert key in str(caught.value)


def test_own_keys_are_there() -> None:
    config = parse(cdc__binary="true", cdc__streaming="on")
    assert config.cdc_binary
    assert (config.cdc_streaming, config.cdc_queue_bytes, config.cdc_spool_directory) == ("on", 4_194_304, None)
