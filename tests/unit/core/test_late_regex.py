"""Regular expressions that are compiled when they are first used."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from cdc.core import late_regex as module
from cdc.core.late_regex import late_regex
from tests.unit.own_modules import own_modules


def test_it_does_what_a_compiled_expression_does() -> None:
    late, now = late_regex(r"(?P<first>a)(b)?", re.IGNORECASE), re.compile(r"(?P<first>a)(b)?", re.IGNORECASE)
    for text in ("", "AB", "xabx", "a a"):
        assert [each.groups() for each in late.finditer(text)] == [each.groups() for each in now.finditer(text)]
        for name in ("match", "fullmatch", "search"):
            found, wanted = getattr(late, name)(text), getattr(now, name)(text)
            assert (found and found.span()) == (wanted and wanted.span())
        assert late.sub("-", text) == now.sub("-", text)
        assert (late.findall(text), late.split(text)) == (now.findall(text), now.split(text))
    assert (late.groups, dict(late.groupindex), late.pattern) == (2, {"first": 1}, now.pattern)
    assert repr(late) == repr(now)
    assert late_regex(rb"\d+").match(b"12")


def test_it_is_compiled_once_and_only_when_used(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    real: Any = re.compile

    def noted(*given: Any) -> Any:
        compiled.append(given)
        return real(*given)

    monkeypatch.setattr(re, "compile", noted)
    late = late_regex("a+", re.ASCII)
    assert (late.pattern, compiled) == ("a+", [])
    assert late.fullmatch("aa")
    assert late.match("ab")
    assert compiled == [("a+", re.ASCII)]


def test_what_it_does_not_have_is_an_attribute_error() -> None:
    late: Any = late_regex("a")
    with pytest.raises(AttributeError):
        late.scanner  # noqa: B018
    assert copy.copy(late).match("a")


def test_all_expressions_of_modules_are_valid() -> None:
    found = [value for each in own_modules() for value in vars(each).values() if isinstance(value, module._LateRegex)]
    assert len(found) > 150
    for regex in found:
        assert regex.groups >= 0
