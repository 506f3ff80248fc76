"""Which codecs `cdc.native` has in C, by the exact class: a subclass may read other bytes.

Its C function must write the same bytes as the codec's `encode`, or refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from .text import DecimalCodec, TextCodec

_Made = Callable[[Any], tuple[Any, ...] | None]

_SHARED: Final[Mapping[type, _Made]] = {
    TextCodec: lambda codec: ("text",),
    DecimalCodec: lambda codec: ("decimal", codec.scale),
}


def native_op(codec: Any) -> tuple[Any, ...] | None:
    """The name of *codec* in `cdc.native.records.OPS`, and its parameters; None if C has none."""
    kind = type(codec)
    made = (_SHARED if kind in _SHARED else _of_family(kind.__module__)).get(kind)
    return made(codec) if made is not None else None


def _of_family(module: str) -> Mapping[type, _Made]:
    """Those of the family of databases that *module* is of. A process seldom needs both families' codecs."""
    if module.startswith("cdc.codecs.postgres."):
        from .postgres.native import NATIVE as POSTGRES

        return POSTGRES
    if module.startswith("cdc.codecs.mysql."):
        from .mysql.native import NATIVE as MYSQL

        return MYSQL
    return {}
