"""What the answer to a client's configuration must not hold, and what it may cost."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.assembly import parse_worker, plugin_view
from cdc.config.framework import MOST_ALIASES
from cdc.config.providers import Providers
from cdc.configinfos import Plugins

WORKER = {"sink.type": "stdout", "offset.storage.file.filename": "offsets.db", "config.providers": "env",
          "config.providers.env.class": "EnvVarConfigProvider"}
NAME = "io.debezium.connector.postgresql.PostgresConnector"
CONFIG = {"name": "shop", "connector.class": NAME, "topic.prefix": "shop", "database.hostname": "h",
          "database.user": "u", "database.password": "geheim", "database.dbname": "d"}


@pytest.fixture(name="view")
def view_fixture(monkeypatch: pytest.MonkeyPatch) -> Plugins:
    monkeypatch.setenv("SECRET", "hunter2, hunter3")
    return plugin_view(parse_worker(WORKER)[0], Providers.of(WORKER))


def errors(view: Plugins, **more: str) -> dict[str, list[str]]:
    found: Any = view.validate(NAME, {**CONFIG, **{key.replace("_", "."): text for key, text in more.items()}})
    assert "hunter" not in str(found)
    return {row["value"]["name"]: row["value"]["errors"] for row in found["configs"] if row["value"]["errors"]}


@pytest.mark.parametrize("key", ["transforms", "predicates", "key.converter", "database.port", "converters",
                                 "column.truncate.to.x.chars"])
def test_what_a_config_provider_gives_is_in_no_answer(view: Plugins, key: str) -> None:
    assert errors(view, **{key: "${env:SECRET}"}).keys() == {key}


def test_a_good_configuration_has_no_errors(view: Plugins) -> None:
    assert errors(view) == errors(view, **{"table.include.list": "${env:SECRET}"}) == {}


def test_a_long_list_of_transforms_is_one_error(view: Plugins) -> None:
    found = errors(view, transforms=",".join(f"t{number}" for number in range(50_000)))
    assert found == {"transforms": [f"it lists 50000 names, and {MOST_ALIASES} are allowed."]}
