"""Configuration files in all their formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.config.files import read_file, read_json, read_properties, read_yaml
from cdc.core.errors import ConfigError


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
    ('{"a": [["b"]]}', "nested value"), ('{"name": "x", "config": {"name": "y"}}', "name is x, but y"),
    ('{"name": "x", "config": {}, "z": 1}', "config: z"), ("{", "line 1"), ('{"a":' * 100_000, "too deeply"),
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


def test_a_file_cannot_ask_for_a_connector_that_does_not_run() -> None:
    assert read_json('{"config": {"a": "b"}, "initial_state": "running"}') == {"a": "b"}
    with pytest.raises(ConfigError, match="initial_state is STOPPED"):
        read_json('{"config": {"a": "b"}, "initial_state": "STOPPED"}')
