"""Configuration files with the present names of their keys."""

from __future__ import annotations

import pytest

from cdc.config.former import Change
from cdc.config.rewrite import rewritten
from cdc.core.errors import ConfigError


def ask(config: dict[str, str]) -> list[Change]:
    """`old` is `new` now, `gone` has no present name, and the value of `mode` is another one."""
    made = {"old": Change("old", "new", config.get("old", ""), "is new now."),
            "gone": Change("gone", "", "", "has no effect."), "mode": Change("mode", "mode", r"a\b", "is a\\b now.")}
    return [made[key] for key in config if key in made]


@pytest.mark.parametrize(("before", "after"), [
    ("old=x\n", "new=x\n"), ("  old : x", "  new : x"), ("# old=x\nold x\\\n  y\nz=1", "# old=x\nnew x\\\n  y\nz=1"),
    ("old=${env:A}\r\n", "new=${env:A}\r\n"), ("old\n", "new=\n"), ("mode = x\n", "mode = a\\\\b\n"),
    ("a=1\ngone=1\\\n 2\n\nb=2", "a=1\n# gone: has no effect.\n# gone=1\\\n#  2\n\nb=2"),
    ("# ends with \\\nold=1", "# ends with \\\nnew=1"),
    ("debezium.source.old=1\nold=2", "debezium.source.new=1\nold=2"),
    ("old=a\x0bold\x85b\rz=1", "new=a\x0bold\x85b\rz=1"),
])
def test_properties_keep_all_else(before: str, after: str) -> None:
    assert rewritten(before, "c.properties", ask) == after


@pytest.mark.parametrize(("before", "after"), [
    ('{"old": 1, "b": true}', '{\n  "new": 1,\n  "b": true\n}\n'),
    ('{\n    "name": "n", "config": {"gone": 1, "mode": "x"}}',
     '{\n    "name": "n",\n    "config": {\n        "mode": "a\\\\b"\n    }\n}\n'),
])
def test_json_keeps_its_order(before: str, after: str) -> None:
    assert rewritten(before, "c.json", ask) == after


RESOURCE = """# of the shop
kind: KafkaConnector
spec:
  class: x
  config:
    old: "1"  # a comment
    'mode': 'it''s'
    gone: 1
---
kind: KafkaConnect
spec: {config: {old: 1}}
"""


def test_yaml_keeps_comments_quotes_and_other_documents() -> None:
    seen: list[dict[str, str]] = []

    def noted(config: dict[str, str]) -> list[Change]:
        seen.append(config)
        return ask(config)

    text = rewritten(RESOURCE, "c.yaml", noted)
    assert text == RESOURCE.replace("old: \"1\"", "new: \"1\"").replace("'it''s'", r"'a\b'").replace(
        "    gone: 1", "    # gone: has no effect.\n    # gone: 1")
    assert seen == [{"connector.class": "x", "old": "1", "mode": "it's", "gone": "1"}]
    assert rewritten("config:\n  old: 1\n", "c.yml", ask) == "config:\n  new: 1\n"


@pytest.mark.parametrize("text", ["{old: 1}", "a:\n  old: 1\n"])
def test_yaml_that_cannot_be_rewritten_says_where(text: str) -> None:
    with pytest.raises(ConfigError, match=r"c\.yaml, line \d"):
        rewritten(text, "c.yaml", ask)
    with pytest.raises(ConfigError, match=r"c\.json"):
        rewritten('{"a": {"old": 1}}', "c.json", ask)


@pytest.mark.parametrize("text", ['{"old": 1, "old": 2}', "[]", "{"])
def test_json_that_is_no_configuration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        rewritten(text, "c.json", ask)
