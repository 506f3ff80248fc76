"""Which variables of the environment set keys, and which key each one stands for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import cdc
from cdc import plugins
from cdc.config.environment import Ambiguous, Spelled, Spelling, candidates, content, variable_of
from cdc.config.secrets import Secret
from cdc.config.table import OptionTable

TABLES = [plugins.worker_options(), *plugins.connector_options()]
SPELLING = Spelling(TABLES)
SERVICE = {
    "CDC_SERVICE_HOST": "10.0.0.1", "CDC_SERVICE_PORT": "8083", "CDC_SERVICE_PORT_REST": "8083",
    "CDC_PORT": "tcp://10.0.0.1:8083", "CDC_PORT_8083_TCP": "tcp://10.0.0.1:8083",
    "CDC_PORT_8083_TCP_PROTO": "tcp", "CDC_PORT_8083_TCP_PORT": "8083", "CDC_PORT_8083_TCP_ADDR": "10.0.0.1",
}
"""What the kubelet gives each container if there is a Service `cdc` with a port `rest`."""


def named(service: str) -> dict[str, str]:
    """The variables of a Service of that name."""
    return {name.replace("CDC", variable_of(service), 1): text for name, text in SERVICE.items()}


def declared() -> list[tuple[OptionTable, str]]:
    return [(table, o.key) for table in TABLES for o in (*table.options, *table.others) if o.pattern is None]


def test_every_option_has_a_variable_of_its_own() -> None:
    assert [key for _, key in declared() if SPELLING.find(variable_of(key)) != Spelled(key)] == []
    assert [key for _, key in declared() if "__" in variable_of(key)] == []


def test_every_option_can_be_in_a_file() -> None:
    assert [key for _, key in declared() if SPELLING.find(variable_of(key) + "_FILE") != Spelled(key, True)] == []


@pytest.mark.parametrize(("word", "key"), [
    ("OFFSET_FLUSH_INTERVAL_MS", "offset.flush.interval.ms"),
    ("DATABASE_TCPKEEPALIVE", "database.tcpKeepAlive"),
    ("VALUE_CONVERTER_SCHEMA_REGISTRY_URL", "value.converter.schema.registry.url"),
    ("PRODUCER_OVERRIDE_MAX_REQUEST_SIZE", "producer.override.max.request.size"),
    ("PRODUCER_LINGER_MS", "producer.linger.ms"),
    ("SASL_JAAS_CONFIG", "sasl.jaas.config"),
    ("COLUMN_MASK_WITH_12_CHARS", "column.mask.with.12.chars"),
    ("TOPIC_CREATION_DEFAULT_PARTITIONS", "topic.creation.default.partitions"),
    ("SIGNAL_FILE", "signal.file"),
])
def test_a_word_stands_for_a_key(word: str, key: str) -> None:
    assert SPELLING.find(word) == Spelled(key)


@pytest.mark.parametrize("word", [
    "DATABSE_PORT", "", "_", "SERVICE_HOST", "PORT", "DATABASE.PORT", "DATABASE__PORT", "database_port",
    # These keys contain names whose letters and characters matter, so a guess would set another key than was meant.
    "SNAPSHOT_SELECT_STATEMENT_OVERRIDES_PUBLIC_ORDER_ITEMS", "DRIVER_CONNECTTIMEOUT",
    "COLUMN_MASK_HASH_SHA_256_WITH_SALT_X", "SNAPSHOT_MAX_THREADS_MULTIPLIER_PUBLIC_ITEMS", "TRANSFORMS_UNWRAP_TYPE",
    "DATABASE_APPLICATIONNAME",
])
def test_a_word_that_stands_for_no_key(word: str) -> None:
    assert SPELLING.find(word) is None


def test_a_key_that_is_there_already_can_be_spelled() -> None:
    key = "snapshot.select.statement.overrides.public.order_items"
    assert Spelling(TABLES, [key]).find("SNAPSHOT_SELECT_STATEMENT_OVERRIDES_PUBLIC_ORDER_ITEMS") == Spelled(key)


def test_a_word_for_two_keys_is_refused() -> None:
    keys = ["driver.connectTimeout", "driver.connecttimeout"]
    with pytest.raises(Ambiguous) as raised:
        Spelling(TABLES, keys).find("DRIVER_CONNECTTIMEOUT")
    assert raised.value.keys == sorted(keys)


def test_only_our_variables_count() -> None:
    environment = {"PATH": "/bin", "CDCX": "1", "cdc_name": "x", "CDC_NAME": "shop", "CDC_LOG_LEVEL": "debug",
                   "CDC_TEST_CACHE": "/tmp", "CDC_DEMO_MYSQL_BASEDIR": "/usr", "CDC_PURE": "1"}
    assert candidates(environment, ()) == ({"NAME": "shop"}, [])


@pytest.mark.parametrize("service", ["cdc", "cdc-shop", "cdc-database", "cdc-service", "cdc-1"])
def test_variables_of_a_service_in_kubernetes_are_none(service: str) -> None:
    assert candidates(named(service), ()) == ({}, sorted(named(service)))


def test_a_service_does_not_hide_a_key() -> None:
    """A container's own variable replaces that of the Service `cdc-database`."""
    environment = named("cdc-database") | {"CDC_DATABASE_PORT": "5433", "CDC_DATABASE_HOSTNAME": "db"}
    ours, _ = candidates(environment, ())
    assert {"DATABASE_PORT": "5433", "DATABASE_HOSTNAME": "db"}.items() <= ours.items()


@pytest.mark.parametrize("name", ["CDC_SERVICE_HOST", "CDC_SERVICE_PORT", "CDC_PORT", "CDC_DATABASE_SERVICE_PORT"])
def test_what_only_looks_like_a_service_is_no_service(name: str) -> None:
    assert candidates({name: "8083"}, ()) == ({name.removeprefix("CDC_"): "8083"}, [])


@pytest.mark.parametrize("text", ["${env:CDC_SECRET}", "a${env:CDC_SECRET}b", "${mine:CDC_SECRET}",
                                  "${env::CDC_SECRET}"])
def test_a_variable_that_a_reference_names_sets_no_key(text: str) -> None:
    environment = {"CDC_SECRET": "x", "CDC_OTHER": "y"}
    assert candidates(environment, ["x", text]) == ({"OTHER": "y"}, [])


def test_every_variable_that_the_package_reads_is_known() -> None:
    """One that is neither a key nor in the list would be an error at start."""
    root = Path(cdc.__file__).parent
    read = {name for path in root.rglob("*.py") for name in re.findall(
        r'environ(?:\.get\(|\[|\.pop\()\s*f?"(CDC_\w*)', path.read_text(encoding="utf-8"))}
    assert {"CDC_PURE", "CDC_LOG_LEVEL"} <= read
    unknown, _ = candidates(dict.fromkeys(read, "1"), ())
    assert [word for word in unknown if SPELLING.find(word) is None] == []


def test_the_content_of_a_file_is_a_secret_without_the_last_ends_of_lines(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(" geheim ü\t\r\n\n".encode())
    found = content(str(file))
    assert (found, type(found), repr(found)) == (" geheim ü\t", Secret, "[hidden]")
    file.write_bytes(b"\n")
    with pytest.raises(ValueError, match="empty"):
        content(str(file))
