"""Records of one table, and a chain of transforms over them, for the tests of transforms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdc import plugins
from cdc.converters.plan import ColumnFailures
from cdc.converters.records import RecordConverter
from cdc.converters.simple import SimpleHeaderConverter
from cdc.converters.views import Views
from cdc.core.record import Message, Record
from cdc.core.schema import Schema
from cdc.core.view import RecordView
from cdc.transforms.chain import Chain, Step, read_steps
from tests.unit.converters.tables import INT, NOW_US, STR, avro, column, record, row, table

ID = column(0, "id", INT)
NAME = column(1, "name", STR, optional=True)
TABLE = table([ID, NAME], [ID])
HEADERS = (("ctx", "mysql"),)


def change(op: str = "c", id_: str = "1", name: str | None = "a", **more: Any) -> Record:
    """A change of a row with these columns; its key is the id."""
    image = row(id_.encode(), None if name is None else name.encode())
    old = op in ("d", "")
    return record(op, TABLE, image if old else None, None if old else image, key_row=image, **more)


def message(value: Any = None, schema: Schema | None = None, topic: str = "t", key: Any = None,
            key_schema: Schema | None = None, **more: Any) -> Message:
    return Message(topic, key_schema, key, schema, value, **more)


def steps(config: Mapping[str, str]) -> list[Step]:
    """The steps of a configuration that has no problems."""
    found, parsed = read_steps(config, lambda kind, name, option: plugins.find(kind, name, option=option))
    parsed.check("test")
    return found


def problems(config: Mapping[str, str]) -> dict[str, str]:
    """The problems of a configuration: texts by option."""
    _, parsed = read_steps(config, lambda kind, name, option: plugins.find(kind, name, option=option))
    return {problem.option: problem.text for problem in parsed.problems}


def one_step(name: str, **options: str) -> dict[str, str]:
    """A configuration with one transform; `_` in an option's name stands for a dot."""
    return {"transforms": "x", "transforms.x.type": name,
            **{f"transforms.x.{key.replace('_', '.')}": text for key, text in options.items()}}


def chain(config: Mapping[str, str], **more: Any) -> Chain:
    return Chain(steps(config), Views(ColumnFailures("fail"), HEADERS).view, **more)


def applied(config: Mapping[str, str], given: Record | Message) -> RecordView | None:
    """The view that comes out for one record; None if it was dropped."""
    kept = chain(config).apply([given], NOW_US)
    assert all(isinstance(each, RecordView) for each in kept)
    return kept[0] if kept else None  # type: ignore[return-value]


def kept(config: Mapping[str, str], given: Record | Message) -> RecordView:
    """The same, of a record that is not dropped."""
    view = applied(config, given)
    assert view is not None
    return view


def converter(key: Any = None, value: Any = None) -> RecordConverter:
    return RecordConverter(key or avro(True), value or avro(), SimpleHeaderConverter(), ColumnFailures("fail"), HEADERS)
