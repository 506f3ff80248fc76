"""Plugins are found by the names that existing configurations have."""

from __future__ import annotations

import pytest

from cdc import plugins
from cdc.config.table import OptionTable
from cdc.core.errors import ConfigError
from cdc.plugins import PLUGINS, Plugin, available, find, resolve


@pytest.mark.parametrize("name", [
    "io.debezium.connector.postgresql.PostgresConnector", "PostgresConnector", "Postgres", "postgresql", "postgres",
    " PostgresConnector ",
])
def test_the_postgres_connector_goes_by_its_java_class_and_shorter_names(name: str) -> None:
    assert find("connector", name).class_name == "io.debezium.connector.postgresql.PostgresConnector"


@pytest.mark.parametrize(("name", "factory"), [
    ("io.confluent.connect.avro.AvroConverter", "cdc.converters.avro.converter:AvroConverter"),
    ("AvroConverter", "cdc.converters.avro.converter:AvroConverter"),
    ("avro", "cdc.converters.avro.converter:AvroConverter"),
    ("org.apache.kafka.connect.json.JsonConverter", "cdc.converters.json:JsonConverter"),
    ("json", "cdc.converters.json:JsonConverter"),
    ("org.apache.kafka.connect.storage.StringConverter", "cdc.converters.simple:StringConverter"),
    ("SimpleHeaderConverter", "cdc.converters.simple:SimpleHeaderConverter"),
    ("org.apache.kafka.connect.converters.ByteArrayConverter", "cdc.converters.simple:ByteArrayConverter"),
    ("LongConverter", "cdc.converters.simple:LongConverter"),
])
def test_converters_go_by_their_java_class_and_shorter_names(name: str, factory: str) -> None:
    assert find("converter", name).factory == factory


@pytest.mark.parametrize(("name", "parse"), [
    ("io.debezium.connector.mysql.MySqlConnector", "parse_mysql"), ("MySqlConnector", "parse_mysql"),
    ("mysql", "parse_mysql"), ("io.debezium.connector.mariadb.MariaDbConnector", "parse_mariadb"),
    ("MariaDB", "parse_mariadb"),
])
def test_mysql_and_mariadb_share_a_source_and_not_their_options(name: str, parse: str) -> None:
    plugin = find("connector", name)
    assert plugin.factory == "cdc.sources.mysql.source:MySqlSource"
    assert plugin.parse.endswith(f":{parse}")


def test_a_plugin_that_is_not_there_yet_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "installed", lambda: (Plugin("converter", "a.B", missing="Use C."),))
    with pytest.raises(ConfigError, match=r"value\.converter: .*not available yet\. Use C\."):
        find("converter", "a.B", option="value.converter")


def test_an_unknown_class_is_told_the_nearest_and_the_list() -> None:
    with pytest.raises(ConfigError) as caught:
        find("connector", "io.debezium.connector.postgresql.PostgreConnector")
    assert caught.value.option == "connector.class"
    assert "Did you mean io.debezium.connector.postgresql.PostgresConnector?" in caught.value.hint
    assert "Available: io.debezium" in caught.value.hint


def test_an_unlike_name_is_told_the_list_only() -> None:
    with pytest.raises(ConfigError) as caught:
        find("sink", "zzzzzz")
    assert caught.value.hint == "Available: kafka, stdout, file."


def test_kinds_do_not_mix() -> None:
    assert find("sink", "kafka") is not find("offset store", "kafka")


def test_full_names_are_unique() -> None:
    names = [(plugin.kind, plugin.class_name.lower()) for plugin in PLUGINS]
    assert len(names) == len(set(names))


def test_a_full_name_finds_its_own_plugin() -> None:
    for plugin in PLUGINS:
        if plugin.available:
            assert find(plugin.kind, plugin.class_name) is plugin


@pytest.mark.parametrize("plugin", [each for each in PLUGINS if each.available], ids=lambda plugin: plugin.factory)
def test_what_stands_behind_a_name_is_there(plugin: Plugin) -> None:
    assert callable(plugin.load())


def test_a_connector_has_options_and_a_way_to_parse_them() -> None:
    for plugin in available("connector"):
        assert isinstance(plugin.load_options(), OptionTable)
        assert callable(plugin.load_parse())
        assert callable(plugin.load_read())


def test_an_unavailable_plugin_does_not_load() -> None:
    with pytest.raises(ConfigError, match="not available yet"):
        Plugin("sink", "x").load()


def test_references_are_resolved_when_asked_for() -> None:
    assert resolve("cdc.plugins:PLUGINS") is plugins.PLUGINS


@pytest.mark.parametrize("name", ["postgres", "mysql", "mariadb"])
def test_a_connectors_short_name_is_debeziums_label_for_it(name: str) -> None:
    assert find("connector", name).short_name == name


@pytest.mark.parametrize(("name", "says"), [
    ("io.debezium.connector.sqlserver.SqlServerConnector", "SqlServerConnector captures Microsoft SQL Server"),
    ("io.debezium.connector.mongodb.MongoDbConnector", "captures MongoDB"), ("OracleConnector", "captures Oracle"),
    ("io.debezium.connector.vitess.VitessConnector", "captures another database"),
    ("io.confluent.connect.s3.S3SinkConnector", "is a sink connector"), ("JdbcSinkConnector", "is a sink connector"),
    ("io.debezium.connector.jdbc.JdbcSinkConnector", "is a sink connector"),
    ("org.apache.kafka.connect.file.FileStreamSourceConnector", "test data"),
    ("PostgresCdcSourceV2", "Confluent Cloud"),
    ("MySqlCdcSource", "Confluent Cloud"), ("org.apache.kafka.connect.mirror.MirrorSourceConnector", "MirrorMaker"),
])
def test_connectors_that_we_do_not_have_are_told_what_they_are(name: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find("connector", name)
    assert says in caught.value.message
    assert "PostgresConnector" in caught.value.hint


def test_a_misspelt_connector_is_no_other_connector() -> None:
    with pytest.raises(ConfigError, match=r'no connector "PostgresConector".*Did you mean'):
        find("connector", "PostgresConector")
