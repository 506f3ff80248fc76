"""Thousands of histories of publications and tables, with looks, restarts and gaps that an operator accepts.

A committed row of a captured table is delivered, or by the next look or start there is an error, or a warning that
names the table; histories in which all is lawful give neither.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from cdc.core.errors import SourceError
from cdc.core.packing import pack, unpack
from cdc.core.table import TableId
from cdc.debezium.filters import Filters
from cdc.sources.postgres.builtin import is_builtin
from cdc.sources.postgres.options import parse_postgres
from cdc.sources.postgres.published import Name
from cdc.sources.postgres.verdict import STATES
from cdc.sources.postgres.watch import ALL_NAMES_EVERY, Watch
from cdc.sources.shared import warnings
from cdc.sources.shared.added import lists_of
from cdc.sources.shared.warnings import Warnings

from .published_world import Row, Table, World

NAMES = [("public", name) for name in ("a", "b", "c", "x", "y", "m", "m_1", "m_2", "m_3")] + [("s", "d"), ("s", "e")]
LISTS = (r"public\.[abc],public\.m.*,s\..*", r"public\.[ab],public\.m", r"public\.[abcx],public\.m_.*,s\.d")
WIDER = LISTS[0] + r",public\.[xy]"
CONN: Any = None
GIVEN = {"name": "n", "topic.prefix": "srv", "database.hostname": "h", "database.user": "u", "database.dbname": "d",
         "publication.name": "pub", "skipped.operations": "none"}
CONFIGS = {(lists, accepts): parse_postgres(GIVEN | {
    "table.include.list": lists, "offset.mismatch.strategy": "trust_slot" if accepts else "no_validation"})[0]
    for lists in (*LISTS, WIDER) for accepts in (False, True)}
FILTERS = {lists: Filters.from_config(CONFIGS[lists, False], is_builtin) for lists in (*LISTS, WIDER)}


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "_tell", lambda begun, ended: None)


class Connector:
    """What runs, and what it has stored."""

    def __init__(self, world: World, lists: str, *, earlier: bool = False) -> None:
        """*earlier*: the offsets are of the form that earlier versions wrote."""
        self.world = world
        self.earlier = earlier
        self.lists = self.running_lists = lists
        self.stored: str | None = None
        self.stored_lists: str | None = None
        self.has_offset = False
        self.watch: Watch | None = None
        self.warnings = Warnings()
        self.error: SourceError | None = None

    def captured(self, name: Name) -> bool:
        """By the lists of the last start that succeeded: others promise nothing yet."""
        return FILTERS[self.running_lists].table(TableId("d", *name))

    def start(self, accepts: bool = False) -> None:
        """As `PostgresSource._prepare`, with publication.autocreate.mode=filtered."""
        self.warnings, self.error = Warnings(), None
        lists = self.running_lists
        watch = Watch(CONFIGS[self.lists, accepts], FILTERS[self.lists], self.warnings)
        self.running_lists = self.lists
        try:
            watch.before_start(CONN, self.stored, self.stored_lists, resumes=self.has_offset)
            self.adjust()
            watch.after_start(CONN, resumes=self.has_offset)
        except SourceError as exc:
            self.error, self.running_lists = exc, lists
            return
        self.watch = watch
        self.commit()

    def adjust(self) -> None:
        world = self.world
        wanted = [each for each in world.tables.values() if each.logged and self.captured(each.name)]
        if world.publication is None:
            world.publish(False, [each.oid for each in wanted])
            return
        for table in wanted if not world.publication.all_tables else ():
            line = world.line(table)
            if not any(each.oid in world.publication.members or each.name[0] in world.publication.schemas
                       for each in line):
                world.add(table.oid)

    def look(self) -> None:
        assert self.watch is not None
        self.watch._next_look = 0.0
        self.error = self.watch.look(CONN)
        if self.error is not None:
            self.watch = None
        else:
            self.commit()

    def commit(self) -> None:
        assert self.watch is not None
        self.stored, self.has_offset = self.watch.text, True
        self.stored_lists = lists_of(CONFIGS[self.running_lists, False])
        if self.earlier and self.stored is not None:
            self.stored = pack(json.dumps({**json.loads(unpack(self.stored)), "lists": self.stored_lists}))
            self.stored_lists = None

    def told(self) -> set[str]:
        """All names in errors and warnings."""
        texts = [str(self.error)] if self.error is not None else []
        active = self.warnings.active()
        return {each.about for each in active} | {
            ".".join(name) for name in NAMES for text in texts if f" {'.'.join(name)} " in f"{text} "} | (
            {"pub"} if any("Publication pub" in text for text in texts) else set())


class History:
    """One history, from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.world = World()
        self.connector = Connector(self.world, LISTS[0], earlier=seed % 2 == 1)
        self.lost: list[Row] = []
        self.toggled: set[int] = set()
        self.known: set[int] = set()
        self.told: list[str] = []
        for name in NAMES[:2]:
            self.world.create(name)
        choice = self.random.randrange(3)
        if choice:
            self.world.publish(choice == 1, [each.oid for each in self.world.tables.values()], ["s"])

    def table(self, kind: str | None = None) -> Table | None:
        found = [each for each in self.world.tables.values() if kind in (None, each.kind)]
        return self.random.choice(found) if found else None

    def free(self) -> Name | None:
        found = [name for name in NAMES if self.world.find(name) is None]
        return self.random.choice(found) if found else None

    # -- what happens ---------------------------------------------------------------------------------------------

    def write(self) -> None:
        table = self.table("r")
        if table is None:
            return
        row = self.world.write(table, self.random.choice("ccud"))
        wanted = [name for name in row.names if self.connector.captured(name)]
        if not wanted or (row.under is not None and self.connector.captured(row.under)):
            return
        lasting = {each.about for each in self.connector.warnings.active() if each.kind in STATES}
        if self.connector.has_offset and not (self.connector.watch and lasting & {".".join(name) for name in wanted}):
            self.lost.append(row)

    def create(self) -> None:
        name = self.free()
        if name is None:
            return
        root = self.world.find(("public", "m"))
        if name == ("public", "m"):
            self.world.create(name, kind="p")
        elif name[1].startswith("m_") and root is not None and root.kind == "p" and self.random.random() < 0.8:
            self.world.create(name, parent=root.oid)
        else:
            self.world.create(name, logged=self.random.random() > 0.1)

    def drop(self) -> None:
        table = self.table()
        if table is not None:
            self.world.drop(table)

    def rename(self) -> None:
        table, name = self.table(), self.free()
        if table is not None and name is not None and table.kind == "r":
            self.world.rename(table, name)

    def swap(self) -> None:
        one, other = self.table("r"), self.table("r")
        if one is not None and other is not None and one is not other:
            first, second = one.name, other.name
            self.world.rename(one, second)
            self.world.rename(other, first)

    def detach(self) -> None:
        table = self.table("r")
        if table is not None:
            table.parent = None

    def make_publication(self) -> None:
        chosen = [oid for oid in self.world.tables if self.random.random() < 0.7]
        self.world.publish(self.random.random() < 0.3, chosen, ["s"] if self.random.random() < 0.5 else [])

    def drop_publication(self) -> None:
        self.world.publication = None

    def change_member(self) -> None:
        table, found = self.table(), self.world.publication
        if table is None or found is None or found.all_tables:
            return
        was = found.members.pop(table.oid, None)
        if was is None or self.random.random() < 0.5:
            self.world.add(table.oid, self.random.choice(["", "", "filter"]))

    def change_schema(self) -> None:
        found = self.world.publication
        if found is not None and not found.all_tables and found.schemas.pop("s", None) is None:
            found.schemas["s"] = (self.world.new_oid(), self.world.new_xid())

    def change_operations(self) -> None:
        if self.world.publication is not None:
            self.world.alter(operations=frozenset(self.random.choice(["cudt", "cudt", "cud", "cd"])))

    def change_root(self) -> None:
        if self.world.publication is not None:
            self.world.alter(via_root=not self.world.publication.via_root)

    def change_persistence(self) -> None:
        """Once between two looks: whoever looks cannot see that it was the other way for a moment."""
        table = self.table("r")
        if table is not None and table.oid not in self.toggled and not (
                self.world.publication and table.oid in self.world.publication.members):
            self.toggled.add(table.oid)
            table.logged = not table.logged

    def look(self) -> None:
        if self.connector.watch is not None:
            kept = self.connector.watch._kept
            self.known = set(kept.tables) if kept is not None else set()
            self.connector.look()
            self.check()

    def stop(self) -> None:
        self.connector.watch = None

    def start(self) -> None:
        connector, failed = self.connector, self.connector.error
        if connector.watch is not None:
            return
        if failed is not None and self.random.random() < 0.4:
            connector.stored, connector.stored_lists, connector.has_offset = None, None, False  # a new snapshot
            self.lost.clear()
        elif self.random.random() < 0.2:
            connector.lists = self.random.choice(LISTS)
        connector.start(accepts=failed is not None and self.random.random() < 0.5)
        self.check()

    # -- what must be so ------------------------------------------------------------------------------------------

    def check(self) -> None:
        told = self.connector.told()
        silent = [row for row in self.lost if not self.excused(row, told)]
        if self.connector.error is None:
            late = [row for row in silent if self.may_be_found_later(row)]
            assert silent == late, f"{silent} is lost, and all that is told is {sorted(told)}"
        self.lost = silent  # after an error nothing goes on: what it does not name must be told later
        self.toggled.clear()

    def may_be_found_later(self, row: Row) -> bool:
        """A table that was not captured, and is renamed into the lists, is found by each sixth look."""
        watch, table = self.connector.watch, self.world.tables[row.table]
        return (watch is not None and watch._looks % ALL_NAMES_EVERY != 0 and table.renamed
                and table.oid not in self.known)

    def excused(self, row: Row, told: set[str]) -> bool:
        table = self.world.tables.get(row.table)
        if table is None:
            return True  # nobody can know: it is gone
        names = {".".join(name) for name in row.names} | {".".join(each.name) for each in self.world.line(table)}
        if names & told or (self.connector.error is not None and "pub" in told):
            return True
        if not any(self.connector.captured(each.name) for each in self.world.line(table)):
            return True  # it is not captured any more
        kinds = {each.kind for each in self.connector.warnings.active() if each.about == "pub"}
        return bool(kinds & {"gap_accepted", "publication_altered"}) or (
            row.why == "operation" and "operations_not_published" in kinds)


WILD = (History.write,) * 12 + (
    History.create, History.create, History.create, History.drop, History.rename, History.swap, History.detach,
    History.make_publication, History.drop_publication, History.change_member, History.change_member,
    History.change_schema, History.change_operations, History.change_root, History.change_persistence) + (
    History.look,) * 4 + (History.stop,) + (History.start,) * 3


@pytest.mark.parametrize("block", range(10))
def test_no_row_of_a_captured_table_is_lost_in_silence(block: int) -> None:
    looked = failed = 0
    for seed in range(block * 200, block * 200 + 200):
        history = History(seed)
        try:
            with history.world.connected():
                history.connector.start()
                for _ in range(60):
                    history.random.choice(WILD)(history)
                    failed += history.connector.error is not None
                history.start()
                history.look()
        except AssertionError as exc:
            raise AssertionError(f"seed {seed}: {exc}") from exc
        looked += 1
    assert looked == 200
    assert failed > 600, "the histories have losses in them"


# -- lawful histories --------------------------------------------------------------------------------------------------


class Lawful(History):
    """Only what may be done with a database: nothing is lost by it, and nobody is to be woken."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.world.publication = None
        kind = self.random.randrange(3)
        if kind:  # else the connector makes it
            root = self.world.create(("public", "m"), kind="p")
            self.world.publish(kind == 1, [each.oid for each in self.world.tables.values()], ["s"])
            self.world.alter(via_root=self.random.random() < 0.5)
            self.world.create(("public", "m_1"), parent=root.oid)

    def create(self) -> None:
        """A captured table comes with what publishes it; any other may come as it likes."""
        name, root = self.free(), self.world.find(("public", "m"))
        if name is None or name == ("public", "m"):
            return
        if name[1].startswith("m_") and root is not None:
            self.world.create(name, parent=root.oid)
            return
        found = self.world.publication
        if not self.connector.captured(name) or (found is not None and (found.all_tables or name[0] in found.schemas)):
            table = self.world.create(name)
            if found is not None and not found.all_tables and self.random.random() < 0.3:
                self.world.add(table.oid, self.random.choice(["", "filter"]))

    def drop(self) -> None:
        table = self.table("r")
        if table is not None:
            self.world.drop(table)

    def change_owner(self) -> None:
        if self.world.publication is not None:
            self.world.alter(owner=self.world.publication.owner + 1)

    def set_the_same_members(self) -> None:
        """ALTER PUBLICATION … SET keeps the rows of members that do not change."""
        self.world.new_xid()

    def start(self) -> None:
        if self.connector.watch is None:
            if self.random.random() < 0.3 and self.connector.has_offset:
                self.connector.lists = self.random.choice([LISTS[0], WIDER])
            self.connector.start()
            self.check()

    def check(self) -> None:
        active = [(each.kind, each.about) for each in self.connector.warnings.active()]
        assert (self.connector.error, active, self.lost) == (None, [], [])


LAWFUL = (History.write,) * 8 + (Lawful.create,) * 3 + (
    Lawful.drop, Lawful.change_owner, Lawful.set_the_same_members, History.look, History.look, History.look,
    History.stop, Lawful.start, Lawful.start)


@pytest.mark.parametrize("block", range(5))
def test_lawful_histories_give_neither_error_nor_warning(block: int) -> None:
    for seed in range(block * 200, block * 200 + 200):
        history = Lawful(seed)
        try:
            with history.world.connected():
                history.start()
                for _ in range(60):
                    history.random.choice(LAWFUL)(history)
                history.start()
                history.look()
        except AssertionError as exc:
            raise AssertionError(f"seed {seed}: {exc}") from exc
