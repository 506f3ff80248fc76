"""What tells the rows of a chunk from those that the stream changes meanwhile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cdc.core.record import CREATE, DELETE, UPDATE, Record, SourceContext
from cdc.core.row import BINARY, TEXT, UNCHANGED, row_of
from cdc.core.table import TableSchema
from cdc.debezium.emit import HIDDEN
from cdc.sources.mysql.ddl.structure import ColumnDef
from cdc.sources.mysql.flavor import MARIADB, MYSQL
from cdc.sources.mysql.types import resolve
from cdc.sources.snapshot.window import Identity
from tests.unit.sources.snapshot.simulated import EMPTY_SCHEMA, binary_row, table_schema, text_row


def change(op: str, table: TableSchema, before: Any, after: Any, headers: tuple[Any, ...] = ()) -> Record:
    context = SourceContext(EMPTY_SCHEMA, (0,), (0,))
    old, new = (None if each is None else binary_row(each) for each in (before, after))
    return Record(op, table, old, new, new if new is not None else old, context, (), None, headers)


def test_a_skipped_change_takes_away_no_row_that_is_still_there() -> None:
    table = table_schema("a")
    for op, before, after, touched in (
            (CREATE, None, (1, 1, 1), []), (UPDATE, (1, 1, 1), (1, 2, 1), []), (UPDATE, (1, 1, 1), (2, 1, 1), [(1,)]),
            (UPDATE, None, (1, 2, 1), []), (DELETE, (1, 1, 1), None, [(1,)])):
        assert list(dict.fromkeys(Identity().touched(change(op, table, before, after, HIDDEN)))) == touched
        assert Identity().touched(change(op, table, before, after))


def test_rows_without_a_key_are_told_apart_by_all_that_they_have() -> None:
    table = table_schema("a", keyed=False)
    identity = Identity(("id", "v", "s"))
    touched = identity.touched(change(UPDATE, table, (7, 1, 1), (7, 2, 1)))
    assert identity.of(table, text_row((7, 1, 1))) in touched
    assert identity.of(table, text_row((7, 3, 1))) not in touched
    after = row_of([(7).to_bytes(4), b"", (1).to_bytes(4)], BINARY)
    after.put(1, UNCHANGED, 0, 0)
    old = binary_row((7, 1, 1))
    assert identity.of(table, after, old) == identity.of(table, old), "what the log leaves out is as it was"


class Options:
    """Under which snapshots and streams write some values differently."""

    decimal_handling_mode = "precise"
    time_precision_mode = "adaptive_time_microseconds"
    binary_handling_mode = "bytes"
    bigint_unsigned_handling_mode = "long"
    enable_time_adjuster = True
    cdc_uniform_values = False

    def __init__(self, flavor: Any = MYSQL) -> None:
        self.flavor = flavor


@pytest.mark.parametrize(("made", "text", "binary", "other"), [
    (ColumnDef("k", "TIMESTAMP", 6), b"1970-01-02 00:00:00.000000", bytes.fromhex("00015180000000"),
     b"1970-01-02 00:00:01.000000"),
    (ColumnDef("k", "TIMESTAMP", 3), b"1970-01-02 00:00:10.100", bytes.fromhex("0001518a03e8"),
     b"1970-01-02 00:00:01.010"),
    (ColumnDef("k", "YEAR"), b"0000", b"\x00", b"1999"),
    (ColumnDef("k", "ENUM", enum_values=("a,b", "c")), b"1", b"\x01", b"2"),
    (ColumnDef("k", "SET", enum_values=("a\\", "c")), b"3", b"\x03", b"1"),
    (ColumnDef("k", "INET6"), b"::ffff:192.0.2.1", bytes(10) + bytes.fromhex("ffffc0000201"), b"::1"),
    (ColumnDef("k", "INET6"), b"1::2:3:4:5:6:7", bytes.fromhex("00010000000200030004000500060007"), b"1::"),
    (ColumnDef("k", "DATE"), b"0000-00-00", bytes(3), b"1970-01-01"),
], ids=lambda each: each.type_name if isinstance(each, ColumnDef) else "")
def test_a_key_is_the_same_in_a_chunk_and_in_the_stream(made: ColumnDef, text: bytes, binary: bytes, other: bytes,
                                                       ) -> None:
    found = resolve(made, config=Options(MARIADB if made.type_name == "INET6" else MYSQL))
    assert found is not None
    plain = table_schema("a")
    key = replace(plain.columns[0], key_codec=found.codec, key_binary_codec=found.binary_codec)
    table = replace(plain, key=(key,))
    identity = Identity()
    read = identity.of(table, row_of([text], TEXT))
    assert identity.of(table, row_of([binary], BINARY)) == read
    assert identity.of(table, row_of([other], TEXT)) != read
