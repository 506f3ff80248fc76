"""`cdc offsets` against a worker that runs."""

from __future__ import annotations

import json
from pathlib import Path

from .live import Shell, running, shell, shop  # noqa: F401

FIRST = {"connector": "shop", "partition": {"filename": "in"}, "offset": {"position": 3}}


def test_offsets_are_shown_exported_changed_and_reset(shop: Shell, tmp_path: Path) -> None:  # noqa: F811
    assert shop("offsets", "get", "shop").out.split() == [
        "PARTITION", "KEY", "VALUE", '{"filename":', '"in"}', "position", "3"]
    assert shop("offsets", "get", "shop", "-o", "json").json == [
        {"partition": FIRST["partition"], "offset": FIRST["offset"]}]
    backup = tmp_path / "offsets.jsonl"
    backup.write_text(shop("offsets", "export", "--url", shop.url).out)
    assert json.loads(backup.read_text()) == FIRST

    refused = shop("offsets", "set", "shop", "--offset", '{"position": 1}')
    assert (refused.code, "cdc stop shop" in refused.err) == (5, True)
    assert shop("offsets", "reset", "shop").code == 5
    shop("stop", "shop", "--wait", "20")

    assert shop("offsets", "reset", "shop", "--dry-run").json == FIRST
    dry = shop("offsets", "set", "shop", "--offset", '{"position": 1}', "--dry-run")
    assert (dry.json, dry.err) == (FIRST, "1 offset would be stored.\n")
    assert shop("offsets", "export").json == FIRST
    assert shop("offsets", "set", "shop", "--offset", '{"position": 1}').code == 0
    assert shop("offsets", "export").json["offset"] == {"position": 1}
    assert shop("offsets", "reset", "shop").json["offset"] == {"position": 1}
    assert shop("offsets", "export").out == ""
    assert shop("offsets", "reset", "shop").code == 4
    assert shop("offsets", "set", "shop", "-f", str(backup)).code == 0
    assert shop("offsets", "export").json == FIRST


def test_bad_offsets_are_refused_and_change_nothing(shop: Shell, tmp_path: Path) -> None:  # noqa: F811
    shop("stop", "shop", "--wait", "20")
    path = tmp_path / "bad"
    for text in ("x", "{}", '{"offsets": [1]}', '{"partition": {"filename": "in"}, "offset": 1}',
                 '{"connector": "other", "partition": {"filename": "in"}, "offset": {"position": 1}}'):
        path.write_text(text)
        assert shop("offsets", "set", "shop", "-f", str(path)).code == 2, text
    assert shop("offsets", "set", "shop").code == 2
    assert shop("offsets", "set", "shop", "--offset", "[]", "--partition", "{}").code == 2
    assert shop("offsets", "get", "none").code == 4
    assert shop("offsets", "export", "worker.properties", "--url", shop.url).code == 2
