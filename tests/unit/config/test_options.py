"""Options: one declaration gives conversion, checks, notes, descriptions."""

from __future__ import annotations

import re

import pytest

from cdc.config.checks import at_least, between, matching, to_list
from cdc.config.options import Option, option, settings
from cdc.config.secrets import HIDDEN, Secret
from cdc.config.table import OptionTable, Parsed, describe
from cdc.core.errors import ConfigError


@settings
class Pump:
    pump_name: str = option("pump.name", required=True, importance="HIGH", doc="Its name.")
    pump_rate: int = option("pump-rate", "INT", default="5", check=between(1, 10), doc="Litres.", group="Flow")
    pump_mode: str = option("pump.mode", default="slow", one_of=("slow", "FAST"), aliases={"quick": "FAST"}, doc="How.")
    pump_on: bool = option("pump.on", "BOOLEAN", default="true", doc="Whether.")
    pump_pipes: tuple[str, ...] = option("pump.pipes", "LIST", default=None, doc="Which.")
    pump_password: str | None = option("pump.password", "PASSWORD", default=None, doc="For the door.")
    pump_note: str | None = option("pump.note", default=None, effect="later", why="there is no paper", doc="A note.")
    pump_bits: tuple[int, ...] = option(
        "pump.bits", "LIST", default="1,2", convert=lambda text: tuple(int(item) for item in to_list(text)), doc="Bits."
    )


TABLE = OptionTable.of(
    Pump,
    Option(key="pump.jar", effect="inert", why="it names a Java class", doc="A jar."),
    Option(key="pump.hose.<n>", pattern=re.compile(r"pump\.hose\.(\d+)"), doc="A hose."),
    others=(
        Option(key="name"),
        Option(key="other.*", pattern=re.compile(r"other\..+")),
    ),
)


def parse(strict: bool = False, partial: bool = False, **more: str) -> Parsed:
    config = {"pump.name": "p", **{key.replace("__", "."): text for key, text in more.items()}}
    return TABLE.parse(config, strict=strict, partial=partial)


def rated(text: str) -> Parsed:
    return TABLE.parse({"pump.name": "p", "pump-rate": text})


def problem(**more: str) -> str:
    config = {"pump.name": "p", **{key.replace("__", "."): text for key, text in more.items()}}
    (found,) = TABLE.parse(config).problems
    return f"{found.option}: {found.text}"


def test_absent_keys_take_their_defaults() -> None:
    values = parse().values
    assert values["pump_rate"] == 5
    assert values["pump_on"] is True
    assert values["pump_pipes"] == ()
    assert values["pump_bits"] == (1, 2)
    assert values["pump_password"] is None


def test_the_class_has_the_same_defaults_as_an_empty_configuration() -> None:
    made = Pump(pump_name="p")
    assert {name: getattr(made, name) for name in parse().values if name in Pump.__dataclass_fields__} == {
        name: value for name, value in parse().values.items() if name in Pump.__dataclass_fields__}


def test_blank_text_counts_as_absent() -> None:
    assert rated("  ").values["pump_rate"] == 5
    assert rated("  ").given == {"pump.name"}


def test_given_keys_are_known_afterwards() -> None:
    assert parse(pump__on="true").given == {"pump.name", "pump.on"}


@pytest.mark.parametrize(("text", "value"), [("7", 7), (" 7 ", 7), ("+7", 7)])
def test_numbers_are_trimmed_and_converted(text: str, value: int) -> None:
    assert rated(text).values["pump_rate"] == value


def test_words_are_compared_without_case_and_given_as_declared() -> None:
    assert parse(pump__mode="fast").values["pump_mode"] == "FAST"
    assert parse(pump__mode="Quick").values["pump_mode"] == "FAST"


@pytest.mark.parametrize(("text", "reason"), [
    ("x", "must be a whole number"), ("7.5", "must be a whole number"), ("11", "must be between 1 and 10"),
    ("99999999999", "must be between -2147483648 and 2147483647"), ("٣", "must be a whole number"),
])
def test_a_bad_number_says_key_value_and_reason(text: str, reason: str) -> None:
    assert problem(**{"pump-rate": text}) == f'pump-rate: "{text}" is not valid: {reason}.'


def test_a_bad_word_lists_the_allowed_ones() -> None:
    assert problem(pump__mode="idle") == 'pump.mode: "idle" is not valid: allowed: slow, FAST.'


def test_a_bad_boolean_is_an_error() -> None:
    assert "allowed: true, false" in problem(pump__on="yes")


def test_a_missing_required_key_is_an_error() -> None:
    (found,) = TABLE.parse({}).problems
    assert found.option == "pump.name"


def test_all_problems_come_in_one_error() -> None:
    parsed = TABLE.parse({"pump-rate": "x", "pump.on": "y"})
    with pytest.raises(ConfigError) as caught:
        parsed.check("the pump")
    for key in ("pump.name", "pump-rate", "pump.on"):
        assert key in str(caught.value)
    assert caught.value.option == "pump.name"


def test_one_problem_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r'^the pump: pump-rate: "x" is not valid: must be a whole number\.$'):
        rated("x").check("the pump")


def test_no_problem_is_no_error() -> None:
    parse().check("the pump")


def test_an_unknown_key_is_noted_with_the_nearest_known_one() -> None:
    (note,) = parse(pump__mod="slow").notes
    assert note.kind == "unknown"
    assert note.warning
    assert "did you mean pump.mode?" in note.text


def test_an_unknown_key_is_an_error_when_strict() -> None:
    (found,) = parse(strict=True, pump__mod="slow").problems
    assert found.option == "pump.mod"
    assert "pump.mode" in found.text


def test_an_unknown_key_is_nobodys_business_in_a_partial_reading() -> None:
    parsed = parse(partial=True, strict=True, pump__mod="slow")
    assert not parsed.notes
    assert not parsed.problems


def test_keys_of_other_tables_are_left_alone() -> None:
    parsed = parse(strict=True, name="x", other__thing="y")
    assert not parsed.notes
    assert not parsed.problems


def test_families_collect_their_keys_in_order() -> None:
    found = parse(pump__hose__2="b", pump__hose__1="a").families["pump.hose.<n>"]
    assert [(match[1], text) for match, text in found] == [("2", "b"), ("1", "a")]


def test_a_key_without_effect_here_is_noted_and_no_warning() -> None:
    (note,) = parse(pump__jar="x.jar").notes
    assert (note.option, note.kind, note.warning) == ("pump.jar", "inert", False)
    assert "it names a Java class" in note.text


def test_a_key_for_a_missing_feature_warns_only_when_it_asks_for_it() -> None:
    (note,) = parse(pump__note="x").notes
    assert note.kind == "later"
    assert note.warning
    assert parse(pump__note=" ").notes == []


def test_passwords_are_taken_as_they_are() -> None:
    assert parse(pump__password=" x ").values["pump_password"] == " x "


def test_passwords_are_in_no_repr() -> None:
    assert "geheim" not in repr(Pump(pump_name="p", pump_password="geheim"))


def test_a_value_from_a_provider_is_in_no_message() -> None:
    (found,) = TABLE.parse({"pump.name": "p", "pump-rate": Secret("geheim")}).problems
    assert "geheim" not in found.text
    assert HIDDEN in found.text


def test_an_undeclared_secrets_value_is_in_no_message() -> None:
    table = OptionTable([Option(key="my.secret.number", type="INT")])
    (found,) = table.parse({"my.secret.number": "geheim"}).problems
    assert "geheim" not in found.text


def test_secret_text_hides_in_its_repr_only() -> None:
    assert repr(Secret("x")) == HIDDEN
    assert Secret("x") == "x"


def test_settings_are_frozen() -> None:
    made = Pump(pump_name="p")
    with pytest.raises(AttributeError):
        made.pump_rate = 3  # type: ignore[misc]


def test_an_attribute_must_be_named_as_its_key() -> None:
    with pytest.raises(AssertionError, match="pump_nam"):
        @settings
        class Bad:
            pump_nam: str = option("pump.name", default=None)


def test_describe_gives_connects_fields() -> None:
    rows = {row["name"]: row for row in describe(TABLE)}
    assert rows["pump-rate"] == {
        "name": "pump-rate", "type": "INT", "required": False, "default_value": "5", "importance": "MEDIUM",
        "documentation": "Litres.", "group": "Flow", "order_in_group": 1, "allowed": [], "effect": "normal",
        "pattern": False,
    }
    assert rows["pump.name"]["required"]
    assert rows["pump.name"]["order_in_group"] == -1
    assert rows["pump.mode"]["allowed"] == ["slow", "FAST"]


def test_markdown_has_a_row_for_each_option() -> None:
    text = TABLE.markdown()
    assert len(text.splitlines()) == 2 + len(TABLE.options)
    assert "| `pump.mode` | string | `slow` | How. One of: slow, FAST. |" in text
    assert "*Not available yet.*" in text


def test_markdown_can_be_asked_for_one_kind_of_option() -> None:
    for effect in ("normal", "inert", "later"):
        rows = TABLE.markdown(effect).splitlines()[2:]
        assert [row.split("`")[1] for row in rows] == [o.key for o in TABLE.options if o.effect == effect]
    assert "Why: " in TABLE.markdown("inert")
    assert "Why: " not in TABLE.markdown("normal")


def test_checks_say_what_is_wanted() -> None:
    assert at_least(3)(2) == "must be 3 or more"
    assert at_least(3)(3) is None
    assert matching("a+", "only a")("b") == "only a"
    assert matching("a+", "only a")("aa") is None
