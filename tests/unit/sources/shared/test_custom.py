"""`converters`: custom converters of other packages, such as tests/unit/example_package."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cdc import plugins
from cdc.codecs.wrappers import unconverted
from cdc.core.custom import ConvertedField, Register
from cdc.core.errors import ConfigError, DecodeError
from cdc.core.schema import INT32, INT64, STRING, Schema
from cdc.core.table import Column
from cdc.debezium.filters import Filters
from cdc.debezium.mappers import mapper_rules
from cdc.debezium.naming import TopicNaming
from cdc.sources.mysql.options import read_mysql
from cdc.sources.postgres.options import read_postgres
from cdc.sources.shared.columns import ColumnBuilder
from cdc.sources.shared.custom import NamedConverter, fits
from tests.unit.sources.mysql.test_options import LEAST as MYSQL
from tests.unit.sources.shared.test_columns import ID, TEXT, parts, shown

PACKAGE = Path(__file__).parents[2] / "example_package"
POSTGRES = {"name": "c", "database.hostname": "h", "database.user": "u", "database.dbname": "d", "topic.prefix": "p"}
BOTH = [(read_mysql, MYSQL), (read_postgres, POSTGRES)]
ISBN = {"converters": "isbn", "isbn.type": "com.acme.kafka.Isbn", "isbn.schema.name": "x.Isbn"}


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(PACKAGE))
    yield
    sys.modules.pop("acme_cdc", None)


class Length:
    """Text becomes its length; a text `bad` is no number, and `fail` an error. It remembers what it was offered."""

    def __init__(self) -> None:
        self.offered: list[ConvertedField] = []

    def converter_for(self, field: ConvertedField, register: Register) -> None:
        self.offered.append(field)
        register(Schema(INT32, name="x.Length"), self.length)

    @staticmethod
    def length(text: str) -> Any:
        if text == "fail":
            raise ZeroDivisionError
        return text if text == "bad" else len(text)


def made(column: str = "c", selector: Any = (), **others: Any) -> tuple[Column, Length]:
    converter = Length()
    builder = ColumnBuilder(TopicNaming("server"), Filters.from_config(SimpleNamespace()), mapper_rules({}),
                            Schema(INT64), converters=(NamedConverter("n", converter, selector),))
    return builder.column(ID, parts(column, **others)), converter


def test_a_column_that_a_converter_takes_has_its_schema_and_values_also_in_keys() -> None:
    column, converter = made(schema=replace(TEXT, optional=True, default="four", doc="why"))
    assert column.schema == Schema(INT32, optional=True, name="x.Length", default=4, doc="why")
    assert column.key_schema == column.schema
    for codec in (column.codec, column.binary_codec, column.key_codec, column.key_binary_codec):
        assert shown(codec, "three") == 5
    assert column.codec is column.key_codec
    assert shown(unconverted(column.key_codec), "three") == "three"
    (field,) = converter.offered
    assert field == ConvertedField("c", "s.t", "text", 2147483647, None, True, replace(
        TEXT, optional=True, default="four", doc="why"))


def test_what_the_log_left_out_has_no_value_of_another_type() -> None:
    assert made()[0].unchanged is None


@pytest.mark.parametrize(("text", "says"), [("bad", "no INT32"), ("fail", "failed with ZeroDivisionError")])
def test_a_value_that_cannot_be_converted_is_an_error_that_does_not_show_it(text: str, says: str) -> None:
    with pytest.raises(DecodeError, match=says) as caught:
        shown(made()[0].codec, text)
    assert caught.value.context == {"column": "s.t.c"}


def test_a_default_that_cannot_be_converted_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"on the default of s\.t\.c"):
        made(schema=replace(TEXT, default="bad"))


@pytest.mark.parametrize(("read", "least"), BOTH, ids=["mysql", "postgres"])
def test_a_selector_names_the_columns_that_a_converter_is_offered(read: Any, least: Mapping[str, str]) -> None:
    (converter,) = read({**least, **ISBN, "isbn.selector": r"s\.t\.isbn, other"}).values["custom_converters"]
    builder = ColumnBuilder(TopicNaming("server"), Filters.from_config(SimpleNamespace()), mapper_rules({}),
                            Schema(INT64), converters=(converter,))
    taken = builder.column(ID, parts("isbn"))
    assert taken.schema == Schema(STRING, name="x.Isbn")
    assert shown(taken.codec, "978-0-13") == "978013"
    assert builder.column(replace(ID, table="u"), parts("isbn")).schema == TEXT
    assert builder.column(ID, parts("c")).schema == TEXT


@pytest.mark.parametrize(("read", "least"), BOTH, ids=["mysql", "postgres"])
@pytest.mark.parametrize(("keys", "where", "says"), [
    ({"isbn.type": "com.acme.Java"}, "isbn.type", "not available"), ({"isbn.type": ""}, "isbn.type", "missing"),
    ({"isbn.schema.name": ""}, "isbn.schema.name", "required"), ({"isbn.selector": "("}, "isbn.selector", ""),
], ids=["java", "missing", "options", "selector"])
def test_what_is_wrong_with_a_converter_is_said_of_its_key(
        read: Any, least: Mapping[str, str], keys: dict[str, str], where: str, says: str) -> None:
    parsed = read({**least, **ISBN, **keys})
    (problem,) = parsed.problems
    assert problem.option == where
    assert says in problem.text
    if says == "not available":
        assert "Write it in Python" in problem.hint


@pytest.mark.parametrize(("schema", "good", "bad"), [
    (Schema("INT8"), [127, -128], [128, 1.0, True, None]), (Schema("STRING", optional=True), ["a", None], [b"a"]),
    (Schema("ARRAY", items=Schema("BOOLEAN")), [[], [True]], [[1], (True,)]),
    (Schema("MAP", keys=Schema("STRING"), items=Schema("FLOAT64")), [{"a": 1.0}], [{1: 1.0}, {"a": 1}]),
], ids=["int", "text", "list", "map"])
def test_a_value_fits_its_schema_or_not(schema: Schema, good: list[Any], bad: list[Any]) -> None:
    assert all(fits(schema, value) for value in good)
    assert not any(fits(schema, value) for value in bad)


@pytest.mark.parametrize("registered", [("STRING", len), (Schema(STRING), None)], ids=["schema", "function"])
def test_a_converter_that_registers_something_else_is_named(registered: Any) -> None:
    class Wrong:
        def converter_for(self, field: ConvertedField, register: Register) -> None:
            register(*registered)

    field = ConvertedField("c", "s.t", "text", None, None, True, TEXT)
    with pytest.raises(ConfigError, match=r"converter n registered no Schema with a function for column s\.t\.c"):
        NamedConverter("n", Wrong()).takes(field)


@pytest.mark.parametrize(("read", "least"), BOTH, ids=["mysql", "postgres"])
def test_a_converter_that_cannot_be_made_is_a_problem_without_its_options(
        read: Any, least: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(plugin: Any) -> Any:
        raise KeyError("s3cret")

    monkeypatch.setattr(plugins.Plugin, "load", fail)
    (problem,) = read({**least, **ISBN}).problems
    assert (problem.option, "cannot be made: KeyError" in problem.text) == ("isbn.type", True)
    assert "s3cret" not in str(problem)
