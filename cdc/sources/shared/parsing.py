"""A source's configuration, read: values, problems and notes; and from those its settings.

`SourceOptions` does what all sources need. What only one database needs are its `checks`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from types import SimpleNamespace
from typing import Final, Generic, TypeVar

from cdc.config.former import Change, applied, changes
from cdc.config.secrets import shown_key
from cdc.config.table import UNKNOWN_LIMIT, Note, OptionTable, Parsed, Problem
from cdc.core.dataclass import dataclass
from cdc.core.errors import ConfigError
from cdc.core.late_regex import late_regex
from cdc.debezium.mappers import Rule, mapper_rules
from cdc.debezium.naming import TopicNaming, effective_field_mode

from . import foreign_keys
from .custom import read_converters
from .modes import check_mode
from .options import COLUMN_FAMILIES, MULTIPLIER, OVERRIDE, SourceConfig

Check = Callable[[Parsed, Mapping[str, str]], None]
"""Looks at what was parsed and at the configuration itself; changes values, adds problems and notes."""

C = TypeVar("C", bound=SourceConfig)

_LISTS: Final = ("table", "column", "schema", "database", "message.prefix")
_MUST_LIMIT: Final = late_regex(
    r"(table|column|schema|database|message\.prefix)\.include\.list|snapshot\.include\.collection\.list"
    r"|gtid\.source\.includes|column\.(mask|truncate)\..+")
_OVERRIDES: Final = "snapshot.select.statement.overrides"
_KEY_STORES: Final = ("p12", "pfx", "jks")


@dataclass(frozen=True, kw_only=True)
class SourceOptions(Generic[C]):
    """The options of one source, and how its configuration is read."""

    settings: type[C]
    table: OptionTable
    checks: Sequence[Check]
    own_converters: Sequence[str] = ()
    """The custom converters that the source has itself; one of its checks reads them."""
    other_keys: Mapping[str, str] = field(default_factory=dict)
    """Keys of other databases' connectors that limit what is captured, and what to use here."""
    within: Callable[[str, str, Parsed], str] | None = None
    """Of such a key and its value: why it takes nothing away from what is captured; empty if it may."""
    history: bool = False
    """As `modes.check_mode` takes it."""
    kind: str = ""
    """Whose keys these are, as `foreign_keys` names it."""

    def read(self, config: Mapping[str, str], *, strict: bool = False) -> Parsed:
        """Convert and check a connector's configuration: values by attribute of the settings, problems and notes.

        Raises nothing. Keys of Kafka Connect itself are left to the runtime.
        """
        made = changes(config, self.table.formers)
        config = applied(config, made)
        parsed = self.table.parse(config, strict=strict)
        values = parsed.values
        _tell(made, parsed)
        _combinations(parsed)
        _empty_lists(parsed, config)
        values["busy_retries"] = values["busy_delay_s"] = None  # a source whose server has such options sets them
        values["column_mappers"] = _column_mappers(parsed, config)
        values["snapshot_select_statement_overrides"] = _select_overrides(parsed)
        values["snapshot_max_threads_multipliers"] = _multipliers(parsed)
        self._foreign_keys(parsed, config)
        read_converters(parsed, config, self.own_converters)
        for check in self.checks:
            check(parsed, config)
        check_mode(values, parsed, history=self.history)
        self._names(parsed, config)
        if values["heartbeat_action_query"] and values["heartbeat_interval_ms"] == 0:
            parsed.note("heartbeat.action.query", "is never run, because heartbeat.interval.ms is 0.")
        return parsed

    def parse(self, config: Mapping[str, str], *, strict: bool = False) -> tuple[C, tuple[Note, ...]]:
        """The settings, and what a person should know about them. Raises ConfigError with all problems."""
        parsed = self.read(config, strict=strict)
        parsed.check(f"connector {config['name']}" if config.get("name") else "the connector's configuration")
        own = self.settings.__dataclass_fields__
        return self.settings(**{name: each for name, each in parsed.values.items() if name in own}), tuple(parsed.notes)

    def _foreign_keys(self, parsed: Parsed, config: Mapping[str, str]) -> None:
        """Say whose a key is that belongs to something else. One that limits what is captured is an error, unless what
        it names is all that is captured anyway."""
        for number, note in enumerate(parsed.notes):
            owner = foreign_keys.owner(note.option, self.kind) if note.kind == "unknown" else ""
            if owner:
                parsed.notes[number] = Note(note.option, f"is a key of the {owner}. It has no effect here.", "unknown")
        for number, problem in enumerate(parsed.problems):
            owner = foreign_keys.owner(problem.option, self.kind) if problem.text.startswith("unknown key") else ""
            if owner and problem.text != UNKNOWN_LIMIT:
                parsed.problems[number] = Problem(problem.option, f"is a key of the {owner}.", problem.hint)
        for other, now in self.other_keys.items():
            if other not in parsed.given:
                continue
            why = self.within(other, config[other], parsed) if self.within else ""
            if why:
                parsed.problems[:] = [problem for problem in parsed.problems if problem.option != other]
                parsed.note(other, f"has no effect here, and needs none: {why}.")
            else:
                parsed.problems[:] = [Problem(other, problem.text, f"Use {now}.") if problem.option == other
                                      else problem for problem in parsed.problems]

    def _names(self, parsed: Parsed, config: Mapping[str, str]) -> None:
        """How fields and topics are named; and no notes on the keys of post-processors, which the chain reads."""
        mode = parsed.values["field_name_adjustment_mode"]
        parsed.values["field_name_adjustment_mode"] = effective_field_mode(mode, config)
        if not any(problem.option.startswith("topic.") for problem in parsed.problems):
            try:
                TopicNaming.from_config(SimpleNamespace(**parsed.values))
            except ConfigError as exc:
                parsed.problem(exc.option or "topic.naming.strategy", exc.message, exc.hint)
        names = [name.strip() for name in config.get("post.processors", "").split(",")]
        prefixes = tuple(f"{start}{name}." for name in names if name for start in ("", "post.processors."))
        if prefixes:
            parsed.notes[:] = [note for note in parsed.notes
                               if not (note.kind == "unknown" and note.option.startswith(prefixes))]
            parsed.problems[:] = [problem for problem in parsed.problems
                                  if not (problem.text == UNKNOWN_LIMIT and problem.option.startswith(prefixes))]


def _tell(made: Sequence[Change], parsed: Parsed) -> None:
    """Former keys that were changed, as notes, or as problems if they contradict the present ones."""
    parsed.given = frozenset((*parsed.given, *(change.key for change in made)))
    for change in made:
        if change.wrong:
            parsed.problem(change.key, change.text, "Keep one of the two.")
        else:
            parsed.note(change.key, change.text)


def refuse_key_stores(parsed: Parsed, keys: Sequence[str], hint: str, more_suffixes: Sequence[str] = ()) -> None:
    """A problem for each of *keys*, options that name a file, whose file is a Java or PKCS #12 key store by its
    suffix."""
    suffixes = "|".join((*_KEY_STORES, *more_suffixes))
    for key in keys:
        if re.search(rf"\.({suffixes})$", parsed.values[key.replace(".", "_")] or "", re.IGNORECASE):
            parsed.problem(key, "Java and PKCS #12 key stores cannot be read.", hint)


def _combinations(parsed: Parsed) -> None:
    """The checks that look at more than one key."""
    for kind in _LISTS:
        include, exclude = f"{kind}.include.list", f"{kind}.exclude.list"
        if include in parsed.given and exclude in parsed.given:
            parsed.problem(exclude, f"cannot be combined with {include}.", "Keep one of the two.")
    batch, queue = parsed.values["max_batch_size"], parsed.values["max_queue_size"]
    if isinstance(batch, int) and isinstance(queue, int) and queue <= batch:
        parsed.problem("max.queue.size", f"must be greater than max.batch.size ({batch}).")
    if "sink" in (parsed.values["notification_enabled_channels"] or ()):
        topic = (parsed.values["notification_sink_topic_name"] or "").strip()
        if not topic:
            parsed.problem("notification.sink.topic.name", "is missing.",
                           "Name the topic that notification.enabled.channels=sink sends to.")


def _empty_lists(parsed: Parsed, config: Mapping[str, str]) -> None:
    """An include list or a mask without entries, for example from an empty variable, would limit nothing."""
    for key, text in config.items():
        if _MUST_LIMIT.fullmatch(key) and not text.strip(" \t\r\n,"):
            parsed.problem(shown_key(key), "is empty, so it would limit nothing.",
                           "Name what it is for, or leave the key out.")


def _column_mappers(parsed: Parsed, config: Mapping[str, str]) -> tuple[Rule, ...]:
    """The column options in the order in which they are tried. What is wrong with them becomes problems of *parsed*."""
    keys = [match[0] for name in COLUMN_FAMILIES for match, _ in parsed.families[name]]
    keys += ["column.propagate.source.type", "datatype.propagate.source.type"]
    sound: dict[str, str | None] = {}
    for key in (key for key in config if key in keys):
        try:
            mapper_rules({key: config[key]})
        except ConfigError as exc:
            if key not in (problem.option for problem in parsed.problems):
                parsed.problem(exc.option or shown_key(key), exc.message, exc.hint)
        else:
            sound[key] = config[key]
    return mapper_rules(sound)


def _select_overrides(parsed: Parsed) -> tuple[tuple[str, str], ...]:
    """Table and SELECT. A table that is listed without a statement is a problem, and so is one that is not listed:
    its SELECT may leave rows out."""
    statements = {match[1]: text for match, text in parsed.families[OVERRIDE]}
    listed = parsed.values.pop("snapshot_select_statement_overrides") or ()
    for table in listed:
        if table not in statements:
            parsed.problem("snapshot.select.statement.overrides", f"{table} has no statement.",
                           f"Set {_OVERRIDES}.{table}; without it, all rows of the table would be copied.")
    for table in statements:
        if table not in listed:
            parsed.problem(f"{_OVERRIDES}.{table}", f"{_OVERRIDES} does not list the table.",
                           "List it there; without that, all rows of the table would be copied.")
    return tuple((table, statements[table]) for table in listed if table in statements)


def _multipliers(parsed: Parsed) -> tuple[tuple[str, int], ...]:
    """Table and number."""
    found = []
    for match, text in parsed.families[MULTIPLIER]:
        if text.strip().isdecimal() and int(text) >= 1:
            found.append((match[1], int(text)))
        else:
            parsed.problem(match[0], f'"{text}" is not valid: a whole number of at least 1 is wanted.')
    return tuple(found)
