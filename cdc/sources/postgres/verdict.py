"""What it means that the publication is now as it is, compared with what it was: losses, warnings, or nothing.

A loss: committed rows of captured tables are not in the log as the publication shows it: events are missing for good.
A warning: a table that the lists name is not captured, now or before it joined. Pure; `watch.py` asks the server.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import field
from typing import Final

from cdc.core.dataclass import dataclass
from cdc.core.errors import PositionLostError, SourceError, SourceRefusedError

from .checks import listed
from .kept import Kept
from .published import EVERY_TABLE, OPERATIONS, Name, Seen, SeenPublication, SeenTable

STATES: Final = (
    "table_not_published", "partitioned_table_not_published", "table_cannot_be_captured", "operations_not_published",
    "table_without_replica_identity",
)
"""The warnings that last for as long as what they tell is so. The others tell what happened."""

_AGAIN: Final = ("To go on, reset the connector's offset and drop the slot: a new snapshot has what is missing. Or"
                 " accept the gap with offset.mismatch.strategy=trust_slot for one start.")
_SNAPSHOT: Final = "If it had rows before, take a new snapshot of it (reset the connector's offset)."


@dataclass(frozen=True)
class Loss:
    """`gap`: changes are gone. Otherwise changes go by from now on, until somebody mends it."""

    about: str
    text: str
    hint: str
    gap: bool = True


@dataclass
class Verdict:
    """`warnings`: a text and a hint by kind and by what it is about."""

    losses: list[Loss] = field(default_factory=list)
    warnings: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    joined: list[str] = field(default_factory=list)
    """Tables that lawfully joined."""

    def warn(self, kind: str, about: str, text: str, hint: str = "") -> None:
        self.warnings.setdefault(kind, {})[about] = (text, hint)

    def error(self) -> SourceError | None:
        """All losses as one error."""
        if not self.losses:
            return None
        first = self.losses[0]
        text = " ".join(dict.fromkeys(each.text for each in self.losses[:5]))
        more = listed([each.about for each in self.losses[5:]]) if len(self.losses) > 5 else None
        kind = PositionLostError if any(each.gap for each in self.losses) else SourceRefusedError
        return kind(text, hint=first.hint, also=more)


def judge(kept: Kept | None, seen: Seen, *, resumes: bool, operations: frozenset[str], publication: str,
          captured_before: Callable[[Name], bool]) -> Verdict:
    """Compare what is *seen* with what was *kept*; None if nothing was.

    *resumes*: there is an offset, or the stream runs. *operations*: those of c, u, d and t that are not skipped.
    *publication*: its configured name. *captured_before*: what the lists took by which *kept* came about.
    """
    verdict = Verdict()
    found = seen.publication
    if found is None:
        if resumes:
            verdict.losses.append(Loss(
                publication, f"Publication {publication} does not exist any more: changes that are committed without it"
                " cannot be had.", _AGAIN))
        return verdict
    if kept is not None and kept.oid != found.oid:
        _made_again(kept, found, verdict)
        if verdict.losses:
            return verdict
    elif kept is not None:
        _altered(kept, found, operations, verdict)
    unpublished = operations - found.operations
    if unpublished:
        verdict.warn("operations_not_published", found.name, f"It does not publish {_named(unpublished)}.",
                     "ALTER PUBLICATION … SET (publish = …), or skipped.operations.")
    past = kept if resumes else None
    known = frozenset(member for members in past.tables.values() for member in members) if past else frozenset()
    for table in seen.tables.values():
        _Table(past, found, table, verdict, seen.tables, known, captured_before(table.name)).judge()
    for name in seen.moved.values():
        if not captured_before(name):
            verdict.warn("table_renamed", ".".join(name), "It was captured under another name, which the lists took;"
                         " they do not take this one.", "Add it to table.include.list, if it is to be captured.")
    return verdict


def _made_again(kept: Kept, found: SeenPublication, verdict: Verdict) -> None:
    if kept.name == found.name:
        verdict.losses.append(Loss(
            found.name, f"Publication {found.name} was dropped and made again: changes that were committed without it"
            " cannot be had.", _AGAIN))
    else:
        verdict.warn("publication_changed", found.name, f"The stored offset comes from publication {kept.name}. What"
                     " this one did not publish meanwhile is not in the topics.")


def _altered(kept: Kept, found: SeenPublication, operations: frozenset[str], verdict: Verdict) -> None:
    narrowed = (kept.operations - found.operations) & operations
    if narrowed:
        verdict.losses.append(Loss(
            found.name, f"Publication {found.name} does not publish {_named(narrowed)} any more.",
            f"Run ALTER PUBLICATION … SET (publish = …), or set skipped.operations. {_AGAIN}", gap=False))
    elif kept.row != found.row and ((kept.name, kept.owner) == (found.name, found.owner)
                                    or (kept.operations, kept.via_root) != (found.operations, found.via_root)):
        verdict.warn("publication_altered", found.name, "Its operations or publish_via_partition_root were altered."
                     " What it did not publish meanwhile is not in the topics.",
                     "If changes may be missing, take a new snapshot (reset the connector's offset).")


def _named(operations: frozenset[str]) -> str:
    return ", ".join(name for letter, name in OPERATIONS.items() if letter in operations)


@dataclass(frozen=True)
class _Table:
    """One captured table, and what came before."""

    kept: Kept | None
    publication: SeenPublication
    table: SeenTable
    verdict: Verdict
    captured: Collection[Name]
    known: frozenset[str]
    """All memberships that there were before."""
    wanted_before: bool
    """The lists of before took it, too."""

    def judge(self) -> None:
        table, before = self.table, self.before()
        if not table.logged:
            self.unlogged(bool(before))
            return
        same = self.kept is not None and self.kept.oid == self.publication.oid
        if same and before and self.taken_out(before):
            return
        if not self.delivered():
            self.unpublished(bool(before))
            return
        if self.kept is not None and not before:
            self.joins()
        if table.kind == "r" and not table.identity and self.publication.operations & {"u", "d"}:
            self.verdict.warn("table_without_replica_identity", self.name,
                              "The server refuses UPDATE and DELETE on it.",
                              "A primary key or REPLICA IDENTITY FULL helps.")

    @property
    def name(self) -> str:
        return ".".join(self.table.name)

    def before(self) -> Mapping[str, str]:
        """Its memberships before; empty if it had none, or was not captured."""
        return self.kept.tables.get(self.table.oid, {}) if self.kept is not None else {}

    def delivered(self) -> bool:
        """Whether its changes are published under a name that is captured."""
        if self.table.kind == "p":
            return not self.table.missing
        return self.table.under is not None and self.table.under in self.captured

    def unlogged(self, before: bool) -> None:
        if before:
            self.lose(f"Table {self.name} is unlogged now: the log has no changes of it.",
                      f"Run ALTER TABLE … SET LOGGED, or take it out of the lists. {_AGAIN}", gap=False)
        else:
            self.verdict.warn("table_cannot_be_captured", self.name, "It is unlogged: the log has no changes of it.",
                              "ALTER TABLE … SET LOGGED makes it an ordinary one.")

    def taken_out(self, before: Mapping[str, str]) -> bool:
        """Whether a membership is gone, though the table still is where it was."""
        members = self.table.members
        gone = {member: part for member, part in before.items()
                if member not in members and _place(member) in self.table.places}
        if not gone or before.keys() & members.keys():
            return False
        again = {_place(member): part for member, part in members.items()}
        if not members:
            self.lose(f"Table {self.name} was taken out of publication {self.publication.name}: its changes are not"
                      " published.", f"Put it back, or take it out of the lists. {_AGAIN}")
            return True
        if all(_place(member) in again and again[_place(member)] == part for member, part in gone.items()):
            self.lose(f"Table {self.name} was taken out of publication {self.publication.name} and put back: what was"
                      " committed meanwhile is not published.", _AGAIN)
            return True
        self.verdict.warn("table_publication_changed", self.name, f"Publication {self.publication.name} has it in"
                          " another way than before: its row filter, its column list, or what brings it in is another."
                          " What it leaves out is not in the topic.", _SNAPSHOT)
        return False

    def unpublished(self, before: bool) -> None:
        name = self.publication.name
        if before and self.kept is not None and self.kept.via_root != self.publication.via_root:
            self.lose(f"Publication {name} has another publish_via_partition_root than before: changes of {self.name}"
                      " come under a name that is not captured.", f"Set it as before, or name the others. {_AGAIN}")
        elif self.table.kind == "p":
            self.verdict.warn(
                "partitioned_table_not_published", self.name,
                f"Changes of {listed(list(self.table.missing))} are not published under a name that is captured.",
                "Name the partitions too, or set publish_via_partition_root of the publication.")
        elif self.table.under is not None:
            self.verdict.warn(
                "table_not_published", self.name,
                f"Its changes are published as changes of {'.'.join(self.table.under)}, which is not captured.",
                "Name that table too, or unset publish_via_partition_root of the publication.")
        else:
            self.verdict.warn(
                "table_not_published", self.name,
                f"The lists name it, but publication {name} does not have it: its changes are not in the topic.",
                f"Run ALTER PUBLICATION … ADD TABLE …; with publication.autocreate.mode=filtered a restart does that."
                f" {_SNAPSHOT}")

    def joins(self) -> None:
        """It was not published before, and is now."""
        was_there = self.kept is not None and self.table.oid in self.kept.tables
        if not was_there and (not self.wanted_before or (self.covered() and not self.table.renamed)):
            self.verdict.joined.append(self.name)
            return
        self.verdict.warn(
            "table_joined", self.name,
            "It is captured since now: it is new, or was dropped and made again, renamed, or put into the publication."
            " Rows that it had before are not in the topic.", _SNAPSHOT)

    def covered(self) -> bool:
        """Whether it is published since it exists: with its schema, its partitioned table or all tables, which were
        published before."""
        members = self.table.members
        return EVERY_TABLE in members or self.table.since_made or not self.known.isdisjoint(members)

    def lose(self, text: str, hint: str, *, gap: bool = True) -> None:
        self.verdict.losses.append(Loss(self.name, text, hint, gap))


def _place(member: str) -> str:
    return member.partition(".")[0]
