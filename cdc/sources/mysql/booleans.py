"""The option `converters`: of Debezium's custom converters, this one is ours (`shared/custom.py` has the others).

Debezium sources: TinyIntOneToBooleanConverter, CustomConverterRegistry; Debezium docs, "Custom converters".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from cdc.codecs.mysql.binary import ShownCodec
from cdc.config.options import option, settings
from cdc.config.regex import JavaRegex, compile_list
from cdc.config.table import OptionTable, Parsed
from cdc.core.dataclass import dataclass
from cdc.core.schema import BOOLEAN, Schema
from cdc.core.table import TableId
from cdc.sources.mysql.ddl.structure import ColumnDef

from .types import ColumnType

TINYINT_TO_BOOLEAN: Final = tuple(
    f"io.debezium.connector.{package}.converters.TinyIntOneToBooleanConverter" for package in ("mysql", "binlog"))
_TYPES: Final = ("TINYINT", "TINYINT UNSIGNED")


@settings
class TinyIntOptions:
    """The keys of the converter, without its name."""

    selector: tuple[JavaRegex, ...] = option(
        "selector", "LIST", default="", convert=lambda text: compile_list(text, "selector"),
        doc="Columns that become booleans, as a list of regular expressions of database.table.column; by default all.")
    length_checker: bool = option(
        "length.checker", "BOOLEAN", default="true", convert=lambda text: text.strip().lower() in ("", "true"),
        doc="Take only columns that are declared as TINYINT(1).")


OPTIONS: Final = OptionTable.of(TinyIntOptions)


@dataclass(frozen=True)
class TinyIntToBoolean:
    """The columns that become booleans; every number except 0 is true. Without *selector*, all columns do."""

    selector: tuple[JavaRegex, ...] = ()
    only_length_one: bool = True

    def takes(self, id: TableId, column: ColumnDef) -> bool:
        if column.type_name not in _TYPES or (self.only_length_one and column.length != 1):
            return False
        name = f"{id}.{column.name}"
        return not self.selector or any(each.fullmatch(name) for each in self.selector)


def shown_as_boolean(found: ColumnType) -> ColumnType:
    """*found*, the type of an integer column, as a BOOLEAN."""
    schema = Schema(BOOLEAN)
    return replace(found, schema=schema, codec=ShownCodec(schema, found.codec, bool),
                   binary_codec=ShownCodec(schema, found.binary_codec, bool))


def read_booleans(parsed: Parsed, config: Mapping[str, str]) -> tuple[TinyIntToBoolean, ...]:
    """Those of the converters that `converters` names, in that order. Problems are added to *parsed*."""
    names = [name.strip() for name in config.get("converters", "").split(",") if name.strip()]
    return tuple(_tinyint_to_boolean(name, parsed, config) for name in names
                 if config.get(f"{name}.type", "").strip() in TINYINT_TO_BOOLEAN)


def _tinyint_to_boolean(name: str, parsed: Parsed, config: Mapping[str, str]) -> TinyIntToBoolean:
    own = {f"{name}.{key}": key for key in ("type", *(each.key for each in OPTIONS.options))}  # only this reads them
    parsed.notes[:] = [note for note in parsed.notes if note.kind != "unknown" or note.option not in own]
    parsed.problems[:] = [problem for problem in parsed.problems if problem.option not in own]
    found = OPTIONS.parse({key: config[full] for full, key in own.items() if full in config and key != "type"})
    for problem in found.problems:
        parsed.problem(f"{name}.{problem.option}", problem.text, problem.hint)
    return TinyIntToBoolean(found.values["selector"] or (), found.values["length_checker"])
