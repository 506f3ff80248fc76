"""The MySQL and MariaDB sources take Debezium's configurations as they are."""

from __future__ import annotations

import dataclasses

import pytest

from cdc.config.table import Note, OptionTable
from cdc.core.errors import ConfigError
from cdc.sources.mysql.options import (
    MARIADB_OPTIONS,
    OPTIONS,
    MariaDbConfig,
    MySqlConfig,
    parse_mariadb,
    parse_mysql,
    read_mariadb,
    read_mysql,
)

LEAST = {
    "connector.class": "io.debezium.connector.mysql.MySqlConnector", "name": "shop", "topic.prefix": "srv",
    "database.hostname": "db", "database.user": "u", "database.password": "s3cr3t", "database.server.id": "184054",
}
TUTORIAL = LEAST | {
    "tasks.max": "1", "database.port": "3306", "database.include.list": "inventory",
    "schema.history.internal.kafka.bootstrap.servers": "kafka:9092",
    "schema.history.internal.kafka.topic": "schemahistory.inventory",
}


def parse(**more: str) -> MySqlConfig:
    return parse_mysql(LEAST | {key.replace("__", "."): text for key, text in more.items()})[0]


def notes(config: dict[str, str]) -> dict[str, Note]:
    return {note.option: note for note in read_mysql(LEAST | config).notes}


def problems(config: dict[str, str]) -> dict[str, str]:
    return {problem.option: f"{problem.text} {problem.hint}".strip() for problem in read_mysql(LEAST | config).problems}


def test_debeziums_tutorial_is_taken_without_a_warning() -> None:
    config, said = parse_mysql(TUTORIAL, strict=True)
    assert config.database_include_list == ("inventory",)
    assert not [note for note in said if note.warning]


def test_defaults_are_debeziums() -> None:
    config = parse()
    assert (config.flavor.name, config.database_port, config.database_ssl_mode) == ("mysql", 3306, "preferred")
    assert config.topic_naming_strategy == "io.debezium.schema.DefaultTopicNamingStrategy"
    assert (config.time_precision_mode, config.bigint_unsigned_handling_mode) == ("adaptive_time_microseconds", "long")
    assert (config.snapshot_locking_mode, config.include_schema_changes) == ("minimal", True)
    assert config.skipped_operations == ("t",)


def test_mariadb_differs_in_two_words() -> None:
    config, _ = parse_mariadb(LEAST)
    assert isinstance(config, MariaDbConfig)
    assert (config.flavor.name, config.database_ssl_mode) == ("mariadb", "disable")
    bad = {"database.ssl.mode": "verify_ca", "snapshot.locking.mode": "minimal_percona"}
    assert {problem.option for problem in read_mariadb(LEAST | bad).problems} == set(bad)
    assert problems(bad) == {}


def test_a_password_is_not_shown() -> None:
    assert "s3cr3t" not in repr(parse(database__ssl__keystore__password="s3cr3t"))


@pytest.mark.parametrize("key", ["topic.prefix", "database.hostname", "database.user", "database.server.id"])
def test_what_is_required(key: str) -> None:
    config = {name: text for name, text in LEAST.items() if name != key}
    with pytest.raises(ConfigError, match=key.replace(".", r"\.")):
        parse_mysql(config)


@pytest.mark.parametrize(("key", "text"), [
    ("database.server.id", "0"), ("database.server.id", "4294967296"), ("time.precision.mode", "adaptive"),
    ("snapshot.mode", "custom"), ("snapshot.mode", "nonsense"), ("database.ssl.truststore", "/etc/trust.jks"),
    ("database.ssl.keystore", "/etc/client.p12"), ("gtid.source.includes", "("), ("connect.timeout.ms", "0"),
])
def test_what_is_not_valid_is_told(key: str, text: str) -> None:
    assert list(problems({key: text})) == [key]


def test_lists_that_exclude_each_other() -> None:
    assert list(problems({"database.include.list": "a", "database.exclude.list": "b"})) == ["database.exclude.list"]
    assert list(problems({"gtid.source.includes": "a", "gtid.source.excludes": "b"})) == ["gtid.source.excludes"]


def test_the_history_topic_is_not_needed() -> None:
    said = notes({"schema.history.internal.kafka.topic": "t", "schema.history.internal.skip.unparseable.ddl": "true",
                  "database.history.kafka.topic": "t"})
    assert {note.kind for note in said.values()} == {"inert"}


def test_history_filters_are_filters_of_the_schema_change_topic() -> None:
    config = parse(schema__history__internal__store__only__captured__tables__ddl="true")
    assert (config.store_only_captured_tables, config.store_only_captured_databases) == (True, False)


def test_former_keys_are_told_with_their_present_names() -> None:
    assert "topic.prefix" in notes({"database.server.name": "b"})["database.server.name"].text


@pytest.mark.parametrize(("key", "right"), [
    ("schema.include.list", "database.include.list"), ("schema.blacklist", "database.exclude.list"),
    ("database.dbname", "database.include.list"),
    ("database.names", "database.include.list"), ("message.prefix.include.list", "Remove it."),
    ("gtid.source.include", "gtid.source.includes"), ("collection.include.list", "table.include.list"),
])
def test_lists_of_other_databases_and_releases_are_errors(key: str, right: str) -> None:
    assert right in problems({key: "x"})[key]


def test_settings_of_the_jdbc_driver_are_inert() -> None:
    said = notes({"database.allowPublicKeyRetrieval": "true", "driver.useSSL": "false", "database.jdbc.driver": "x"})
    assert {note.kind for note in said.values()} == {"inert"}
    assert len(said) == 3


def test_former_snapshot_modes_are_translated() -> None:
    assert parse(snapshot__mode="schema_only").snapshot_mode == "no_data"
    assert parse(snapshot__mode="schema_only_recovery").snapshot_mode == "recovery"


@pytest.mark.parametrize("table", [OPTIONS, MARIADB_OPTIONS])
def test_every_option_is_documented(table: OptionTable) -> None:
    assert not [option["name"] for option in table.describe() if not option["documentation"]]


def test_every_option_has_its_attribute() -> None:
    own = {each.name for each in dataclasses.fields(MySqlConfig)}
    values = set(read_mysql(LEAST).values)
    assert own <= values
