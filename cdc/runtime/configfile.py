"""Which configuration file is whose: the worker's and the connectors', as connect-standalone takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from cdc.config.documents import read_documents
from cdc.config.files import Config
from cdc.config.providers import Providers
from cdc.config.table import OptionTable
from cdc.core.errors import ConfigError

from . import kubernetes
from .ownership import CONVERTER, is_workers

_FILES = "Name the worker's file, then each connector's."


class Layer(Protocol):
    """`overrides.Overrides`, as it is used here: what goes over the files."""

    def apply(self, worker: Config, connectors: list[tuple[str, Config]]) -> None: ...


def load(files: Sequence[Path], worker_options: OptionTable, over: Layer | None = None,
         ) -> tuple[Config, list[Config]]:
    """The worker's configuration and the connectors', with references replaced. Raises ConfigError.

    *worker_options* tells which keys a worker has.

    The first file is the worker's, and each other file one connector's. A first file with `connector.class` holds
    both; then the names of its keys decide which key belongs to whom. Files of Strimzi and Debezium Server say
    themselves what they hold.
    """
    worker, connectors = load_named(files, worker_options, over)
    return worker, [connector for _, connector in connectors]


def load_named(files: Sequence[Path], worker_options: OptionTable, over: Layer | None = None,
               ) -> tuple[Config, list[tuple[str, Config]]]:
    """As `load`, each connector with the file that it comes from."""
    worker, connectors = _read(files, worker_options, over)
    providers = Providers.of(worker, kubernetes.read)
    return providers.resolve(worker), [(file, providers.resolve(connector)) for file, connector in connectors]


def load_raw(files: Sequence[Path], worker_options: OptionTable, over: Layer | None = None,
             ) -> tuple[Config, list[Config]]:
    """As `load`, with references as they are written. Only this form may be shown to people."""
    worker, connectors = _read(files, worker_options, over)
    return worker, [connector for _, connector in connectors]


def _read(files: Sequence[Path], worker_options: OptionTable, over: Layer | None,
          ) -> tuple[Config, list[tuple[str, Config]]]:
    worker: Config | None = None
    connectors: list[tuple[str, Config]] = []
    for number, file in enumerate(files):
        for found in read_documents(file):
            config, role = found.config, found.role or ("connector" if number else "worker")
            if not found.role and not number and "connector.class" in config:
                worker, config = split(config, worker_options)
                role = "connector"
            if role == "connector":
                connectors.append((str(file), config))
            elif worker is None:
                worker = config
            else:
                raise ConfigError(f"{file} is a second worker's configuration.", hint=_FILES)
    worker = {} if worker is None else worker
    if over is not None:
        over.apply(worker, connectors)
    if not files and not worker and not connectors:
        raise ConfigError("No configuration file was given.", hint=_FILES)
    _check_names(connectors)
    return worker, connectors


def _check_names(connectors: Iterable[tuple[str, Config]]) -> None:
    seen: dict[str, str] = {}
    for file, connector in connectors:
        name = connector.get("name", "").strip()
        if not name:
            raise ConfigError(f"{file}: the connector has no name.", option="name",
                              hint="Set name=… and keep it: offsets are stored under the connector's name.")
        if name in seen:
            raise ConfigError(f"{file}: the connector {name} is already defined in {seen[name]}.", option="name")
        seen[name] = file


def split(both: Mapping[str, str], worker_options: OptionTable) -> tuple[Config, Config]:
    """Divide one file's keys into the worker's and the connector's. Both get the converters; the connector gets keys
    that are unknown."""
    worker: Config = {}
    connector: Config = {}
    for key, text in both.items():
        if CONVERTER.fullmatch(key):
            worker[key] = connector[key] = text
        elif is_workers(key, worker_options):
            worker[key] = text
        else:
            connector[key] = text
    return worker, connector
