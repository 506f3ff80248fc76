"""A Relation message, completed: which columns are the key, which may be null, and what their defaults are.

The log describes the table as it was when it was changed; the catalog, as it is now; and we remember how it was when
the log last described it. Names, types and order come from the log. The rest comes from the catalog, unless the log or
what we remember shows that the catalog is too new for the message.
src/backend/replication/logical/proto.c, logicalrep_write_attrs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from cdc.core.dataclass import dataclass
from cdc.core.named_tuple import NamedTuple

from .catalog import RelationCatalog
from .protocol import Relation


@dataclass(frozen=True)
class MergedColumn:
    """A column as the log describes it, completed. `known`: the catalog has such a column, or had it once."""

    name: str
    type_oid: int
    typmod: int
    nullable: bool
    default: str | None
    known: bool


@dataclass(frozen=True)
class MergedRelation:
    """Columns in the order of the log's row images, and the names of the key columns in key order.

    `primary`: the key is a primary key that is not deferrable; the log flags those.
    `key_known`: False if there was a key, and the names of its columns are not known.
    `identity`: the replica identity, as in Relation.
    `doubtful`: the catalog has another key, and perhaps the message is new enough for it.
    """

    columns: tuple[MergedColumn, ...]
    key: tuple[str, ...]
    primary: bool = False
    identity: str = ""
    key_known: bool = field(default=True, compare=False)
    doubtful: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Moment:
    """When the log described the table.

    `xid`, `final_lsn`: the transaction, and where its commit starts; 0 if unknown.
    `seen_lsn`: at this LSN the catalog had the key already that it has now; 0 if unknown.
    `again`: the log described the table just like this before, since we started. So something did change that a
    description does not have.
    """

    xid: int = 0
    final_lsn: int = 0
    seen_lsn: int = 0
    again: bool = False


UNKNOWN = Moment()


@dataclass(frozen=True)
class Doubt:
    """Rows of transactions that were committed before `lsn` may be older than the catalog's key, which transaction
    `xid` made; 0 if unknown."""

    lsn: int
    xid: int

    def is_over(self, final_lsn: int, xid: int) -> bool:
        return final_lsn > self.lsn or (self.xid != 0 and follows(xid, self.xid))


def merge(relation: Relation, catalog: RelationCatalog | None, known: Sequence[MergedRelation] = (),
          moment: Moment = UNKNOWN) -> MergedRelation:
    """Completes a Relation message from *catalog*, which may be newer, older, or None (the table was dropped); and from
    *known*, what the table was before, the newest last.

    A column that neither has under this name and type becomes optional, without a default.
    """
    key = _key(relation, catalog, known, moment)
    return MergedRelation(
        tuple(_merged(column.name, column.type_oid, column.typmod, catalog, known) for column in relation.columns),
        key.names or (), key.primary, relation.replica_identity, key.names is not None, key.doubtful)


def as_catalog_has_it(table: RelationCatalog) -> MergedRelation:
    """What `merge` makes of the message that the server would send for *table* now."""
    columns = tuple(MergedColumn(column.name, column.type_oid, column.typmod, column.nullable,
                                 None if column.generated else column.default, True) for column in table.columns)
    return MergedRelation(columns, table.key, bool(table.primary_key) and not table.deferrable, table.replica_identity)


def _merged(name: str, type_oid: int, typmod: int, catalog: RelationCatalog | None,
            known: Sequence[MergedRelation]) -> MergedColumn:
    found = catalog.column(name) if catalog is not None else None
    if found is not None and found.type_oid == type_oid:
        return MergedColumn(name, type_oid, typmod, found.nullable, None if found.generated else found.default, True)
    for version in reversed(known):
        for column in version.columns:
            if column.name == name and column.type_oid == type_oid:
                return MergedColumn(name, type_oid, typmod, column.nullable, column.default, True)
    return MergedColumn(name, type_oid, typmod, True, None, False)


class _Key(NamedTuple):
    names: tuple[str, ...] | None
    """None if they are not known."""
    primary: bool = False
    doubtful: bool = False


def _key(relation: Relation, catalog: RelationCatalog | None, known: Sequence[MergedRelation],
         moment: Moment) -> _Key:
    """With replica identity DEFAULT, the log flags the columns of the primary key as it was at that time. With INDEX,
    it flags that index's columns, and with FULL all columns: then the flags do not tell the primary key."""
    now = [_Key(catalog.key, bool(catalog.primary_key) and not catalog.deferrable)] if catalog is not None else []
    before = [_Key(version.key, version.primary) for version in reversed(known)]
    flagged = tuple(column.name for column in relation.columns if column.in_key)
    if relation.replica_identity == "d" and flagged:
        order = next((key.names for key in (*now, *before) if set(key.names or ()) == set(flagged)), flagged)
        return _Key(order, True)
    present = {column.name for column in relation.columns}

    def fits(key: _Key) -> bool:
        """Without a flag there was no primary key at that time; of a table that we do not know, only inserts."""
        return set(key.names or ()) <= present and not (key.primary and relation.replica_identity == "d" and before)

    newer = next(filter(fits, now), None)
    older = next(filter(fits, before[:1]), None)
    if newer is not None and catalog is not None and before and newer.names != before[0].names:
        if older is None:
            newer = newer if _made_before(relation, catalog, moment) else None
        elif _older_than(relation, catalog):
            newer = None
        elif not _as_new_as(relation, catalog, known[-1], moment):
            return older._replace(doubtful=True)
    found = newer or older or next(filter(fits, before), None)
    if found is None and relation.replica_identity == "i" and flagged:
        return _Key(flagged)
    unknown = catalog is not None and relation.replica_identity != "d"
    return found or _Key(None if unknown else ())


def _older_than(relation: Relation, catalog: RelationCatalog) -> bool:
    """Whether the message has a column that the catalog does not have, or with another type."""
    found = {(column.name, column.type_oid) for column in catalog.columns}
    return not {(column.name, column.type_oid) for column in relation.columns} <= found


def _made_before(relation: Relation, catalog: RelationCatalog, moment: Moment) -> bool:
    """Whether the catalog's key is older than a message that does not have the columns of the key before."""
    if catalog.key_xid and moment.xid:
        return not follows(catalog.key_xid, moment.xid)
    return bool(catalog.key) or not _older_than(relation, catalog)


def _as_new_as(relation: Relation, catalog: RelationCatalog, last: MergedRelation, moment: Moment) -> bool:
    """Whether the message is as new as the catalog's key.

    It is if its transaction was committed after the catalog had the key. Otherwise transaction ids tell it, unless a
    transaction took long: ALTER TABLE waits for all others that have changed the table. A dropped key has no id left,
    but often the replica identity is changed with it.
    """
    if moment.final_lsn and moment.seen_lsn and moment.final_lsn > moment.seen_lsn:
        return True
    if catalog.key and catalog.key_xid and moment.xid:
        return follows(moment.xid, catalog.key_xid) or (moment.xid == catalog.key_xid and moment.again)
    return moment.again or last.identity != relation.replica_identity == catalog.replica_identity


def follows(xid: int, other: int) -> bool:
    """Whether transaction id *xid* was given out after *other*. PostgreSQL docs, "Transactions and Identifiers"."""
    return 0 < (xid - other) & 0xFFFFFFFF < 1 << 31
