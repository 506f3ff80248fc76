"""`converters`: custom converters of other packages, read from the configuration and applied to columns.

Debezium sources: `CustomConverterRegistry` (the first converter that takes a column has it), `TableSchemaBuilder`
(optionality and default are the column's; keys are converted too).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from cdc.codecs.wrappers import ConvertedCodec
from cdc.config import extensions
from cdc.config.regex import JavaRegex, compile_list
from cdc.config.table import UNKNOWN_LIMIT, Parsed
from cdc.core.codec import Codec
from cdc.core.custom import Convert, ConvertedField, CustomConverter
from cdc.core.dataclass import dataclass
from cdc.core.errors import ConfigError, DecodeError
from cdc.core.schema import (
    ARRAY,
    BOOLEAN,
    BYTES,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    MAP,
    STRING,
    STRUCT,
    Schema,
)

KIND: Final = "custom converter"
PORT: Final = ("A class in Java does not run here. Write it in Python, as a class with a method converter_for, in a"
               " package that has an entry point in cdc.plugins: cdc docs custom-converters.")
_BITS: Final = {INT8: 7, INT16: 15, INT32: 31, INT64: 63}
_PLAIN: Final = {BOOLEAN: bool, STRING: str, BYTES: bytes, FLOAT32: float, FLOAT64: float}


@dataclass(frozen=True)
class NamedConverter:
    """A converter as the connector calls it, and the columns that it is offered: all, or those of *selector*, regexes
    of `table.column`."""

    name: str
    converter: CustomConverter
    selector: tuple[JavaRegex, ...] = ()

    def takes(self, field: ConvertedField) -> tuple[Schema, Convert] | None:
        """The schema and the function that it registers for *field*. Raises ConfigError if it fails."""
        full = f"{field.data_collection}.{field.name}"
        if self.selector and not any(regex.fullmatch(full) for regex in self.selector):
            return None
        found: list[tuple[Schema, Convert]] = []
        try:
            self.converter.converter_for(field, lambda schema, convert: found.append((schema, convert)))
        except Exception as exc:
            raise ConfigError(f"The converter {self.name} failed on column {full}: {type(exc).__name__}: {exc}.",
                              option=f"{self.name}.type") from exc
        if not found:
            return None
        schema, convert = found[-1]
        if not isinstance(schema, Schema) or not callable(convert):
            raise ConfigError(f"The converter {self.name} registered no Schema with a function for column {full}.",
                              option=f"{self.name}.type")
        return schema, self._checked(full, schema, convert)

    def _checked(self, column: str, schema: Schema, convert: Convert) -> Convert:
        """*convert*, which raises DecodeError for every failure, and for a value that its schema does not have."""
        def run(value: Any) -> Any:
            try:
                made = convert(value)
            except Exception as exc:
                raise DecodeError(f"the converter {self.name} failed with {type(exc).__name__}", column=column) from exc
            if not fits(schema, made):
                raise DecodeError(f"the converter {self.name} made a value that is no {schema.type}", column=column)
            return made

        return run


@dataclass(frozen=True)
class Converted:
    """What a converter makes of a column."""

    schema: Schema
    convert: Convert

    def codec(self, codec: Codec) -> Codec:
        return ConvertedCodec(self.schema, codec, self.convert)


def converted(converters: Sequence[NamedConverter], field: ConvertedField, schema: Schema) -> Converted | None:
    """What the first of *converters* that takes *field* makes of it; *schema* is the field's, with the column's
    default. Raises ConfigError."""
    for each in converters:
        found = each.takes(field)
        if found is not None:
            new, convert = found
            default = None
            if schema.default is not None:
                try:
                    default = convert(schema.default)
                except DecodeError as exc:
                    raise ConfigError(f"{exc.message}, on the default of {field.data_collection}.{field.name}.",
                                      option=f"{each.name}.type") from exc
            described = new.doc or schema.doc
            return Converted(replace(new, optional=schema.optional, default=default, doc=described), convert)
    return None


def read_converters(parsed: Parsed, config: Mapping[str, str], ours: Sequence[str] = ()) -> None:
    """The converters of other packages that `converters` names, as `custom_converters`. Problems are added to *parsed*.
    *ours*: classes that the source itself has and reads."""
    made = []
    for name in (name.strip() for name in config.get("converters", "").split(",")):
        class_name = config.get(f"{name}.type", "").strip()
        if not name or class_name in ours:
            continue
        prefix = f"{name}."
        parsed.notes[:] = [note for note in parsed.notes
                           if note.kind != "unknown" or not note.option.startswith(prefix)]
        parsed.problems[:] = [problem for problem in parsed.problems
                              if problem.text != UNKNOWN_LIMIT or not problem.option.startswith(prefix)]
        found = _read(name, class_name, parsed, config, ours)
        if found is not None:
            made.append(found)
    parsed.values["custom_converters"] = tuple(made)


def _read(name: str, class_name: str, parsed: Parsed, config: Mapping[str, str],
          ours: Sequence[str]) -> NamedConverter | None:
    key = f"{name}.type"
    there = f" There is {ours[0]}." if ours else ""
    if not class_name:
        parsed.problem(key, "the converter's class is missing.", there.strip())
        return None
    try:
        plugin = extensions.find(KIND, class_name)
        if plugin is None:
            parsed.problem(key, f"{class_name} is not available, and would change the events.", f"{PORT}{there}")
            return None
        own = {key.removeprefix(f"{name}."): text for key, text in config.items()
               if key.startswith(f"{name}.") and key != f"{name}.type"}
        table = plugin.option_table()
        if table is not None:
            checked = table.parse({key: text for key, text in own.items() if key != "selector" or table.knows(key)})
            for problem in checked.problems:
                parsed.problem(f"{name}.{problem.option}", problem.text, problem.hint)
            for note in checked.notes:
                parsed.note(f"{name}.{note.option}", note.text, note.kind)
            if checked.problems:
                return None
        selector = compile_list(config.get(f"{name}.selector", ""), f"{name}.selector")
        return NamedConverter(name, plugin.load()(own), selector)
    except ConfigError as exc:
        parsed.problem(exc.option or key, exc.message, exc.hint)
    except Exception as exc:  # its text may show a secret among the options
        parsed.problem(key, f"{class_name} cannot be made: {type(exc).__name__}.",
                       "Correct the class or its options.")
    return None


def fits(schema: Schema, value: Any) -> bool:
    """Whether *value* is a Connect value of *schema*; null is one if the schema is optional."""
    if value is None:
        return schema.optional
    if schema.type in _BITS:
        return type(value) is int and -(1 << _BITS[schema.type]) <= value < 1 << _BITS[schema.type]
    if schema.type in _PLAIN:
        return isinstance(value, _PLAIN[schema.type])
    items = schema.items
    if schema.type == ARRAY and items is not None:
        return isinstance(value, list) and all(fits(items, each) for each in value)
    if schema.type == MAP and items is not None and schema.keys is not None:
        return isinstance(value, dict) and all(
            fits(schema.keys, key) and fits(items, each) for key, each in value.items())
    return schema.type == STRUCT and isinstance(value, tuple) and len(value) == len(schema.fields) and all(
        fits(field.schema, each) for field, each in zip(schema.fields, value, strict=True))
