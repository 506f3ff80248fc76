"""Configuration files as flat maps of text: properties as Java writes them, JSON, and YAML.

Java SE API, `java.util.Properties.load(Reader)`; Kafka Connect's standalone mode for the JSON forms. Errors name the
file and the line, never a value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from cdc.core.errors import ConfigError
from cdc.core.late_regex import late_regex

from .secrets import is_secret_key

Config = dict[str, str]


def read_file(path: Path) -> Config:
    """Read one file of one map, in the format of its suffix: .json, .yaml, .yml; else JSON if it begins with `{`, or
    properties. Raises ConfigError, with file and line."""
    values = parse_file(path)
    return shaped(values[0], str(path)) if values else {}


def parse_file(path: Path) -> list[Any]:
    """What the file holds, as maps, lists and text: one value, or in YAML one a document. Raises ConfigError."""
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}.") from exc
    ending = path.suffix.lower()
    text = text_of(data)
    if ending in (".yaml", ".yml"):
        return parse_yaml(text, str(path))
    if ending == ".json" or text.lstrip().startswith("{"):
        return [_parse_json(text, str(path))]
    return [read_properties(text, str(path))]


_PROPERTY: Final = late_regex(r"\s*(?![#!])(?:\\.|[^\\=: \t\f])+[ \t\f]*=")


def parse_text(text: str, source: str) -> list[Any]:
    """As `parse_file`, of a text without a file's name: JSON if it begins with `{` or `[`, properties if its first line
    with a key has `=` after it, else YAML. Raises ConfigError."""
    if text.lstrip().startswith(("{", "[")):
        return [_parse_json(text, source)]
    first = next((line for line in text.splitlines() if line.strip() and line.lstrip()[0] not in "#!"), "")
    return [read_properties(text, source)] if _PROPERTY.match(first) else parse_yaml(text, source)


def text_of(data: bytes) -> str:
    """*data* as UTF-8, or, if it is not UTF-8, as Latin-1: the encoding in which Java reads properties."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


# Properties


def read_properties(text: str, source: str = "properties") -> Config:
    """Read Java's properties. Of equal keys the last counts, as in Java. Trailing blanks are kept for secrets only."""
    found: Config = {}
    for number, line in _logical_lines(text):
        key, value = _key_and_value(line)
        name, plain = _unescape(key, source, number), _unescape(value, source, number)
        found[name] = plain if is_secret_key(name) else plain.rstrip(" \t\f")
    return found


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Each logical line with the number of its first line: comments dropped, continuation lines joined."""
    joined, first = "", 0
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        line = line.lstrip(" \t\f")
        if not joined and (not line or line[0] in "#!"):
            continue
        first = first if joined else number
        ending = re.search(r"\\+$", line)
        if ending and len(ending[0]) % 2:
            joined += line[:-1]
            continue
        yield first, joined + line
        joined = ""
    if joined:
        yield first, joined


def _key_and_value(line: str) -> tuple[str, str]:
    """Split at the first `=`, `:` or blank without a backslash before it, and drop the blanks around it."""
    match = re.match(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*(?:[=:][ \t\f]*)?(.*)", line, re.DOTALL)
    assert match is not None, "the pattern matches any text"
    return match[1], match[2]


_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def _unescape(text: str, source: str, number: int) -> str:
    def replaced(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        if match[0].startswith("\\u"):
            raise ConfigError(f"{source}, line {number}: \\u needs four hexadecimal digits.",
                              hint="A backslash is written twice in a properties file.")
        return _ESCAPES.get(match[2], match[2])

    text = re.sub(r"\\u([0-9a-fA-F]{4})|\\u|\\(.)", replaced, text, flags=re.DOTALL)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# JSON and YAML


def read_json(text: str, source: str = "JSON") -> Config:
    """Read a JSON object of keys and values, or one with `name` and `config`, as Kafka Connect's REST API takes it."""
    return shaped(_parse_json(text, source), source)


def _parse_json(text: str, source: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_no_repeats, parse_float=str, parse_int=str)
    except json.JSONDecodeError as exc:
        raise ConfigError(f"{source}, line {exc.lineno}: {exc.msg}.") from None
    except RecursionError:
        raise ConfigError(f"{source} is nested too deeply.") from None
    except ValueError as exc:
        raise ConfigError(f"{source}: {exc}.") from None


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)} occurs twice")
    return made


def read_yaml(text: str, source: str = "YAML") -> Config:
    """Read a YAML map; nested keys are joined by dots. Scalars are taken as they are written: `off` is the word off."""
    values = parse_yaml(text, source)
    if len(values) > 1:
        raise ConfigError(f"{source} holds {len(values)} YAML documents.", hint="Write one file for each.")
    return shaped(values[0], source) if values else {}


def parse_yaml(text: str, source: str = "YAML") -> list[Any]:
    """The YAML documents of *text* as maps, lists and text. Raises ConfigError."""
    import yaml

    try:
        return [_plain(node, source, 0) for node in yaml.compose_all(text, Loader=yaml.SafeLoader)
                if node.tag != "tag:yaml.org,2002:null"]
    except yaml.MarkedYAMLError as exc:
        line = f", line {exc.problem_mark.line + 1}" if exc.problem_mark else ""
        raise ConfigError(f"{source}{line}: {exc.problem}.") from None
    except yaml.YAMLError as exc:
        raise ConfigError(f"{source} is not YAML: {type(exc).__name__}.") from None


_MOST_LEVELS = 20


def _plain(node: Any, source: str, level: int) -> Any:
    """A YAML node as maps, lists and text. Raises ConfigError for repeated keys, and beyond _MOST_LEVELS."""
    line = node.start_mark.line + 1
    if level > _MOST_LEVELS:
        raise ConfigError(f"{source}, line {line}: nested too deeply.")
    if node.id == "scalar":
        return None if node.tag == "tag:yaml.org,2002:null" else node.value
    if node.id == "sequence":
        return [_plain(item, source, level + 1) for item in node.value]
    made: dict[str, Any] = {}
    for key, value in node.value:
        if key.id != "scalar":
            raise ConfigError(f"{source}, line {line}: a key must be text.")
        if key.value in made:
            raise ConfigError(f"{source}, line {key.start_mark.line + 1}: {key.value} occurs twice.")
        made[key.value] = _plain(value, source, level + 1)
    return made


def shaped(value: Any, source: str) -> Config:
    """*value*, as `parse_file` gives it, as a flat map. Raises ConfigError."""
    if not isinstance(value, dict):
        raise ConfigError(f"{source}: expected a map of keys and values.")
    if isinstance(value.get("config"), dict):
        return _create_request(value, source)
    return dict(flat(value, "", source))


def _create_request(value: dict[str, Any], source: str) -> Config:
    """`{"name": …, "config": {…}}`: the body that creates a connector over REST."""
    unknown = [key for key in value if key not in ("name", "config", "initial_state")]
    if unknown:
        raise ConfigError(f"{source}: unexpected beside name and config: {', '.join(sorted(unknown))}.",
                          hint="Move it into config.")
    state = str(value.get("initial_state") or "RUNNING")
    if state.upper() != "RUNNING":
        raise ConfigError(f"{source}: initial_state is {state}, and connectors of files run at once.",
                          option="initial_state", hint="Leave the file out, or create the connector over REST.")
    config = dict(flat(value["config"], "", source))
    name = value.get("name")
    if name is not None and config.setdefault("name", str(name)) != str(name):
        raise ConfigError(f"{source}: name is {name}, but {config['name']} in config.", option="name")
    return config


def flat(value: Mapping[str, Any], prefix: str, source: str) -> Iterator[tuple[str, str]]:
    """Nested keys joined by dots. A list becomes a comma-separated list; commas inside its items are escaped."""
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, dict):
            yield from flat(item, f"{name}.", source)
        elif isinstance(item, list):
            yield name, ",".join(_scalar(name, part, source).replace(",", "\\,") for part in item)
        else:
            yield name, _scalar(name, item, source)


def _scalar(name: str, item: Any, source: str) -> str:
    if item is None:
        raise ConfigError(f"{source}: {name} has no value.", option=name, hint="Give it one, or leave the key out.")
    if isinstance(item, dict | list):
        raise ConfigError(f"{source}: {name} is a list with a nested value.", option=name)
    return str(item).lower() if isinstance(item, bool) else str(item)
