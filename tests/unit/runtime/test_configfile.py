"""Configuration files in all their forms, and references to values kept elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cdc.core.errors import ConfigError
from cdc.core.options import Secret
from cdc.runtime.configfile import Providers, load, load_raw, read_file, read_json, read_properties, read_yaml, split

WORKER = {
    "bootstrap.servers": "localhost:9092", "offset.storage.file.filename": "/tmp/offsets", "producer.linger.ms": "5",
}
CONNECTOR = {"name": "shop", "connector.class": "PostgresConnector", "topic.prefix": "srv"}


def properties(values: dict[str, str]) -> str:
    return "".join(f"{key}={value}\n" for key, value in values.items())


@pytest.mark.parametrize(("text", "found"), [
    ("a=b", {"a": "b"}),
    ("a = b c ", {"a": "b c"}),
    ("a:b", {"a": "b"}),
    ("a b=c", {"a": "b=c"}),
    ("a\tb", {"a": "b"}),
    ("a", {"a": ""}),
    ("  a=b", {"a": "b"}),
    ("# a=b\n! c=d\n\n e=f", {"e": "f"}),
    ("a=b\\\n   c,\\\r\n d", {"a": "bc,d"}),
    ("a=b\\\\\nc=d", {"a": "b\\", "c": "d"}),
    ("a=b\\\n# no comment", {"a": "b# no comment"}),
    ("a\\=b\\:c\\ d=e", {"a=b:c d": "e"}),
    ("a=\\u00e9\\t\\q\\\\", {"a": "é\tq\\"}),
    ("a=\\ud83d\\ude00", {"a": "😀"}),
    ("a=1\na=2", {"a": "2"}),
    ("a=b\rc=d", {"a": "b", "c": "d"}),
    ("table.include.list=public\\\\.a", {"table.include.list": "public\\.a"}),
    ("my.password=x ", {"my.password": "x "}),
    ("a=b\\", {"a": "b"}),
    ("", {}),
])
def test_properties_are_read_as_java_reads_them(text: str, found: dict[str, str]) -> None:
    assert read_properties(text) == found


def test_a_bad_unicode_escape_names_file_and_line() -> None:
    with pytest.raises(ConfigError, match=r"w\.properties, line 3"):
        read_properties("a=b\n\nc=\\user", "w.properties")


def test_a_flat_json_object_is_a_configuration() -> None:
    assert read_json('{"a": "b", "n": 5, "t": true, "f": 1.50}') == {"a": "b", "n": "5", "t": "true", "f": "1.50"}


def test_a_create_request_is_its_configuration_with_the_name() -> None:
    assert read_json('{"name": "x", "config": {"a": "b"}}') == {"name": "x", "a": "b"}
    assert read_json('{"config": {"a": "b", "name": "y"}}') == {"name": "y", "a": "b"}


def test_nested_json_is_flattened_and_lists_are_joined() -> None:
    assert read_json('{"a": {"b": {"c": 1}}, "l": ["x", "y{1,2}"]}') == {"a.b.c": "1", "l": "x,y{1\\,2}"}


@pytest.mark.parametrize(("text", "says"), [
    ('{"a": \n "b",,}', "line 2"), ("[1]", "a map"), ('{"a": "b", "a": "c"}', "a occurs twice"),
    ('{"a": null}', "a has no value"),
    ('{"a": [["b"]]}', "nested within a list"), ('{"name": "x", "config": {"name": "y"}}', "name is x, and y"),
    ('{"name": "x", "config": {}, "z": 1}', "there is z"), ("{", "line 1"), ('{"a":' * 100_000, "too deeply"),
])
def test_malformed_json_says_where_and_why(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        read_json(text, "c.json")
    assert "c.json" in str(caught.value)


def test_yaml_is_flattened_and_taken_as_written() -> None:
    text = """
    name: x
    cdc.streaming: off
    key:
      converter: json
    port: 0123
    empty: ""
    table.include.list:
      - public\\.a
      - public.b
    """
    assert read_yaml(text) == {
        "name": "x", "cdc.streaming": "off", "key.converter": "json", "port": "0123", "empty": "",
        "table.include.list": "public\\.a,public.b"}


def test_an_empty_yaml_file_is_an_empty_map() -> None:
    assert read_yaml("# nothing\n") == {}


@pytest.mark.parametrize(("text", "says"), [
    ("a: b\nc: [d", "line 2"), ("- a", "a map"), ("a: 1\na: 2", "line 2: a occurs twice"), ("a:", "a has no value"),
    ("? [a]\n: b", "key must be text"), ("a: b\n\tc: d", "line 2"), ("a: *b", "line 1"),
    ("b: &x {c: {d: *x}}", "undefined alias|too deeply"),
])
def test_malformed_yaml_says_where_and_why(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        read_yaml(text, "c.yaml")
    assert "c.yaml" in str(caught.value)


@pytest.mark.parametrize(("name", "text"), [
    ("c.json", '{"a": "é"}'), ("c.yaml", "a: é"), ("c.yml", "a: é"), ("c.properties", "a=é"), ("c", "a=é"),
    ("c.conf", '\n {"a": "é"}'),
])
def test_a_file_is_read_by_its_ending_or_its_looks(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_file(tmp_path / name) == {"a": "é"}


def test_properties_may_be_latin_1(tmp_path: Path) -> None:
    (tmp_path / "c.properties").write_bytes(b"a=\xe9")
    assert read_file(tmp_path / "c.properties") == {"a": "é"}


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_file(tmp_path / "none.properties")


def write(path: Path, values: dict[str, str]) -> Path:
    path.write_text(json.dumps(values) if path.suffix == ".json" else properties(values), encoding="utf-8")
    return path


def test_the_first_file_is_the_workers_and_others_are_connectors(tmp_path: Path) -> None:
    files = [write(tmp_path / "w.properties", WORKER), write(tmp_path / "a.json", CONNECTOR),
             write(tmp_path / "b.properties", CONNECTOR | {"name": "other"})]
    assert load(files) == (WORKER, [CONNECTOR, CONNECTOR | {"name": "other"}])


def test_one_file_may_hold_both(tmp_path: Path) -> None:
    assert load([write(tmp_path / "all.properties", WORKER | CONNECTOR)]) == (WORKER, [CONNECTOR])


def test_a_worker_alone_has_no_connectors(tmp_path: Path) -> None:
    assert load([write(tmp_path / "w.properties", WORKER)]) == (WORKER, [])


def test_a_connector_without_name_is_an_error(tmp_path: Path) -> None:
    files = [write(tmp_path / "w.properties", WORKER), write(tmp_path / "a.json", {"connector.class": "x"})]
    with pytest.raises(ConfigError, match=r"a\.json: the connector has no name"):
        load(files)


def test_two_connectors_of_one_name_are_an_error(tmp_path: Path) -> None:
    files = [write(tmp_path / "w.properties", WORKER)]
    files += [write(tmp_path / name, CONNECTOR) for name in ("a.json", "b.json")]
    with pytest.raises(ConfigError, match=r"b\.json: there is a connector shop"):
        load(files)


def test_no_file_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no configuration file"):
        load([])


def test_keys_of_both_kinds_go_where_they_mean_something() -> None:
    converters = {"value.converter": "avro", "value.converter.schema.registry.url": "http://r"}
    connector = CONNECTOR | {"heartbeat.interval.ms": "5", "topic.creation.default.partitions": "1", "slot.nam": "x",
                             "producer.override.acks": "1", "errors.tolerance": "all", "database.hostname": "h"}
    worker = WORKER | {"listeners": "http://:0", "sink.type": "stdout", "topic.creation.enable": "true",
                       "offset.flush.interval.ms": "1", "config.providers": "env", "ssl.truststore.location": "x"}
    assert split(converters | connector | worker) == (worker | converters, connector | converters)


def providers(worker: dict[str, str] | None = None, **environment: str) -> Providers:
    return Providers(Providers.of(worker or {}).by_name, environment)


def test_references_are_replaced_and_their_values_secret() -> None:
    found = providers(PW="x$y", USER="u").resolve({"a": "${env:USER}:${env:PW}", "b": "c"})
    assert found == {"a": "u:x$y", "b": "c"}
    assert isinstance(found["a"], Secret)
    assert not isinstance(found["b"], Secret)


def test_results_are_not_searched_again() -> None:
    assert providers(A="${env:B}", B="c").resolve({"a": "${env:A}"}) == {"a": "${env:B}"}


@pytest.mark.parametrize("text", ["${vault:a:b}", "$1", "${name}", "${}", "{env:A}"])
def test_what_is_no_reference_of_a_known_provider_stays(text: str) -> None:
    assert providers().resolve({"a": text}) == {"a": text}


def test_values_come_from_properties_files_and_directories(tmp_path: Path) -> None:
    (tmp_path / "s.properties").write_text("user=u\npassword=p q\n")
    (tmp_path / "token").write_text("t")
    config = {"a": f"${{file:{tmp_path}/s.properties:password}}", "b": f"${{dir:{tmp_path}:token}}"}
    assert providers().resolve(config) == {"a": "p q", "b": "t"}


@pytest.mark.parametrize(("text", "says"), [
    ("${env:NONE}", "not set"), ("${env:a:B}", "no path"), ("${file:/none:k}", "cannot be read"),
    ("${dir:/tmp:../etc/passwd}", "plain file name"),
])
def test_a_reference_that_leads_nowhere_names_its_key(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        providers().resolve({"database.password": text})
    assert caught.value.option == "database.password"


def test_a_missing_key_of_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "s.properties").write_text("geheim=p\n")
    with pytest.raises(ConfigError, match="no such key"):
        providers().resolve({"a": f"${{file:{tmp_path}/s.properties:k}}"})


def test_declared_providers_have_their_names_and_limits(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "s").write_text("k=v")
    (tmp_path / "out").write_text("k=v")
    declared = providers({
        "config.providers": "secrets, vars",
        "config.providers.secrets.class": "org.apache.kafka.common.config.provider.FileConfigProvider",
        "config.providers.secrets.param.allowed.paths": str(tmp_path / "in"),
        "config.providers.vars.class": "EnvVarConfigProvider",
        "config.providers.vars.param.allowlist.pattern": "DB_.*",
    }, DB_A="1", OTHER="2")
    assert declared.resolve({"a": f"${{secrets:{tmp_path}/in/s:k}}", "b": "${vars:DB_A}"}) == {"a": "v", "b": "1"}
    for text in (f"${{secrets:{tmp_path}/out:k}}", f"${{secrets:{tmp_path}/in/../out:k}}", "${vars:OTHER}"):
        with pytest.raises(ConfigError, match="does not let"):
            declared.resolve({"a": text})


@pytest.mark.parametrize("config", [
    {"config.providers": "v"}, {"config.providers": "v", "config.providers.v.class": "com.example.Vault"},
])
def test_a_provider_we_do_not_have_is_an_error(config: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="no config provider") as caught:
        providers(config)
    assert caught.value.option == "config.providers.v.class"


def test_raw_configurations_keep_their_references(tmp_path: Path) -> None:
    files = [write(tmp_path / "w.properties", WORKER), write(tmp_path / "a.json", CONNECTOR | {"p": "${env:X}"})]
    assert load_raw(files)[1][0]["p"] == "${env:X}"
