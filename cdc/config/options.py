"""Configuration keys, each declared once.

A settings class is a frozen dataclass whose attributes are made by `option(...)`: that one line gives the key, its
Connect type, default, importance, check and documentation. `table.OptionTable` reads them back to parse a
configuration, to describe a plugin and to print its documentation.

A configuration is a flat map of text, as in Kafka Connect. No message of this module contains a password.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, dataclass_transform

from cdc.core.dataclass import dataclass
from cdc.core.errors import ConfigError

from .checks import TYPES, Check

Type = Literal["BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"]
Importance = Literal["HIGH", "MEDIUM", "LOW"]
Effect = Literal["normal", "inert", "later"]


@dataclass(frozen=True, kw_only=True)
class Option:
    """One configuration key, or with `pattern` a family of keys.

    `default`: configuration text; it is converted as a given value is.
    `one_of`: the allowed words, compared without case.
    `aliases`: further words, and the allowed word that each stands for.
    `check`: says what is wrong with a converted value, or returns None.
    `convert`: turns text into the value; raises ValueError or ConfigError with the reason.
    `effect`: `normal`; `inert`, accepted because existing configurations have it; `later`, not available yet.
    `private`: its values may contain secrets although it is no PASSWORD (SQL, settings passed on to a library), so that
    they are not shown.
    `why`: why an option that is not `normal` has no effect.
    `dotted`: of a family: its keys are lower-case words with dots between them, no names of tables, no camelCase.
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
    private: bool = False
    pattern: re.Pattern[str] | None = None
    dotted: bool = False

    @property
    def attribute(self) -> str:
        """The name of the settings attribute: `slot.name` is `slot_name`."""
        return self.key.replace(".", "_").replace("-", "_")

    @property
    def hidden(self) -> bool:
        """Whether values are hidden from people."""
        return self.private or self.type == "PASSWORD"

    @property
    def allowed(self) -> str:
        """The allowed words as text; empty if every value of the type is allowed."""
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
        value = self.convert(text) if self.convert else TYPES[self.type](text)
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
    private: bool = False,
) -> Any:
    """An attribute of a settings class, configured under *key*. See `Option`.

    `default=None` is a default too; declare a required attribute with `required=True` and without `default=`. If the
    key is absent and has no default, an option with `convert` has the value `convert("")`, and a list is empty.
    """
    made = Option(
        key=key, type=type, default=default, importance=importance, doc=doc, group=group, required=required,
        one_of=one_of, aliases=aliases or {}, check=check, convert=convert, effect=effect, why=why,
        private=private,
    )
    metadata = {"option": made}
    if required:
        return dataclasses.field(metadata=metadata, repr=not made.hidden)
    return dataclasses.field(default=made.value(None), metadata=metadata, repr=not made.hidden)


C = TypeVar("C")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(option, dataclasses.field))
def settings(cls: type[C]) -> type[C]:
    """Make a settings class: a frozen, keyword-only dataclass of `option` attributes."""
    made = dataclass(frozen=True, kw_only=True)(cls)
    for field in dataclasses.fields(made):  # type: ignore[arg-type]
        declared = field.metadata.get("option")
        assert declared is None or declared.attribute == field.name, f"{field.name} is not {declared.attribute}"
    return made
