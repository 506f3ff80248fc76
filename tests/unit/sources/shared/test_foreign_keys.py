"""Whose a key is that the connector it was given to does not have."""

from __future__ import annotations

import pytest

from cdc.config.limits import limits_capture
from cdc.config.table import OptionTable
from cdc.sources.mysql.options import OPTIONS as MYSQL_OPTIONS
from cdc.sources.postgres.options import OPTIONS
from cdc.sources.shared.foreign_keys import MYSQL, POSTGRES, owner


@pytest.mark.parametrize(("theirs", "ours", "their_name", "our_name"), [
    (OPTIONS, MYSQL_OPTIONS, POSTGRES, MYSQL), (MYSQL_OPTIONS, OPTIONS, MYSQL, POSTGRES)])
def test_every_key_of_the_other_database_is_known_as_its(theirs: OptionTable, ours: OptionTable, their_name: str,
                                                         our_name: str) -> None:
    """Except for those that limit what is captured, which are errors in any case."""
    foreign = [key for key in theirs.keys if not ours.knows(key) and not limits_capture(key)]
    assert len(foreign) > 15
    assert [key for key in foreign if owner(key, our_name) != their_name] == []


def test_a_connectors_own_keys_are_not_foreign() -> None:
    assert owner("slot.name", POSTGRES) == ""
    assert owner("slot.nam", MYSQL) != ""
    assert owner("database.hostnam", MYSQL) == ""
