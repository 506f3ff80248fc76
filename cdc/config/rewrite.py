"""Writes changed keys and values into the text of a configuration file, and leaves the rest of it as it is.

Properties and YAML keep their comments, order and quotes; what is dropped becomes a comment. JSON is written again, in
its order. Text in, text out: no file is touched here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from cdc.core.errors import ConfigError
from cdc.core.late_regex import late_regex

from .debezium_server import SOURCE
from .files import Config, read_json, read_properties
from .former import Change

Ask = Callable[[Config], list[Change]]
"""What becomes of the keys of one connector."""


def rewritten(text: str, source: str, ask: Ask) -> str:
    """*text*, a file named *source*, with what *ask* says of each of its connectors. Raises ConfigError."""
    ending = source.rpartition(".")[2].lower()
    if ending in ("yaml", "yml"):
        return _yaml(text, source, ask)
    if ending == "json" or text.lstrip().startswith("{"):
        return _json(text, source, ask)
    return _properties(text, source, ask)


# Properties

_KEY: Final = late_regex(r"(\s*)((?:\\.|[^\\=: \t\f\r\n])*)([ \t\f]*[=:]?[ \t\f]*)(.*)", re.DOTALL)


def _properties(text: str, source: str, ask: Ask) -> str:
    config = read_properties(text, source)
    prefix = SOURCE if any(key.startswith(SOURCE) for key in config) else ""
    connector = {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}
    by_key = {prefix + change.key: change for change in ask(connector)}
    return "".join(_property(block, prefix, by_key, source) for block in _blocks(text))


_LINE: Final = late_regex(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
"""As `files` and Java end lines: str.splitlines also ends them at form feeds and others, which may be in a value."""


def _blocks(text: str) -> Iterator[str]:
    """Each property with its continuation lines, each comment and each empty line, with the ends of lines."""
    block = ""
    for line in _LINE.findall(text):
        block += line
        begun = block.lstrip(" \t\f")
        ending = re.search(r"(\\+)\r?\n?$", line)
        if begun[:1] not in "#!\r\n" and ending and len(ending[1]) % 2:
            continue
        yield block
        block = ""
    if block:
        yield block


def _property(block: str, prefix: str, by_key: Mapping[str, Change], source: str) -> str:
    if not block.strip() or block.lstrip()[0] in "#!":
        return block
    (key, value), = read_properties(block, source).items() or [("", "")]
    change = by_key.get(key)
    if change is None:
        return block
    if not change.now:
        return _comment(block, change)
    match = _KEY.match(block)
    assert match is not None, "the pattern matches any text"
    rest = match[4] if change.value == value else _escaped(change.value) + (re.search(r"\r?\n?\Z", block) or [""])[0]
    return f"{match[1]}{prefix}{change.now}{match[3] or '='}{rest}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def _comment(block: str, change: Change) -> str:
    indent = block[:len(block) - len(block.lstrip(" \t"))]
    lines = "".join(f"{indent}# {line.removeprefix(indent)}" for line in block.splitlines(keepends=True))
    return f"{indent}# {change.key}: {change.text}\n{lines}"


# JSON


def _json(text: str, source: str, ask: Ask) -> str:
    read_json(text, source)  # raises for what is no configuration, and for keys that occur twice
    value = json.loads(text, parse_float=str)
    if isinstance(value.get("config"), dict):
        value["config"] = _changed(value["config"], source, ask)
    else:
        value = _changed(value, source, ask)
    indent = re.search(r"\n([ \t]+)\S", text)
    return json.dumps(value, indent=indent[1] if indent else 2, ensure_ascii=False) + "\n"


def _changed(config: Mapping[str, Any], source: str, ask: Ask) -> dict[str, Any]:
    nested = [key for key, item in config.items() if isinstance(item, dict)]
    if nested:
        raise ConfigError(f"{source}: nested keys cannot be rewritten: {nested[0]}.", hint="Join the keys by dots.")
    texts = {key: str(item).lower() if isinstance(item, bool) else str(item) for key, item in config.items()}
    by_key = {change.key: change for change in ask(texts)}
    made: dict[str, Any] = {}
    for key, item in config.items():
        change = by_key.get(key)
        if change is None:
            made.setdefault(key, item)
        elif change.now:
            made[change.now] = item if change.value == texts[key] else change.value
    return made


# YAML


def _yaml(text: str, source: str, ask: Ask) -> str:
    import yaml

    try:
        nodes: list[Any] = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as exc:
        raise ConfigError(f"{source} is not YAML: {type(exc).__name__}.") from None
    maps = (node for node in nodes if node.id == "mapping")
    edits = [edit for node in maps if _child(node, "kind", "KafkaConnector") == "KafkaConnector"
             for edit in _edits(text, node, source, ask)]
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _child(node: Any, name: str, default: Any = None) -> Any:
    """The value of the key *name* in a mapping's *node*: text, or the node of a mapping."""
    return next((value.value if value.id == "scalar" else value for key, value in node.value if key.value == name),
                default)


def _edits(text: str, node: Any, source: str, ask: Ask) -> Iterable[tuple[int, int, str]]:
    """Places in *text*, and what to write there, for one document: a Strimzi resource, or a connector's keys, which may
    stand below `config`."""
    spec = _child(node, "spec")
    resource = spec is not None and not isinstance(spec, str)
    class_name = _child(spec, "class") if resource else None
    found = _child(spec if resource else node, "config")
    keys = node if found is None or isinstance(found, str) else found
    scalars = {key.value: (key, value) for key, value in keys.value if value.id == "scalar"}
    nested = next((key for key, value in keys.value if value.id == "mapping" and not resource), None)
    if nested is not None or keys.flow_style:
        line = (nested or keys).start_mark.line + 1
        raise ConfigError(f"{source}, line {line}: only keys in lines of their own can be rewritten.",
                          hint="Join nested keys by dots.")
    config = {key: value.value for key, (_, value) in scalars.items()}
    for change in ask({"connector.class": class_name, **config} if class_name else config):
        key, value = scalars[change.key]
        if not change.now:
            start = text.rfind("\n", 0, key.start_mark.index) + 1
            end = text.find("\n", value.end_mark.index)
            block = text[start:end + 1 if end >= 0 else len(text)]
            yield start, start + len(block), _comment(block, change)
            continue
        yield key.start_mark.index, key.end_mark.index, _quoted(change.now, key.style)
        if change.value != value.value:
            yield value.start_mark.index, value.end_mark.index, _quoted(change.value, value.style)


def _quoted(text: str, style: str | None) -> str:
    if style == "'":
        return "'" + text.replace("'", "''") + "'"
    return json.dumps(text, ensure_ascii=False) if style == '"' else text
