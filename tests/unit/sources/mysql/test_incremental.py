"""Which table of a name a copy has begun with."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from cdc.sources.mysql.incremental import MySqlChunks
from cdc.sources.snapshot.copies import Copy


def chunks() -> MySqlChunks:
    """As after a start."""
    config: Any = SimpleNamespace(read_only=True, incremental_snapshot_watermarking_strategy="INSERT_INSERT")
    nothing: Any = None
    return MySqlChunks(config, nothing, nothing, nothing, nothing, changes=nothing, structures=nothing,
                       position=nothing, watch=nothing)


@pytest.mark.parametrize(("copy", "renamed", "number"), [
    (Copy("s", "db.t"), 3, 0),
    (Copy("s", "db.t", upto=("9",), made="0 order"), 0, 0),
    (Copy("s", "db.t", upto=("9",), made="0 order"), 1, 1),
    (Copy("s", "db.t", after=("4",), upto=("9",), made="2 order"), 1, 3),
], ids=["new", "no rename", "before its first chunk was sent", "later"])
def test_a_rename_after_a_restart_counts_for_a_copy_that_has_begun(copy: Copy, renamed: int, number: int) -> None:
    """The stream reads the log again from the stored position, so it was not counted before."""
    assert chunks()._made(copy, renamed) == number


def test_renames_count_once() -> None:
    found, copy = chunks(), Copy("s", "db.t")
    assert found._made(copy, 2) == 0
    assert found._made(copy, 3) == 1
    assert found._made(Copy("s", "db.t", upto=("9",), made="1 order"), 3) == 1
    assert cast(Any, found)._successors == {("s", "db.t"): 3}
