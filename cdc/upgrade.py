"""`cdc config upgrade`: which keys of a connector have other names by now."""

from __future__ import annotations

from cdc import plugins
from cdc.config.former import Change, changes
from cdc.core.errors import ConfigError
from cdc.transforms.former_options import transform_changes


def changes_of(config: dict[str, str]) -> list[Change]:
    """What becomes of the keys of one connector. Raises ConfigError if there is no such connector."""
    if not config.get("connector.class", "").strip():
        raise ConfigError("The file names no connector.class, so there is nothing to upgrade.",
                          hint="Name a connector's file.")
    table = plugins.find("connector", config.get("connector.class", "")).load_options()
    return [*changes(config, table.formers, upgrade=True), *transform_changes(config)]
