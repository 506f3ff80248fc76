"""The transforms of a connector: `transforms`, `predicates` and what belongs to them, read and then applied in order.

Kafka documentation, "Transformations" and "Predicates"; KIP-585.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, Protocol

from cdc.config.checks import to_bool, to_list
from cdc.config.former import changes
from cdc.config.framework import MOST_ALIASES
from cdc.config.regex import TooSlow
from cdc.config.table import OptionTable, Parsed
from cdc.core.dataclass import dataclass
from cdc.core.errors import CdcError, ConfigError, RecordError, TransformError
from cdc.core.interfaces import Failed, Predicate, Transform
from cdc.core.outcome import Outcome, Shaped, Transformed, untransformed
from cdc.core.record import Message, Record
from cdc.core.table import TableSchema
from cdc.core.view import RecordView

from .post_processor import OfChanges, ReadingProcessor

POST_PROCESSORS: Final = "post.processors"
STAGE: Final = "TRANSFORMATION"
"""Kafka Connect's name of the stage, as its log lines and headers have it."""
MAX_OUTCOMES: Final = 50_000
"""How many outcomes are kept. When there are more, all are dropped and found again when needed."""
_UNKNOWN: Final = object()
_FRAMEWORK: Final = ("type", "plugin.version")
_OF_TRANSFORMS: Final = (*_FRAMEWORK, "predicate", "negate")


class Plugin(Protocol):
    """A transform or predicate as `plugins` knows it. `load` gives its factory, which takes its configuration, keys
    without prefix, and raises ConfigError."""

    @property
    def class_name(self) -> str: ...

    def load(self) -> Any: ...

    def option_table(self) -> OptionTable | None: ...


Kind = Literal["transform", "predicate", "post processor"]
Find = Callable[[Kind, str, str], Plugin]
"""Takes kind, class or short name, and the key that has it. Raises ConfigError."""


@dataclass(frozen=True)
class Step:
    """One transform, and the predicate it depends on."""

    alias: str
    class_name: str
    transform: Transform
    predicate: Predicate | None = None
    negate: bool = False

    def apply(self, view: RecordView) -> RecordView | None:
        """Raises TransformError for everything that goes wrong in the transform or its predicate, and ConvertError for
        a value that cannot be read."""
        try:
            if self.predicate is not None and bool(self.predicate.test(view)) is self.negate:
                return view
            return self.transform.apply(view)
        except TransformError as exc:
            for name, value in self._context(view).items():
                exc.context.setdefault(name, value)
            raise
        except TooSlow as exc:  # on a name, or on a cell, which is not shown
            slow = TransformError("A regular expression of the transform takes too long on this record.", hint=exc.hint)
            slow.context.update(self._context(view))
            raise slow from None
        except CdcError:
            raise
        except Exception as exc:
            error = TransformError(f"The transform failed with {type(exc).__name__}.")
            error.context.update(self._context(view))
            raise error from exc

    def outcome(self, known: Outcome) -> Outcome | None:
        """What `apply` makes of all records with that outcome; None if that depends on the record."""
        decide = getattr(self.predicate, "decided", None)
        made = getattr(self.transform, "outcome", None)
        try:
            if self.predicate is not None:
                decided = None if decide is None else decide(known)
                if decided is None:
                    return None
                if decided is self.negate:
                    return known
            return None if made is None else made(known)
        except (TransformError, TooSlow):
            return None  # `apply` raises it, for each record

    def _context(self, view: RecordView) -> dict[str, str]:
        return {"stage": STAGE, "transform": self.alias, "class": self.class_name, "topic": view.topic}


class Chain:
    """Applies all steps to each record: the result of one goes to the next, and None drops the record.

    *tolerant*: go on behind a record on which a step fails. *shapes*: give changes whose outcome is known for their
    table and op with that outcome.
    """

    def __init__(self, steps: Sequence[Step], view: Callable[[Record | Message, int], RecordView], *,
                 tolerant: bool = False, shapes: bool = False) -> None:
        self.steps = tuple(steps)
        self._shapes = shapes
        self._view = view
        self._outcomes: dict[tuple[TableSchema, str], Any] = {}
        self._tolerant = tolerant

    def apply(self, records: Sequence[Record | Message], now_us: int, failed: list[Failed] | None = None,
              ) -> list[Transformed]:
        """What is left of the records, in order, as views; with *shapes* some are changes with their outcome. Records
        on which a step fails are added to *failed*; the first one is the last that is looked at, unless tolerant.
        Without *failed*, its error is raised: TransformError, ConvertError."""
        kept: list[Transformed] = []
        shapes, outcomes = self._shapes, self._outcomes
        for record in records:
            if shapes and isinstance(record, Record):
                known = outcomes.get((record.table, record.op), _UNKNOWN)
                if known is _UNKNOWN:
                    known = self.outcome(record.table, record.op)
                if known is not None:
                    if not known.dropped:
                        kept.append(Shaped(record, known))
                    continue
            try:
                view = self._through(self._view(record, now_us))
            except RecordError as exc:
                if failed is None:
                    raise
                failed.append(Failed(record, exc, STAGE))
                if not self._tolerant:
                    break
            else:
                if view is not None:
                    kept.append(view)
        return kept

    def outcome(self, table: TableSchema, op: str) -> Outcome | None:
        """That of all records with this *table* and *op*; None if it depends on the record."""
        found: Outcome | None = self._outcomes.get((table, op), _UNKNOWN)
        if found is not _UNKNOWN:
            return found
        found = untransformed(table, op)
        for step in self.steps:
            if found is None or found.dropped:
                break
            found = step.outcome(found)
        if found is not None:
            found = replace(found, view=self._viewed)
        if len(self._outcomes) >= MAX_OUTCOMES:
            self._outcomes.clear()
        self._outcomes[table, op] = found
        return found

    def read_from(self, source: object) -> None:
        """Post-processors that ask the database ask *source* from now on. Raises ConfigError if it cannot be asked."""
        for step in self.steps:
            if isinstance(step.transform, OfChanges):
                step.transform.read_from(source)

    def may_know(self) -> bool:
        """Whether each step can have an outcome, for some tables at least."""
        return all(hasattr(step.transform, "outcome") or hasattr(step.predicate, "decided") for step in self.steps)

    def _viewed(self, record: Record, now_us: int) -> RecordView:
        found = self._through(self._view(record, now_us))
        assert found is not None, "its outcome is not dropped"
        return found

    def _through(self, view: RecordView | None) -> RecordView | None:
        for step in self.steps:
            if view is None:
                break
            view = step.apply(view)
        return view


def read_steps(config: Mapping[str, str], find: Find) -> tuple[list[Step], Parsed]:
    """The steps that a connector's *config* asks for, post-processors first, and its problems and notes; steps with
    problems are missing. Raises nothing."""
    parsed = Parsed({}, frozenset(), {}, [], [])
    processors = {alias: _made(config, find, "post processor", processor_prefix(config, alias), _FRAMEWORK, parsed)
                  for alias in _aliases(config, POST_PROCESSORS, parsed)}
    _check_order(processors, parsed)
    aliases = _aliases(config, "transforms", parsed)
    predicates = {alias: _made(config, find, "predicate", f"predicates.{alias}.", _FRAMEWORK, parsed)
                  for alias in _aliases(config, "predicates", parsed)}
    steps = [Step(alias, made[0], OfChanges(made[1])) for alias, made in processors.items() if made is not None]
    for alias in aliases:
        prefix = f"transforms.{alias}."
        made = _made(config, find, "transform", prefix, _OF_TRANSFORMS, parsed)
        condition = _condition(config, prefix, predicates, parsed)
        if made is not None and condition is not None:
            steps.append(Step(alias, made[0], made[1], *condition))
    return steps, parsed


def processor_prefix(config: Mapping[str, str], alias: str) -> str:
    """What the keys of post-processor *alias* begin with: `post.processors.ALIAS.`, or by itself the older `ALIAS.`
    (`io.debezium.processors.PostProcessorRegistryServiceProvider`)."""
    prefix = f"{POST_PROCESSORS}.{alias}."
    return prefix if any(key.startswith(prefix) for key in config) else f"{alias}."


def _check_order(processors: Mapping[str, tuple[str, Any] | None], parsed: Parsed) -> None:
    before = ""
    for alias, made in processors.items():
        if made is not None and isinstance(made[1], ReadingProcessor):
            if before:
                parsed.problem(POST_PROCESSORS, f"{alias} comes after {before}, but it needs events that no other"
                               " post-processor has changed.", f"List {alias} first.")
        else:
            before = alias


def _aliases(config: Mapping[str, str], key: str, parsed: Parsed) -> list[str]:
    aliases = list(to_list(config.get(key, "")))
    if len(aliases) > MOST_ALIASES:
        parsed.problem(key, f"it lists {len(aliases)} names, and {MOST_ALIASES} are allowed.")
        return []
    if len(set(aliases)) < len(aliases):
        parsed.problem(key, f"Invalid value [{', '.join(aliases)}]: Duplicate alias provided.", "Name each one once.")
    _note_unused(config, key, aliases, parsed)
    return list(dict.fromkeys(aliases))


def _note_unused(config: Mapping[str, str], key: str, aliases: Iterable[str], parsed: Parsed) -> None:
    known = tuple(f"{key}.{alias}." for alias in aliases)
    for each in config:
        if each.startswith(f"{key}.") and not each.startswith(known):
            parsed.note(each, f"is not used, because {key} does not list its name.")


def _made(config: Mapping[str, str], find: Find, kind: Kind, prefix: str, framework: Sequence[str],
          parsed: Parsed) -> tuple[str, Any] | None:
    """The class name and the object of one transform or predicate; None if it has problems."""
    option = f"{prefix}type"
    own = {key.removeprefix(prefix): text for key, text in config.items() if key.startswith(prefix)}
    name = own.get("type", "").strip()
    if not name:
        parsed.problem(option, "this key is required.", f"It names the class of the {kind}.")
        return None
    try:
        plugin = find(kind, name, option)
        factory, table = plugin.load(), plugin.option_table()
    except ConfigError as exc:
        parsed.problem(option, exc.message.removeprefix(f"{option}: "), exc.hint)
        return None
    settings = {key: text for key, text in own.items() if key not in framework}
    before = len(parsed.problems)
    if table is not None:
        for change in changes(settings, table.formers):
            parsed.note(prefix + change.key, change.text)
            del settings[change.key]
            if change.now:
                settings[change.now] = change.value
        found = table.parse(settings)
        for problem in found.problems:
            parsed.problem(prefix + problem.option, problem.text, problem.hint)
        for note in found.notes:
            parsed.note(prefix + note.option, note.text, note.kind)
    if len(parsed.problems) > before:
        return None
    try:
        return plugin.class_name, factory(settings)
    except ConfigError as exc:
        parsed.problem(prefix + (exc.option or "type"), exc.message, exc.hint)
        return None


def _condition(config: Mapping[str, str], prefix: str, predicates: Mapping[str, tuple[str, Any] | None],
               parsed: Parsed) -> tuple[Predicate | None, bool] | None:
    """The predicate of a transform, and whether it is negated; None if they have problems."""
    option, negate_option = f"{prefix}predicate", f"{prefix}negate"
    alias, negate = config.get(option, "").strip(), config.get(negate_option, "").strip()
    if negate and not alias:
        parsed.problem(negate_option, f"Config '{negate_option}' was provided but there is no config '{option}' "
                       "defining a predicate to be negated.", "Remove it, or name a predicate.")
        return None
    if not alias:
        return None, False
    if alias not in predicates:
        parsed.problem(option, f'there is no predicate "{alias}".', f"List it in predicates, and set predicates.{alias}"
                       ".type.")
        return None
    try:
        negated = to_bool(negate or "false")
    except ValueError as exc:
        parsed.problem(negate_option, f'"{negate}" is not valid: {exc}.')
        return None
    made = predicates[alias]
    return None if made is None else (made[1], negated)
