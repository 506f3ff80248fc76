"""Java's regular expressions read as Debezium's lists are."""

from __future__ import annotations

import random
import re

import pytest
import regex as matching

from cdc.config import regex
from cdc.config.regex import Invalid, compile_items, compile_java, compile_list, split_list
from cdc.core.errors import ConfigError


@pytest.mark.parametrize(("text", "items"), [
    ("", ()),
    (" , ,", ()),
    ("a,b", ("a", "b")),
    (" public.a , public\\.b ", ("public.a", "public\\.b")),
    ("a{1\\,3},b", ("a{1,3}", "b")),
    ("a\\,", ("a,",)),
])
def test_lists_split_at_commas_that_no_backslash_precedes(text: str, items: tuple[str, ...]) -> None:
    assert split_list(text) == items


@pytest.mark.parametrize(("pattern", "matching", "others"), [
    (r"public\.(orders|items)", ["public.orders", "PUBLIC.Items"], ["publicxorders", "public.orders2", "x.public.a"]),
    ("public.orders", ["publicXorders"], []),
    (r"\Qa.b\E\.c", ["a.b.c"], ["axb.c"]),
    (r"\Qa.b", ["a.b"], ["axb"]),
    (r"[\Qa-c\E]+", ["a-c"], ["b"]),
    (r"\p{Alpha}+\P{Alpha}", ["abc1"], ["abcd", "é1"]),
    (r"[\p{Alpha}_]+", ["a_B"], ["1"]),
    (r"[\P{Digit}]+", ["abc", "-é"], ["1"]),
    (r"\p{Upper}\p{Punct}\p{Blank}\p{XDigit}", ["A! f"], ["A!xf"]),
    (r"\p{L}+", ["éa", "日本"], ["1"]),
    (r"\pL+", ["éa"], ["1"]),
    (r"\p{IsAlphabetic}+", ["éa"], ["1"]),
    (r"\p{^Digit}", ["a"], ["1"]),
    (r"\w+", ["abc_1"], ["é"]),
    (r"\W", ["é"], ["a"]),
    (r"\d+", ["12"], ["٣"]),
    (r"é", ["é"], ["É"]),
    (r"a++b", ["aab"], ["b"]),
    (r"a?+a", [], ["a"]),
    (r"(?>a|ab)c", ["ac"], ["abc"]),
    (r"(?<s>a|b)\k<s>", ["aa", "bb"], ["ab"]),
    (r"(a|b)\1", ["aa"], ["ab"]),
    (r"(?!x)..", ["ab"], ["xb"]),
    (r"(?<!x)a", ["a"], []),
    (r"(?i)public\..*", ["PUBLIC.x"], ["private.x"]),
    (r"ab(?-i)c|d", ["ABc", "d"], ["abC", "D"]),
    (r"(a(?-i)b)c", ["AbC"], ["aBc"]),
    (r"(?-i:a)b", ["aB"], ["AB"]),
    (r"(?u)a", ["A"], []),
    (r"[a-z&&[^aeiou]]+", ["bcd"], ["bad"]),
    (r"[a-z&&[def]]", ["d"], ["a"]),
    (r"[a-z&&[^m-p]&&[^q]]", ["a", "r"], ["m", "q"]),
    (r"[^a-z&&[^m]]", ["m", "1"], ["a"]),
    (r"[a-c[x-z]]+", ["abxz"], ["m"]),
    (r"[^a-c[x-z]]+", ["mn"], ["a", "x"]),
    (r"[]a]+", ["]a"], ["b"]),
    (r"[^]a]+", ["b"], ["]"]),
    (r"[a\]b\-]+", ["]-b"], ["c"]),
    (r"[\w.-]+", ["a.b-c"], ["a b"]),
    (r"[&~|-]+", ["&~|-"], ["a"]),
    (r"[a^]+", ["a^"], ["b"]),
    (r"\x{41}\u0042\0101\x43\cA", ["ABAC\x01"], []),
    (r"[\x41-\x43]", ["B"], ["D"]),
    (r"\t\e\a[\e\a]", ["\t\x1b\x07\x07"], []),
    (r"\h+\R", [" \t\r\n", "\u3000\n"], ["x\n"]),
    (r"\v\V\H", ["\x0bab"], ["ab "]),
    (r"a\Z", ["a"], []),
    (r"a\z", ["a"], ["a\n"]),
    (r"a{2}b{1,}c{1,3}?", ["aabcc"], ["abc"]),
    (r"\$\#\ \/", ["$# /"], []),
    ("日本.*", ["日本語"], ["日"]),
])
def test_java_syntax_matches_as_in_java(pattern: str, matching: list[str], others: list[str]) -> None:
    compiled = compile_java(pattern)
    assert [text for text in matching if not compiled.fullmatch(text)] == []
    assert [text for text in others if compiled.fullmatch(text)] == []


@pytest.mark.parametrize(("pattern", "position"), [
    ("a{", 1), ("a{,3}", 1), ("{x}", 0), ("(a", 0), ("ab)", 2), ("x[a", 1), ("\\", 0), ("*a", 0), ("a**", 2),
    (r"a\p{Foo}", 1), (r"[\p{Foo}]", 1), (r"a\y", 1), (r"\xZZ", 0), (r"\u12", 0), (r"\k<", 0), ("(?P<n>a)", 0),
    ("(?#c)", 0), ("(?<1>a)", 0), ("(?x) a", 0), ("[z-a]", 0), (r"\x{110000}", 0), (r"[\E]", 1),
    (r"(?<=a*)b", None), (r"\G", 0), ("(?<n>a)(?<n>b)", 7),
])  # fmt: skip
def test_what_is_no_regex_or_has_no_equal_is_refused_with_its_position(pattern: str, position: int | None) -> None:
    with pytest.raises(Invalid) as caught:
        compile_java(pattern)
    assert position is None or caught.value.position == position


def test_positions_are_those_of_the_text_as_written() -> None:
    with pytest.raises(Invalid) as caught:
        compile_java(r"\Q....\E\p{Alpha}**")
    assert caught.value.position == 18


def test_a_bad_item_is_named_with_option_number_and_position() -> None:
    with pytest.raises(ConfigError, match=r'item 2, "\(b", is not a regular expression: .* position 0') as caught:
        compile_list("a, (b", "table.include.list")
    assert caught.value.option == "table.include.list"


def test_an_item_cut_by_its_comma_gets_the_hint() -> None:
    with pytest.raises(ConfigError) as caught:
        compile_list("public.a{1,3}", "table.include.list")
    assert r"\," in caught.value.hint


def test_escaped_commas_reach_the_regex() -> None:
    (pattern,) = compile_list(r"a{1\,2}", "table.include.list")
    assert pattern.fullmatch("aa")
    assert not pattern.fullmatch("aaa")


def test_items_that_are_split_already_compile_alike() -> None:
    assert compile_items(("a", "b"), "x") == compile_list("a,b", "x")


def test_no_text_makes_anything_but_a_pattern_or_a_refusal() -> None:
    choose = random.Random(7)
    alphabet = [*"ab[]()&&^-\\{}1,?*+|.<>=!:pPQEdwk", "&&", "\\p{", "(?", "(?<", "[^", "\\Q", "\\E"]
    for _ in range(3000):
        text = "".join(choose.choices(alphabet, k=choose.randint(1, 12)))
        position = 0
        try:
            compile_java(text).fullmatch("ab1")
        except Invalid as exc:
            position = exc.position
        assert 0 <= position <= len(text), text


@pytest.mark.parametrize("pattern", [
    "public.orders", r"public\.orders", r"public\..*", "orders.+", "a b", r"\-\#x", "Aa_0", r"a\*b", "a\nb", ".*"])
def test_an_expression_that_cannot_take_long_finds_the_same_with_both_packages(pattern: str) -> None:
    compiled = compile_java(pattern)
    assert isinstance(compiled._compiled, re.Pattern)
    other = matching.compile(compiled._compiled.pattern, matching.IGNORECASE | matching.ASCII)
    for text in ("public.orders", "PUBLIC.Orders", "publicXorders", "public.", "public.\n", "orders", "orders1", "a b",
                 "-#x", "aA_0", "a*b", "a\nb", "\u212a", "\u017f", "", "\n"):
        for word in (text, pattern.replace("\\", "").replace("k", "\u212a").replace("s", "\u017f")):
            assert bool(compiled.fullmatch(word)) == bool(other.fullmatch(word)), word


@pytest.mark.parametrize("pattern", [
    "a*b*", "(a)", "a|b", "[ab]", "a{3}", "a?", r"\w", "é", "^a$", r"\Qa\E", ".*.*", r"\\a"])
def test_every_other_expression_has_a_limit(pattern: str) -> None:
    assert isinstance(compile_java(pattern)._compiled, matching.Pattern)


@pytest.mark.parametrize("pattern", [r"(a|aa)+", r"(,|,,)+[b-c]", r"([a-z]|[a-y])*[1-3]"])
def test_a_match_that_would_take_years_is_an_error_that_names_the_option(
        pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regex, "LIMIT_S", 0.05)
    name = ("a" if "," not in pattern else ",") * 200 + "!"
    (compiled,) = compile_items((pattern,), "table.include.list")
    with pytest.raises(ConfigError, match="takes longer than") as caught:
        compiled.fullmatch(name)
    assert caught.value.option == "table.include.list"
    assert caught.value.hint
    assert len(caught.value.message) < 350, "a long name is shortened"
    with pytest.raises(ConfigError, match="takes longer than"):
        compile_java(pattern + "[z1]$").search(name)


def test_what_only_the_matching_package_knows_is_refused_as_before() -> None:
    """Fuzzy matches, recursion, named lists, branch reset and sets of its second version."""
    for text in ("(?:a){e<=1}", "(?R)", r"\L<names>", "(?|(a)|(b))", "(?r)a", "(?V1)a", r"\m", r"\K"):
        with pytest.raises(Invalid):
            compile_java(text)
