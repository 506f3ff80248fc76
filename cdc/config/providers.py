"""References such as `${file:/path:key}` in configuration values, and the providers that resolve them: KIP-297.

Errors name the key and the reference, never a value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from functools import lru_cache
from pathlib import Path

from cdc.core.dataclass import dataclass
from cdc.core.errors import ConfigError
from cdc.core.late_regex import late_regex

from .files import Config, read_properties, text_of
from .regex import Invalid, JavaRegex, compile_java
from .secrets import Secret, is_secret_key, shown_key

_OPEN = late_regex(r"\$\{([^}:]*):[^}]*\Z")
_REFERENCE = late_regex(r"\$\{([^}]*?):(?:([^}]*?):)?([^}]*?)\}")
_KAFKA = "org.apache.kafka.common.config.provider."
_STRIMZI = "io.strimzi.kafka."
_CLASSES = {
    f"{_KAFKA}FileConfigProvider": "file", f"{_KAFKA}DirectoryConfigProvider": "dir",
    f"{_KAFKA}EnvVarConfigProvider": "env", f"{_STRIMZI}EnvVarConfigProvider": "env",
    f"{_STRIMZI}KubernetesSecretConfigProvider": "secrets",
    f"{_STRIMZI}KubernetesConfigMapConfigProvider": "configmaps",
}
_NAMES = {"file": "file", "dir": "dir", "directory": "dir", "env": "env", "secrets": "secrets",
          "configmaps": "configmaps", "strimzifile": "file", "strimzidir": "dir", "strimzienv": "env"}
"""What references may name without a declaration: Kafka's, Debezium's and Strimzi's usual names."""

Resources = Callable[[str, str, str], Mapping[str, str]]
"""The data of a Kubernetes resource, by its kind (`secrets`, `configmaps`), its namespace (empty: that of this process)
and its name. Raises LookupError with the reason."""


@dataclass(frozen=True)
class Provider:
    """Looks up values: `file` in a properties file, `dir` in the files of a directory, `env` in the environment,
    `secrets` and `configmaps` in those of Kubernetes, through `resources`.

    `allowed_paths` and `allowlist` limit which files and variables it may read; empty and None are no limit.
    """

    kind: str
    allowed_paths: tuple[Path, ...] = ()
    allowlist: JavaRegex | None = None
    resources: Resources | None = None

    def get(self, path: str, key: str, environment: Mapping[str, str]) -> str:
        """The value of one reference. Raises LookupError with the reason."""
        if self.kind == "env":
            return self._from_environment(path, key, environment)
        if self.kind in ("secrets", "configmaps"):
            return self._from_kubernetes(path, key)
        return self._from_file(path, key) if self.kind == "file" else self._from_directory(path, key)

    def _from_environment(self, path: str, key: str, environment: Mapping[str, str]) -> str:
        if path:
            raise LookupError("an environment variable has no path")
        if self.allowlist is not None and not self.allowlist.fullmatch(key):
            raise LookupError("allowlist.pattern does not allow this variable")
        if key not in environment:
            raise LookupError("the variable is not set")
        return environment[key]

    def _from_file(self, path: str, key: str) -> str:
        found = read_properties(text_of(self._read(Path(path))), path)
        if key not in found:
            raise LookupError("the file has no such key")
        return found[key]

    def _from_directory(self, path: str, key: str) -> str:
        if Path(key).name != key:
            raise LookupError("the key must be a plain file name")
        return text_of(self._read(Path(path) / key))

    def _from_kubernetes(self, path: str, key: str) -> str:
        namespace, _, name = path.rpartition("/")
        if not re.fullmatch(r"(?:[a-z0-9-]+/)?[a-z0-9][a-z0-9.-]*", path):
            raise LookupError("namespace/name is wanted before the last colon")
        if self.resources is None:
            raise LookupError("this command does not ask Kubernetes")
        found = self.resources(self.kind, namespace, name)
        if key not in found:
            raise LookupError("it has no such key")
        return found[key]

    def _read(self, path: Path) -> bytes:
        try:
            real = path.resolve()
        except (OSError, RuntimeError, ValueError):  # a loop of links, or a character that no name has
            raise LookupError("there is no such file") from None
        if self.allowed_paths and not any(real.is_relative_to(allowed) for allowed in self.allowed_paths):
            raise LookupError("allowed.paths does not allow this file")
        try:
            return real.read_bytes()
        except OSError as exc:
            raise LookupError(f"the file cannot be read: {exc.strerror}") from exc


@dataclass(frozen=True)
class Providers:
    """The config providers, by their name in references. The usual ones, `_NAMES`, need no declaration."""

    by_name: Mapping[str, Provider]
    declared: frozenset[str] = frozenset()
    """Those of `config.providers`."""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    forget: Callable[[], None] = field(default=lambda: None, repr=False)
    """Forgets what Kubernetes said before."""

    @classmethod
    def of(cls, worker: Mapping[str, str], resources: Resources | None = None) -> Providers:
        """The built-in providers and those that `config.providers` declares in a *worker*'s configuration. *resources*
        asks Kubernetes, once for each resource of a configuration."""
        asked = lru_cache(maxsize=None)(resources) if resources else None
        names = [name.strip() for name in worker.get("config.providers", "").split(",") if name.strip()]
        declared = {name: replace(_provider(name, worker), resources=asked) for name in names}
        usual = {name: Provider(kind, resources=asked) for name, kind in _NAMES.items()}
        return cls(usual | declared, frozenset(declared), forget=asked.cache_clear if asked else lambda: None)

    def of_clients(self) -> Providers:
        """Those that a client of the REST interface may use: the declared ones, as in Kafka Connect."""
        known = {name: provider for name, provider in self.by_name.items() if name in self.declared}
        return replace(self, by_name=known)

    def resolve(self, config: Mapping[str, str]) -> Config:
        """*config* with its references replaced. A value that had one becomes `Secret` text. Raises ConfigError.

        Results are not resolved again, nor is text that is `Secret` already. Kafka Connect leaves a reference to an
        undeclared provider as it is, so that the text itself becomes a password or a list; here it is an error.
        """
        self.forget()  # a secret may have changed since the last start
        return {key: self._resolved(key, text) for key, text in config.items()}

    def _resolved(self, key: str, text: str) -> str:
        if key.startswith("config.providers") or isinstance(text, Secret):
            return text
        unclosed = _OPEN.search(text)
        if unclosed is not None and unclosed[1] in self.by_name:
            raise ConfigError(f"{shown_key(key)}: the reference ${{{unclosed[1]}:… has no closing brace.",
                              option=shown_key(key))
        replaced = _REFERENCE.sub(lambda match: self._value(key, match), text)
        return text if replaced == text else Secret(replaced)

    def _value(self, key: str, match: re.Match[str]) -> str:
        provider = self.by_name.get(match[1])
        if provider is None and is_secret_key(key):
            raise ConfigError(  # the text may be a part of the secret itself
                f"{shown_key(key)}: a reference in it names a config provider that is not declared.",
                option=shown_key(key), hint=f"Known are {', '.join(sorted(self.by_name))}. A secret that only looks"
                                            " like a reference can stand in a file: cdc docs environment, _FILE.")
        if provider is None:
            raise ConfigError(
                f'{shown_key(key)}: {match[0]} names the config provider "{match[1]}", which is not declared.',
                option=shown_key(key), hint=(
                    f"Known are {', '.join(sorted(self.by_name)) or 'none'}. Others are declared in the worker's "
                    "configuration: config.providers and config.providers.<name>.class."))
        try:
            return provider.get(match[2] or "", match[3], self.environment)
        except LookupError as exc:
            raise ConfigError(f"{shown_key(key)}: {match[0]} cannot be resolved: {exc.args[0]}.",
                              option=shown_key(key)) from None


def _provider(name: str, worker: Mapping[str, str]) -> Provider:
    prefix = f"config.providers.{name}."
    class_name = worker.get(f"{prefix}class", "").strip()
    kind = _CLASSES.get(class_name) or _CLASSES.get(_KAFKA + class_name)
    if kind is None:
        raise ConfigError(f'{prefix}class: there is no config provider "{class_name}".',
                          option=f"{prefix}class", hint=f"Use one of {', '.join(_CLASSES)}.")
    paths = worker.get(f"{prefix}param.allowed.paths", "")
    pattern = worker.get(f"{prefix}param.allowlist.pattern")
    return Provider(
        kind, tuple(Path(path.strip()).resolve() for path in paths.split(",") if path.strip()),
        _compiled(f"{prefix}param.allowlist.pattern", pattern) if pattern else None,
    )


def _compiled(option: str, text: str) -> JavaRegex:
    try:
        return compile_java(text, 0, option)
    except Invalid as exc:
        raise ConfigError(f"{option} is not a regular expression: {exc}.", option=option) from None
