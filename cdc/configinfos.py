"""What Kafka Connect's REST API says about plugins and configurations: `ConfigKeyInfo`, `ConfigInfos`.

Sources: Kafka Connect's ConfigKeyInfo, ConfigInfo, ConfigValueInfo, AbstractHerder.validateConnectorConfig.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast

from cdc import about, plugins
from cdc.config.framework import FRAMEWORK_OPTIONS, MOST_ALIASES
from cdc.config.options import Option
from cdc.config.providers import Providers
from cdc.config.secrets import HIDDEN, Secret, is_reference, is_secret_key
from cdc.config.table import Problem
from cdc.core.errors import ConfigError, StateError
from cdc.runtime.options import WorkerConfig, read_connector

Config = Mapping[str, str]
_GROUPS: Final = ("Common", "Transforms", "Predicates", "Error Handling", "Topic Creation", "Exactly Once Support",
                  "offsets.topic")
_TYPES: Final = {"connector": "source", "transform": "transformation", "predicate": "predicate",
                 "converter": "converter", "header converter": "header_converter"}
"""Kafka Connect's word for each kind of plugin, in the order of its list. Sinks and offset stores are ours alone."""
_HEADERS: Final = "header_converter"
_WITH_CLASSES: Final = {"key.converter": "converter", "value.converter": "converter", "header.converter": "converter"}
_SHORT: Final = 4
"""What is shorter occurs in many sentences by chance."""
_CHAINS: Final = (("transforms", "transform"), ("predicates", "predicate"))


class Plugins:
    """Fulfils `rest.api.PluginView` for a worker with *settings*, whose clients may use *providers*.

    *more* finds what is wrong with the transforms of a configuration without references; if the flag is set, it also
    makes the connector's parts, so that the rest of the mistakes show.
    """

    def __init__(self, settings: WorkerConfig, providers: Providers,
                 more: Callable[[Config, bool], list[Problem]]) -> None:
        self._settings = settings
        self._providers = providers
        self._more = more

    def plugins(self, connectors_only: bool) -> list[dict[str, str]]:
        rows = []
        for kind, word in _TYPES.items():
            if kind != "connector" and connectors_only:
                break
            found = _available(kind.removeprefix("header "))
            rows += [{"class": each.class_name, "type": word, "version": about.VERSION}
                     for each in sorted(found, key=lambda each: each.class_name)]
        return rows

    def plugin_config(self, name: str, version: str) -> list[dict[str, Any]]:
        plugin = _find(name)
        if version and version.strip("[]") != about.VERSION:
            raise StateError(f"Plugin {plugin.class_name} not found that matches the version range {version}, "
                             f"available versions: [{about.VERSION}]", status=400)
        options = list(plugin.load_options().options) if plugin.options else []
        if plugin.kind == "connector":
            options += FRAMEWORK_OPTIONS
        return [definition for definition, _ in _definitions(options)]

    def validate(self, name: str, config: Mapping[str, str | None]) -> dict[str, Any]:
        given = (config.get("connector.class") or "").strip()
        if not given:
            raise ConfigError("The configuration contains no connector type: connector.class is missing.",
                              option="connector.class")
        plugin = connector_plugin(given)
        if name not in plugin.names and not given.removesuffix("Connector").endswith(name.removesuffix("Connector")):
            raise StateError(f"Included connector type {given} does not match request type {name}", status=400)
        values = {key: text for key, text in config.items() if text is not None}
        found = self._problems(values)
        found += [Problem(key, "null is no value.", "Give it a value, or leave the key out.")
                  for key, text in config.items() if text is None]
        return report(values, plugin, found, self._settings)

    def check(self, config: Mapping[str, str]) -> None:
        """As `validate`; raises one ConfigError for all problems, in Kafka Connect's form."""
        given = config.get("connector.class", "").strip()
        if not given:
            raise ConfigError("The connector's configuration contains no connector type: connector.class is missing.",
                              option="connector.class")
        connector_plugin(given)
        found = self._problems(config)
        if found:
            lines = [f"{each.option}: {each.text} {each.hint}".rstrip() for each in found]
            raise ConfigError("\n".join((
                f"Connector configuration is invalid and contains the following {len(lines)} error(s):", *lines,
                "You can also find the above list of errors at the endpoint "
                "`/connector-plugins/{connectorType}/config/validate`")), option=found[0].option)


    def _problems(self, config: Config) -> list[Problem]:
        """What is wrong with a connector's *config* that a client sent, as far as it can be seen without connecting to
        anything. What a config provider gave is in no text."""
        from cdc import permitted  # nobody asks at a start

        found = permitted.problems(config, self._settings.cdc_rest_allowed_paths)
        resolved: dict[str, str] = {}
        for key, text in config.items():
            try:
                resolved |= self._providers.resolve({key: text})
            except ConfigError as exc:
                found.append(Problem(exc.option or key, exc.message, exc.hint))
        found += read_connector(resolved, self._settings).problems
        plugin = connector_plugin(config["connector.class"])
        found += [each for each in plugin.load_read()(resolved).problems if each not in found]
        found += self._more(resolved, not found)
        given = {key: [part.strip() for part in text.split(",")] for key, text in resolved.items()
                 if isinstance(text, Secret)}
        return [_without_value(each, given) for each in found]


def connector_plugin(name: str) -> plugins.Plugin:
    """The connector of this class or alias. Raises ConfigError with words that clients know."""
    try:
        return plugins.find("connector", name)
    except ConfigError as exc:
        known = ", ".join(each.class_name for each in plugins.available("connector"))
        raise ConfigError(f"Failed to find any class that implements Connector and which name matches {name}, "
                          f"available connectors are: {known}.", option="connector.class", hint=exc.hint) from exc


def _without_value(problem: Problem, given: Mapping[str, Sequence[str]]) -> Problem:
    """*problem* without what config providers gave: the parts of each key's value."""
    if problem.option in given:
        return Problem(problem.option, "the value that the config provider gives is not valid.")
    for key, parts in given.items():
        if any(_names(problem.option, part) for part in parts):
            return Problem(key, "a name in the value that the config provider gives is not valid.")
        if any(len(part) >= _SHORT and part in f"{problem.text} {problem.hint}" for part in parts):
            return Problem(problem.option, f"is not valid together with what the config provider gives for {key}.")
    return problem


def _names(option: str, part: str) -> bool:
    return part in option.split(".") or (len(part) >= _SHORT and part in option)


def report(config: Mapping[str, str], plugin: plugins.Plugin, found: Sequence[Problem], settings: WorkerConfig,
           ) -> dict[str, Any]:
    """`ConfigInfos`: every key that this connector can have, with its definition, value and errors."""
    errors: dict[str, list[str]] = {}
    for each in found:
        errors.setdefault(each.option, []).append(f"{each.text} {each.hint}".rstrip())
    chains = [option for alias in _CHAINS for option in _chain(config, *alias)]
    options = [*FRAMEWORK_OPTIONS, *chains, *plugin.load_options().options, *_overrides(config),
               *_of_converters(config)]
    rows = []
    for definition, option in _definitions(options):
        key = option.key
        rows.append({"definition": definition, "value": _value(option, config, errors.pop(key, []), settings)})
    for key, texts in reversed(errors.items()):
        option = Option(key=key, importance="MEDIUM")
        rows.insert(0, {"definition": _definition(option, -1), "value": _value(option, config, texts, settings)})
    groups = dict.fromkeys((*_GROUPS, *(row["definition"]["group"] for row in rows if row["definition"]["group"])))
    return {"name": config["connector.class"], "error_count": sum(bool(row["value"]["errors"]) for row in rows),
            "groups": list(groups), "configs": rows}


def _definitions(options: Iterable[Option]) -> list[tuple[dict[str, Any], Option]]:
    """`ConfigKeyInfo` of each option that is no family, the first of each key."""
    orders: dict[str, int] = {}
    rows: dict[str, tuple[dict[str, Any], Option]] = {}
    for option in options:
        if option.pattern is None and option.key not in rows:
            orders[option.group] = orders.get(option.group, 0) + 1
            rows[option.key] = _definition(option, orders[option.group] if option.group else -1), option
    return list(rows.values())


def _definition(option: Option, order: int) -> dict[str, Any]:
    default = HIDDEN if option.hidden and option.default is not None else option.default
    if option.type == "LIST" and default is None and not option.required:
        default = ""
    return {"name": option.key, "type": option.type, "required": option.required, "default_value": default,
            "importance": option.importance, "documentation": option.doc, "group": option.group or None,
            "order_in_group": order, "width": "MEDIUM", "display_name": option.key, "dependents": []}


def _value(option: Option, config: Mapping[str, str], errors: Sequence[str], settings: WorkerConfig,
           ) -> dict[str, Any]:
    text = config.get(option.key)
    if text is None:
        text = _workers(settings).get(option.key, option.default)
        text = "" if text is None and option.type == "LIST" else text
    elif not is_reference(text) and (option.hidden or is_secret_key(option.key)):
        text = HIDDEN
    return {"name": option.key, "value": _class_name(option, text), "recommended_values": _recommended(option),
            "errors": list(errors), "visible": True}


def _workers(settings: WorkerConfig) -> dict[str, str]:
    """The worker's converters, which a connector has that names none."""
    return {"key.converter": settings.key_converter, "value.converter": settings.value_converter,
            "header.converter": settings.header_converter}


def _class_name(option: Option, text: str | None) -> str | None:
    """The full class name in place of an alias."""
    kind = _kind_of(option)
    if kind is None or not text:
        return text
    known = _named(kind, text)
    return None if known is None else known.class_name


def _recommended(option: Option) -> list[str]:
    kind = _kind_of(option)
    if kind is None:
        return list(option.one_of)
    return sorted(each.class_name for each in _available(kind))


def _kind_of(option: Option) -> str | None:
    """Whose class the option names, if it does."""
    if option.key in _WITH_CLASSES:
        return _WITH_CLASSES[option.key]
    return next((kind for prefix, kind in _CHAINS if option.key.startswith(f"{prefix}.")
                 and option.type == "CLASS" and option.key.endswith(".type")), None)


def _chain(config: Mapping[str, str], prefix: str, kind: str) -> list[Option]:
    """The keys of each transform, or predicate, that *config* lists."""
    options = []
    aliases = dict.fromkeys(part.strip() for part in config.get(prefix, "").split(",") if part.strip())
    for alias in list(aliases)[:MOST_ALIASES]:
        group = f"{prefix.capitalize()}: {alias}"
        start = f"{prefix}.{alias}"
        options += [Option(key=f"{start}.type", type="CLASS", required=True, importance="HIGH", group=group,
                           doc=f"Class of the {kind} {alias}."),
                    Option(key=f"{start}.plugin.version", group=group, doc="Version of the plugin.")]
        plugin = _named(kind, config.get(f"{start}.type", ""))
        if plugin is not None and plugin.options:
            options += [_below(start, each, group) for each in plugin.load_options().options if each.pattern is None]
        if kind == "transform":
            options += [Option(key=f"{start}.negate", type="BOOLEAN", default="false", group=group,
                               doc="Apply it to the records that the predicate does not match."),
                        Option(key=f"{start}.predicate", group=group, doc="The predicate that chooses the records.")]
    return options


def _below(prefix: str, option: Option, group: str) -> Option:
    return Option(key=f"{prefix}.{option.key}", type=option.type, default=option.default, doc=option.doc, group=group,
                  importance=option.importance, required=option.required, one_of=option.one_of, private=option.private)


def _overrides(config: Mapping[str, str]) -> list[Option]:
    return [Option(key=key, doc="A setting of a Kafka client.", private=True) for key in config
            if key.startswith(("producer.override.", "consumer.override.", "admin.override."))]


def _of_converters(config: Mapping[str, str]) -> list[Option]:
    """The keys of the converters that *config* names."""
    options: list[Option] = []
    for role in _WITH_CLASSES:
        plugin = _named("converter", config.get(role, ""))
        if plugin is not None and plugin.options:
            options += [_below(role, each, each.group) for each in plugin.load_options().options
                        if each.pattern is None]
    return options


def _find(name: str) -> plugins.Plugin:
    """The plugin of this class or alias, of whatever kind. Raises StateError."""
    for kind in _TYPES:
        plugin = _named(kind, name)
        if plugin is not None:
            return plugin
    raise StateError(f"Unknown plugin {name}.", status=404)


def _named(kind: str, name: str) -> plugins.Plugin | None:
    return next((each for each in _available(kind) if name.strip() and each.goes_by(name.strip())), None)


def _available(kind: str) -> tuple[plugins.Plugin, ...]:
    return plugins.available(cast(plugins.Kind, kind))
