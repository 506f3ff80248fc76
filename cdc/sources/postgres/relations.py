"""With what the rows of each relation are read: its schema, as far as the log and the catalog have told it.

The log does not tell everything about a table: `resolve` adds the rest, once per Relation message. Nothing is looked up
while rows are decoded; a row that does not fit what the catalog said gives its relation another schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cython  # noqa: F401

from cdc.core.errors import SourceRefusedError
from cdc.core.row import NULL, Row
from cdc.core.table import TableSchema
from cdc.debezium.emit import EmittedTable

from . import protocol
from .enums import EnumColumn
from .merge import Doubt


class RelationState:
    """How the rows of one relation are read. `table` and `emitted` are None if the relation is not captured.

    `enums`: for each column of an enum its index, the values that are known, and what `relabel` needs.
    `doubt`: until when the catalog's key may be newer than the rows.
    *watched*: as `EmittedTable.watched`.
    """

    def __init__(self, relation: protocol.Relation, table: TableSchema | None,
                 enums: tuple[EnumColumn, ...] = (), doubt: Doubt | None = None, *, watched: bool = False) -> None:
        self.relation = relation
        self.table: Any = table
        self.collection = f"{relation.namespace}.{relation.name}"
        self.column_count = len(relation.columns)
        columns = table.columns if table else ()
        self.required = tuple(column.index for column in columns if not column.schema.optional)
        self.enums = tuple((each.index, each.known, each) for each in enums)
        self.doubt = doubt
        self.emitted: Any = EmittedTable(table, self.collection, watched) if table else None


class Relations:
    """The relations that the log has described, by oid.

    *resolve(relation, xid, final_lsn)* returns the RelationState for a Relation message of a transaction (0 and 0 if
    that is not known). *relax(state, indexes)* returns *state* with columns that may be null, those at *indexes*;
    *relabel(state, row)* one whose enums have the labels in *row*.

    `doubtful`: those whose `doubt` is not over.
    `refused`: why the rows of a relation cannot be read that was described where everything is dropped.
    `outer`: while a prepared transaction is read, the relations as they are after it.
    """

    def __init__(self, resolve: Callable[[protocol.Relation, int, int], RelationState],
                 relax: Callable[[RelationState, list[int]], RelationState],
                 relabel: Callable[[RelationState, Row], RelationState]) -> None:
        self.resolve = resolve
        self.relax = relax
        self.relabel = relabel
        self.states: dict[int, RelationState] = {}
        self.doubtful: set[int] = set()
        self.refused: dict[int, SourceRefusedError] = {}
        self.outer: dict[int, RelationState] | None = None

    def describe(self, relation: protocol.Relation, xid: int, final_lsn: int, *, dropped: bool) -> None:
        """A Relation message. *dropped*: the changes that follow it were delivered before a restart."""
        oid = relation.oid
        self.refused.pop(oid, None)
        try:
            state = self.resolve(relation, xid, final_lsn)
        except SourceRefusedError as exc:
            if not dropped:
                raise
            # What was delivered is not read again, so that nothing of its table needs to exist any more.
            self.states.pop(oid, None)
            self.refused[oid] = exc
            return
        self.states[oid] = state
        if state.doubt is not None:
            self.doubtful.add(oid)

    def settle(self, final_lsn: int, xid: int) -> None:
        """A transaction begins: look the tables up again whose rows are now surely as new as the catalog was."""
        for oid in list(self.doubtful):
            state = self.states.get(oid)
            if state is None or state.doubt is None:
                self.doubtful.discard(oid)
            elif state.doubt.is_over(final_lsn, xid):
                self.doubtful.discard(oid)
                self.states[oid] = self.resolve(state.relation, xid, final_lsn)

    def enter(self, states: Mapping[int, RelationState]) -> None:
        """Rows are read with *states* until `leave`: the relations as they were when a transaction was prepared."""
        self.outer = self.states
        self.states = dict(states)

    def leave(self) -> bool:
        """Undoes `enter`. Returns False if there was none."""
        if self.outer is None:
            return False
        self.states = self.outer
        self.outer = None
        return True

    def nullable(self, state: RelationState, oid: int, row: Row) -> RelationState:
        """Returns *state*, relaxed if *row* has a null where the catalog says NOT NULL: then the catalog is newer than
        the row."""
        for index in state.required:
            if row.kind(index) == NULL:
                nulls = [each for each in state.required if row.kind(each) == NULL]
                state = self.relax(state, nulls)
                self.states[oid] = state
                break
        return state

    def labelled(self, state: RelationState, oid: int, row: Row) -> RelationState:
        """Returns *state*, with another schema if *row* has a label that the schema does not name."""
        for index, known, _ in state.enums:
            raw = row.raw(index)
            if raw is not None and raw not in known:
                state = self.states[oid] = self.relabel(state, row)
                break
        return state
