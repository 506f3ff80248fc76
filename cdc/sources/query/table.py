"""Reads one table, or the query, again and again: opens a SELECT for what is new, and makes messages of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final

from cdc.core.errors import ConfigError, DecodeError, SourceRefusedError
from cdc.core.record import Message
from cdc.core.schema import STRUCT, Field, Schema
from cdc.log import get_logger

from .boundary import Boundary, digest
from .columns import INTEGERS, ColumnInfo, Mapping, Read, mapped, reader, schema_of
from .criteria import Criteria, Quoting
from .database import Database, Pass
from .marks import Mark
from .zones import LEAST_US, local_of, readable_until, stored_moment_of

log = get_logger(__name__)

NEVER_NULL: Final = "validate.non.null"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the configuration says of one table. *name*: its full name, empty for a query. *topic*, *schema_name*: of
    its messages. *initial_ms*: `timestamp.initial`. *required*: `validate.non.null`."""

    name: str
    topic: str
    schema_name: str | None
    criteria: Criteria
    mode: str
    mapping: Mapping
    delay_ms: int = 0
    initial_ms: int | None = None
    required: bool = True

    @property
    def by_time(self) -> bool:
        return self.mode.startswith("timestamp")

    @property
    def counts(self) -> bool:
        return self.mode.endswith("incrementing")

    @property
    def zone(self) -> tzinfo:
        return self.mapping.zone


class TableReader:
    """`mark`: how far its rows were given away. `due`: when it is read again, in seconds of the monotonic clock.
    `began`: the mark is that of `timestamp.initial`, and nothing was given away since. `held_back`: the last SELECT
    ended before the hour in which clocks are set back. `left_out`: columns whose types have no Connect type."""

    def __init__(self, plan: Plan, mark: Mark, quoting: Quoting) -> None:
        self.plan = plan
        self.mark = mark
        self.due = 0.0
        self.held_back = False
        self.began = False
        self.left_out: tuple[str, ...] = ()
        self._criteria = plan.criteria
        self._quoting = quoting
        self._pass: Pass | None = None
        self._columns: tuple[ColumnInfo, ...] = ()
        self._schema = Schema(STRUCT)
        self._readers: list[tuple[int, Read]] = []
        self._places: tuple[int | None, list[int]] = (None, [])
        self._kind = ""
        self._boundary: Boundary | None = None
        self._timeless = False  # rows with a zero date or -infinity were given away

    @property
    def is_open(self) -> bool:
        return self._pass is not None

    def check(self, database: Database) -> None:
        """Whether the table has the columns that the mode needs. Raises ConfigError, SourceError."""
        if self.plan.mode != "bulk":
            self._look(database)

    def open(self, database: Database) -> None:
        """Begin to read what is new. Raises ConfigError, SourceError."""
        plan, criteria = self.plan, self._criteria
        if plan.mode == "bulk":
            self._begin(database.select(criteria.everything()))
            return
        self._look(database)
        if plan.by_time:
            sql = self._by_time(database)
            self._begin(database.select(sql))
            return
        self._begin(database.select(self._criteria.after(
            self._quoting, self.mark.incrementing, nulls=plan.required)))

    def read(self, database: Database, rows: int) -> tuple[list[Message], int]:
        """Messages of up to *rows* rows, and about how many bytes they have. Closes itself at the end of the SELECT.
        Raises SourceError, DecodeError."""
        assert self._pass is not None, "not open"
        found = self._pass.fetch(rows)
        if not found:
            self.close()
            if self._boundary is not None:
                self._boundary.end()
                if self._boundary.at is None and self._timeless:
                    self._boundary.at = LEAST_US  # else they would come again each time
            return [], 0
        messages, size = [], 0
        for row in found:
            if self._wants(database, row):
                values = tuple([None if row[place] is None else read(row[place]) for place, read in self._readers])
                messages.append(Message(self.plan.topic, None, None, self._schema, values))
                size += sum(len(each) if isinstance(each, str | bytes) else 16 for each in row)
        return messages, size

    def close(self) -> None:
        opened, self._pass = self._pass, None
        if opened is not None:
            opened.close()

    # -- what is new --------------------------------------------------------------------------------------------------

    def _by_time(self, database: Database) -> str:
        zone, kind = self.plan.zone, self._kind
        now_us = database.now_us()
        if self.mark.moment_us is None and self.plan.initial_ms is not None:
            initial_us = now_us if self.plan.initial_ms == -1 else self.plan.initial_ms * 1000
            self.mark = self.mark._replace(moment_us=initial_us)
            self.began = True
        until_us = now_us - self.plan.delay_ms * 1000
        high, self.held_back = (until_us, False) if kind == "timestamptz" else readable_until(until_us, zone)
        boundary = self._boundary
        if boundary is None:
            start = self.mark.moment_us
            if start is not None and kind != "timestamptz":
                start = local_of(start, zone)
            boundary = self._boundary = Boundary(start)
        from_low = True
        if boundary.is_full and boundary.at is not None:
            from_low = not self._unchanged(database, boundary, boundary.at)
        if from_low:
            boundary.begin()
        return self._criteria.between(self._quoting, database, kind, boundary.at, high, from_low=from_low)

    def _unchanged(self, database: Database, boundary: Boundary, at: int) -> bool:
        """Whether the rows of timestamp *at* are those that were delivered. If not, all of them are repeated."""
        found = database.select(self._criteria.exactly(self._quoting, database, self._kind, at))
        count = total = 0
        try:
            while rows := found.fetch(1000):
                count += len(rows)
                total += sum(int.from_bytes(digest(row), "big") for row in rows)
        finally:
            found.close()
        if boundary.same(count, total):
            return True
        log.warning("rows_repeated", table=self.plan.name or "query", rows=count,
                    why="too many rows have the last timestamp to be known one by one, and they have changed")
        boundary.forget()
        return False

    def _wants(self, database: Database, row: Sequence[Any]) -> bool:
        """Whether *row* is to be delivered; moves the mark on."""
        counter, times = self._places
        number = None if counter is None else _number(row[counter], self.plan.name)
        if not self.plan.by_time:
            if counter is not None:
                self.mark = Mark(number)
            return True
        assert self._boundary is not None
        place = next(each for each in times if row[each] is not None)
        at = database.domain_us(row[place], self._columns[place])
        if at is None:
            self._timeless = True
            return True
        new = self._boundary.is_new(at, row)
        moment = at if self._kind == "timestamptz" else stored_moment_of(at, self.plan.zone)
        self.mark = Mark(number, moment)
        return new

    # -- columns ------------------------------------------------------------------------------------------------------

    def _look(self, database: Database) -> None:
        """Find the columns that order the rows."""
        probe = database.select(self._criteria.probe())
        columns = tuple(probe.columns)
        try:
            probe.fetch(1)
        finally:
            probe.close()
        plan, criteria = self.plan, self.plan.criteria
        names = [column.name for column in columns]
        incrementing = None
        if plan.counts:
            incrementing = self._counter(columns, criteria.incrementing or "")
        times = [columns[_place(names, each, "timestamp.column.name", plan.name)] for each in criteria.timestamps]
        if plan.by_time:
            kinds = {database.moment_kind(each) for each in times}
            if "" in kinds or ("timestamptz" in kinds and len(kinds) > 1):
                shown = ", ".join(f"{each.name} ({each.type_name})" for each in times)
                raise ConfigError(f"timestamp.column.name: {plan.name or 'the query'}: {shown} cannot be compared with"
                                  " a time" + (", or not with each other." if len(times) > 1 else "."),
                                  option="timestamp.column.name")
            self._kind = kinds.pop() if len(kinds) == 1 else "timestamp"
        self._check_nulls(columns, incrementing, times)
        self._criteria = Criteria(criteria.base, incrementing, tuple(each.name for each in times), criteria.suffix)

    def _counter(self, columns: Sequence[ColumnInfo], wanted: str) -> str:
        plan, option = self.plan, "incrementing.column.name"
        if wanted:
            found = columns[_place([column.name for column in columns], wanted, option, plan.name)]
        else:
            counted = [column for column in columns if column.automatic]
            if not counted:
                raise ConfigError(f"{option}: {plan.name or 'the query'} has no column that the database counts up.",
                                  option=option, hint=f"Name one with {option}.")
            found = counted[0]
        if found.kind not in INTEGERS and (found.kind != "decimal" or found.scale):
            raise ConfigError(f"{option}: {plan.name or 'the query'}: {found.name} has no whole numbers"
                              f" ({found.type_name}).", option=option)
        return found.name

    def _check_nulls(self, columns: Sequence[ColumnInfo], incrementing: str | None,
                     times: Sequence[ColumnInfo]) -> None:
        """`validate.non.null`: rows without these values are never seen."""
        if not self.plan.required or not self.plan.name:
            return
        optional = [column.name for column in columns if column.name == incrementing and column.optional]
        if times and all(column.optional for column in times):
            optional += [column.name for column in times]
        if optional:
            raise ConfigError(f"{self.plan.name}: {', '.join(optional)} can be null; such rows would never be seen.",
                              option=NEVER_NULL, hint=f"Make the column NOT NULL, or set {NEVER_NULL}=false.")

    def _begin(self, opened: Pass) -> None:
        self._pass = opened
        columns = tuple(opened.columns)
        if columns != self._columns:
            self._understand(columns)
        names = [column.name for column in columns]
        criteria = self._criteria
        counter = names.index(criteria.incrementing) if criteria.incrementing else None
        self._places = counter, [names.index(each) for each in criteria.timestamps]

    def _understand(self, columns: tuple[ColumnInfo, ...]) -> None:
        plan = self.plan
        names = [column.name for column in columns]
        double = next((name for name in names if names.count(name) > 1), None)
        if double is not None:
            self.close()
            raise SourceRefusedError(f"Two columns of {plan.name or 'the query'} are called {double}.",
                                     hint="Name them with AS in the query.")
        known = [(place, mapped(column, plan.mapping)) for place, column in enumerate(columns) if column.kind]
        self.left_out = tuple(f"{column.name} ({column.type_name})" for column in columns if not column.kind)
        self._columns = columns
        self._readers = [(place, reader(column, plan.mapping)) for place, column in known]
        self._schema = Schema(STRUCT, name=plan.schema_name, fields=tuple(
            Field(column.name, schema_of(column, plan.mapping)) for _, column in known))


def _place(names: Sequence[str], wanted: str, option: str, table: str) -> int:
    """The index of the column *wanted*; if there is none, of the only one with that name in another case."""
    if wanted in names:
        return names.index(wanted)
    similar = [place for place, name in enumerate(names) if name.lower() == wanted.lower()]
    if len(similar) != 1:
        raise ConfigError(f"{option}: {table or 'the query'} has no column {wanted}; it has {', '.join(names)[:300]}.",
                          option=option)
    return similar[0]


def _number(raw: Any, table: str) -> int:
    """The value of the incrementing column."""
    if raw is None:
        raise DecodeError(f"The incrementing column of {table or 'the query'} is null in a row.",
                          hint="Leave such rows out by a query, or set a value.")
    number = int(str(raw).partition(".")[0])
    if not -(1 << 63) <= number < 1 << 63:
        raise DecodeError(f"The incrementing column of {table or 'the query'} has a number of more than 64 bits.")
    return number
