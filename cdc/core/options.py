"""Configuration keys, each declared once.

A settings class is a frozen dataclass whose attributes are made by `option(...)`: that one line gives the key, its
Connect type, default, importance, check and documentation. `OptionTable` reads them back to parse a configuration, to
describe a plugin and to print the table in README.

A configuration is a flat map of text, as Kafka Connect has it. Nothing here repeats the value of a password.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, dataclass_transform

from .errors import ConfigError

Type = Literal["BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"]
Importance = Literal["HIGH", "MEDIUM", "LOW"]
Effect = Literal["normal", "inert", "later"]
Check = Callable[[Any], str | None]
"""Given a converted value: what is wrong with it, or None."""

HIDDEN = "[hidden]"
_RANGES = {"SHORT": (-(2**15), 2**15 - 1), "INT": (-(2**31), 2**31 - 1), "LONG": (-(2**63), 2**63 - 1)}


class Secret(str):
    """Text that must not be shown: its repr hides it. Values that came from a config provider are of this kind."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN


def shown(key: str, text: str) -> str:
    """*text* fit for a message, a log or a listing: quoted, or hidden where *key* or its kind asks for it."""
    from .secrets import is_secret_key  # it builds on this module

    return HIDDEN if isinstance(text, Secret) or is_secret_key(key) else f'"{text}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One configuration key, or with `pattern` a family of keys.

    `default` is written as configuration text and goes through the same conversion as a given value. `one_of` are the
    allowed words, compared without case; `aliases` maps further words to them. `convert` turns text into the value and
    raises ValueError or ConfigError with the reason. `effect` is `normal`; `inert`, accepted for the sake of existing
    configurations and without effect here, for the reason in `why`; or `later`, known, and asking for something
    this release does not do.
    """

    key: str
    type: Type = "STRING"
    default: str | None = None
    importance: Importance = "MEDIUM"
    doc: str = ""
    group: str = ""
    required: bool = False
    one_of: tuple[str, ...] = ()
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)
    check: Check | None = None
    convert: Callable[[str], Any] | None = None
    effect: Effect = "normal"
    why: str = ""
    pattern: re.Pattern[str] | None = None

    @property
    def attribute(self) -> str:
        """The name of the settings attribute: `slot.name` is `slot_name`."""
        return re.sub(r"[.\-]", "_", self.key)

    @property
    def allowed(self) -> str:
        """The allowed words as text, empty when any value of the type will do."""
        return ", ".join(self.one_of)

    def value(self, text: str | None) -> Any:
        """*text* converted and checked; the default's value for None. Raises ValueError with the reason."""
        if text is None:
            text = self.default
            if text is None:
                return self.convert("") if self.convert else () if self.type == "LIST" else None
        if self.type == "PASSWORD":
            return text
        text = text.strip()
        if self.one_of and self.type != "LIST":
            return self._word(text)
        value = self.convert(text) if self.convert else _TYPES[self.type](text)
        problem = self.check(value) if self.check else None
        if problem:
            raise ValueError(problem)
        if self.one_of:
            return tuple(self._word(item) for item in value)
        return value

    def _word(self, text: str) -> str:
        word = text.lower()
        word = self.aliases.get(word, word).lower()
        for allowed in self.one_of:
            if word == allowed.lower():
                return allowed
        raise ValueError(f"allowed: {self.allowed}")

    def asks(self, text: str) -> bool:
        """Whether *text* differs from leaving the key out."""
        try:
            return bool(self.value(text) != self.value(None))
        except (ValueError, ConfigError):
            return True


def option(
    key: str,
    type: Type = "STRING",
    *,
    default: str | None = None,
    importance: Importance = "MEDIUM",
    doc: str = "",
    group: str = "",
    required: bool = False,
    one_of: tuple[str, ...] = (),
    aliases: Mapping[str, str] | None = None,
    check: Check | None = None,
    convert: Callable[[str], Any] | None = None,
    effect: Effect = "normal",
    why: str = "",
) -> Any:
    """An attribute of a settings class, configured under *key*. See `Option`.

    `default=None` is a default too; a required attribute is declared without `default=`. The absent value of an
    option with `convert` is `convert("")`: lists are empty, not None.
    """
    made = Option(
        key=key, type=type, default=default, importance=importance, doc=doc, group=group, required=required,
        one_of=one_of, aliases=aliases or {}, check=check, convert=convert, effect=effect, why=why,
    )
    metadata = {"option": made}
    if required:
        return dataclasses.field(metadata=metadata, repr=type != "PASSWORD")
    return dataclasses.field(default=made.value(None), metadata=metadata, repr=type != "PASSWORD")


C = TypeVar("C")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(option, dataclasses.field))
def settings(cls: type[C]) -> type[C]:
    """Make a settings class: a frozen, slotted, keyword-only dataclass of `option` attributes."""
    made = dataclass(frozen=True, slots=True, kw_only=True)(cls)
    for field in dataclasses.fields(made):  # type: ignore[arg-type]
        declared = field.metadata.get("option")
        assert declared is None or declared.attribute == field.name, f"{field.name} is not {declared.attribute}"
    return made


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one key. `text` is a sentence that needs no key before it; `hint` says what to do."""

    option: str
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Something about a key that is no error. `unknown`, `inert`, `later`, or `changed` (taken as something else)."""

    option: str
    text: str
    kind: Literal["unknown", "inert", "later", "changed"] = "changed"

    @property
    def warning(self) -> bool:
        """Whether a person should look at it: all but keys that cannot matter here."""
        return self.kind != "inert"


@dataclass(slots=True)
class Parsed:
    """A configuration taken apart: `values` by attribute, `families` by the pattern option's key.

    A family's entries are the regex match on the key and the text, in the configuration's order.
    """

    values: dict[str, Any]
    given: frozenset[str]
    families: dict[str, list[tuple[re.Match[str], str]]]
    problems: list[Problem]
    notes: list[Note]

    def problem(self, option: str, text: str, hint: str = "") -> None:
        self.problems.append(Problem(option, text, hint))

    def note(self, option: str, text: str, kind: Literal["unknown", "inert", "later", "changed"] = "changed") -> None:
        self.notes.append(Note(option, text, kind))

    def check(self, what: str) -> None:
        """Raise one ConfigError for all problems; *what* says whose configuration it is."""
        if self.problems:
            raise config_error(what, self.problems)


def config_error(what: str, problems: Sequence[Problem]) -> ConfigError:
    """All *problems* as one error; `option` is the first one's."""
    first = problems[0]
    if len(problems) == 1:
        return ConfigError(f"{what}: {first.option}: {_sentence(first.text)}", option=first.option, hint=first.hint)
    lines = [f"{p.option}: {_sentence(p.text)} {p.hint}".rstrip() for p in problems]
    text = "".join(f"\n  - {line}" for line in lines)
    return ConfigError(f"{what} has {len(problems)} problems:{text}", option=first.option)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


class OptionTable:
    """The options of one plugin or part, in order of declaration. *others* are known here but parsed elsewhere."""

    def __init__(self, options: Iterable[Option], others: Iterable[Option] = ()) -> None:
        self.options = tuple(options)
        self.others = tuple(others)
        self._own = {o.key: o for o in self.options if o.pattern is None}
        self._families = tuple(o for o in self.options if o.pattern is not None)
        self._foreign = {o.key for o in self.others if o.pattern is None}
        self._foreign_families = tuple(o.pattern for o in self.others if o.pattern is not None)
        assert len(self._own) + len(self._families) == len(self.options), "an option is declared twice"

    @classmethod
    def of(cls, settings: type[Any], *more: Option, others: Iterable[Option] = ()) -> OptionTable:
        """The options a settings class declares, then *more* that have no attribute of their own."""
        declared = [f.metadata["option"] for f in dataclasses.fields(settings) if "option" in f.metadata]
        return cls((*declared, *more), others)

    def __getitem__(self, key: str) -> Option:
        return self._own[key]

    @property
    def keys(self) -> frozenset[str]:
        """The keys that are options by themselves, not by a family's pattern."""
        return frozenset(self._own)

    def find(self, key: str) -> Option | None:
        """The option *key* belongs to, families included."""
        return self._own.get(key) or next((o for o in self._families if o.pattern and o.pattern.fullmatch(key)), None)

    def knows(self, key: str) -> bool:
        """Whether *key* is an option of this table or of the others it was told of."""
        if key in self._foreign or self.find(key) is not None:
            return True
        return any(pattern.fullmatch(key) for pattern in self._foreign_families)

    def nearest(self, key: str) -> str | None:
        """The known key that looks most like *key*, None when none does."""
        known = [*self._own, *self._foreign]
        lowered = {name.lower(): name for name in known}
        found = difflib.get_close_matches(key.lower(), lowered, n=1, cutoff=0.72)
        return lowered[found[0]] if found else None

    def parse(self, config: Mapping[str, str], *, strict: bool = False, partial: bool = False) -> Parsed:
        """Convert and check every key. Raises nothing: problems and notes are in the answer, all of them.

        A key nobody knows is a note, under *strict* a problem; with *partial* it is somebody else's business.
        """
        given = frozenset(key for key, text in config.items() if text.strip())
        parsed = Parsed({}, given, {o.key: [] for o in self._families}, [], [])
        for declared in self._own.values():
            self._take(declared, config.get(declared.key), parsed)
        for key, text in config.items():
            if key not in self._own and not (partial and self.find(key) is None):
                self._take_other(key, text, parsed, strict)
        return parsed

    def _take(self, declared: Option, text: str | None, parsed: Parsed) -> None:
        given = text is not None and (text.strip() != "" or declared.type == "PASSWORD")
        value = None
        if declared.required and not given:
            parsed.problem(declared.key, "this key is required.", declared.doc)
        else:
            try:
                value = declared.value(text if given else None)
            except ConfigError as exc:
                parsed.problem(declared.key, exc.message, exc.hint)
            except ValueError as exc:
                parsed.problem(declared.key, f"{_shown(declared, text or '')} is not valid: {exc}.")
        parsed.values[declared.attribute] = value
        if given and text is not None:
            _remark(declared, declared.key, text, parsed)

    def _take_other(self, key: str, text: str, parsed: Parsed, strict: bool) -> None:
        family = next((o for o in self._families if o.pattern and o.pattern.fullmatch(key)), None)
        if family is not None and family.pattern is not None:
            match = family.pattern.fullmatch(key)
            assert match is not None
            parsed.families[family.key].append((match, text))
            _remark(family, key, text, parsed)
        elif not self.knows(key):
            near = self.nearest(key)
            said = f"nobody knows this key; did you mean {near}?" if near else "nobody knows this key."
            if strict:
                parsed.problem(key, said, "Remove it, or run without --strict.")
            else:
                parsed.note(key, f"{said} It has no effect.", "unknown")

    def describe(self) -> list[dict[str, Any]]:
        """The options as plain data, as `cdc plugins describe` shows them; passwords' defaults hidden."""
        return describe(self)

    def markdown(self) -> str:
        """A Markdown table of the options, for README."""
        rows = ["| Key | Type | Default | Meaning |", "|---|---|---|---|"]
        for o in self.options:
            default = f"`{o.default}`" if o.default else "required" if o.required else ""
            text = o.doc + (f" One of: {o.allowed}." if o.one_of else "") + _EFFECT_TEXT[o.effect]
            rows.append(f"| `{o.key}` | {o.type.lower()} | {_cell(default)} | {_cell(text.strip())} |")
        return "\n".join(rows) + "\n"


def describe(table: OptionTable) -> list[dict[str, Any]]:
    """One dict an option: name, type, required, default_value, importance, documentation, group, order_in_group,
    allowed (list), effect, pattern (bool). The names are those of Kafka Connect's `ConfigKeyInfo`."""
    orders: dict[str, int] = {}
    rows = []
    for o in table.options:
        orders[o.group] = orders.get(o.group, 0) + 1
        rows.append({
            "name": o.key,
            "type": o.type,
            "required": o.required,
            "default_value": HIDDEN if o.type == "PASSWORD" and o.default is not None else o.default,
            "importance": o.importance,
            "documentation": o.doc,
            "group": o.group or None,
            "order_in_group": orders[o.group] if o.group else -1,
            "allowed": list(o.one_of),
            "effect": o.effect,
            "pattern": o.pattern is not None,
        })
    return rows


# Checks and conversions, for declarations


def at_least(low: int) -> Check:
    return lambda value: None if value >= low else f"must be {low} or more"


def between(low: int, high: int) -> Check:
    return lambda value: None if low <= value <= high else f"must be between {low} and {high}"


def matching(pattern: str, says: str) -> Check:
    """A check that the whole text matches *pattern*; *says* tells a person what that means."""
    compiled = re.compile(pattern)
    return lambda value: None if compiled.fullmatch(value) else says


def to_list(text: str) -> tuple[str, ...]:
    """A comma list, items trimmed, empty ones dropped."""
    return tuple(item for item in (part.strip() for part in text.split(",")) if item)


def to_bool(text: str) -> bool:
    word = text.strip().lower()
    if word not in ("true", "false"):
        raise ValueError("allowed: true, false")
    return word == "true"


def _integer(kind: str) -> Callable[[str], int]:
    low, high = _RANGES[kind]

    def convert(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,19}", text):
            raise ValueError("a whole number is wanted")
        if not low <= int(text) <= high:
            raise ValueError(f"must be between {low} and {high}")
        return int(text)

    return convert


def _double(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("a number is wanted") from None


def _text(text: str) -> str:
    return text


_TYPES: dict[str, Callable[[str], Any]] = {
    "BOOLEAN": to_bool, "STRING": _text, "CLASS": _text, "LIST": to_list, "DOUBLE": _double, "PASSWORD": _text,
    "INT": _integer("INT"), "SHORT": _integer("SHORT"), "LONG": _integer("LONG"),
}

_EFFECT_TEXT = {"normal": "", "inert": " *Accepted, without effect.*", "later": " *Not available yet.*"}


def _shown(declared: Option, text: str) -> str:
    return HIDDEN if declared.type == "PASSWORD" else shown(declared.key, text)


def _remark(declared: Option, key: str, text: str, parsed: Parsed) -> None:
    """The note that an option without effect deserves, if it was set to anything."""
    if declared.effect == "inert":
        why = declared.why or "it only means something to a JVM"
        parsed.note(key, f"accepted, without effect here: {why}.", "inert")
    elif declared.effect == "later" and (declared.pattern is not None or declared.asks(text)):
        why = f": {declared.why}" if declared.why else ""
        parsed.note(key, f"not available yet, so this has no effect{why}.", "later")


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")
