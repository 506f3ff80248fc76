"""A column as the PostgreSQL JDBC driver describes it to Debezium.

Debezium takes type names, lengths and scales from the driver (pgjdbc, `TypeInfoCache` and
`PgDatabaseMetaData.getColumns`). Column mappers use them: for the `__debezium.source.column.*` parameters, to decide
which columns a mask applies to, and for the length of a hash. Debezium's snapshot and its stream give different names;
the stream takes them from pg_type. Unless a function says otherwise, it follows the stream.
"""

from __future__ import annotations

from typing import Final

UNLIMITED: Final = 2147483647
"""The driver's length for types without one (its connection property `unknownLength`)."""

_CHARACTER: Final = frozenset({"char", "bpchar", "varchar", "text", "name"})
_SERIAL: Final = {"int2": "smallserial", "int4": "serial", "int8": "bigserial"}
_FIXED_LENGTH: Final = {"int2": 5, "int4": 10, "oid": 10, "int8": 19, "float4": 8, "float8": 17, "char": 1, "bool": 1,
                        "date": 13, "interval": 49}
_TEMPORAL_LENGTH: Final = {"time": 8, "timetz": 14, "timestamp": 22, "timestamptz": 28}
_VECTORS: Final = frozenset({"vector", "halfvec", "sparsevec"})


def serial_name(type_name: str, default_expression: str | None) -> str:
    """The driver's name of a type. It calls an integer a serial if its default takes the next value of a sequence."""
    if default_expression is not None and "nextval(" in default_expression:
        return _SERIAL.get(type_name, type_name)
    return type_name


def metadata_name(namespace: str, type_name: str) -> str:
    """The name in DatabaseMetaData.getColumns: with its schema, unless that is pg_catalog or public."""
    return type_name if namespace in ("pg_catalog", "public") else f'"{namespace}"."{type_name}"'


def is_character(root_type_name: str, is_enum: bool) -> bool:
    """Whether the JDBC type is a character type; citext is not. *root_type_name*: for a domain, its base type."""
    return is_enum or root_type_name in _CHARACTER


def length(type_name: str, typmod: int) -> int | None:
    """Debezium's length of a column. *type_name* is not a domain's; for an array it is the element type's.

    It counts digits for a numeric, characters for a text, and for other types the most that the driver prints.
    """
    if type_name in _VECTORS:
        return typmod if typmod != -1 else None
    if type_name in _FIXED_LENGTH:
        return _FIXED_LENGTH[type_name]
    if type_name in _TEMPORAL_LENGTH:
        return _TEMPORAL_LENGTH[type_name] + {-1: 7, 0: 0, 1: 3}.get(typmod, typmod + 1)
    if type_name == "numeric":
        return 131089 if typmod == -1 else (typmod - 4) >> 16 & 0xFFFF
    if type_name in ("bpchar", "varchar"):
        return UNLIMITED if typmod == -1 else typmod - 4
    if type_name == "bit":
        return typmod if typmod != -1 else None
    if type_name == "varbit":
        return UNLIMITED if typmod == -1 else typmod
    return UNLIMITED


def scale(type_name: str, typmod: int) -> int:
    """Debezium's scale of a column; 0 for types without one. The arguments are those of `length`."""
    if type_name in ("float4", "float8"):
        return _FIXED_LENGTH[type_name]
    if type_name == "numeric":
        return 0 if typmod == -1 else (typmod - 4) & 0xFFFF
    if type_name in _TEMPORAL_LENGTH:
        return 6 if typmod == -1 else typmod
    if type_name == "interval":
        return 6 if typmod == -1 else typmod & 0xFFFF
    return 0


def domain_length(base_type_name: str, base_typmod: int) -> int | None:
    """Debezium's length of a column of a domain over *base_type_name* with the domain's own modifier."""
    found = length(base_type_name, base_typmod)
    return UNLIMITED if found == 0 else found
