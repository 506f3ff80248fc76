"""What goes over the configuration files: variables of the environment, and over those the flags `--set key=value`.

`config.environment` says which variables count and which key each one stands for; here it is decided whether the key is
the worker's or a connector's. Nothing is ignored silently: a variable or flag that sets no key is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from cdc.config.environment import (
    FILE,
    PREFIX,
    PROPERTIES,
    SEPARATOR,
    Ambiguous,
    Spelling,
    candidates,
    content,
    lines_of,
    variable_of,
)
from cdc.config.files import Config
from cdc.config.secrets import is_reference, is_secret_key, shown_key
from cdc.config.table import OptionTable, Problem, config_error
from cdc.core.dataclass import dataclass
from cdc.core.errors import ConfigError

from .ownership import CONVERTER, is_workers

ENVIRONMENT = "the environment"
_SEE = "`cdc docs environment` says how keys are spelled."


@dataclass(frozen=True)
class Override:
    """One key that was set over the files: the connector's name, empty for the worker; and the variable or flag."""

    connector: str
    key: str
    by: str


@dataclass
class Overrides:
    """The variables and flags of one process. `apply` puts them over the files' configurations.

    `connector_tables` gives the options of all connectors, `table_of` those of the connector of one class.
    After `apply`, `made` has what was set, and `services` the variables that Kubernetes has set for its Services.
    """

    environment: Mapping[str, str] = field(repr=False)
    flags: Sequence[str]
    worker_options: OptionTable
    connector_tables: Callable[[], Sequence[OptionTable]]
    table_of: Callable[[str], OptionTable]
    made: list[Override] = field(default_factory=list)
    services: list[str] = field(default_factory=list)

    def apply(self, worker: Config, connectors: list[tuple[str, Config]]) -> None:
        """Change the configurations *worker* and *connectors*, pairs of a file and its keys. A connector whose keys are
        all in the environment or in flags is added. Raises one ConfigError for all variables, or all flags, in error.
        """
        texts = [text for config in (worker, *(each for _, each in connectors)) for text in config.values()]
        words, self.services = candidates(self.environment, texts)
        if not words and not self.flags:
            return
        layer = _Layer(worker, connectors, self.worker_options, [self.worker_options, *self.connector_tables()])
        for word, text in sorted(words.items(), key=lambda item: SEPARATOR not in item[0]):
            layer.variable(word, text)
        layer.check_classes(self.table_of)
        layer.finish(ENVIRONMENT)
        for flag in self.flags:
            layer.flag(flag)
        layer.finish("the command line")
        self.made = layer.overrides()


_WORKER = -1


class _Layer:
    def __init__(self, worker: Config, connectors: list[tuple[str, Config]], worker_options: OptionTable,
                 tables: Sequence[OptionTable]) -> None:
        self.worker = worker
        self.connectors = connectors
        self.made: dict[tuple[int, str], str] = {}
        """The variable or flag that set a key, by the connector's place, or _WORKER, and the key."""
        self.problems: list[Problem] = []
        self._worker_options = worker_options
        self._tables = tables
        self._in_files = [set(config) for _, config in connectors]
        self._names = [config.get("name", "").strip() for _, config in connectors]

    def overrides(self) -> list[Override]:
        """What was set, in order."""
        names = [config.get("name", "").strip() for _, config in self.connectors]
        return [Override("" if place == _WORKER else names[place], key, by) for (place, key), by in self.made.items()]

    def finish(self, what: str) -> None:
        """Raise a ConfigError if there are problems; *what* has them."""
        if self.problems:
            raise config_error(what, self.problems)

    # Variables

    def variable(self, word: str, text: str) -> None:
        """Take the variable *word*, written without the prefix. An empty one sets nothing, but must be spelled right.
        """
        by = PREFIX + word
        place, rest = self._addressed(word)
        if SEPARATOR in rest:
            self._unknown_connector(by)
        elif rest == PROPERTIES:
            self._properties(by, place, text)
        elif rest == PROPERTIES + FILE:
            self._properties(by, place, self._content(by, text))
        else:
            self._single(by, place, rest, text)

    def _addressed(self, word: str) -> tuple[int | None, str]:
        """The place of the connector with whose name *word* begins, and the rest of the word."""
        starts = {place: variable_of(name) + SEPARATOR for place, name in enumerate(self._names) if name}
        fitting = {place: start for place, start in starts.items() if word.startswith(start)}
        if not fitting:
            return None, word
        longest = max(fitting.values(), key=len)
        places = [place for place, start in fitting.items() if start == longest]
        if len(places) > 1:
            self._problem(PREFIX + word, "several connectors' names are spelled like this.", "Rename one of them.")
        return places[0], word.removeprefix(longest)

    def _unknown_connector(self, by: str) -> None:
        known = ", ".join(PREFIX + variable_of(name) + SEPARATOR for name in self._names if name)
        self._problem(by, "the name of a connector must stand before the two underscores.",
                      f"The connectors' variables begin with {known}." if known else "No file has a connector.")

    def _properties(self, by: str, place: int | None, text: str) -> None:
        try:
            found = lines_of(text, by)
        except ConfigError as exc:
            self._problem(by, exc.message, exc.hint)
            return
        for key, value in found.items():
            self._set(by, place, key, value)

    def _single(self, by: str, place: int | None, word: str, text: str) -> None:
        spelling = Spelling(self._tables, self._present(place))
        try:
            found = spelling.find(word)
        except Ambiguous as exc:
            self._problem(by, f"this is the spelling of {' and '.join(map(shown_key, exc.keys))}.",
                          f"Write the key that you mean into {PREFIX}{PROPERTIES}.")
            return
        if found is None:
            near, start = spelling.nearest(word), by.removesuffix(word)
            self._problem(by, "no configuration key is spelled like this" + (
                f"; did you mean {start}{near}?" if near else "."), f"Correct it or unset it. {_SEE}")
            return
        value = self._content(by, text) if found.in_file else text
        if value:
            self._set(by, place, found.key, value)

    def _present(self, place: int | None) -> list[str]:
        """The keys that a variable may mean because a file has them."""
        if place is not None:
            return list(self.connectors[place][1])
        only = self.connectors[0][1] if len(self.connectors) == 1 else {}
        return [*self.worker, *only]

    def _content(self, by: str, path: str) -> str:
        """The text of the file *path* that variable *by* names. Empty if it names none, or if there is a problem."""
        try:
            return content(path) if path else ""
        except ValueError as exc:
            self._problem(by, f"{path}: {exc}.")
        except OSError as exc:
            self._problem(by, f"{path} cannot be read: {exc.strerror}.")
        return ""

    def check_classes(self, table_of: Callable[[str], OptionTable]) -> None:
        """Find variables that set a key of another class of connectors. Keys of PROPERTIES are read as a file's."""
        for (place, key), by in self.made.items():
            in_file = place == _WORKER or (place < len(self._in_files) and key in self._in_files[place])
            if in_file or by.removesuffix(FILE).endswith(PROPERTIES):
                continue
            class_name = self.connectors[place][1].get("connector.class", "")
            try:
                table = table_of(class_name)
            except ConfigError:
                return  # whoever reads the configuration reports it
            if not table.knows(key):
                near = table.nearest(key)
                start = by.removesuffix(FILE).removesuffix(variable_of(key))
                self._problem(by, f"{class_name.strip().rpartition('.')[2]} has no key {key}" + (
                    f"; did you mean {start}{variable_of(near)}?" if near else "."), "Correct it or unset it.")

    # Flags

    def flag(self, text: str) -> None:
        """Take `key=value` or `connector:key=value`."""
        left, sign, value = text.partition("=")
        name, _, rest = left.partition(":")
        place = self._names.index(name) if rest and name in self._names else None
        key = (left if place is None else rest).strip()
        by = f"--set {shown_key(left)}"
        if not sign or not key:
            self._problem("--set", "key=value or connector:key=value is wanted.")
        elif not self._known(key):
            near = next(filter(None, (table.nearest(key) for table in reversed(self._tables))), None)
            self._problem(by, "unknown key" + (f"; did you mean {near}?" if near else "."))
        elif self._is_secret(key) and not is_reference(value):
            self._problem(by, "other users of this machine can see the command line.",
                          f"Write the value into a file, and the file's name into {PREFIX}{variable_of(key)}{FILE}.")
        else:
            self._set(by, place, key, value, over=True)

    def _known(self, key: str) -> bool:
        return any(table.knows(key) for table in self._tables) or any(key in keys for keys in self._in_files)

    def _is_secret(self, key: str) -> bool:
        declared = [option for table in self._tables if (option := table.declared(key)) is not None]
        return is_secret_key(key) or any(option.type == "PASSWORD" for option in declared)

    # Both

    def _set(self, by: str, place: int | None, key: str, value: str, *, over: bool = False) -> None:
        """Set *key* where it belongs, if *place* does not say which connector is meant. *over*: it may be set already.
        """
        if place is not None:
            self._put(by, place, key, value, over)
            return
        converter = CONVERTER.fullmatch(key)
        if converter is not None or is_workers(key, self._worker_options):
            self._put(by, _WORKER, key, value, over)
            if converter is not None:
                self._put_converter(by, converter[1], key, value, over)
        elif len(self.connectors) > 1:
            names = [f"--set {name}:{key}" if over else f"{PREFIX}{variable_of(name)}{SEPARATOR}{variable_of(key)}"
                     for name in self._names]
            self._problem(by, "it is not clear which connector is meant.",
                          f"Write {' or '.join(map(shown_key, names))}.")
        else:
            if not self.connectors:
                self.connectors.append((ENVIRONMENT, {}))
            self._put(by, 0, key, value, over)

    def _put_converter(self, by: str, role: str, key: str, value: str, over: bool) -> None:
        """For the only connector too, if it names a converter of its own, which would hide the worker's."""
        if len(self.connectors) == 1 and f"{role}.converter" in self.connectors[0][1] and (
                over or (0, key) not in self.made):
            self._put(by, 0, key, value, over)

    def _put(self, by: str, place: int, key: str, value: str, over: bool) -> None:
        before = self.made.get((place, key))
        if before is not None and not over:
            self._problem(by, f"{before} sets {shown_key(key)} too.", "Unset one of them.")
            return
        config = self.worker if place == _WORKER else self.connectors[place][1]
        config[key] = value
        self.made[place, key] = by

    def _problem(self, by: str, text: str, hint: str = "") -> None:
        self.problems.append(Problem(by, text, hint))
