"""Expressions: what they give for a record, what they refuse, and what they leave undecoded."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.codecs.decimals import unscaled_bytes
from cdc.core.errors import ConfigError, TransformError
from cdc.core.schema import BYTES, DECIMAL, FLOAT64, INT32, STRING, Schema, optional
from cdc.core.view import RecordView
from cdc.transforms.expressions.parser import parse
from cdc.transforms.expressions.records import scope_of
from cdc.transforms.expressions.tokens import ExpressionError
from tests.unit.converters.tables import NOW_US, STR, Counting, column, record, row, table
from tests.unit.transforms.debezium import records
from tests.unit.transforms.worlds import applied, chain, message

FILTER = {"transforms": "f", "transforms.f.type": "io.debezium.transforms.Filter"}


def result(text: str, given: Any = records.UPDATED) -> Any:
    view = chain({}).apply([given], NOW_US)[0]
    assert isinstance(view, RecordView)
    return parse(text).result(scope_of(view))


@pytest.mark.parametrize(("text", "expected"), [
    ("value.op == 'u' && value.before.id == 1", True),
    ("value.op == \"c\"", False),
    ("value.after.qty > 4 || value.nope.nope", True),
    ("value.after.name == 'b' ? 'yes' : 'no'", "yes"),
    ("value.get('after').get('name')", "b"),
    ("value['after']['qty'] * 2 + 1", 11),
    ("value.after.qty % 3 == 2 && -value.after.qty < 0", True),
    ("7 / 2 == 3.5", True),
    ("!(value.op in ['c', 'd'])", True),
    ("['u','c'].contains(value.op)", True),
    ("value.op === 'u' && value.op !== 'c'", True),
    ("topic.startsWith('srv.') && topic.endsWith('.t')", True),
    ("topic ==~ /x/".replace("/x/", "'srv[.].*'"), True),
    ("topic.matches('srv')", False),
    ("topic.substring(0, 3).toUpperCase() + '-' + value.after.id", "SRV-1"),
    ("\"${value.source.table}_$topic\"", "t_srv.public.t"),
    ("'${topic}'", "${topic}"),
    ("header.ctx.value == 'mysql'", True),
    ("header('ctx')", "mysql"),
    ("header('nope') ?: 'none'", "none"),
    ("header.nope?.value", None),
    ("value.before?.name.length()", 1),
    ("key.id", 1),
    ("valueSchema.name", "srv.public.t.Envelope"),
    ("value.schema().field('nope') == null", True),
    ("value.after.containsKey('qty')", True),
    ("value.transaction?.id", None),
    ("null > 1", False),
    ("null < 1", True),
    ("1 == '1'", False),
    ("value.after.qty.toString() == '5'", True),
    ("return value.op", "u"),
    ("if (value.op == 'c') { return 'new' } else if (value.op == 'u') return 'old'; else { 'x' }", "old"),
    ("def who = value.after.name; who == 'b' && value.op == 'u'", True),
    ("const x = 3 // a comment\nx > 2", True),
    ("if (value.op == 'c') 'a'", None),
    (r"'it\'s A'", "it's A"),
    ("true ? 1 : 2", 1),
])
def test_groovy_and_javascript_that_is_simple_gives_its_value(text: str, expected: Any) -> None:
    found = result(text)
    assert found == expected
    assert type(found) is type(expected) or expected == 3.5


def test_a_schemaless_map_and_a_decimal_are_read() -> None:
    assert result("value.op == 'u' && value.n == 3 && value.nope == null", records.SCHEMALESS) is True
    price = Schema(BYTES, name=DECIMAL, parameters=(("scale", "2"),))
    given = records.envelope(((1250).to_bytes(2), 7), records.row_schema(price=price, qty=Schema(INT32)))
    assert result("value.after.price > 12.4 && value.after.price == 12.5", given) is True


@pytest.mark.parametrize(("text", "expected"), [
    ("value.after.price > 19.99", False), ("value.after.price == 19.99", True), ("value.after.price <= 19.99", True),
    ("value.after.price == 19.99d", True), ("value.after.ratio == 0.1", True), ("value.after.ratio > 0.1", False),
    ("'' + value.after.long", "1000000000000000000000000000000000.01"),
    ("'' + (value.after.long + 1 - value.after.price * 2)", "999999999999999999999999999999961.03"),
    ("'' + (-value.after.price % 10)", "-9.99"), ("value.after.long % 10 == 0.01", True),
])
def test_decimals_are_exact_also_beside_doubles(text: str, expected: Any) -> None:
    price = Schema(BYTES, name=DECIMAL, parameters=(("scale", "2"),))
    given = records.envelope((unscaled_bytes(1999), unscaled_bytes(10**35 + 1), 0.1), records.row_schema(
        price=price, long=price, ratio=Schema(FLOAT64)))
    assert result(text, given) == expected


def test_a_regex_that_takes_too_long_fails_on_the_record_and_shows_no_cell() -> None:
    cell = "a" * 60 + "secret"
    given = records.envelope((cell,), records.row_schema(name=Schema(STRING)))
    with pytest.raises(TransformError, match="takes too long") as caught:
        result("value.after.name ==~ '(a|aa)+'", given)
    assert "aaaa" not in str(caught.value)


def test_a_null_is_the_fields_default() -> None:
    given = records.envelope((None,), records.row_schema(name=Schema(STRING, optional=True, default="anon")))
    assert result("value.after.name", given) == "anon"


@pytest.mark.parametrize(("text", "where"), [
    ("", 0), ("value.op ==", 11), ("value.op == 'u", 12), ("nope.x", 0), ("value.op = 'u'", 9), ("for (x in y) {}", 0),
    ("new File('/etc/passwd')", 0), ("java.lang.Runtime.getRuntime()", 0), ("value.each { it }", 11),
    ("'x'.execute(", 12), ("(" * 100 + "1" + ")" * 100, 60), ("1+" * 3000 + "1", None), ("x" * 20_000, 10_000),
    ("def value = 1", 4), ("topic; }", 7), ("@x", 0), ("value..op", 6), ('"${value.}"', None),
    ("!" * 100 + "true", None), ("value" + "?.a" * 1500, None), ("1" + "+1" * 990, 0),
    ("value.op == 'u' value.op == 'c'", 16), ("value.op == 'u' true", 16),
])
def test_what_is_not_known_is_an_error_with_its_place(text: str, where: int | None) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert where is None or caught.value.position == where


@pytest.mark.parametrize("text", [
    "topic.getClass()", "topic.__class__", "value.__init__", "topic.execute()", "value.after.getClass()",
    "valueSchema.__class__", "1 / 0", "1 % 0", "'a' * 2", "value.after > 1", "value + 'x'", "topic.substring(1, 99)",
    "topic.substring('a')", "['a'][3]", "topic.matches('(')", "value.before.id.nope", "value.keys()", "header(1, 2)",
])
def test_what_has_no_meaning_fails_on_the_record(text: str) -> None:
    with pytest.raises(TransformError, match="the expression failed"):
        result(text)


@pytest.mark.parametrize("text", [
    "'" + "x" * 5000 + "'" + ".replace('x', '" + "y" * 4000 + "')",
    "def a = '" + "x" * 4000 + "'; def b = a+a+a+a+a+a+a+a+a+a; def c = b+b+b+b+b+b+b+b+b+b; c+c+c+c+c",
    "def a = 99999999999999999999; def b = a*a*a*a*a*a*a*a; def c = b*b*b*b*b*b*b*b; c*c*c*c",
])
def test_results_are_bounded(text: str) -> None:
    with pytest.raises(TransformError, match="too l"):
        result(text)


@pytest.mark.parametrize(("given", "option", "text"), [
    ({"language": "jsr223.groovy", "condition": "value.each { println it }"}, "condition", "cannot be read"),
    ({"language": "jsr223.jython", "condition": "true"}, "language", "simple expressions"),
    ({"language": "wasm.chicory", "condition": "file:/x.wasm"}, "language", "simple expressions"),
    ({"condition": "true"}, "language", "required"),
    ({"language": "cdc"}, "condition", "required"),
])
def test_a_configuration_that_cannot_run_is_refused(given: dict[str, str], option: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        chain(FILTER | {f"transforms.f.{key}": value for key, value in given.items()})


@pytest.mark.parametrize(("mode", "expected"), [("keep", True), ("drop", False), ("evaluate", True)])
def test_null_values_are_handled_as_the_mode_says(mode: str, expected: bool) -> None:
    config = FILTER | {"transforms.f.language": "cdc", "transforms.f.condition": "value == null",
                       "transforms.f.null.handling.mode": mode}
    assert (applied(config, records.TOMBSTONE) is not None) is expected


def test_records_of_other_topics_are_left_alone() -> None:
    config = FILTER | {"transforms.f.language": "cdc", "transforms.f.condition": "false",
                       "transforms.f.topic.regex": "srv.*"}
    assert applied(config, records.UPDATED) is None
    assert applied(config, message("x", optional(STRING), topic="other")) is not None


def test_a_column_that_no_expression_names_is_not_decoded() -> None:
    codecs = [Counting(STR) for _ in range(3)]
    of = table([column(index, f"c{index}", codec) for index, codec in enumerate(codecs)])
    config = FILTER | {"transforms.f.language": "cdc",
                       "transforms.f.condition": "value.op == 'u' && value.after.c1 == 'b' && value.source.txId > 1"}
    assert applied(config, record("u", of, row("a", "b", "c"), row("a", "b", "c"))) is not None
    assert [codec.values for codec in codecs] == [0, 1, 0]
