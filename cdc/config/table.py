"""The options of one plugin or part together: parsed, described, and printed as documentation."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from cdc.core.dataclass import dataclass
from cdc.core.errors import ConfigError

from .former import Former
from .limits import limits_capture, right_limit, similar_limit
from .options import Effect, Option
from .secrets import HIDDEN, is_secret_key, shown, shown_key

UNKNOWN_LIMIT: Final = (
    "unknown key. It looks like one that limits what is captured, so we do not ignore it.")


@dataclass(frozen=True)
class Problem:
    """A fault of one key. `text` is a sentence without the key; `hint` says what to do."""

    option: str
    text: str
    hint: str = ""


@dataclass(frozen=True)
class Note:
    """A remark on a key that is no error.

    `kind`: `unknown`; `inert`, without effect here; `later`, not available yet; `changed`, read as something else.
    """

    option: str
    text: str
    kind: Literal["unknown", "inert", "later", "changed"] = "changed"

    @property
    def warning(self) -> bool:
        """Whether a person should look at it. Notes on keys without effect are information only."""
        return self.kind != "inert"


@dataclass
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
    """The options of one plugin or part, in order of declaration. *others* are known, but another table parses them.
    *formers* are known by other names, which whoever parses has replaced before."""

    def __init__(self, options: Iterable[Option], others: Iterable[Option] = (),
                 formers: Iterable[Former] = ()) -> None:
        self.options = tuple(options)
        self.others = tuple(others)
        self.formers = tuple(formers)
        self._own = {o.key: o for o in self.options if o.pattern is None}
        self._families = tuple(o for o in self.options if o.pattern is not None)
        self._foreign = {o.key for o in self.others if o.pattern is None}
        self._foreign_families = tuple(o.pattern for o in self.others if o.pattern is not None)
        assert len(self._own) + len(self._families) == len(self.options), "an option is declared twice"

    @classmethod
    def of(cls, settings: type[Any], *more: Option, others: Iterable[Option] = (),
           formers: Iterable[Former] = ()) -> OptionTable:
        """The options that a settings class declares, then *more* options, which have no attribute."""
        declared = [f.metadata["option"] for f in dataclasses.fields(settings) if "option" in f.metadata]
        return cls((*declared, *more), others, formers)

    def __getitem__(self, key: str) -> Option:
        return self._own[key]

    @property
    def keys(self) -> frozenset[str]:
        """The keys of all options that are no family."""
        return frozenset(self._own)

    def find(self, key: str) -> Option | None:
        """The option, or family of options, that *key* belongs to."""
        return self._own.get(key) or next((o for o in self._families if o.pattern and o.pattern.fullmatch(key)), None)

    def knows(self, key: str) -> bool:
        """Whether *key* is an option of this table or one of `others`, or a former name."""
        if any(former.present(key) is not None for former in self.formers):
            return True
        if key in self._foreign or self.find(key) is not None:
            return True
        return any(pattern.fullmatch(key) for pattern in self._foreign_families)

    def shows(self, key: str) -> bool:
        """Whether the values of *key* may be shown to people: it is an option of this table or one of `others`, and
        its declaration does not hide it."""
        if is_secret_key(key):
            return False
        declared = self.declared(key)
        return declared is not None and not declared.hidden

    def declared(self, key: str) -> Option | None:
        """As `find`, of the options of this table and of `others`, also by their former names."""
        found = self.find(key) or next((o for o in self.others if _belongs(key, o)), None)
        present = next(filter(None, (former.present(key) for former in self.formers)), None) if found is None else None
        return self.find(present) if present else found

    def nearest(self, key: str) -> str | None:
        """The known key that is most similar to *key*; None if none is similar."""
        known = [*self._own, *self._foreign]
        lowered = {name.lower(): name for name in known}
        found = difflib.get_close_matches(key.lower(), lowered, n=1, cutoff=0.72)
        return lowered[found[0]] if found else None

    def parse(self, config: Mapping[str, str], *, strict: bool = False, partial: bool = False) -> Parsed:
        """Convert and check every key. Raises nothing; the result has all problems and notes.

        An unknown key gives a note, or a problem if *strict* or if it looks like one that limits what is captured; with
        *partial* it is ignored, because another table reads it.
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
            self._unknown(key, parsed, strict)

    def _unknown(self, key: str, parsed: Parsed, strict: bool) -> None:
        known = [o.key for o in self.options]
        if limits_capture(key) or similar_limit(key, known):
            right = right_limit(key, known)
            parsed.problem(shown_key(key), UNKNOWN_LIMIT, f"Use {right}, or remove it." if right else "Remove it.")
            return
        near = self.nearest(key)
        said = f"unknown key; did you mean {near}?" if near else "unknown key."
        if strict:
            parsed.problem(key, said, "Remove it, or run without --strict.")
        else:
            parsed.note(key, f"{said} It has no effect.", "unknown")

    def describe(self) -> list[dict[str, Any]]:
        """The options as plain data, as `cdc plugins describe` shows them; passwords' defaults hidden."""
        return describe(self)

    def markdown(self, effect: Effect | None = None) -> str:
        """A Markdown table of all options, or of those with this *effect*, each with the reason if it has none."""
        rows = ["| Key | Type | Default | Meaning |", "|---|---|---|---|"]
        for o in self.options:
            if effect not in (None, o.effect):
                continue
            default = f"`{o.default}`" if o.default else "required" if o.required else ""
            text = o.doc + (f" One of: {o.allowed}." if o.one_of else "")
            text += _EFFECT_TEXT[o.effect] if effect is None else _reason(o)
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


_EFFECT_TEXT = {"normal": "", "inert": " *Accepted, without effect.*", "later": " *Not available yet.*"}

_JVM_ONLY = "it only means something to a JVM"


def _reason(declared: Option) -> str:
    why = declared.why or (_JVM_ONLY if declared.effect == "inert" else "")
    return f" Why: {why}." if why and declared.effect != "normal" else ""


def _belongs(key: str, declared: Option) -> bool:
    return declared.key == key if declared.pattern is None else declared.pattern.fullmatch(key) is not None


def _shown(declared: Option, text: str) -> str:
    return HIDDEN if declared.hidden else shown(declared.key, text)


def _remark(declared: Option, key: str, text: str, parsed: Parsed) -> None:
    """Adds a note if an option without effect was set."""
    if declared.effect == "inert":
        why = declared.why or _JVM_ONLY
        parsed.note(key, f"accepted, without effect here: {why}.", "inert")
    elif declared.effect == "later" and (declared.pattern is not None or declared.asks(text)):
        why = f": {declared.why}" if declared.why else ""
        parsed.note(key, f"not available yet, so this has no effect{why}.", "later")


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")


NO_OPTIONS: Final = OptionTable(())
"""Of a plugin that has no options."""
