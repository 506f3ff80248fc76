"""Configuration files: properties as Java writes them, JSON, YAML; and references to values kept elsewhere.

Java SE API, `java.util.Properties.load(Reader)`; Kafka Connect's standalone mode for the JSON forms; KIP-297 for
references such as `${file:/path:key}`. What comes out is a flat map of text. Errors name file and line, never a value.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cdc.core.errors import ConfigError
from cdc.core.options import Secret
from cdc.core.regex import Invalid, compile_java
from cdc.core.secrets import is_secret_key

from .options import CONNECTOR_OPTIONS, WORKER_OPTIONS

Config = dict[str, str]


def load(files: Sequence[Path]) -> tuple[Config, list[Config]]:
    """The worker's configuration and the connectors', references replaced by what they stand for.

    The first file is the worker's, each other one a connector's; a first file that has `connector.class` holds both,
    told apart by the keys' names. Raises ConfigError.
    """
    worker, connectors = load_raw(files)
    providers = Providers.of(worker)
    return providers.resolve(worker), [providers.resolve(connector) for connector in connectors]


def load_raw(files: Sequence[Path]) -> tuple[Config, list[Config]]:
    """As `load`, with references as they were written: what a person may be shown."""
    if not files:
        raise ConfigError("there is no configuration file.", hint="Name a worker's file, then one for each connector.")
    worker = read_file(files[0])
    connectors = [(file, read_file(file)) for file in files[1:]]
    if "connector.class" in worker:
        worker, connector = split(worker)
        connectors.insert(0, (files[0], connector))
    _check_names(connectors)
    return worker, [connector for _, connector in connectors]


def _check_names(connectors: Iterable[tuple[Path, Config]]) -> None:
    seen: dict[str, Path] = {}
    for file, connector in connectors:
        name = connector.get("name", "").strip()
        if not name:
            raise ConfigError(f"{file}: the connector has no name.", option="name",
                              hint="Its offsets are kept under it, so give it one that stays: name=…")
        if name in seen:
            raise ConfigError(f"{file}: there is a connector {name} in {seen[name]} already.", option="name")
        seen[name] = file


_CONVERTER = re.compile(r"(key|value|header)\.converter(\..+)?")
_MEANT_FOR_CONNECTOR = frozenset({"heartbeat.interval.ms"})
"""Keys that both kinds have; in one file with a connector they are more likely to be the connector's."""


def split(both: Mapping[str, str]) -> tuple[Config, Config]:
    """One file's keys as the worker's and the connector's. Converters are for both; unknown keys the connector's."""
    worker: Config = {}
    connector: Config = {}
    for key, text in both.items():
        if _CONVERTER.fullmatch(key):
            worker[key] = connector[key] = text
        elif WORKER_OPTIONS.knows(key) and key not in _MEANT_FOR_CONNECTOR and not _is_framework(key):
            worker[key] = text
        else:
            connector[key] = text
    return worker, connector


def _is_framework(key: str) -> bool:
    return CONNECTOR_OPTIONS.knows(key) and key not in WORKER_OPTIONS.keys


def read_file(path: Path) -> Config:
    """One file as a flat map, by its ending or else by its looks. Raises ConfigError naming file and line."""
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}.") from exc
    ending = path.suffix.lower()
    if ending in (".yaml", ".yml"):
        return read_yaml(_decode(data), str(path))
    text = _decode(data)
    if ending == ".json" or text.lstrip().startswith("{"):
        return read_json(text, str(path))
    return read_properties(text, str(path))


def _decode(data: bytes) -> str:
    """UTF-8, or Latin-1 as Java reads properties, when it is not."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


# Properties


def read_properties(text: str, source: str = "properties") -> Config:
    """Java's properties. As there, the last of several equal keys counts. Blanks at the end are a secret's only."""
    found: Config = {}
    for number, line in _logical_lines(text):
        key, value = _key_and_value(line)
        name, plain = _unescape(key, source, number), _unescape(value, source, number)
        found[name] = plain if is_secret_key(name) else plain.rstrip(" \t\f")
    return found


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, continuations joined, with the number of the first."""
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
    """Split at the first `=`, `:` or blank that no backslash precedes; blanks around it go."""
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
    """A flat object, or one with `name` and `config` as Kafka Connect's REST interface takes it."""
    try:
        value = json.loads(text, object_pairs_hook=_no_repeats, parse_float=str, parse_int=str)
    except json.JSONDecodeError as exc:
        raise ConfigError(f"{source}, line {exc.lineno}: {exc.msg}.") from None
    except RecursionError:
        raise ConfigError(f"{source} is nested too deeply.") from None
    except ValueError as exc:
        raise ConfigError(f"{source}: {exc}.") from None
    return _shaped(value, source)


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)} occurs twice")
    return made


def read_yaml(text: str, source: str = "YAML") -> Config:
    """A map whose nested maps are flattened with dots. Every scalar is taken as written: `off` is the word off."""
    import yaml

    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        value = {} if node is None else _plain(node, source, 0)
    except yaml.MarkedYAMLError as exc:
        line = f", line {exc.problem_mark.line + 1}" if exc.problem_mark else ""
        raise ConfigError(f"{source}{line}: {exc.problem}.") from None
    except yaml.YAMLError as exc:
        raise ConfigError(f"{source}: it is no YAML: {type(exc).__name__}.") from None
    return _shaped(value, source)


_MOST_LEVELS = 20


def _plain(node: Any, source: str, level: int) -> Any:
    """A YAML node as maps, lists and text."""
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


def _shaped(value: Any, source: str) -> Config:
    if not isinstance(value, dict):
        raise ConfigError(f"{source}: a map of keys and values is wanted.")
    if isinstance(value.get("config"), dict):
        return _create_request(value, source)
    return dict(_flat(value, "", source))


def _create_request(value: dict[str, Any], source: str) -> Config:
    """`{"name": …, "config": {…}}`: the body that creates a connector over REST."""
    unknown = [key for key in value if key not in ("name", "config", "initial_state")]
    if unknown:
        raise ConfigError(f"{source}: beside name and config there is {', '.join(sorted(unknown))}.",
                          hint="Move it into config.")
    config = dict(_flat(value["config"], "", source))
    name = value.get("name")
    if name is not None and config.setdefault("name", str(name)) != str(name):
        raise ConfigError(f"{source}: name is {name}, and {config['name']} in config.", option="name")
    return config


def _flat(value: Mapping[str, Any], prefix: str, source: str) -> Iterator[tuple[str, str]]:
    """Keys joined by dots. A list becomes a comma list, commas within its items escaped."""
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, dict):
            yield from _flat(item, f"{name}.", source)
        elif isinstance(item, list):
            yield name, ",".join(_scalar(name, part, source).replace(",", "\\,") for part in item)
        else:
            yield name, _scalar(name, item, source)


def _scalar(name: str, item: Any, source: str) -> str:
    if item is None:
        raise ConfigError(f"{source}: {name} has no value.", option=name, hint="Give it one, or leave the key out.")
    if isinstance(item, dict | list):
        raise ConfigError(f"{source}: {name} is nested within a list.", option=name)
    return str(item).lower() if isinstance(item, bool) else str(item)


# References

_REFERENCE = re.compile(r"\$\{([^}]*?):(?:([^}]*?):)?([^}]*?)\}")
_KAFKA = "org.apache.kafka.common.config.provider."
_KINDS = {"FileConfigProvider": "file", "DirectoryConfigProvider": "dir", "EnvVarConfigProvider": "env"}


@dataclass(frozen=True, slots=True)
class Provider:
    """Where the values of one kind of reference come from: a properties file, a directory's files, the environment."""

    kind: str
    allowed_paths: tuple[Path, ...] = ()
    allowlist: re.Pattern[str] | None = None

    def get(self, path: str, key: str, environment: Mapping[str, str]) -> str:
        """Raises LookupError with the reason."""
        if self.kind == "env":
            return self._from_environment(path, key, environment)
        return self._from_file(path, key) if self.kind == "file" else self._from_directory(path, key)

    def _from_environment(self, path: str, key: str, environment: Mapping[str, str]) -> str:
        if path:
            raise LookupError("a variable has no path")
        if self.allowlist is not None and not self.allowlist.fullmatch(key):
            raise LookupError("allowlist.pattern does not let the variable through")
        if key not in environment:
            raise LookupError("the variable is not set")
        return environment[key]

    def _from_file(self, path: str, key: str) -> str:
        found = read_properties(_decode(self._read(Path(path))), path)
        if key not in found:
            raise LookupError("the file has no such key")
        return found[key]

    def _from_directory(self, path: str, key: str) -> str:
        if Path(key).name != key:
            raise LookupError("a plain file name is wanted")
        return _decode(self._read(Path(path) / key))

    def _read(self, path: Path) -> bytes:
        real = path.resolve()
        if self.allowed_paths and not any(real.is_relative_to(allowed) for allowed in self.allowed_paths):
            raise LookupError("allowed.paths does not let the file through")
        try:
            return real.read_bytes()
        except OSError as exc:
            raise LookupError(f"the file cannot be read: {exc.strerror}") from exc


@dataclass(frozen=True, slots=True)
class Providers:
    """The config providers by their name in references. env, file and dir need no declaration."""

    by_name: Mapping[str, Provider]
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    @classmethod
    def of(cls, worker: Mapping[str, str]) -> Providers:
        """Those that `config.providers` of a worker's configuration declares, and the built-in ones."""
        names = [name.strip() for name in worker.get("config.providers", "").split(",") if name.strip()]
        declared = {name: _provider(name, worker) for name in names}
        return cls({kind: Provider(kind) for kind in _KINDS.values()} | declared)

    def resolve(self, config: Mapping[str, str]) -> Config:
        """*config* with references replaced; what came from one is `Secret` text. Raises ConfigError.

        References to providers nobody declared stay as they are, as in Kafka Connect. Results are not searched again.
        """
        return {key: self._resolved(key, text) for key, text in config.items()}

    def _resolved(self, key: str, text: str) -> str:
        if key.startswith("config.providers"):
            return text
        replaced = _REFERENCE.sub(lambda match: self._value(key, match), text)
        return text if replaced == text else Secret(replaced)

    def _value(self, key: str, match: re.Match[str]) -> str:
        provider = self.by_name.get(match[1])
        if provider is None:
            return match[0]
        try:
            return provider.get(match[2] or "", match[3], self.environment)
        except LookupError as exc:
            raise ConfigError(f"{key}: {match[0]} leads nowhere: {exc.args[0]}.", option=key) from None


def _provider(name: str, worker: Mapping[str, str]) -> Provider:
    prefix = f"config.providers.{name}."
    class_name = worker.get(f"{prefix}class", "").strip()
    kind = _KINDS.get(class_name.removeprefix(_KAFKA))
    if kind is None:
        raise ConfigError(f'{prefix}class: there is no config provider "{class_name}" here.',
                          option=f"{prefix}class", hint=f"There are {', '.join(_KAFKA + known for known in _KINDS)}.")
    paths = worker.get(f"{prefix}param.allowed.paths", "")
    pattern = worker.get(f"{prefix}param.allowlist.pattern")
    return Provider(
        kind, tuple(Path(path.strip()).resolve() for path in paths.split(",") if path.strip()),
        _compiled(f"{prefix}param.allowlist.pattern", pattern) if pattern else None,
    )


def _compiled(option: str, text: str) -> re.Pattern[str]:
    try:
        return compile_java(text, 0)
    except Invalid as exc:
        raise ConfigError(f"{option}: it is not a regular expression: {exc}.", option=option) from None
