"""InsertHeader and DropHeaders (`org.apache.kafka.connect.transforms`)."""

from __future__ import annotations

from collections.abc import Mapping

from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.view import ConstantHeader, RecordView

from .literal import parse_literal
from .part import configured


@settings
class InsertHeaderSettings:
    header: str = option("header", required=True, importance="HIGH", doc="Name of the header.")
    value_literal: str = option("value.literal", required=True, importance="HIGH",
                                doc="Its value: `true`, a number, `[1,2]`, `{\"a\":1}`, a date or time in ISO 8601;"
                                    " anything else is text.")


INSERT_OPTIONS = OptionTable.of(InsertHeaderSettings)


class InsertHeader:
    """Adds a header, behind others of the same name."""

    def __init__(self, config: Mapping[str, str]) -> None:
        parsed = configured(InsertHeaderSettings, INSERT_OPTIONS, config, "InsertHeader")
        self._header = ConstantHeader(parsed.header, *parse_literal(parsed.value_literal))

    def apply(self, view: RecordView) -> RecordView:
        view.append_header(self._header)
        return view


@settings
class DropHeadersSettings:
    headers: tuple[str, ...] = option("headers", "LIST", required=True, importance="HIGH",
                                      doc="Names of the headers.")


DROP_OPTIONS = OptionTable.of(DropHeadersSettings)


class DropHeaders:
    """Removes all headers with these names."""

    def __init__(self, config: Mapping[str, str]) -> None:
        self._names = frozenset(configured(DropHeadersSettings, DROP_OPTIONS, config, "DropHeaders").headers)

    def apply(self, view: RecordView) -> RecordView:
        view.drop_headers(self._names)
        return view
